"""How budgets stand: what is spent, held and left in the window of now, and where it is going."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, ColumnElement, func, select, true

from ..models import Attempt, Budget, BudgetPeriod
from ..models.base import DbSession
from .limits import LIMITS, Limit, limit_of

PAST = 6
"""Windows that a forecast looks back on."""
TOO_LITTLE = 0.1
"""The share of a window that must be known where nothing is known of those before it."""


@dataclass(frozen=True)
class Standing:
    """A budget in its window of now. Amounts are in its unit."""

    budget: Budget
    zone: ZoneInfo
    """By whose calendar its windows go."""
    starts_at: datetime
    ends_at: datetime | None
    limit: int
    """With the increases in force."""
    increased: int
    """Their sum."""
    spent: int
    reserved: int
    left: int
    percent: int
    """How much is spent or held; above 100 where a limit was lowered, or only tells."""
    forecast: int | None
    """What will be spent when the window ends, if things go on as they do; None: too little is known to say, or it
    never ends."""


_PAST = (
    select(BudgetPeriod.spent, BudgetPeriod.starts_at)
    .where(BudgetPeriod.budget_id == Budget.id, BudgetPeriod.ends_at <= func.now())
    .order_by(BudgetPeriod.starts_at.desc())
    .limit(PAST)
    .correlate(Budget)
    .subquery()
)
_EARLIER = select(func.sum(_PAST.c.spent).label("past"), func.min(_PAST.c.starts_at).label("past_since")).lateral()
_STANDING = LIMITS.add_columns(_EARLIER.c.past, _EARLIER.c.past_since).outerjoin(_EARLIER, true())


def standing(session: DbSession, budgets: Sequence[Budget]) -> list[Standing]:
    """How these budgets stand, in their order; in one query.

    A forecast is what is spent, and what the rest of the window will bring. Its pace is that of this window so far,
    blended with that of the last six: each weighs as much as the window has gone, and has yet to go. On the first day
    of a month the last months speak, on the last day this one does. Where there were none before, a tenth of the
    window must be known, counted from the day the organization began.
    """
    if not budgets:  # as on most pages of whoever has none
        return []
    rows = session.execute(_STANDING.where(Budget.id.in_([budget.id for budget in budgets]))).all()
    found = {row.id: row for row in rows}
    return [_standing(budget, found[budget.id]) for budget in budgets if budget.id in found]


def _standing(budget: Budget, row: Any) -> Standing:
    zone = ZoneInfo(row.time_zone or "UTC")
    limit = limit_of(row, row.now, zone)
    return Standing(
        budget,
        zone,
        limit.starts_at,
        limit.ends_at,
        limit.limit,
        limit.increased,
        limit.spent,
        limit.reserved,
        limit.left,
        limit.percent,
        _forecast(limit, row),
    )


def _forecast(limit: Limit, row: Any) -> int | None:
    if limit.ends_at is None:
        return None
    began_at = max(limit.starts_at, row.began_at or limit.starts_at)
    length = (limit.ends_at - limit.starts_at).total_seconds()
    known, to_go = (row.now - began_at).total_seconds(), (limit.ends_at - row.now).total_seconds()
    weight = known / length
    pace = limit.spent / known if known > 0 else 0.0
    if row.past_since is not None and row.past_since < limit.starts_at:
        before = int(row.past) / (limit.starts_at - row.past_since).total_seconds()
        pace = weight * pace + (1 - weight) * before
    elif weight < TOO_LITTLE:
        return None
    still_to_come: float = pace * to_go
    return limit.spent + math.ceil(still_to_come)


def left_usd() -> ColumnElement[int | None]:
    """Beside an Attempt in a query: the nano-USD that are left of the hard limit that has least, of those which the
    attempt is or was held against; none: no limit of money counted it."""
    return func.quota_left(Attempt.id, type_=BigInteger)
