"""How a limit, its window and what is used of it read in an alert."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from sqlalchemy import select

from ..models import (
    NANO,
    APIKey,
    Budget,
    BudgetPeriod,
    GatewayToken,
    Model,
    Organization,
    Project,
    Provider,
    Scope,
    Unit,
    User,
    Window,
)
from ..models.base import DbSession

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


def subject(session: DbSession, budget: Budget) -> str:
    """Whose limit it is, to begin a sentence with."""
    if budget.scope is Scope.PLATFORM:
        return "The platform"
    words, name, id = NAMES[budget.scope]
    found = session.scalar(select(name).where(id == budget.subject_id)) or "deleted since"
    return words.format(found if len(found) <= LONGEST_NAME else f"{found[:LONGEST_NAME]}…")


def amount(unit: Unit, number: int) -> str:
    """$50.00, $0.0125, 2,000,000 tokens, 1 request."""
    if unit is not Unit.USD:
        return f"{number:,} {unit.value if number != 1 else unit.value[:-1]}"
    usd = Decimal(number) / NANO
    if usd >= 1 or usd == round(usd, 2):
        return f"${usd:,.2f}"
    return f"${usd:.4f}" if usd >= Decimal("0.0001") else f"${usd:f}"


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
        return f"{whose} has reached its limit of {amount(budget.unit, limit)} {when}"
    return f"{whose} has used {percent:,} % of its {amount(budget.unit, limit)} {when}"


def body(budget: Budget, limit: int, spent: int, ends_at: datetime | None, zone: ZoneInfo) -> str:
    used, left = amount(budget.unit, spent), amount(budget.unit, max(0, limit - spent))
    said = [f"{used} used, {left} left."]
    if not budget.is_hard:
        said.append("Nothing is refused: this limit only counts, and tells.")
    elif spent < limit:
        said.append("A prompt that may cost more than what is left is refused.")
    else:
        said.append("Prompts are refused until it is raised or begins anew.")
    if ends_at:
        there = ends_at.astimezone(zone)
        said.append(f"It begins anew on {there:%-d %B} at {there:%H:%M} ({zone.key}).")
    return " ".join(said)
