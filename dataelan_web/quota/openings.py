"""What a limit counted as spent when it was made in the middle of a window: is it what the ledger says of then?

An opening never changes, and neither do the lines that it is the sum of; so it need not be looked at each minute, and a
few at a time are enough, one after the other. Lines that were written while the limit was made may count or not: nobody
knows which of them it saw. So it is wrong only outside of what is possible. Of a limit of the operator's everybody's
lines count, which may be more than one statement has time for: those are read piece by piece (walking).
"""

from __future__ import annotations

import math
import time
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, cast

from sqlalchemy import ColumnElement, Row, Select, and_, exists, func, join, or_, select

from ..models import Attempt, Budget, BudgetPeriod, Execution, Hold, LedgerEntry, Reservation, Scope, Unit
from ..models.base import DbSession
from .setting import USED, counts_everybody, counts_for, first_of_all
from .walking import Sums, Walk, by_index

AT_ONCE = timedelta(minutes=1)
"""Around the moment in which a limit was made; the clocks of machines differ too."""
TOGETHER = 100
"""Windows that are looked at by one statement: it has 30 s, and a window has as many lines as its month had calls."""
NOTHING = 0, 0, 0, 0
Line = Row[Any, Any, Any, Any, Any]
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


@dataclass(frozen=True)
class Looked:
    wrong: list[WrongOpening]
    """Windows whose opening the ledger does not bear out."""
    walks: dict[uuid.UUID, Walk]
    """Of those windows that are not decided yet: how far their lines were read."""


def wrong_openings(session: DbSession, periods: Collection[BudgetPeriod]) -> list[WrongOpening]:
    """Those of these windows whose opening the ledger does not bear out, however long that takes."""
    return look_at_openings(session, periods).wrong


def look_at_openings(
    session: DbSession,
    periods: Collection[BudgetPeriod],
    walks: Mapping[uuid.UUID, Walk] | None = None,
    seconds: float = math.inf,
) -> Looked:
    """Go on from these walks, for so long. Only windows that count everybody's lines may need more than that."""
    all_, looked, until = list(periods), Looked([], {}), time.monotonic() + seconds
    for start in range(0, len(all_), TOGETHER):
        for period, says in _said_of(session, all_[start : start + TOGETHER], walks or {}, until):
            if isinstance(says, Walk):
                looked.walks[period.id] = says
            elif wrong := _held_against(period, *says):
                looked.wrong.append(wrong)
    return looked


def _said_of(
    session: DbSession, periods: Collection[BudgetPeriod], walks: Mapping[uuid.UUID, Walk], until: float
) -> Iterator[tuple[BudgetPeriod, Sums | Walk]]:
    """What the ledger says of each, or how far it was asked. All of one kind in one statement: there may be thousands
    of windows, and there are but a few kinds."""
    of_kind: dict[Kind, list[BudgetPeriod]] = defaultdict(list)
    by_id = {period.id: period for period in periods}  # without a kind: it was deleted meanwhile
    kinds = select(BudgetPeriod.id, Budget.scope, Budget.unit, Budget.organization_id.is_(None)).join(Budget)
    for id, *its_kind in session.execute(kinds.where(BudgetPeriod.id.in_(by_id))):
        of_kind[cast("Kind", tuple(its_kind))].append(by_id[id])
    for kind, alike in of_kind.items():
        scope, _, is_operators = kind
        if is_operators and counts_everybody(scope):
            for period in alike:
                walk = _walked(session, kind, period, walks.get(period.id), until)
                yield period, walk.sums if walk.is_over else walk
            continue
        sums: dict[uuid.UUID, Sums] = {row[0]: tuple(row[1:]) for row in _said(session, kind, alike)}
        yield from ((period, sums.get(period.id, NOTHING)) for period in alike)


def _walked(session: DbSession, kind: Kind, period: BudgetPeriod, walk: Walk | None, until: float) -> Walk:
    """Anew where the window was counted anew since this walk began."""
    end = (period.counted_at or period.created_at) + AT_ONCE
    if walk is None or walk.to != end:
        walk = Walk(period.starts_at, end)
    asked, written = _sums(*kind).where(BudgetPeriod.id == period.id), LedgerEntry.created_at

    def read(since: datetime, to: datetime) -> Sums:
        rows = by_index(session, asked.where(written >= since, written < to))
        return tuple(map(int, rows[0][1:])) if rows else NOTHING

    return walk.goes_on(first_of_all(session), read, until)


def _said(session: DbSession, kind: Kind, periods: Collection[BudgetPeriod]) -> Sequence[Line]:
    """By an organization's lines of that time."""
    return by_index(session, _sums(*kind).where(BudgetPeriod.id.in_([period.id for period in periods])))


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
    lines = join(LedgerEntry, Attempt, Attempt.id == LedgerEntry.attempt_id)
    lines = lines.join(Execution) if not is_operators else lines  # whose limits count no subject that only a run names
    sums = sums.join_from(BudgetPeriod, Budget).join(lines, and_(counted, *began))
    return sums.group_by(BudgetPeriod.id)


def _is_held() -> ColumnElement[bool]:
    """Was the call held against this window? Then it is charged to it, and no part of what was before."""
    held = select(Hold.id).join(Reservation, Reservation.id == Hold.reservation_id)
    held = held.where(Hold.period_id == BudgetPeriod.id, Reservation.attempt_id == LedgerEntry.attempt_id)
    return exists(held.correlate(BudgetPeriod, LedgerEntry))
