"""What a limit counted as spent when it was made in the middle of a window: is it what the ledger says of then?

An opening never changes, and neither do the lines that it is the sum of; so it need not be looked at each minute, and a
few at a time are enough, one after the other. Lines that were written while the limit was made may count or not: nobody
knows which of them it saw. So it is wrong only outside of what is possible.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, cast

from sqlalchemy import ColumnElement, Row, Select, and_, bindparam, exists, func, join, or_, select

from ..models import Attempt, Budget, BudgetPeriod, Execution, Hold, LedgerEntry, Reservation, Scope, Unit
from ..models.base import DbSession
from .setting import USED, counts_for

AT_ONCE = timedelta(minutes=1)
"""Around the moment in which a limit was made; the clocks of machines differ too."""
TOGETHER = 100
"""Windows that are looked at by one statement: it has 30 s, and a window has as many lines as its month had calls."""
NOTHING = 0, 0, 0, 0
Kind = tuple[Scope, Unit, bool]
"""Of a limit: whom and what it counts, and whether it is the operator's."""


@dataclass(frozen=True)
class WrongOpening:
    period_id: uuid.UUID
    budget_id: uuid.UUID
    opening: int
    by_the_ledger: int


def first_windows(session: DbSession, after: uuid.UUID | None = None, most: int | None = None) -> list[BudgetPeriod]:
    """Windows that were made along with their limit, or counted anew as it came out of the trash, in an order of their
    own, after this one. Only they have an opening: any other one begins with the first call that it counts."""
    made_along = BudgetPeriod.created_at < Budget.created_at + AT_ONCE
    has_one = or_(made_along, BudgetPeriod.counted_at.is_not(None), BudgetPeriod.opening != 0)
    query = select(BudgetPeriod).join(Budget).where(has_one)
    query = query.where(BudgetPeriod.id > after) if after else query
    return list(session.scalars(query.order_by(BudgetPeriod.id).limit(most)))


def wrong_openings(session: DbSession, periods: Collection[BudgetPeriod]) -> list[WrongOpening]:
    """Those of these windows whose opening the ledger does not bear out."""
    all_ = list(periods)
    parts = (all_[start : start + TOGETHER] for start in range(0, len(all_), TOGETHER))
    return [wrong for part in parts for wrong in _wrong_of(session, part)]


def _wrong_of(session: DbSession, periods: Collection[BudgetPeriod]) -> list[WrongOpening]:
    """All of one kind in one statement: there may be thousands of windows, and there are but a few kinds."""
    ids_of: dict[Kind, list[uuid.UUID]] = defaultdict(list)
    kinds = select(BudgetPeriod.id, Budget.scope, Budget.unit, Budget.organization_id.is_(None)).join(Budget)
    for id, *kind in session.execute(kinds.where(BudgetPeriod.id.in_([period.id for period in periods]))):
        ids_of[cast("Kind", tuple(kind))].append(id)
    kind_of = {id: kind for kind, ids in ids_of.items() for id in ids}  # without one: it was deleted meanwhile
    sums = {
        id: (sure, less, more, likely)
        for kind, ids in ids_of.items()
        for id, sure, less, more, likely in _said(session, kind, ids)
    }
    looked_at = ((period, sums.get(period.id, NOTHING)) for period in periods if period.id in kind_of)
    return [wrong for period, says in looked_at if (wrong := _held_against(period, *says))]


def _said(session: DbSession, kind: Kind, ids: Collection[uuid.UUID]) -> Sequence[Row[Any, Any, Any, Any, Any]]:
    """By an organization's lines of that time: left to itself, PostgreSQL reads every call that was ever made."""
    scope, _, is_operators = kind
    asked = _sums(*kind).where(BudgetPeriod.id.in_(ids))
    if is_operators and scope is not Scope.ORGANIZATION:  # everybody's lines have no such index
        return session.execute(asked).all()
    session.execute(_READS_ALL, {"may": "off"})
    rows = session.execute(asked).all()
    session.execute(_READS_ALL, {"may": "on"})
    return rows


_READS_ALL = select(func.set_config("enable_seqscan", bindparam("may"), True))


def _held_against(period: BudgetPeriod, sure: int, less: int, more: int, likely: int) -> WrongOpening | None:
    if sure + less <= period.opening <= sure + more:
        return None
    return WrongOpening(period.id, period.budget_id, period.opening, int(likely))


@cache
def _sums(scope: Scope, unit: Unit, is_operators: bool) -> Select[Any, Any, Any, Any, Any]:
    """What the ledger says of windows of such limits: a row for each of which it says something, by its id."""
    used, written = USED[unit], LedgerEntry.created_at
    counted_at = func.coalesce(BudgetPeriod.counted_at, BudgetPeriod.created_at)
    long_before, around = written < counted_at - AT_ONCE, written < counted_at + AT_ONCE
    # Nothing is held against a window before it is there. So only where one was counted anew, this is looked up.
    before = and_(long_before, or_(BudgetPeriod.counted_at.is_(None), ~_is_held()))
    doubtful = and_(~long_before, ~_is_held())
    likely = or_(before, and_(doubtful, written <= counted_at))
    sums = select(
        BudgetPeriod.id,
        func.coalesce(func.sum(used).filter(before), 0),
        func.coalesce(func.sum(used).filter(doubtful, used < 0), 0),
        func.coalesce(func.sum(used).filter(doubtful, used > 0), 0),
        func.coalesce(func.sum(used).filter(likely), 0),
    )
    began = (written >= BudgetPeriod.starts_at, Attempt.started_at >= BudgetPeriod.starts_at, around)
    counted = counts_for(scope, unit, None if is_operators else Budget.organization_id, Budget.subject_id)
    lines = join(LedgerEntry, Attempt, Attempt.id == LedgerEntry.attempt_id).join(Execution)
    sums = sums.join_from(BudgetPeriod, Budget).join(lines, and_(counted, *began))
    return sums.group_by(BudgetPeriod.id)


def _is_held() -> ColumnElement[bool]:
    """Was the call held against this window? Then it is charged to it, and no part of what was before."""
    held = select(Hold.id).join(Reservation, Reservation.id == Hold.reservation_id)
    held = held.where(Hold.period_id == BudgetPeriod.id, Reservation.attempt_id == LedgerEntry.attempt_id)
    return exists(held.correlate(BudgetPeriod, LedgerEntry))
