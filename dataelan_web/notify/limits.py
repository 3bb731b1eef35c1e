"""The alerts of limits: who is near one, or at it, is told. Every worker looks every few seconds.

* What is **spent** counts, not what is held: a hold is the most a call may cost, and most of it comes back.
* A hard limit refuses before all of it is spent, since less is left than a prompt may cost. So it counts as reached
  (100 %) as well once it has refused something and nine tenths of it are spent.
* Whoever passes several percentages at once is told of the highest alone.
* In one window each percentage is told once, also when the limit is raised and passed again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Double, Integer, and_, case, cast, func, or_, select, update
from sqlalchemy.dialects.postgresql import JSONPATH

from ..models import Answer, Budget, BudgetPeriod, Execution, Increase, Organization, Scope
from ..models.base import DbSession
from . import words
from .audience import Audience, of_limit
from .tell import tell

log = logging.getLogger(__name__)

KIND = "limit.reached"
FULL = 100
ENDLESS = 10**9
"""Percent of a limit of nothing."""
NEARLY = 90
"""Percent that are spent of a hard limit when its refusals are worth an alert."""


@dataclass(frozen=True)
class Crossing:
    """A window of a limit that has come to one of its percentages."""

    budget: Budget
    period: BudgetPeriod
    limit: int
    """With the increases in force now."""
    reached: int
    """The highest of its percentages that it came to."""

    @property
    def percent(self) -> int:
        """How much is spent; what refuses is full."""
        spent = FULL * self.period.spent // self.limit if self.limit else FULL
        return max(spent, FULL) if self.reached >= FULL else spent


def alert(session: DbSession) -> int:
    """Tell of every limit that came to one of its percentages since it was last told of. One query where none did.
    Returns how many were told. Commits."""
    crossings = _crossings(session)
    session.rollback()  # nothing is held while each is told in a transaction of its own
    return sum(_tell_once(session, crossing) for crossing in crossings)


_MORE = (
    select(func.coalesce(func.sum(Increase.granted), 0))
    .where(
        Increase.budget_id == Budget.id,
        Increase.answer == Answer.APPROVED,
        or_(Increase.expires_at.is_(None), Increase.expires_at > func.now()),
    )
    .correlate(Budget)
    .scalar_subquery()
)
_REFUSED = (
    select(Execution.id)
    .where(Execution.refused_by == Budget.id, Execution.created_at >= BudgetPeriod.starts_at)
    .correlate(Budget, BudgetPeriod)
    .exists()
)


def _percent(limit: Any) -> Any:
    """How much of it is spent, in whole percent. Floating point, a hair generous: `_crossings` looks exactly."""
    exactly = _SPENT / func.nullif(cast(limit, Double), 0)
    return cast(func.floor(func.least(func.coalesce(exactly, ENDLESS), ENDLESS)), Integer)


def _has_alert_up_to(percent: Any) -> Any:
    """Is one of its percentages above what was told, and not above this?"""
    between = func.jsonb_build_object("told", BudgetPeriod.alerted, "spent", percent)
    return func.jsonb_path_exists(Budget.alerts, cast("$[*] ? (@ > $told && @ <= $spent)", JSONPATH), between)


def _then(cheap: Any, dear: Any) -> Any:
    """Both, the dear one only where the cheap one holds: PostgreSQL takes the parts of an AND in its own order."""
    return case((cheap, dear), else_=False)


_SPENT = FULL * (1 + 1e-12) * cast(BudgetPeriod.spent, Double)
# Alerts are in rising order, and increases only raise a limit: below the first alert of the bare limit there is nothing
# to look for. With 10,000 limits in use, this is where the time goes.
_FIRST = func.greatest(func.coalesce(cast(Budget.alerts[0], Double), ENDLESS), BudgetPeriod.alerted + 1)
_IS_WORTH_A_LOOK = cast(Budget.limit, Double) * func.least(_FIRST, NEARLY) <= _SPENT
_WHOLE = _percent(Budget.limit + _MORE)
_REFUSES = and_(
    Budget.is_hard, BudgetPeriod.alerted < FULL, Budget.alerts.contains([FULL]), _then(_WHOLE >= NEARLY, _REFUSED)
)
_CURRENT = and_(
    BudgetPeriod.starts_at <= func.now(), or_(BudgetPeriod.ends_at > func.now(), BudgetPeriod.ends_at.is_(None))
)
_CROSSED = (
    select(Budget, BudgetPeriod, Budget.limit + _MORE, _REFUSES)
    .join(Budget, Budget.id == BudgetPeriod.budget_id)
    .where(
        _CURRENT,
        Budget.deleted_at.is_(None),
        BudgetPeriod.spent > 0,
        _then(_IS_WORTH_A_LOOK, or_(_has_alert_up_to(_WHOLE), _REFUSES)),
    )
    .execution_options(populate_existing=True)
)
"""Neither sorted nor limited: either makes PostgreSQL walk all windows there ever were, rather than those that run."""


def _crossings(session: DbSession) -> list[Crossing]:
    found = []
    for budget, period, limit, refuses in session.execute(_CROSSED):
        passed = [
            percent
            for percent in budget.alerts
            if isinstance(percent, int) and percent > period.alerted and FULL * period.spent >= percent * limit
        ]
        if highest := max([*passed, *([FULL] if refuses else [])], default=0):
            found.append(Crossing(budget, period, int(limit), highest))
    return found


def _tell_once(session: DbSession, crossing: Crossing) -> bool:
    """One row is locked, and for a moment: payments wait for it. Whoever claims the percentage tells of it."""
    period_id = crossing.period.id
    try:
        audiences = of_limit(session, crossing.budget)
        whose, zone = words.subject(session, crossing.budget), _zone_of(session, crossing.budget)
        claimed = session.scalar(
            update(BudgetPeriod)
            .where(BudgetPeriod.id == period_id, BudgetPeriod.alerted < crossing.reached)
            .values(alerted=crossing.reached)
            .returning(BudgetPeriod.id)
            .execution_options(synchronize_session=False)
        )
        for audience in audiences if claimed else ():
            _tell(session, crossing, audience, whose, zone)
        session.commit()
    except Exception:  # one that cannot be told of must not keep the others waiting
        log.exception("the alert of period %s could not be told", period_id)
        session.rollback()
        return False
    return claimed is not None


def _zone_of(session: DbSession, budget: Budget) -> ZoneInfo:
    """By whose calendar it goes (quota.limits): that of the organization that it is of, or is on."""
    home = budget.organization_id or (budget.subject_id if budget.scope is Scope.ORGANIZATION else None)
    organization = session.get(Organization, home) if home else None
    return ZoneInfo(organization.time_zone if organization else "UTC")


def _tell(session: DbSession, crossing: Crossing, audience: Audience, whose: str, zone: ZoneInfo) -> None:
    budget, period, organization = crossing.budget, crossing.period, audience.organization
    tell(
        session,
        organization.id,
        audience.user_ids,
        f"{KIND}:{period.id}:{crossing.reached}",
        KIND,
        words.title(whose, budget, crossing.limit, crossing.percent, words.window(budget, period, zone)),
        words.body(budget, crossing.limit, period.spent, period.ends_at, zone),
        f"/admin/limits/{budget.id}" if audience.are_superusers else f"/o/{organization.slug}/limits/{budget.id}",
        data=_data(crossing, whose),
    )


def _data(crossing: Crossing, whose: str) -> dict[str, Any]:
    budget, period = crossing.budget, crossing.period
    return {
        "budget_id": str(budget.id),
        "scope": budget.scope.value,
        "subject": {"id": str(budget.subject_id), "name": whose},
        "unit": budget.unit.value,
        "window": budget.window.value,
        "starts_at": period.starts_at.isoformat(),
        "ends_at": period.ends_at.isoformat() if period.ends_at else None,
        "limit": crossing.limit,
        "spent": period.spent,
        "reached_percent": crossing.reached,
        "is_hard": budget.is_hard,
    }
