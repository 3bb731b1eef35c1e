"""Where the month's budget stands at the end of a period, and leads; and which limits were met in it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Numeric, cast, func, or_, select, text

from .. import formats
from ..dashboards import ranges, sums
from ..dashboards.overview import LOOKS_BACK, ahead
from ..dashboards.ranges import Range
from ..dashboards.sums import Asked
from ..extensions import db
from ..models import Budget, BudgetPeriod, Execution, Organization, Scope, Unit, Window
from ..models.rollups import Grain
from ..notify import words
from ..quota import GRANTED_IN, said
from ..sums_seen import SumsSeen, limits_told
from .periods import Kind, Period, containing

NEARLY = 80
"""Percent that are spent of a limit when it is told of."""
MOST = 8


@dataclass(frozen=True)
class Met:
    """A limit that was nearly used up, or refused something."""

    name: str
    standing: str
    refused: str
    part: int
    """Percent that are spent, 100 at most."""
    path: str


def outlook(organization: Organization, asked: Asked, period: Period, at: datetime) -> str:
    """Of the month that the period ends in: what was spent in it by then, and between which sums it leads."""
    month = containing(Kind.MONTH, min(period.last, at.astimezone(period.zone).date()), period.zone)
    day = min(period.last, month.last, at.astimezone(period.zone).date())
    cost = _by_day(asked, month, day, at)
    spent = sum(n for one, n in cost.items() if month.first <= one <= day)
    limit = _month_limit(organization, asked.seen)
    of_limit = f", {100 * spent // limit} % of its budget of {formats.money(limit)}" if limit else ""
    if day == month.last and not period.runs_still(at):
        is_said = period.kind is Kind.MONTH and not limit  # by the headline
        return "" if is_said else f"{month.first:%B} came to {formats.money(spent)}{of_limit}."
    last = day - timedelta(days=1) if period.runs_still(at) else day  # what still runs tells little of its weekday
    past = {last - timedelta(days=n): cost.get(last - timedelta(days=n), 0) for n in range(LOOKS_BACK)}
    if not any(past.values()):
        return ""
    already = cost.get(day, 0) if period.runs_still(at) else sys.maxsize  # else that day is over
    low, high = ahead(past, day, month.last, spent, already)[-1]
    leads = f"it leads to between {formats.money(round(low))} and {formats.money(round(high))} by its end"
    return (
        f"{month.first:%B} came to {formats.money(spent)} by {day:%-d %B}{of_limit}; {leads}{_over(limit, low, high)}."
    )


def _over(limit: int | None, low: float, high: float) -> str:
    if not limit or high <= limit:
        return ""
    return ", above the budget" if low > limit else ", perhaps above the budget"


def met(organization: Organization, seen: SumsSeen, period: Period) -> tuple[Met, ...]:
    start, end = period.span.start, period.span.end
    around = BudgetPeriod.starts_at < end, or_(BudgetPeriod.ends_at.is_(None), BudgetPeriod.ends_at > start)
    # A window begins with the first call that it lets through: what was refused before that counts with the one before.
    window = (
        select(BudgetPeriod.id)
        .where(BudgetPeriod.budget_id == Execution.refused_by, BudgetPeriod.starts_at <= Execution.created_at)
        .order_by(BudgetPeriod.starts_at.desc())
        .limit(1)
        .correlate(Execution)
        .scalar_subquery()
    )
    refusals = dict(
        db.session.execute(
            select(window.label("window"), func.count())
            .select_from(Execution)
            .join(Budget, Budget.id == Execution.refused_by)
            .where(limits_told(organization.id, seen), Execution.created_at >= start, Execution.created_at < end)
            .group_by(text("1"))
        ).all()
    )
    spent, limit = BudgetPeriod.spent, Budget.limit + GRANTED_IN
    is_near = cast(spent, Numeric) * 100 >= cast(limit, Numeric) * NEARLY  # of which bigint holds no hundredfold
    rows = db.session.execute(
        select(Budget, BudgetPeriod, limit)
        .join(Budget, Budget.id == BudgetPeriod.budget_id)
        .where(limits_told(organization.id, seen), *around, or_(is_near, BudgetPeriod.id.in_(list(refusals))))
        .order_by((spent * 1.0 / func.greatest(limit, 1)).desc(), Budget.id, BudgetPeriod.starts_at)
        .limit(MOST)
    ).all()
    zone = ZoneInfo(organization.time_zone)
    return tuple(_met(organization, *row, refusals.get(row[1].id, 0), zone) for row in rows)


def _met(organization: Organization, budget: Budget, of: BudgetPeriod, limit: int, refused: int, zone: ZoneInfo) -> Met:
    """`limit`: with what more was granted in that window."""
    part = 100 * of.spent // limit if limit else 100
    standing = f"{said(budget.unit, of.spent)} of {said(budget.unit, limit)} {words.window(budget, of, zone)}"
    return Met(
        words.subject(db.session, budget),
        f"{standing} ({part:,} %)",
        f"{formats.count(refused)} {'run' if refused == 1 else 'runs'} refused" if refused else "",
        min(part, 100),
        f"/o/{organization.slug}/limits/{budget.id}",
    )


def _by_day(asked: Asked, month: Period, day: date, at: datetime) -> dict[date, int]:
    start = min(month.first, day - timedelta(days=LOOKS_BACK))
    over = Range("", "", Grain.DAY, ranges.days(start, day, month.zone), month.zone, at)
    return {slot.date(): one.cost for (slot, _), one in sums.series(asked, over).items()}


def _month_limit(organization: Organization, seen: SumsSeen) -> int | None:
    """The organization's own, for who sees all of it."""
    if not seen.everyone:
        return None
    own = Budget.organization_id == organization.id, Budget.scope == Scope.ORGANIZATION
    of_month = Budget.window == Window.MONTH, Budget.unit == Unit.USD, Budget.deleted_at.is_(None)
    query = select(func.min(Budget.limit)).where(*own, *of_month)
    return db.session.scalar(query)
