"""One call, whatever its format: who asks → the run → the answer, whole or as it comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

from flask import Response, current_app, jsonify, make_response, stream_with_context
from flask import request as http

from ..executions import live
from ..executions.execute import OWNER, told
from ..executions.submit import Request, announce
from ..jobs.queue import store
from ..models import Execution, GatewayToken, Origin, new_id
from ..router.types import Asset, Done, Embedding, Event, Failure, Progress, Reasoning, Usage
from . import errors, replay, stored_prompts
from .account import Account
from .inbound import Inbound, Pieces, Whole
from .json_body import body_of
from .leaving import on_leaving
from .tokens import authenticate

SHORT = 1.0
"""Seconds. What a longer stream has said so far is kept outside this process, which may die."""


def answered(read: Callable[[GatewayToken], Inbound]) -> Response:
    """The answer of this request, which `read` reads once it is known who asks."""
    arrived = time.perf_counter()
    token = authenticate()
    asked = read(token)
    request, claim = wanted(token, asked), f"{OWNER}/{new_id()}"
    execution = announce(request, claim)
    if execution.lease_owner == claim:
        writer = live.Writer(store(), execution.id, silent_for=SHORT)
        response = _told(execution, asked, told(execution, execution.fence, writer), arrived)
    else:
        response = _told(execution, asked, replay.events(execution, request), arrived)
        response.headers["x-dataelan-replayed"] = "true"
    return stored_prompts.named_in(response, request)


def json_body() -> dict[str, Any]:
    """Raises Refused (400)."""
    return body_of(http.get_data(cache=False))


def wanted(token: GatewayToken, asked: Inbound) -> Request:
    """Raises Refused where it names a prompt that is not there."""
    request = Request(
        project=token.project,
        prompt=asked.prompt,
        origin=Origin.GATEWAY,
        requested=asked.requested,
        user_id=token.created_by,
        token_id=token.id,
        model_type=asked.model_type,
        idempotency_key=replay.key(token, http.headers.get("Idempotency-Key", "")),
    )
    return stored_prompts.filled(request, asked.stored) if asked.stored else request


def _told(execution: Execution, asked: Inbound, events: Iterator[Event], arrived: float) -> Response:
    return (_stream if asked.streams else _whole)(execution, asked, events, arrived)


def _whole(execution: Execution, asked: Inbound, events: Iterator[Event], arrived: float) -> Response:
    whole = Whole(execution)
    try:
        for event in events:
            _add(whole, event)
    except Failure as failure:
        return _failed(execution, failure, arrived)
    account = Account.of(execution, arrived)
    whole.usage = account.usage
    whole.model = (whole.done.model if whole.done else "") or account.facts["model"] or asked.requested
    return account.as_headers(asked.respond(whole))


def _add(whole: Whole, event: Event) -> None:
    whole.answer.add(event)
    if isinstance(event, Done):
        whole.done = event
    elif isinstance(event, Reasoning):
        whole.thoughts.append(event)
    elif isinstance(event, Asset):
        whole.assets.append(event)
    elif isinstance(event, Embedding):
        whole.vectors.append(event)


def _stream(execution: Execution, asked: Inbound, events: Iterator[Event], arrived: float) -> Response:
    """The first event is awaited before the answer begins, so that a failure before it has its own status."""
    try:
        first = list(_until_visible(events))
    except Failure as failure:
        return _failed(execution, failure, arrived)
    account = Account.of(execution, arrived)
    pieces = asked.told_by(execution, account.facts["model"] or asked.requested)
    response = Response(
        stream_with_context(_pieces(execution, pieces, chain(first, events), arrived)), mimetype=asked.media_type
    )
    # A reader may be gone before the first byte; then nothing but this ends the call.
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    response.call_on_close(on_leaving(app, execution, events))
    response.headers["X-Accel-Buffering"] = "no"
    return account.as_headers(response)


def _until_visible(events: Iterator[Event]) -> Iterator[Event]:
    for event in events:
        yield event
        if not isinstance(event, Progress | Usage):
            return


def _pieces(execution: Execution, pieces: Pieces, events: Iterator[Event], arrived: float) -> Iterator[bytes]:
    done = None
    try:
        for event in events:
            done = event if isinstance(event, Done) else done
            if piece := pieces.of(event):
                yield piece
    except Failure as failure:
        yield from pieces.broken(failure, Account.at_the_end(execution, arrived).facts)
        return
    account = Account.at_the_end(execution, arrived)
    yield from pieces.last(done, account.usage, account.facts)


def _failed(execution: Execution, failure: Failure, arrived: float) -> Response:
    problem = errors.of(failure)
    response = make_response(jsonify(errors.told(problem)), problem.status)
    if failure.after is not None:
        response.headers["Retry-After"] = str(max(1, round(failure.after)))
    return Account.of(execution, arrived).as_headers(response)
