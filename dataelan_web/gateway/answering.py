"""One call, whatever its format: who asks → the run → the answer, whole or as it comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

from flask import Response, current_app, jsonify, make_response, stream_with_context

from .. import logs
from ..executions import cache, live
from ..executions.execute import OWNER, memory, told
from ..executions.submit import Request, announce
from ..extensions import db, this_request
from ..jobs.queue import store
from ..models import Changed, Execution, Origin
from ..models.base import new_id_text
from ..models.records import RunRecord, TokenRecord
from ..router.types import Asset, Done, Event, Failure, Progress, Sound, Text, Usage
from . import errors, replay, stored_prompts
from .account import Account
from .asking_for_more import with_the_way
from .errors import Refused
from .inbound import Direct, Inbound, Pieces, Whole
from .json_body import body_of
from .leaving import PIECE, holding, on_leaving, slices
from .near_names import with_near_names
from .steering import Cache, Steering, steering
from .tokens import authenticate, caller, check_scope, confirm, read_by

SHORT = 1.0
"""Seconds. What a longer stream has said so far is kept outside this process, which may die."""


def answered(read: Callable[[TokenRecord], Inbound]) -> Response:
    """The answer of this request, which `read` reads once it is known who asks."""
    arrived = time.perf_counter()
    try:
        return _answered(read, arrived, may_presume=True)
    except Changed:
        db.session.rollback()
        logs.forget("execution_id")
        return _answered(read, arrived, may_presume=False)


def _answered(read: Callable[[TokenRecord], Inbound], arrived: float, *, may_presume: bool) -> Response:
    """Raises Changed, before anything came of it, where its caller is not who was presumed."""
    try:
        token, asked = read_by(authenticate(may_presume=may_presume), read)
        steered = steering()
        request = wanted(token, asked, steered)
    except Refused:
        confirm()  # what is refused may be the fault of what was presumed
        raise
    stores = bool(request.project.cache_seconds) and steered.cache is not Cache.OFF
    earlier = _cached(request, asked, arrived) if stores and steered.cache is Cache.ON else None
    return stored_prompts.named_in(earlier or _run(request, asked, arrived, stores=stores), request)


def _run(request: Request, asked: Inbound, arrived: float, *, stores: bool) -> Response:
    """`stores`: its answer may be told again, to whoever asks the same."""
    claim, reads_on = f"{OWNER}/{new_id_text()}", asked.streams and request.project.reads_on
    execution = announce(request, claim)
    if isinstance(execution, Execution):  # an earlier one
        earlier = RunRecord.of(execution, request.project)
        response = _told(earlier, asked, replay.events(execution, request), arrived)
        response.headers["x-dataelan-replayed"] = "true"
        return response
    execution.is_awaited = stores or request.idempotency_key is not None or asked.is_continued
    share = None if asked.streams else memory().share()
    writer = live.Writer(store(), execution.id, silent_for=SHORT)
    events = told(execution, execution.fence, writer, request.prompt, share)
    if stores:
        events = cache.keep(request, execution, events)
    response = _told(execution, asked, events, arrived, reads_on=reads_on)
    if share:
        holding(response, share)
    if stores:
        response.headers["x-dataelan-cache"] = "miss"
    return response


def _cached(request: Request, asked: Inbound, arrived: float) -> Response | None:
    """What an earlier run answered."""
    source = cache.find(request)
    if source is None:
        return None
    execution = cache.answer(request, source)
    if execution is None:  # it is a repetition, which is looked at as any other
        return None
    made = execution.made[-1] if execution.made else None
    response = _told(execution, asked, replay.said(source, made.response_model if made else ""), arrived)
    response.headers["x-dataelan-cache"] = "hit"
    return response


def json_body() -> dict[str, Any]:
    """Raises Refused (400)."""
    asked = this_request()
    if (encoding := asked.environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()) not in ("", "identity"):
        word = f"Content-Encoding: a body that is packed ({encoding[:40]}) is not read here. Send it as it is."
        raise Refused(400, word, "unsupported_encoding")
    return body_of(asked.get_data(cache=not caller().is_confirmed))


def wanted(token: TokenRecord, asked: Inbound, steered: Steering) -> Request:
    """Raises Refused where it names a prompt that is not there, or what its token may not ask for."""
    request = Request(
        project=token.project,
        prompt=asked.prompt,
        origin=Origin.GATEWAY,
        requested=asked.requested,
        user_id=None if token.service_account_id else token.created_by,
        token_id=token.id,
        model_type=asked.model_type,
        idempotency_key=replay.key(token, steered.idempotency_key),
        labels=steered.labels,
        caller=caller(),
    )
    request = stored_prompts.filled(request, asked.stored) if asked.stored else request
    request = replace(request, requested=steered.rule) if steered.rule else request
    check_scope(token, request.requested)
    return request


def _told(
    execution: RunRecord, asked: Inbound, events: Iterator[Event], arrived: float, *, reads_on: bool = False
) -> Response:
    if asked.streams:
        return _stream(execution, asked, events, arrived, reads_on=reads_on)
    return _whole(execution, asked, events, arrived)


def _whole(execution: RunRecord, asked: Inbound, events: Iterator[Event], arrived: float) -> Response:
    whole = Whole(execution)
    try:
        for event in events:
            whole.add(event)
    except Failure as failure:
        return _failed(execution, failure, arrived)
    account = Account.of(execution, arrived)
    whole.usage = account.usage
    whole.model = (whole.done.model if whole.done else "") or account.facts["model"] or asked.requested
    try:
        response = asked.respond(whole)
    except Failure as failure:
        return _failed(execution, failure, arrived)
    return account.as_headers(response)


def _stream(
    execution: RunRecord, asked: Inbound, events: Iterator[Event], arrived: float, *, reads_on: bool
) -> Response:
    """The first event is awaited before the answer begins, so that a failure before it has its own status."""
    try:
        first = list(_until_begun(events, is_file=asked.told_bare is not None))
        if asked.told_bare and first and _is_all(first[-1]):
            first += events  # then what it cost can stand in the headers
        media_type = asked.told_bare(first) if asked.told_bare else asked.media_type
    except Failure as failure:
        return _failed(execution, failure, arrived)
    account = Account.of(execution, arrived)
    pieces = asked.told_by(execution, account.facts["model"] or asked.requested)
    response = Direct(
        stream_with_context(_pieces(execution, pieces, chain(first, events), arrived)), mimetype=media_type
    )
    # A reader may be gone before the first byte; then nothing but this ends the call.
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    response.call_on_close(on_leaving(app, execution, events, reads_on=reads_on))
    response.headers["X-Accel-Buffering"] = "no"
    return account.as_headers(response)


def _is_all(event: Event) -> bool:
    """Of a file: is it whole, and small, or is there none?"""
    return isinstance(event, Done) or (isinstance(event, Asset) and len(event.content) <= PIECE)


def _until_begun(events: Iterator[Event], *, is_file: bool) -> Iterator[Event]:
    """Up to the first event that is told; of a file, up to its own beginning."""
    for event in events:
        yield event
        if isinstance(event, Sound | Asset | Done) if is_file else not isinstance(event, Progress | Usage):
            return


def _pieces(execution: RunRecord, pieces: Pieces, events: Iterator[Event], arrived: float) -> Iterator[bytes]:
    """What came at once goes on at once, in as many messages as its provider made of it."""
    done, words = None, pieces.words
    try:
        for event in events:
            if type(event) is Text and not event.logprobs:
                said = b"".join(map(words, event.pieces)) if event.pieces else words(event.delta)
            else:
                said, done = pieces.of(event), event if isinstance(event, Done) else done
            if len(said) > PIECE:
                yield from slices(said)
            elif said:
                yield said
    except Failure as failure:
        yield from pieces.broken(failure, Account.at_the_end(execution, arrived).facts)
        return
    account = Account.at_the_end(execution, arrived)
    yield from pieces.last(done, account.usage, account.facts)


def _failed(execution: RunRecord, failure: Failure, arrived: float) -> Response:
    problem = with_the_way(errors.of(failure), failure, execution)
    problem = with_near_names(problem, failure, execution.requested)
    response = make_response(jsonify(errors.told(problem)), problem.status)
    if failure.after is not None:
        response.headers["Retry-After"] = str(max(1, round(failure.after)))
    if problem.is_final:
        response.headers["X-Should-Retry"] = "false"  # OpenAI's and Anthropic's clients heed it
    return Account.of(execution, arrived).as_headers(response)
