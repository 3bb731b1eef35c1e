"""From a call in an answer to its end. What a worker does by itself:

    received ─▶ fits its schema? ─no─▶ repairing (a run of its own) ─▶ received again, or invalid
                      │yes
                      ├─▶ somebody has to agree: waiting ─▶ declined, or as below (deciding.py)
                      ├─▶ nothing is to be delivered: accepted
                      └─▶ delivering ─▶ delivered, or failed (delivering.py)

Each step is one transaction that holds the call's row: a worker that dies leaves it as it was, and no two do the same.
"""

from __future__ import annotations

import logging
import threading
import uuid

from flask import Flask
from sqlalchemy import Select, and_, bindparam, or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import joinedload

from ..executions.calls import LARGEST
from ..extensions import db, waits
from ..models import ActionCall, ActionRepair, Approval, CallState, Execution, Project, PromptSession, now
from ..models.executions import OPEN
from ..router.actions import read_json
from . import repairing, telling
from .schemas import BadSchema, problem

log = logging.getLogger(__name__)

EVERY = 0.5
"""Seconds between two looks for calls: somebody may be watching."""
CHANGED = "The action was changed since the model was asked, so that nothing acts by itself."
SWITCHED_OFF = "The action was switched off since the model was asked, so that nothing acts by itself."
DELETED = "The action was deleted since the model was asked, so that nothing acts by itself."
RUN_DELETED = "Its run was deleted before it acted."
NO_VERSION = "What was declared is deleted for good."


def act_forever(app: Flask, stopping: threading.Event) -> None:
    """Until the worker is asked to stop."""
    while not stopping.wait(EVERY):
        try:
            with app.app_context():
                if waits(_WAITS):
                    advance_all()
        except SQLAlchemyError:
            log.exception("calls of actions will be looked at again")
        except Exception:
            log.exception("the path of actions met something unexpected and goes on")


def advance_all() -> int:
    """One step of each call that can make one. Commits. Returns how many there were."""
    seen = set[uuid.UUID]()
    while call := _next(seen):
        id = call.id
        seen.add(id)
        try:
            _advance(call)
        except Exception:  # one that breaks must not keep the others waiting
            log.exception("call %s could not go on", id)
            db.session.rollback()
    db.session.rollback()
    return len(seen)


def _next(but: set[uuid.UUID]) -> ActionCall | None:
    """Locked until the transaction ends."""
    return db.session.scalars(_NEXT, {"but": list(but)}).first()


def _one_that_can_go_on() -> Select[ActionCall]:
    ended = (
        select(ActionRepair.id)
        .join(Execution, Execution.id == ActionRepair.execution_id)
        .where(
            ActionRepair.call_id == ActionCall.id,
            ActionRepair.number == ActionCall.repairs_made,
            Execution.state.not_in(OPEN),
        )
    )
    can_go_on = or_(
        ActionCall.state == CallState.RECEIVED, and_(ActionCall.state == CallState.REPAIRING, ended.exists())
    )
    return (
        select(ActionCall)
        .where(can_go_on, ActionCall.id.not_in(bindparam("but", expanding=True)))
        .order_by(ActionCall.id)
        .limit(1)
        .with_for_update(of=ActionCall, skip_locked=True)
        .options(joinedload(ActionCall.execution).joinedload(Execution.body), joinedload(ActionCall.version))
        .execution_options(populate_existing=True)
    )


_NEXT = _one_that_can_go_on()
_WAITS = select(ActionCall.id).where(ActionCall.state.in_((CallState.RECEIVED, CallState.REPAIRING))).limit(1)


def _advance(call: ActionCall) -> None:
    if _is_deleted(call.execution):
        return _end(call, CallState.DECLINED, reason=RUN_DELETED)
    if call.version is None:
        return _end(call, CallState.INVALID, problem=NO_VERSION)
    if call.state is CallState.REPAIRING:
        better, wrong = repairing.outcome(call)
        if wrong:
            return _end(call, CallState.INVALID, problem=wrong)
        call.said = better
    _read(call)
    if not call.problem:
        return accept(call)
    if call.repairs_made < call.declared.most_repairs:
        return repairing.repair(call)
    return _end(call, CallState.INVALID, problem=call.problem)


def _read(call: ActionCall) -> None:
    """Its arguments, and what is wrong with them."""
    call.arguments, call.problem = None, ""
    try:
        found = read_json(call.said, LARGEST)
        if isinstance(found, dict):
            call.arguments = found
            call.problem = problem(call.declared.schema, found)
        else:
            call.problem = "$: the arguments are not a JSON object"
    except BadSchema as error:
        call.problem = str(error)
    except ValueError as error:
        why = f"they have more than {LARGEST // 1024} KB" if len(call.said) > LARGEST else str(error)
        call.problem = f"The arguments are not JSON that can be used: {why}"


def accept(call: ActionCall) -> None:
    """Its arguments are right: it waits for a person, or acts. Commits."""
    stale, needs_nobody = why_stale(call), call.declared.approval is Approval.NOBODY
    if not needs_nobody or (stale and call.declared.url):
        call.state, call.problem = CallState.WAITING, stale if needs_nobody else ""
        telling.waits(call)
        db.session.commit()
    else:
        go(call)


def go(call: ActionCall) -> None:
    """Nothing stands in its way any more. Commits."""
    call.state = CallState.DELIVERING if call.declared.url else CallState.ACCEPTED
    call.tries, call.next_at = 0, now()
    db.session.commit()


def why_stale(call: ActionCall) -> str:
    """How the declaration is another by now than the one that was offered; empty: it is the same."""
    if call.version is None:
        return NO_VERSION
    action = call.version.action
    if action.deleted_at or action.project.deleted_at:
        return DELETED
    if not action.is_enabled:
        return SWITCHED_OFF
    return CHANGED if action.number != call.version.number else ""


def _is_deleted(run: Execution) -> bool:
    session = db.session.get(PromptSession, run.session_id) if run.session_id else None
    project = db.session.get_one(Project, session.project_id if session else run.project_id)
    return bool(run.deleted_at or project.deleted_at or (session and session.deleted_at))


def _end(call: ActionCall, state: CallState, **values: str) -> None:
    call.state = state
    for name, value in values.items():
        setattr(call, name, value)
    db.session.commit()
