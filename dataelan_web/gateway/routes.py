from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from typing import Any

from flask import Blueprint, Flask, Response, current_app, jsonify, make_response, request, stream_with_context
from sqlalchemy import bindparam, select
from sqlalchemy.exc import SQLAlchemyError

from .. import quota
from ..executions import live
from ..executions.answer import Answer
from ..executions.candidates import rules_for, usable_models
from ..executions.execute import OWNER, told
from ..executions.record import COUNTERS
from ..executions.submit import Request, announce
from ..extensions import db
from ..jobs.queue import store
from ..models import NANO, Attempt, Execution, GatewayToken, ModelType, Origin, Unit, new_id, now
from ..router.types import Done, Event, Failure, Progress, Usage
from . import chat_answer, chat_request, errors, replay, stored_prompts
from .tokens import authenticate, check_scope

SHORT = 1.0
"""Seconds. What a longer stream has said so far is kept outside this process, which may die."""

bp = Blueprint("gateway", __name__, url_prefix="/v1")


@bp.errorhandler(errors.Refused)
def refused(error: errors.Refused) -> Response:
    return make_response(jsonify(error.body), error.status)


@bp.get("/models")
def models() -> Response:
    """What this project can name as `model`: its models, its rules, its prompts, and `auto`."""
    token = authenticate()
    rules = rules_for(db.session, token.project, "auto", ModelType.TEXT)
    names = [("auto", "dataelan"), *((rule.name, "dataelan") for rule in rules if rule.id)]
    names += [(candidate.model, candidate.provider) for candidate in usable_models(db.session, token.project)]
    names += [(name, "dataelan") for name in stored_prompts.names(token.project)]
    names = [(name, owner) for name, owner in names if token.may_ask(name)]
    unique = dict(reversed(names))
    data = [{"id": name, "object": "model", "created": 0, "owned_by": unique[name]} for name in dict(names)]
    return jsonify(object="list", data=data)


@bp.post("/chat/completions")
def chat_completions() -> Response:
    arrived = time.perf_counter()
    token = authenticate()
    asked = stored_prompts.read(request.get_data(cache=False))
    wanted, claim = _request(token, asked), f"{OWNER}/{new_id()}"
    execution = announce(wanted, claim)
    answer = _stream if asked.stream else _whole
    if execution.lease_owner == claim:
        writer = live.Writer(store(), execution.id, silent_for=SHORT)
        response = answer(execution, asked, told(execution, execution.fence, writer), arrived)
    else:
        response = answer(execution, asked, replay.events(execution, wanted), arrived)
        response.headers["x-dataelan-replayed"] = "true"
    return stored_prompts.named_in(response, wanted)


def _request(token: GatewayToken, asked: chat_request.ChatRequest) -> Request:
    wanted = Request(
        project=token.project,
        prompt=asked.prompt(),
        origin=Origin.GATEWAY,
        requested=asked.model,
        user_id=None if token.service_account_id else token.created_by,
        token_id=token.id,
        idempotency_key=replay.key(token, request.headers.get("Idempotency-Key", "")),
    )
    wanted = stored_prompts.filled(wanted, asked) if isinstance(asked, stored_prompts.PromptRequest) else wanted
    check_scope(token, wanted.requested)
    return wanted


def _whole(execution: Execution, asked: chat_request.ChatRequest, events: Iterator[Event], arrived: float) -> Response:
    answer, done = Answer(), None
    try:
        for event in events:
            answer.add(event)
            done = event if isinstance(event, Done) else done
    except Failure as failure:
        return _failed(execution, failure, arrived)
    account = Account.of(execution, arrived)
    model = (done.model if done else "") or account.facts["model"] or asked.model
    response = jsonify(chat_answer.completion(execution, answer, account.usage, done, model))
    return account.as_headers(response)


def _stream(execution: Execution, asked: chat_request.ChatRequest, events: Iterator[Event], arrived: float) -> Response:
    """The first event is awaited before the answer begins, so that a failure before it has its own status."""
    try:
        first = list(_until_visible(events))
    except Failure as failure:
        return _failed(execution, failure, arrived)
    account = Account.of(execution, arrived)
    chunks = chat_answer.Chunks(execution, account.facts["model"] or asked.model, asked.includes_usage)
    response = Response(
        stream_with_context(_chunks(execution, chunks, chain(first, events), arrived)), mimetype="text/event-stream"
    )
    # A reader may be gone before the first byte; then nothing but this ends the call.
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    response.call_on_close(lambda: _end(app, events))
    response.headers["X-Accel-Buffering"] = "no"
    return account.as_headers(response)


def _until_visible(events: Iterator[Event]) -> Iterator[Event]:
    for event in events:
        yield event
        if not isinstance(event, Progress | Usage):
            return


def _chunks(
    execution: Execution, chunks: chat_answer.Chunks, events: Iterator[Event], arrived: float
) -> Iterator[bytes]:
    done = None
    try:
        for event in events:
            done = event if isinstance(event, Done) else done
            if chunk := chunks.of(event):
                yield chunk
    except Failure as failure:
        body = errors.of(failure)[1]
        yield chat_answer.error_chunk(body | {"dataelan": _account_of(execution, arrived).facts})
        return
    account = _account_of(execution, arrived)
    yield from chunks.last(done, account.usage, account.facts)


def _account_of(execution: Execution, arrived: float) -> Account:
    """An answer that was told to its end is whole, though the database may be gone that could say what it cost."""
    try:
        return Account.of(execution, arrived)
    except SQLAlchemyError:
        return Account(Usage(), {"execution_id": str(execution.id)})


def _end(app: Flask, events: Iterator[Event]) -> None:
    with app.app_context():
        events.close()  # type: ignore[attr-defined]


def _failed(execution: Execution, failure: Failure, arrived: float) -> Response:
    status, body = errors.of(failure)
    response = make_response(jsonify(body), status)
    if failure.after is not None:
        response.headers["Retry-After"] = str(max(1, round(failure.after)))
    return Account.of(execution, arrived).as_headers(response)


@dataclass(frozen=True)
class Account:
    """What the record says of an execution, so far. Usage may be estimated, where a provider reports none."""

    usage: Usage
    facts: dict[str, Any]

    @classmethod
    def of(cls, execution: Execution, arrived: float) -> Account:
        spent = time.perf_counter() - arrived
        cost, left, made = _recorded(execution) if execution.is_limited else (execution.cost, None, execution.attempts)
        last = made[-1] if made else None
        provider = sum(map(_seconds, made), 0.0)
        facts = {
            "execution_id": str(execution.id),
            "model": last.model_name if last else None,
            "provider": last.provider_name if last else None,
            "cost_usd": f"{Decimal(cost) / NANO:f}" if cost is not None else None,
            "limit_left_usd": f"{Decimal(left) / NANO:f}" if left is not None else None,
            "overhead_ms": round(max(spent - provider, 0.0) * 1000, 2),
        }
        return cls(Usage(*(getattr(last, name, None) for name in COUNTERS)), facts)

    def as_headers(self, response: Response) -> Response:
        """The contract's headers. `x-dataelan-overhead-ms` is our own time, the provider's taken off."""
        for name, value in self.facts.items():
            if value is not None:
                response.headers[f"x-dataelan-{name.replace('_', '-')}"] = str(value)
        return response


def _recorded(execution: Execution) -> tuple[int | None, int | None, list[Attempt]]:
    """As PostgreSQL has it: (cost so far, what is left of the limit that has least, its attempts). Nano-USD."""
    rows = db.session.execute(_ACCOUNT, {"execution": execution.id}).all()
    cost, refused_by, _, left = rows[-1] if rows else (None, None, None, None)
    return cost, _left_of(refused_by) if refused_by else left, [row.Attempt for row in rows if row.Attempt]


_ACCOUNT = (
    select(Execution.cost, Execution.refused_by, Attempt, quota.left_usd())
    .outerjoin(Attempt, Attempt.execution_id == Execution.id)
    .where(Execution.id == bindparam("execution"))
    .order_by(Attempt.number)
    .execution_options(populate_existing=True)
)


def _left_of(budget_id: uuid.UUID) -> int | None:
    """Nano-USD that are left of the limit which stopped it; None: it is not one of money."""
    return next((limit.left for limit in quota.limits_of(db.session, [budget_id]) if limit.unit is Unit.USD), None)


def _seconds(attempt: Attempt) -> float:
    """How long a call took, or has taken until now."""
    return ((attempt.ended_at or now()) - attempt.started_at).total_seconds()
