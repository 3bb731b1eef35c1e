"""The outbox of calls: claimed by an UPDATE that is a lease, sent without a database connection, tried again with
growing pauses, given up. As notify/deliver.py; but each try is a row that people can read, written before it is sent.

A worker that dies while it sends leaves a call that is due again when the lease is over. It is then sent once more with
the same `webhook-id`, the call's own id, by which a receiver knows that it has it already.
"""

from __future__ import annotations

import logging
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flask import Flask
from sqlalchemy import func, select, update
from sqlalchemy.orm import joinedload
from sqlalchemy.sql.dml import ReturningUpdate

from .. import audit
from ..extensions import db, waits
from ..models import (
    ActionAttempt,
    ActionCall,
    ActionReceiver,
    ActionVersion,
    CallState,
    DeclaredAction,
    Execution,
    new_id,
    now,
)
from ..notify import posting
from ..notify.deliver import AT_ONCE, BATCH, EACH, LEASE, MOST_TRIES, NO_END, OUR_FAULT, UNREADABLE, pause
from ..notify.result import Result
from ..secrets import Unreadable
from ..text import visible
from . import payloads, telling
from .declaring import secrets_of

log = logging.getLogger(__name__)

EVERY = 0.5
NO_RECEIVER = "There is no receiver any more."
MOST_SHOWN = 1000
"""Characters of an answer that are kept in the log."""


def deliver_calls_forever(app: Flask, stopping: threading.Event) -> None:
    """Until the worker is asked to stop."""
    while not stopping.wait(EVERY):
        try:
            while due(app) == BATCH and not stopping.is_set():
                pass
        except Exception:
            log.exception("deliveries of actions will be looked at again")


def due(app: Flask) -> int:
    """Send what is due now, one batch of it. Returns how many were tried."""
    with app.app_context():
        claimed = claim() if waits(_WAITS) else []
    if claimed:
        with ThreadPoolExecutor(min(AT_ONCE, len(claimed)), thread_name_prefix="action") as pool:
            list(pool.map(lambda one: _in_context(app, *one), claimed))
    return len(claimed)


def claim() -> list[tuple[uuid.UUID, int]]:
    """Ids and fences of calls that are ours to send, for the length of a lease. Commits."""
    rows = db.session.execute(_CLAIM).all()
    db.session.commit()
    return [(row.id, row.tries) for row in rows]


_IS_DUE = ActionCall.state == CallState.DELIVERING, ActionCall.next_at <= func.now()
_WAITS = select(ActionCall.id).where(*_IS_DUE).limit(1)


def _claimed_together() -> ReturningUpdate[uuid.UUID, int]:
    place = func.row_number().over(partition_by=ActionCall.version_id, order_by=(ActionCall.next_at, ActionCall.id))
    ranked = select(ActionCall.id, place.label("place")).where(*_IS_DUE).subquery()
    mine = (
        select(ActionCall.id)
        .where(ActionCall.id.in_(select(ranked.c.id).where(ranked.c.place <= EACH)), *_IS_DUE)
        .order_by(ActionCall.next_at)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    return (
        update(ActionCall)
        .where(ActionCall.id.in_(mine))
        .values(tries=ActionCall.tries + 1, next_at=func.now() + LEASE)
        .returning(ActionCall.id, ActionCall.tries)
        .execution_options(synchronize_session=False)
    )


_CLAIM = _claimed_together()


def attempt(id: uuid.UUID, fence: int) -> Result | None:
    """Send one call that was claimed, and write what came of it. None: the claim is another's by now. Commits."""
    call = _claimed(id, fence)
    if call is None:
        return None
    number, version = fence, call.version
    if version is None or version.receiver is None:
        _settle(id, fence, Result(error=NO_RECEIVER, is_final=True))
        return None
    try:
        payload, keys, url = payloads.of_call(call), secrets_of(version.receiver), version.url
    except Unreadable:
        payload, keys, url = {}, [], version.url
    tried = _begin(version.action_id, str(id), number, url, call_id=id)
    if fence > MOST_TRIES:
        result = Result(error=NO_END, is_final=True)
    else:
        result = _send(url, payload, keys, str(id)) if keys else Result(error=UNREADABLE, is_final=True)
    _end(tried, result)
    _settle(id, fence, result)
    return result


def send_test(action: DeclaredAction, user_id: uuid.UUID) -> tuple[Result, ActionAttempt] | None:
    """The sample, sent at once, and tried once. None: nothing is delivered. Commits."""
    version: ActionVersion = action.version
    receiver: ActionReceiver | None = version.receiver
    if receiver is None:
        return None
    id = str(new_id())
    try:
        payload, keys = payloads.of_test(id, action), secrets_of(receiver)
    except Unreadable:
        payload, keys = {}, []
    url = version.url
    audit.record("action.tested", action, action.project.organization_id)
    tried = _begin(action.id, id, 1, url, user_id=user_id)
    result = _send(url, payload, keys, id) if keys else Result(error=UNREADABLE, is_final=True)
    return result, _end(tried, result)


def _send(url: str, payload: dict[str, Any], keys: list[str], id: str) -> Result:
    try:
        return posting.post_signed(url, payload, keys, id)
    except Exception:
        log.exception("call %s broke", id)
        return Result(error=OUR_FAULT)


def _begin(action_id: uuid.UUID, message_id: str, number: int, url: str, **values: Any) -> uuid.UUID:
    """Before it is sent, so that a try which nobody came back from is seen too. From here on no connection is held."""
    tried = ActionAttempt(
        id=new_id(), action_id=action_id, message_id=message_id, number=number, url=url, created_at=now(), **values
    )
    db.session.add(tried)
    db.session.commit()
    return tried.id


def _end(id: uuid.UUID, result: Result) -> ActionAttempt:
    tried = db.session.get_one(ActionAttempt, id, populate_existing=True)
    answer = visible(result.answer.decode(errors="replace"))[:MOST_SHOWN]
    tried.ended_at, tried.status, tried.error, tried.answer = now(), result.status, result.error, answer
    db.session.commit()
    return tried


def _in_context(app: Flask, id: uuid.UUID, fence: int) -> None:
    try:
        with app.app_context():
            attempt(id, fence)
    except Exception:
        log.exception("what came of call %s could not be written; it is tried again", id)


def _claimed(id: uuid.UUID, fence: int) -> ActionCall | None:
    return db.session.scalars(
        select(ActionCall)
        .where(ActionCall.id == id, ActionCall.tries == fence, ActionCall.state == CallState.DELIVERING)
        .options(
            joinedload(ActionCall.version).joinedload(ActionVersion.receiver),
            joinedload(ActionCall.execution).joinedload(Execution.session),
        )
        .execution_options(populate_existing=True)
    ).one_or_none()


def _settle(id: uuid.UUID, fence: int, result: Result) -> None:
    """What came of it, if the claim still stands."""
    is_over = result.is_delivered or result.is_final or fence >= MOST_TRIES
    values: dict[str, Any] = {"status": result.status, "error": result.error}
    if result.is_delivered:
        values |= {"state": CallState.DELIVERED, "delivered_at": now()}
    elif is_over:
        values |= {"state": CallState.FAILED}
    else:
        values |= {"next_at": now() + pause(fence, result.after)}
    call = db.session.scalar(
        update(ActionCall)
        .where(ActionCall.id == id, ActionCall.tries == fence, ActionCall.state == CallState.DELIVERING)
        .values(values)
        .returning(ActionCall)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    if call is not None and is_over and not result.is_delivered:
        telling.failed(call)
    db.session.commit()
