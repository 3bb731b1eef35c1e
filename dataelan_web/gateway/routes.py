from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from typing import Any

from flask import Blueprint, Response, jsonify, make_response, request, stream_with_context
from sqlalchemy import select

from ..executions.answer import Answer
from ..executions.candidates import rules_for, usable_models
from ..executions.execute import OWNER, execute
from ..executions.record import COUNTERS
from ..executions.submit import Request, record
from ..extensions import db
from ..models import NANO, Attempt, Execution, GatewayToken, ModelType, Origin
from ..router.types import Done, Event, Failure, Usage
from . import chat_answer, chat_request, errors
from .tokens import authenticate

bp = Blueprint("gateway", __name__, url_prefix="/v1")


@bp.errorhandler(errors.Refused)
def refused(error: errors.Refused) -> Response:
    return make_response(jsonify(error.body), error.status)


@bp.get("/models")
def models() -> Response:
    """What this project can name as `model`: its models, its rules, and `auto`."""
    token = authenticate()
    rules = rules_for(db.session, token.project, "auto", ModelType.TEXT)
    names = [("auto", "dataelan"), *((rule.name, "dataelan") for rule in rules if rule.id)]
    names += [(candidate.model, candidate.provider) for candidate in usable_models(db.session, token.project)]
    unique = dict(reversed(names))
    data = [{"id": name, "object": "model", "created": 0, "owned_by": unique[name]} for name in dict(names)]
    return jsonify(object="list", data=data)


@bp.post("/chat/completions")
def chat_completions() -> Response:
    arrived = time.perf_counter()
    token = authenticate()
    asked = chat_request.read(request.get_json(force=True, silent=True))
    execution = record(_request(token, asked), claimed_by=OWNER)
    if execution.lease_owner != OWNER or not execution.is_open:
        raise errors.Refused(409, "This idempotency key was used already; see the execution.", "idempotency_conflict")
    answer = _stream if asked.stream else _whole
    return answer(execution, asked, arrived)


def _request(token: GatewayToken, asked: chat_request.ChatRequest) -> Request:
    key = request.headers.get("Idempotency-Key", "")
    return Request(
        project=token.project,
        prompt=asked.prompt(),
        origin=Origin.GATEWAY,
        requested=asked.model,
        user_id=token.created_by,
        token_id=token.id,
        idempotency_key=f"token:{token.id}:{key}"[:200] if key else None,
    )


def _whole(execution: Execution, asked: chat_request.ChatRequest, arrived: float) -> Response:
    answer, done = Answer(), None
    try:
        for event in execute(execution, execution.fence):
            answer.add(event)
            done = event if isinstance(event, Done) else done
    except Failure as failure:
        return _failed(execution, failure, arrived)
    ended = Ended.of(execution, arrived)
    model = (done.model if done else "") or asked.model
    response = jsonify(chat_answer.completion(execution, answer, ended.usage, done, model))
    return ended.as_headers(response)


def _stream(execution: Execution, asked: chat_request.ChatRequest, arrived: float) -> Response:
    """The first event is awaited before the answer begins, so that a failure before it has its own status."""
    events = execute(execution, execution.fence)
    try:
        first = list(_until_visible(events))
    except Failure as failure:
        return _failed(execution, failure, arrived)
    body = _chunks(execution, asked, chain(first, events), arrived)
    response = Response(stream_with_context(body), mimetype="text/event-stream")
    response.headers["x-dataelan-execution-id"] = str(execution.id)
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _until_visible(events: Iterator[Event]) -> Iterator[Event]:
    for event in events:
        yield event
        if not isinstance(event, Usage):
            return


def _chunks(
    execution: Execution, asked: chat_request.ChatRequest, events: Iterator[Event], arrived: float
) -> Iterator[bytes]:
    chunks = chat_answer.Chunks(execution, asked.model, asked.includes_usage)
    try:
        for event in events:
            if chunk := chunks.of(event):
                yield chunk
    except Failure as failure:
        yield chat_answer.error_chunk(errors.of(failure)[1])
        return
    ended = Ended.of(execution, arrived)
    yield from chunks.last(ended.usage, ended.facts)


def _failed(execution: Execution, failure: Failure, arrived: float) -> Response:
    status, body = errors.of(failure)
    response = make_response(jsonify(body), status)
    if failure.after is not None:
        response.headers["Retry-After"] = str(max(1, round(failure.after)))
    return Ended.of(execution, arrived).as_headers(response)


@dataclass(frozen=True)
class Ended:
    """What the record says of an execution that is over. Usage may be estimated, where a provider reports none."""

    usage: Usage
    facts: dict[str, Any]

    @classmethod
    def of(cls, execution: Execution, arrived: float) -> Ended:
        spent = time.perf_counter() - arrived
        cost = db.session.scalar(select(Execution.cost).where(Execution.id == execution.id))
        attempts = db.session.scalars(
            select(Attempt).where(Attempt.execution_id == execution.id).order_by(Attempt.number)
        ).all()
        last = attempts[-1] if attempts else None
        provider = sum(attempt.seconds or 0.0 for attempt in attempts)
        facts = {
            "execution_id": str(execution.id),
            "model": last.model_name if last else None,
            "provider": last.provider_name if last else None,
            "cost_usd": f"{Decimal(cost) / NANO:f}" if cost is not None else None,
            "overhead_ms": round(max(spent - provider, 0.0) * 1000, 2),
        }
        return cls(Usage(*(getattr(last, name, None) for name in COUNTERS)), facts)

    def as_headers(self, response: Response) -> Response:
        """The contract's headers. `x-dataelan-overhead-ms` is our own time, the provider's taken off."""
        for name, value in self.facts.items():
            if value is not None:
                response.headers[f"x-dataelan-{name.replace('_', '-')}"] = str(value)
        return response
