"""Answers given again to programs that ask word for word the same, in projects that wish it.

Valkey holds, for as long as the project says, which run answered; PostgreSQL has the answer. So a run that was deleted
is found no more, nor one that is older than the project says by now; and without Valkey everything is simply asked.
What is answered so is a run of its own: at no cost, without a call, naming the run that it is from.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import uuid
from collections.abc import Generator
from datetime import timedelta
from typing import Any

import redis
from sqlalchemy import func, select
from sqlalchemy.orm import joinedload, selectinload

from ..extensions import db
from ..jobs.queue import store
from ..models import Execution, ExecutionBody, State, now
from ..models.records import AttemptRecord, RunRecord
from ..router.types import Done, Event, Finish, Task
from .prompts import to_json
from .submit import Request, record, unsaved

log = logging.getLogger(__name__)

FROM = "cached_from"
WHOLE = {Finish.STOP, Finish.TOOL_CALLS}
"""How an answer has to end to be given again: one that was cut off is of no more use to the next."""
NO_HINTS = frozenset[str]()
NOTICE = "Answered from this project’s cache, as an earlier run was: nothing was sent, and nothing is owed."


def key_of(request: Request) -> str:
    """One for each project and each prompt, however its answer is read."""
    prompt = request.prompt.as_heard_by(NO_HINTS)
    asked = {name: value for name, value in to_json(prompt).items() if name != "stream"}
    said = json.dumps([request.requested, request.model_type.value, asked], sort_keys=True)
    return f"dataelan:cache:{request.project.id}:{hashlib.sha256(said.encode(errors='replace')).hexdigest()}"


def find(request: Request) -> Execution | None:
    """The run that answered this, with its answer; None where there is none, or no more. How likely tokens were is kept
    of none."""
    if "logprobs" in request.prompt.options:
        return None
    try:
        id = store().get(key_of(request))  # bytes: this connection decodes nothing
    except redis.RedisError as error:
        log.warning("the cache is passed over: %s", error)
        return None
    if not isinstance(id, bytes):
        return None
    found = db.session.scalars(
        select(Execution)
        .where(
            Execution.id == uuid.UUID(bytes=id),
            Execution.project_id == request.project.id,
            Execution.deleted_at.is_(None),
            Execution.state == State.COMPLETED,
            Execution.finished_at > func.now() - timedelta(seconds=request.project.cache_seconds),
        )
        .options(_body(request.prompt.task), selectinload(Execution.attempts), selectinload(Execution.assets))
    ).first()
    return found if found and is_there(found) else None


def _body(task: Task) -> Any:
    body = joinedload(Execution.body)
    return body.undefer(ExecutionBody.vectors) if task is Task.EMBEDDING else body


def is_there(run: Execution) -> bool:
    """Is there still something to tell again? Of vectors, with a question to the database where they were not read."""
    said = run.body
    is_vectors = said.request.get("task") == Task.EMBEDDING
    return bool(said.text or said.tool_calls or run.assets or (is_vectors and said.vectors))


def source_of(run: Execution) -> Execution | None:
    """The run that answered this one's prompt: itself, or that which it was told from, as long as that is there."""
    from_id = (run.labels or {}).get(FROM)
    if not from_id or run.body.text or run.body.tool_calls:
        return run
    return db.session.scalars(
        select(Execution).where(
            Execution.id == uuid.UUID(from_id), Execution.project_id == run.project_id, Execution.deleted_at.is_(None)
        )
    ).first()


def keep(request: Request, execution: RunRecord, events: Generator[Event, None, None]) -> Generator[Event, None, None]:
    """The events of a run; when it has ended well, its answer is there for the next who asks the same."""
    key, seconds, id = key_of(request), request.project.cache_seconds, execution.id
    done = None
    with contextlib.closing(events):
        for event in events:
            done = event if isinstance(event, Done) else done
            yield event
    if done and done.finish in WHOLE and execution.state is State.COMPLETED:
        with contextlib.suppress(redis.RedisError):
            store().set(key, id.bytes, ex=seconds)


def answer(request: Request, source: Execution) -> RunRecord | None:
    """A run of its own that says what `source` said; None: under this idempotency key there is one. Commits."""
    row, moment = unsaved(request), now()
    row.state, row.cost, row.attempts_made, row.measures = State.COMPLETED, 0, 0, {}
    row.started_at = row.first_token_at = row.finished_at = moment
    row.finish = source.finish
    row.labels = {**(request.labels or {}), FROM: str(source.id)}
    said = source.body
    row.body = ExecutionBody(
        request=row.body.request,
        text=said.text,
        reasoning=said.reasoning,
        tool_calls=said.tool_calls,
        segments=said.segments,
        receipt={"requested": request.requested, FROM: str(source.id)},
        notice=NOTICE,
    )
    made = [AttemptRecord.of(attempt) for attempt in source.attempts]
    if record(request, row=row) is not row:
        return None
    run = RunRecord.of(row)
    run.is_known, run.made = True, made  # for telling who answered; they are the other run's
    return run
