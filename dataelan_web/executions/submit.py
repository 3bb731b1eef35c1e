"""Take a prompt: one Execution, committed, then a wake-up call to the queue."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm.attributes import set_committed_value
from werkzeug.exceptions import Conflict

from .. import logs, traces
from ..extensions import db
from ..jobs import queue
from ..models import (
    ActionRepair,
    Caller,
    Execution,
    ExecutionBody,
    How,
    ModelType,
    OfferedAction,
    Origin,
    Project,
    Prompt,
    PromptSession,
    State,
    TemplateRun,
    journal,
    new_id,
)
from ..models.executions import LEASE
from ..models.records import RunRecord
from ..router.types import Prompt as RouterPrompt
from . import waiting
from .prompts import to_json

JUST_REFUSED = "The same was sent a moment ago, and was refused by a limit. Send it again if that has changed."


@dataclass(frozen=True)
class Offer:
    """A version of a declared action, how it is offered to the model, and why it is not where it is not."""

    version_id: uuid.UUID
    how: How
    why: str = ""


@dataclass
class Request:
    """Who asks what, through which door."""

    project: Project
    prompt: RouterPrompt
    origin: Origin
    requested: str
    user_id: uuid.UUID | None
    token_id: uuid.UUID | None = None
    session: PromptSession | None = None
    asked: Prompt | None = None
    model_type: ModelType = ModelType.TEXT
    idempotency_key: str | None = None
    batch_id: uuid.UUID | None = None
    made_from: TemplateRun | None = None
    """The version or draft of a template that the prompt was made from."""
    offers: Sequence[Offer] = ()
    """Declared actions that its model is offered, or is not."""
    repairs_id: uuid.UUID | None = None
    """The run whose action call it repairs."""
    repairs: ActionRepair | None = None
    """Its place among that call's repairs."""
    waits_for_id: uuid.UUID | None = None
    """The run whose answer it continues, while that is being written (executions.waiting)."""
    id: uuid.UUID | None = None
    """The execution's, where something else is to be recorded under it in the same commit."""
    continues_id: uuid.UUID | None = None
    """The run before it on its branch of the conversation."""
    labels: dict[str, Any] | None = None
    """What a program says of its call (Execution.labels)."""
    caller: Caller | None = None
    """A program, as it was let in."""


def submit(request: Request) -> Execution:
    """Record it and let a worker run it. The same idempotency key gives the same execution, however often it comes."""
    execution = record(request)
    if execution.waits_for_id:
        waiting.release(execution.waits_for_id)  # should that have ended meanwhile
    else:
        wake(execution)
    return execution


def record(request: Request, claimed_by: str | None = None, row: Execution | None = None) -> Execution:
    """The row, committed: queued, or already claimed by a caller that runs it itself, or ended as the given `row` is.
    Nothing is lost from here on.

    Raises Conflict where the first of two that came at once under one key was refused by limits at this moment."""
    execution = row or unsaved(request)
    if claimed_by:
        execution.state, execution.fence, execution.lease_owner = State.RUNNING, 1, claimed_by
        execution.lease_until, execution.started_at = func.now() + LEASE, func.now()
    db.session.add(execution)
    try:
        if request.offers or request.repairs:
            db.session.flush()
            db.session.add_all(OfferedAction(execution_id=execution.id, **asdict(offer)) for offer in request.offers)
        if request.repairs:
            request.repairs.execution_id = execution.id
            db.session.add(request.repairs)
        db.session.commit()
    except IntegrityError as error:
        db.session.rollback()
        if first := earlier(request.project, request.idempotency_key):
            return first
        if "idempotency_key" in str(error.orig):  # which the first gave back between our two looks
            raise Conflict(JUST_REFUSED) from None
        raise
    return execution


def announce(request: Request, claimed_by: str) -> RunRecord | Execution:
    """The same for a caller that runs it itself at once: committed before anything is sent, with its first call. Where
    it is under no key that another may be under too, it is also written with that. A row: of an earlier one that is."""
    if request.made_from:
        row = record(request, claimed_by)
        return _run_by(row, request.caller) if row.lease_owner == claimed_by else row
    run = in_memory(request)
    run.lease_owner, run.is_there = claimed_by, False
    if not request.idempotency_key:
        run.is_announced = False
        return run
    while not journal.announce(db.session, run):
        first = earlier(request.project, request.idempotency_key)
        if first:  # else it was refused at this moment, and has given its key free
            return first
    return run


def _run_by(row: Execution, caller: Caller | None) -> RunRecord:
    run = RunRecord.of(row)
    run.caller = caller
    return run


def in_memory(request: Request) -> RunRecord:
    """As it would be run."""
    id, project = request.id or new_id(), request.project
    logs.note(execution_id=id)
    run = RunRecord(
        id,
        project.organization_id,
        project.id,
        project,
        request.user_id,
        request.token_id,
        request.origin,
        request.model_type,
        request.requested,
        request.labels,
    )
    run.idempotency_key, run.request = request.idempotency_key, to_json(request.prompt)
    run.caller = request.caller
    return run


def unsaved(request: Request) -> Execution:
    """Its row, as it would be recorded."""
    id = request.id or new_id()
    logs.note(execution_id=id)
    execution = Execution(
        id=id,
        organization_id=request.project.organization_id,
        project_id=request.project.id,
        session_id=request.session.id if request.session else None,
        prompt=request.asked,
        user_id=request.user_id,
        token_id=request.token_id,
        batch_id=request.batch_id,
        origin=request.origin,
        model_type=request.model_type,
        requested=request.requested,
        idempotency_key=request.idempotency_key,
        waits_for_id=request.waits_for_id,
        continues_id=request.continues_id,
        labels=request.labels,
        body=ExecutionBody(request=to_json(request.prompt)),
        template_run=request.made_from,
        repairs_id=request.repairs_id,
    )
    set_committed_value(execution, "project", request.project)  # which may be in no session, and goes into none
    return execution


def wake(execution: Execution) -> None:
    """Tell the queue. Should it be away, the sweeper tells it later: the row waits, nothing is lost."""
    if execution.is_open:
        queue.execute_later(execution.id, execution.fence, logs.handed_on() | traces.handed_on())


def earlier(project: Project, idempotency_key: str | None) -> Execution | None:
    """What came under this key before."""
    if not idempotency_key:
        return None
    return db.session.scalars(
        select(Execution).where(Execution.project_id == project.id, Execution.idempotency_key == idempotency_key)
    ).first()
