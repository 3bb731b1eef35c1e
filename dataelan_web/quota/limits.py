"""The limits that count a call, as they stand now, with the clock, the calendar and the rates."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    BigInteger,
    case,
    cast,
    func,
    or_,
    select,
    true,
)
from sqlalchemy.orm import aliased

from ..models import Answer, Budget, BudgetPeriod, Increase, Organization, Scope, Unit, Window
from ..models.base import DbSession
from .subjects import OPERATORS, Subjects
from .windows import window_of
from .wire import array

UTC = ZoneInfo("UTC")


@dataclass(frozen=True)
class Limit:
    """A budget in its window of now. Amounts are in its unit."""

    id: uuid.UUID
    """The budget's."""
    organization_id: uuid.UUID | None
    scope: Scope
    subject_id: uuid.UUID
    window: Window
    unit: Unit
    is_hard: bool
    limit: int
    """With the increases in force."""
    increased: int
    """Their sum."""
    starts_at: datetime
    ends_at: datetime | None
    period_id: uuid.UUID | None
    """None: nothing was counted in this window yet, and the window's row is made by the first hold."""
    spent: int
    reserved: int

    @property
    def left(self) -> int:
        return max(0, self.limit - self.spent - self.reserved)

    @property
    def percent(self) -> int:
        """How much of it is spent or held; more than 100 where a limit was lowered, or only tells."""
        return 100 * (self.spent + self.reserved) // self.limit if self.limit else 100


@dataclass(frozen=True)
class Rate:
    """How fast one subject may ask, with the increases in force. None: as fast as it likes."""

    id: uuid.UUID
    organization_id: uuid.UUID | None
    scope: Scope
    requests_per_minute: int | None
    tokens_per_minute: int | None
    parallel: int | None


@dataclass(frozen=True)
class Applicable:
    """Every limit and rate that counts a call."""

    now: datetime
    """PostgreSQL's clock, which decides in which window a call is."""
    zone: ZoneInfo
    limits: tuple[Limit, ...] = ()
    """In the one order in which all are locked."""
    rates: tuple[Rate, ...] = ()
    until: float = inf
    """When one of them is another by itself, as what more was granted of it ends, or begins a new window; by
    `time.monotonic`, from when they were read: the transaction may have begun long before."""


INCREASED = (
    select(cast(func.coalesce(func.sum(Increase.granted), 0), BigInteger))
    .where(
        Increase.budget_id == Budget.id,
        Increase.answer == Answer.APPROVED,
        or_(Increase.expires_at.is_(None), Increase.expires_at > func.now()),
    )
    .correlate(Budget)
    .scalar_subquery()
)
GRANTED_IN = (
    select(cast(func.coalesce(func.sum(Increase.granted), 0), BigInteger))
    .where(
        Increase.budget_id == Budget.id,
        Increase.answer == Answer.APPROVED,
        or_(Increase.expires_at.is_(None), Increase.expires_at > BudgetPeriod.starts_at),
        or_(BudgetPeriod.ends_at.is_(None), Increase.answered_at < BudgetPeriod.ends_at),
    )
    .correlate(Budget, BudgetPeriod)
    .scalar_subquery()
)
"""Beside a Budget and a window of it: what more of it was in force at some time of that."""
LATEST = aliased(
    BudgetPeriod,
    select(BudgetPeriod)
    .where(BudgetPeriod.budget_id == Budget.id, BudgetPeriod.starts_at <= func.now())
    .order_by(BudgetPeriod.starts_at.desc())
    .limit(1)
    .correlate(Budget)
    .lateral("latest"),
)
LIMIT = (
    Budget.id,
    Budget.organization_id,
    Budget.scope,
    Budget.subject_id,
    Budget.window,
    Budget.unit,
    Budget.is_hard,
    Budget.limit,
    INCREASED.label("increased"),
    LATEST.id.label("period_id"),
    LATEST.starts_at,
    LATEST.ends_at,
    LATEST.spent,
    LATEST.reserved,
)
"""The columns that `limit_of` reads."""

_APPLICABLE = "SELECT *, clock_timestamp() AS read_at FROM quota_limits(%s, %s, %s)"
_IS_OF_ONE = Budget.organization_id.is_not(None) | (Budget.scope == Scope.ORGANIZATION)
LIMITS = (
    select(
        func.now().label("now"),
        case((_IS_OF_ONE, Organization.time_zone)).label("time_zone"),
        Organization.created_at.label("began_at"),
        *LIMIT,
    )
    .select_from(Budget)
    .outerjoin(Organization, Organization.id == func.coalesce(Budget.organization_id, Budget.subject_id))
    .outerjoin(LATEST, true())
)
"""Budgets with their windows of now, and the organizations they are of, which say by whose calendar they go. The
operator's limits of more than one organization go by UTC."""


def applicable(session: DbSession, subjects: Subjects) -> Applicable:
    """Every limit that counts this call, and every rate: in one round trip, by a function of the database."""
    named = subjects.named
    asked = str(subjects.organization_id), array(named), array(unit.value for unit in OPERATORS[subjects.payer])
    asked_at, rows = time.monotonic(), session.connection().exec_driver_sql(_APPLICABLE, asked).all()
    now, zone, rates = rows[0].now, ZoneInfo(rows[0].time_zone), rows[0].rates or ()
    limits = tuple(
        limit_of(row, now, zone if row.organization_id or row.scope == Scope.ORGANIZATION else UTC)
        for row in rows
        if row.id and named.get(row.subject_id) == row.scope
    )
    ends = [*(row.changes_at for row in rows), *(limit.ends_at for limit in limits)]
    lasts = min(((end - rows[0].read_at).total_seconds() for end in ends if end), default=inf)
    return Applicable(now, zone, limits, tuple(_rate(*rate) for rate in rates), asked_at + lasts)


def limits_of(session: DbSession, budget_ids: Sequence[uuid.UUID]) -> list[Limit]:
    """These budgets in their windows of now."""
    rows = session.execute(LIMITS.where(Budget.id.in_(budget_ids)))
    return [limit_of(row, row.now, ZoneInfo(row.time_zone or "UTC")) for row in rows]


def limit_of(row: Any, now: datetime, zone: ZoneInfo) -> Limit:
    """A row of LIMIT, in the window of `now`. A window that has begun goes on to its end, whatever becomes of the
    organization's time zone: it ends when people were told that it would."""
    is_current = row.starts_at is not None and (row.ends_at is None or row.ends_at > now)
    window = Window(row.window)
    starts_at, ends_at = (row.starts_at, row.ends_at) if is_current else _next_window(window, row.ends_at, now, zone)
    return Limit(
        id=row.id,
        organization_id=row.organization_id,
        scope=Scope(row.scope),
        subject_id=row.subject_id,
        window=window,
        unit=Unit(row.unit),
        is_hard=row.is_hard,
        limit=row.limit + row.increased,
        increased=row.increased,
        starts_at=starts_at,
        ends_at=ends_at,
        period_id=row.period_id if is_current else None,
        spent=row.spent if is_current else 0,
        reserved=row.reserved if is_current else 0,
    )


def _next_window(
    window: Window, last_ended_at: datetime | None, now: datetime, zone: ZoneInfo
) -> tuple[datetime, datetime | None]:
    """By the calendar. Where that has changed since the last one began, this one may lie partly in it: then what is
    left of it belongs to the window after it. Else whoever changes the time zone would have a limit once more."""
    start, end = window_of(window, now, zone)
    if last_ended_at is None or end is None or last_ended_at <= start:
        return start, end
    return last_ended_at, window_of(window, end, zone)[1]


def _rate(id: str, organization_id: str | None, scope: str, *rates: int | None) -> Rate:
    return Rate(uuid.UUID(id), uuid.UUID(organization_id) if organization_id else None, Scope(scope), *rates)


def used_percent(session: DbSession, subjects: Subjects) -> int:
    """How much of the tightest limit that counts these subjects is spent or held now, 0 to 100; 0: none does."""
    limits = applicable(session, subjects).limits
    return max((min(100, limit.percent) for limit in limits), default=0)
