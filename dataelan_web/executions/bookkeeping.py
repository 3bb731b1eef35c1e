"""Do the limits agree with the ledger? One worker looks once a minute, and tells what it finds; it mends nothing.

What drifted is kept in a table until it agrees again: so a page and a metric can say it, since when, and superusers are
told of each once.
"""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import redis
from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from .. import audit, quota
from ..extensions import db
from ..jobs.queue import store
from ..models import Budget, BudgetPeriod, LedgerDrift, new_id
from ..notify import tell
from ..notify.audience import superusers

log = logging.getLogger(__name__)

TURN = "dataelan:books"
EVERY = 60
SHARE = 20
"""Looking takes at most a twentieth of the time: where the books are thick, it is done less often."""
RECENT = timedelta(days=1)
"""Windows that ended earlier are charged by nobody any more; `flask ledger verify` reads those too."""
OPENINGS = 20
"""Openings of windows that are summed up anew in one turn; the next turn goes on after them."""
KIND = "ledger.drift"
PATH = "/admin/books"
TOLD = ("spent", "spent_by_the_ledger", "reserved", "held", "opening", "opening_by_the_ledger")


def check_books() -> list[quota.Drift]:
    """What drifted, logged and told; nothing when it is not this worker's turn. Commits."""
    try:
        if not store().set(TURN, 1, nx=True, ex=EVERY):
            return []
        place: Any = store().get(f"{TURN}:openings")
    except redis.RedisError:
        return []  # it will be somebody's turn when Valkey is back
    began = time.monotonic()
    found, after = _drifted(uuid.UUID(place.decode()) if place else None)
    for one in found:
        log.error("ledger.drift %s", one)
    _remember(found)
    db.session.commit()
    with contextlib.suppress(redis.RedisError):
        store().set(f"{TURN}:openings", str(after) if after else "", ex=24 * 3600)
        store().expire(TURN, max(EVERY, round(SHARE * (time.monotonic() - began))))
    return found


def mend_books() -> list[quota.Drift]:
    """Set all that drifted to what the ledger says, with a line of the audit log for each. Commits."""
    found = quota.mend(db.session)
    for one in found:
        budget = db.session.get_one(Budget, one.budget_id)
        audit.record("limit.mended", budget, window_began=one.starts_at.isoformat(), drift=str(one))
    db.session.execute(delete(LedgerDrift))  # what drifts still is found anew
    db.session.commit()
    return found


def standing() -> Sequence[LedgerDrift]:
    """What drifts now, the oldest first."""
    return db.session.scalars(select(LedgerDrift).order_by(LedgerDrift.created_at, LedgerDrift.id)).all()


def _drifted(after: uuid.UUID | None) -> tuple[list[quota.Drift], uuid.UUID | None]:
    """What drifts: of recent windows, of the next few openings, and what did before, however old. And the place where
    the next look at openings begins; None: from the first."""
    known = select(LedgerDrift.period_id)
    before = list(db.session.scalars(select(BudgetPeriod).where(BudgetPeriod.id.in_(known))))
    next_ones = quota.first_windows(db.session, after, OPENINGS)
    openings = quota.wrong_openings(db.session, {row.id: row for row in (*before, *next_ones)}.values())
    budgets = {row.budget_id for row in before} | {one.budget_id for one in openings}
    recent = quota.drift(db.session, ended_after=RECENT, openings=openings)
    older = quota.drift(db.session, of=budgets, openings=openings) if budgets else []
    found = {one.period_id: one for one in (*recent, *older)}
    return list(found.values()), next_ones[-1].id if len(next_ones) == OPENINGS else None


def _remember(found: Sequence[quota.Drift]) -> None:
    """Superusers hear of what was not known. The caller commits."""
    agree = delete(LedgerDrift).where(LedgerDrift.period_id.not_in([one.period_id for one in found]))
    db.session.execute(agree)
    for one in found:
        says = {name: getattr(one, name) for name in TOLD}
        row = insert(LedgerDrift).values(id=new_id(), created_at=func.now(), period_id=one.period_id, **says)
        row = row.on_conflict_do_update(index_elements=["period_id"], set_=says)
        _tell(one, db.session.scalars(row.returning(LedgerDrift.id)).one())


def _tell(drifted: quota.Drift, id: uuid.UUID) -> None:
    """Once each: the key is that of the row, which stays for as long as it drifts."""
    for audience in superusers(db.session):
        title = "A limit does not agree with the ledger"
        tell(db.session, audience.organization.id, audience.user_ids, f"{KIND}:{id}", KIND, title, str(drifted), PATH)
