"""What a limit counted as spent when it was made in the middle of a window: is it what the ledger says of then?

An opening never changes, and neither do the lines that it is the sum of; so it need not be looked at each minute, and a
few at a time are enough, one after the other. Lines that were written while the limit was made may count or not: nobody
knows which of them it saw. So it is wrong only outside of what is possible.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, and_, exists, func, or_, select

from ..models import Attempt, Budget, BudgetPeriod, Execution, Hold, LedgerEntry, Reservation
from ..models.base import DbSession
from .limits import limits_of
from .setting import USED, counts_for

AT_ONCE = timedelta(minutes=1)
"""Around the moment in which a limit was made; the clocks of machines differ too."""


@dataclass(frozen=True)
class WrongOpening:
    period_id: uuid.UUID
    budget_id: uuid.UUID
    opening: int
    by_the_ledger: int


def first_windows(session: DbSession, after: uuid.UUID | None = None, most: int | None = None) -> list[BudgetPeriod]:
    """Windows that were made along with their limit, in an order of their own, after this one. Only they have an
    opening: any later one begins with the first call that it counts."""
    made_along = BudgetPeriod.created_at < Budget.created_at + AT_ONCE
    query = select(BudgetPeriod).join(Budget).where(or_(made_along, BudgetPeriod.opening != 0))
    query = query.where(BudgetPeriod.id > after) if after else query
    return list(session.scalars(query.order_by(BudgetPeriod.id).limit(most)))


def wrong_openings(session: DbSession, periods: Collection[BudgetPeriod]) -> list[WrongOpening]:
    """Those of these windows whose opening the ledger does not bear out."""
    return [wrong for period in periods if (wrong := _looked_at(session, period))]


def _looked_at(session: DbSession, period: BudgetPeriod) -> WrongOpening | None:
    (limit,) = limits_of(session, [period.budget_id]) or (None,)
    if limit is None:  # deleted meanwhile
        return None
    used, written = USED[limit.unit], LedgerEntry.created_at
    before, around = written < period.created_at - AT_ONCE, written < period.created_at + AT_ONCE
    doubtful = and_(~before, ~_is_held(period))
    sums = select(
        func.coalesce(func.sum(used).filter(before), 0),
        func.coalesce(func.sum(used).filter(doubtful, used < 0), 0),
        func.coalesce(func.sum(used).filter(doubtful, used > 0), 0),
        func.coalesce(func.sum(used).filter(or_(before, and_(doubtful, written <= period.created_at))), 0),
    )
    began = (written >= period.starts_at, Attempt.started_at >= period.starts_at, around)
    sums = sums.join_from(LedgerEntry, Attempt, Attempt.id == LedgerEntry.attempt_id).join(Execution)
    sure, less, more, likely = map(int, session.execute(sums.where(counts_for(limit), *began)).one())
    if sure + less <= period.opening <= sure + more:
        return None
    return WrongOpening(period.id, period.budget_id, period.opening, likely)


def _is_held(period: BudgetPeriod) -> ColumnElement[bool]:
    """Was the call held against this window? Then it is charged to it, and no part of what was before."""
    held = select(Hold.id).join(Reservation, Reservation.id == Hold.reservation_id)
    return exists(held.where(Hold.period_id == period.id, Reservation.attempt_id == LedgerEntry.attempt_id))
