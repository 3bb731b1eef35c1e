"""A request that comes twice under one idempotency key: it is run once, and answered from the record after that."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from ..executions import cache
from ..executions.prompts import to_json
from ..executions.retention import is_gone
from ..executions.submit import Request
from ..executions.vectors import unpacked
from ..extensions import db
from ..models import Asset as Row
from ..models import Attempt, Execution, State
from ..models.records import TokenRecord
from ..router.types import Asset, Done, Event, Failure, Finish, Kind, Reasoning, Segment, Task, Text, ToolCall
from ..storage import storage
from .errors import Refused

OF_WORDS = {Task.CHAT, Task.TRANSCRIPTION}
"""Of these an answer may be empty."""
NOT_KEPT = "This ran under this idempotency key before, and its answer is not kept. Send a new key to run it again."


def key(token: TokenRecord, header: str) -> str | None:
    """As it is stored: of one token, and of one length however long a key a program makes up."""
    return f"token:{token.id}:{hashlib.sha256(header.encode()).hexdigest()}" if header else None


def events(execution: Execution, wanted: Request) -> Iterator[Event]:
    """The stored answer, or the stored failure: a paid call is never silently made again.

    Raises Refused for another body under the same key, while the first request is still running, and where its words
    are not kept any more."""
    body = execution.body
    if is_gone(body):
        raise Refused(409, NOT_KEPT, "idempotency_not_kept")
    if _asked(body.request) != _asked(to_json(wanted.prompt)) or execution.requested != wanted.requested:
        message = "This idempotency key was used for another request. Send a new key with a new request."
        raise Refused(422, message, "idempotency_mismatch")
    if execution.is_open:
        raise Refused(409, "The first request under this idempotency key is still running.", "idempotency_conflict")
    if execution.state is not State.COMPLETED:
        raise Failure(_kind(execution.error_kind), body.error, sent=execution.state is State.INTERRUPTED)
    source = None if "logprobs" in wanted.prompt.options else cache.source_of(execution)
    if source is None or (wanted.prompt.task not in OF_WORDS and not cache.is_there(source)):
        raise Refused(409, NOT_KEPT, "idempotency_not_kept")
    last = db.session.query(Attempt).filter_by(execution_id=source.id).order_by(Attempt.number.desc()).first()
    yield from said(source, last.response_model if last else "")


def _asked(request: dict[str, Any]) -> Any:
    """As it is compared. A sound is always told as it comes, which it was not always asked to be."""
    return _counted(request if request.get("task") != Task.SPEECH.value else request | {"stream": True})


def _counted(value: Any) -> Any:
    """With each number as PostgreSQL keeps it: by its digits, of which 1e23 as Python has it differs a little."""
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, dict):
        return {name: _counted(held) for name, held in value.items()}
    return [_counted(held) for held in value] if isinstance(value, list) else value


def said(execution: Execution, model: str = "") -> Iterator[Event]:
    """A stored answer, once more."""
    body = execution.body
    if body.reasoning:
        yield Reasoning(body.reasoning)
    if body.text:
        yield Text(body.text)
    yield from (Segment(**segment) for segment in body.segments)
    yield from _files(execution)
    if body.request.get("task") == Task.EMBEDDING and body.vectors:
        yield from unpacked(body.vectors)
    for index, call in enumerate(body.tool_calls):
        yield ToolCall(index, **call)
    yield Done(Finish(execution.finish or Finish.STOP), model=model)


def _files(execution: Execution) -> Iterator[Asset]:
    made = select(Row).where(Row.execution_id == execution.id, Row.deleted_at.is_(None)).order_by(Row.position)
    for row in db.session.scalars(made).all():
        yield Asset(row.media_type, storage().get(row.storage_key), row.note)


def _kind(name: str | None) -> Kind:
    return Kind(name) if name in list(Kind) else Kind.TRANSIENT  # the sweeper writes `interrupted`
