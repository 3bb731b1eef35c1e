"""A person approves a call, declines it, or has a failed delivery tried again. Of two at once one is first."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from .. import audit
from ..extensions import db
from ..models import ActionCall, CallState, User, now
from . import path, telling

LONGEST = 2000
"""Characters of a reason."""


def approve(call: ActionCall, user: User) -> bool:
    """It acts now, by the version that was offered. False: somebody was quicker. Commits."""
    if not _take(call, CallState.WAITING):
        return False
    call.decided_by, call.decided_at = user.id, now()
    _record("action.approved", call)
    call.state = CallState.DELIVERING
    telling.decided(call, user)
    path.go(call)
    return True


def decline(call: ActionCall, user: User, reason: str) -> bool:
    """False: somebody was quicker. Commits."""
    if not _take(call, CallState.WAITING):
        return False
    call.state, call.reason = CallState.DECLINED, reason.strip()[:LONGEST]
    call.decided_by, call.decided_at = user.id, now()
    _record("action.declined", call)
    telling.decided(call, user)
    db.session.commit()
    return True


def deliver_again(call: ActionCall) -> bool:
    """Its tries begin anew. False: it has not failed, or is tried already. Commits."""
    if not _take(call, CallState.FAILED):
        return False
    _record("action.retried", call)
    path.go(call)
    return True


def _take(call: ActionCall, state: CallState) -> bool:
    """Is it in this state? Then nobody else brings it out of it before the commit."""
    query = select(ActionCall.state).where(ActionCall.id == call.id).with_for_update()
    found = db.session.scalar(query)
    db.session.refresh(call)
    if found is not state or call.version is None:
        db.session.rollback()
        return False
    return True


def _record(action: str, call: ActionCall, **detail: Any) -> None:
    audit.record(action, call, call.organization_id, name=call.name, **detail)
