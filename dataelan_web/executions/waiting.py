"""Prompts that wait their turn: the next of a conversation, sent while the answer before it is still being written.

A waiting row is queued, but no worker takes it. When the run before it ends, it gets the conversation up to there
and goes on its way; if that run came to nothing it is not sent, since it may speak of what never was. Whoever ends a
run lets the next one go; should they die in between, the sweeper does.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import replace

from sqlalchemy import func, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import joinedload

from ..extensions import db
from ..jobs import queue
from ..models import Execution, PromptSession, State
from ..models.executions import OPEN
from ..router.types import Prompt
from . import live
from .branches import ANOTHER, path
from .conversation import is_said, so_far
from .prompts import from_json, to_json

log = logging.getLogger(__name__)

MOST = 5
"""Prompts of one session that may wait."""
NOT_SENT = "It was not sent: the prompt before it came to no answer. Run it when that is mended."


class Full(Exception):
    """So many wait already that no more is taken. The message is fit to show."""

    def __init__(self) -> None:
        super().__init__(f"{MOST} prompts wait for their turn already. Let one of them begin first.")


def open_before(end: uuid.UUID | None) -> uuid.UUID | None:
    """The run for which what continues `end` has to wait: the last of that branch that is still open. None: nothing."""
    if end is None:
        return None
    here = Execution.id.in_(path(end)), Execution.state.in_(OPEN), is_said()
    return db.session.scalar(select(Execution.id).where(*here).order_by(Execution.id.desc()).limit(1))


def in_place_of(first: Execution, prompt: Prompt) -> tuple[Prompt, uuid.UUID | None]:
    """This prompt as it is asked in the place of a run, and the run that it waits for. One that waited and was never
    sent has no conversation before it yet."""
    if first.waits_for_id is None or first.session is None:
        return prompt, None
    if before := open_before(first.continues_id):
        return prompt, before
    return _continued(prompt, first.session, first.continues_id), None


def is_full(session: PromptSession) -> bool:
    waiting = Execution.session_id == session.id, Execution.state == State.QUEUED, Execution.waits_for_id.is_not(None)
    return (db.session.scalar(select(func.count()).select_from(Execution).where(*waiting)) or 0) >= MOST


def release(ended_id: uuid.UUID) -> None:
    """Let go what waited for this run, if it is over. Commits. Safe to call twice, and at once from two places."""
    row = db.session.scalars(
        select(Execution)
        .where(Execution.waits_for_id == ended_id, Execution.state == State.QUEUED)
        .options(joinedload(Execution.body), joinedload(Execution.session))
        .with_for_update(of=Execution, skip_locked=True)
        .execution_options(populate_existing=True)
    ).first()
    before = db.session.get(Execution, ended_id, populate_existing=True) if row else None
    if row is None or (before is not None and before.is_open):
        db.session.rollback()
        return
    row.created_at = func.now()  # its own waiting begins here: what it measures is the model's speed
    if before is not None and before.state is State.COMPLETED and row.session:
        row.waits_for_id = None
        row.body.request = to_json(_continued(from_json(row.body.request), row.session, row.continues_id))
        db.session.commit()
        queue.execute_later(row.id, row.fence)
    else:
        row.state, row.finished_at, row.body.notice = State.CANCELLED, func.now(), NOT_SENT
        db.session.commit()
        live.Writer(queue.store(), row.id).end()
        release(row.id)
    release(ended_id)  # should another wait for it, on a branch beside


def release_quietly(ended_id: uuid.UUID) -> None:
    """The same for a worker at the end of a run: what goes wrong is mended by the sweeper."""
    try:
        release(ended_id)
    except SQLAlchemyError:
        log.exception("what waits for execution %s waits for the sweeper", ended_id)
        db.session.rollback()


def step_out(cancelled_id: uuid.UUID) -> None:
    """This run was cancelled before it began. What waited for it waits for what it waited for itself. Commits."""
    its_own = select(ANOTHER.waits_for_id).where(ANOTHER.id == cancelled_id).scalar_subquery()
    db.session.execute(
        update(Execution)
        .where(Execution.waits_for_id == cancelled_id, its_own.is_not(None))
        .values(waits_for_id=its_own)
        .execution_options(synchronize_session=False)
    )
    db.session.commit()
    release(cancelled_id)


def release_forgotten() -> int:
    """For the sweeper: whatever waits for a run that is over. Commits. Returns how many there were."""
    ended = db.session.scalars(_FORGOTTEN).all()
    for id in ended:
        release(id)
    return len(ended)


_FORGOTTEN = (
    select(ANOTHER.id)
    .join(Execution, ANOTHER.id == Execution.waits_for_id)
    .where(Execution.state == State.QUEUED, Execution.waits_for_id.is_not(None), ANOTHER.state.not_in(OPEN))
    .limit(100)
)


def _continued(prompt: Prompt, session: PromptSession, end: uuid.UUID | None) -> Prompt:
    """With the conversation between the instructions and what is asked."""
    head = tuple(message for message in prompt.messages if message.role == "system")
    return replace(prompt, messages=(*head, *so_far(session, end), *prompt.messages[len(head) :]))
