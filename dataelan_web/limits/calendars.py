"""By whose calendar what more is granted ends, and when that is offered."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select

from .. import quota
from ..extensions import db
from ..models import Budget, Organization, RateLimit, now

OFFERED = timedelta(days=30)
"""Where a limit has no windows, more of it is offered for so long."""


@dataclass(frozen=True)
class Calendar:
    zone: ZoneInfo
    ends_at: datetime | None = None
    """When the limit's window of now does; None: never, or it has none."""

    @property
    def usual_last_day(self) -> date:
        """The last day that is offered for a grant: the window's, where it has an end."""
        ends_at = self.ends_at or now() + OFFERED
        return (ends_at - timedelta(microseconds=1)).astimezone(self.zone).date()

    def ends(self, last_day: date | None) -> datetime | None:
        """When a grant ends: with that day, or else with this window. None: such a window has no end."""
        if last_day is None or (self.ends_at and last_day == self.usual_last_day):
            return self.ends_at  # which is not midnight where the organization has moved to another time zone
        return datetime.combine(last_day + timedelta(days=1), time(), self.zone).astimezone(UTC)


def calendars(limits: Iterable[Budget | RateLimit]) -> dict[uuid.UUID, Calendar]:
    """By the limits' ids: an organization's, or of what the operator limits for several, UTC."""
    all_ = list(limits)
    budgets = [limit for limit in all_ if isinstance(limit, Budget)]
    homes = {limit.id: limit.organization_id or limit.subject_id for limit in all_ if isinstance(limit, RateLimit)}
    rows = select(Organization.id, Organization.time_zone).where(Organization.id.in_(set(homes.values())))
    zones = {row.id: row.time_zone for row in db.session.execute(rows)} if homes else {}
    found = {one.budget.id: Calendar(one.zone, one.ends_at) for one in quota.standing(db.session, budgets)}
    return found | {id: Calendar(ZoneInfo(zones.get(home, "UTC"))) for id, home in homes.items()}


def calendar_of(limit: Budget | RateLimit) -> Calendar:
    return calendars([limit])[limit.id]
