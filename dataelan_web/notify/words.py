"""How a limit, its window and what is used of it read in an alert."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import select

from ..models import (
    APIKey,
    Budget,
    BudgetPeriod,
    GatewayToken,
    Model,
    Organization,
    Project,
    Provider,
    RateLimit,
    Scope,
    User,
    Window,
)
from ..models.base import DbSession
from ..quota import said

NAMES = {
    Scope.ORGANIZATION: ("{}", Organization.name, Organization.id),
    Scope.PROJECT: ("Project {}", Project.name, Project.id),
    Scope.MEMBER: ("{}", User.name, User.id),
    Scope.KEY: ("Key “{}”", APIKey.label, APIKey.id),
    Scope.TOKEN: ("Gateway token “{}”", GatewayToken.label, GatewayToken.id),
    Scope.PROVIDER: ("Provider {}", Provider.name, Provider.id),
    Scope.MODEL: ("Model {}", Model.display_name, Model.id),
}
LONGEST_NAME = 80


def subject(session: DbSession, limit: Budget | RateLimit) -> str:
    """Whose limit it is, to begin a sentence with."""
    if limit.scope is Scope.PLATFORM:
        return "The platform"
    words, name, id = NAMES[limit.scope]
    found = session.scalar(select(name).where(id == limit.subject_id)) or "deleted since"
    return words.format(found if len(found) <= LONGEST_NAME else f"{found[:LONGEST_NAME]}…")


def window(budget: Budget, period: BudgetPeriod, zone: ZoneInfo) -> str:
    """Which window, to end a sentence with: “for November”, “in all”."""
    start = period.starts_at.astimezone(zone)
    return {
        Window.DAY: f"for {start:%-d %B}",
        Window.WEEK: f"for the week of {start:%-d %B}",
        Window.MONTH: f"for {start:%B}",
        Window.TOTAL: "in all",
    }[budget.window]


def title(whose: str, budget: Budget, limit: int, percent: int, when: str) -> str:
    """Project Alpha has used 80 % of its $50.00 for November."""
    if percent == 100:
        return f"{whose} has reached its limit of {said(budget.unit, limit)} {when}"
    return f"{whose} has used {percent:,} % of its {said(budget.unit, limit)} {when}"


def body(budget: Budget, limit: int, spent: int, ends_at: datetime | None, zone: ZoneInfo) -> str:
    used, left = said(budget.unit, spent), said(budget.unit, max(0, limit - spent))
    lines = [f"{used} used, {left} left."]
    if not budget.is_hard:
        lines.append("Nothing is refused: this limit only counts, and tells.")
    elif spent < limit:
        lines.append("A prompt that may cost more than what is left is refused.")
    else:
        lines.append("Prompts are refused until it is raised or begins anew.")
    if ends_at:
        there = ends_at.astimezone(zone)
        lines.append(f"It begins anew on {there:%-d %B} at {there:%H:%M} ({zone.key}).")
    return " ".join(lines)
