"""Do the limits agree with the ledger? One worker looks once a minute, and tells what it finds; it mends nothing.

What drifted is kept in a table until it agrees again: so a page and a metric can say it, since when, and superusers are
told of each once.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

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
PATIENCE = 5.0
"""Seconds in which lines of everybody are read in one turn; whoever has more goes on in the next."""
KEPT_FOR = 24 * 3600
KIND = "ledger.drift"
PATH = "/admin/books"
TOLD = ("spent", "spent_by_the_ledger", "reserved", "held", "opening", "opening_by_the_ledger")


def check_books() -> list[quota.Drift]:
    """What drifted, logged and told; nothing when it is not this worker's turn. Commits."""
    try:
        if not store().set(TURN, 1, nx=True, ex=EVERY):
            return []
        place = _Place.kept()
    except redis.RedisError:
        return []  # it will be somebody's turn when Valkey is back
    began = time.monotonic()
    found, place = _drifted(place)
    for one in found:
        log.error("ledger.drift %s", one)
    _remember(found, place.walks)
    db.session.commit()
    with contextlib.suppress(redis.RedisError):
        place.keep()
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


@dataclass(frozen=True)
class _Place:
    """Where the look at openings goes on."""

    after: uuid.UUID | None
    """This window; None: from the first."""
    walks: dict[uuid.UUID, quota.Walk]
    """Windows whose lines were read in part."""

    @classmethod
    def kept(cls) -> _Place:
        after, walks = (cast("bytes | None", store().get(f"{TURN}:{name}")) for name in ("openings", "walks"))
        begun = json.loads(walks) if walks else {}
        return cls(
            uuid.UUID(after.decode()) if after else None,
            {uuid.UUID(id): quota.Walk.of(walk) for id, walk in begun.items()},
        )

    def keep(self) -> None:
        begun = {str(id): walk.kept() for id, walk in self.walks.items()}
        store().set(f"{TURN}:openings", str(self.after) if self.after else "", ex=KEPT_FOR)
        store().set(f"{TURN}:walks", json.dumps(begun), ex=KEPT_FOR)


def _drifted(place: _Place) -> tuple[list[quota.Drift], _Place]:
    """What drifts: of recent windows, of openings the next few, or those that were not read to their end, and what did
    before, however old. And the place where the next look goes on."""
    known = select(LedgerDrift.period_id)
    before = list(db.session.scalars(select(BudgetPeriod).where(BudgetPeriod.id.in_(known))))
    begun = place.walks.keys() - {row.id for row in before}
    waiting = list(db.session.scalars(select(BudgetPeriod).where(BudgetPeriod.id.in_(begun)))) if begun else []
    next_ones = waiting or quota.first_windows(db.session, place.after, OPENINGS)
    wanted = {row.id: row for row in (*next_ones, *before)}.values()
    looked = quota.look_at_openings(db.session, wanted, place.walks, PATIENCE)
    openings = looked.wrong
    budgets = {row.budget_id for row in before} | {one.budget_id for one in openings}
    recent = quota.drift(db.session, ended_after=RECENT, openings=openings)
    older = quota.drift(db.session, of=budgets, openings=openings) if budgets else []
    found = {one.period_id: one for one in (*recent, *older)}
    last = next_ones[-1].id if len(next_ones) == OPENINGS else None
    return list(found.values()), _Place(place.after if waiting else last, looked.walks)


def _remember(found: Sequence[quota.Drift], undecided: Collection[uuid.UUID]) -> None:
    """Superusers hear of what was not known. The caller commits."""
    drifting = [*(one.period_id for one in found), *undecided]
    db.session.execute(delete(LedgerDrift).where(LedgerDrift.period_id.not_in(drifting)))
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
