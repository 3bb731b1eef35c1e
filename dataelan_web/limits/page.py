"""One limit's page: this window, those before, who uses it most, and the story of what more was asked of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select

from .. import quota
from ..extensions import db
from ..models import Budget, BudgetPeriod, Increase, Scope, User, Window
from . import place, words
from .balance import Line, lines, with_holders
from .bar import Bar, plain
from .increases import story_of
from .spending import Spenders, spenders

PAST = 12


@dataclass(frozen=True)
class Past:
    """A window that is over."""

    name: str
    spent: int
    limit: int
    """Today's, with what more was granted in that window."""
    bar: Bar


@dataclass(frozen=True)
class View:
    line: Line
    said: str
    past: Sequence[Past]
    spenders: Spenders
    story: Sequence[Increase]
    maker: str
    """Who made it; empty: not known any more."""


def view_of(budget: Budget) -> View:
    (line,) = with_holders(lines([budget]))
    standing, subject, story = line.standing, line.subject, story_of(budget)
    zone = standing.zone
    of_one = Scope.ORGANIZATION if place.is_operators() else Scope.MEMBER
    people = place.may_administer() and budget.scope is not of_one
    return View(
        line,
        words.sentence(
            subject.prompts,
            budget.scope,
            budget.unit,
            budget.window,
            budget.limit,
            budget.is_hard,
            budget.alerts,
            zone.key,
            is_operators=budget.organization_id is None,
        ),
        _past(budget, standing.starts_at, zone),
        spenders(standing, people=people),
        story,
        db.session.scalar(select(User.name).where(User.id == budget.created_by)) or "",
    )


def _past(budget: Budget, before: datetime, zone: ZoneInfo) -> list[Past]:
    mine = (BudgetPeriod.budget_id == budget.id, BudgetPeriod.starts_at < before)
    query = select(BudgetPeriod.starts_at, BudgetPeriod.spent, Budget.limit + quota.GRANTED_IN).join(Budget)
    found = db.session.execute(query.where(*mine).order_by(BudgetPeriod.starts_at.desc()).limit(PAST))
    return [
        Past(_named(budget.window, starts_at.astimezone(zone)), spent, limit, plain(spent, limit))
        for starts_at, spent, limit in found
    ]


def _named(window: Window, start: datetime) -> str:
    match window:
        case Window.MONTH:
            return f"{start:%B %Y}"
        case Window.WEEK:
            return f"{start:%-d %b} – {start + timedelta(days=6):%-d %b %Y}"
    return f"{start:%a %-d %b %Y}"
