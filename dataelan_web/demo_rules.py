"""What an organization of the demo decided: its rules, its limits, and what it noted. Rules are switched off, as the
keys are, and its limits tell nobody."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select, text

from . import quota
from .extensions import db
from .models import (
    NANO,
    Annotation,
    BudgetPeriod,
    Happening,
    Increase,
    Model,
    ModelType,
    Organization,
    Project,
    RoutingRule,
    RoutingRuleModel,
    Scope,
    Strategy,
    Unit,
    User,
    Window,
    new_id,
)
from .router.candidates import FALLBACK

RULES = (("Careful work", Strategy.ORDERED, 10), ("Everyday answers", Strategy.CHEAPEST, 20))
"""The models at even places are those of the first, the others its fallbacks; and the other way round."""
AFTERNOON = timedelta(hours=13)
EVERY = 19
"""Of so many days a model has one bad afternoon (demo_runs.sql)."""
NOTED = 4


def rules(home: Organization, owner: User, models: Sequence[Model]) -> list[uuid.UUID]:
    """Which rule chose each of the models first. Flushed."""
    made = []
    for n, (name, strategy, priority) in enumerate(RULES):
        rule = RoutingRule(id=new_id(), organization_id=home.id, name=name, strategy=strategy, priority=priority)
        rule.model_type, rule.is_enabled, rule.created_by = ModelType.TEXT, False, owner.id
        rule.models = [
            RoutingRuleModel(model_id=model.id, position=place, tags=[] if place % 2 == n else [FALLBACK])
            for place, model in enumerate(models)
        ]
        db.session.add(rule)
        made.append(rule.id)
    db.session.flush()
    return [made[place % 2] for place in range(len(models))]


def notes(home: Organization, owner: User, models: Sequence[Model], at: datetime, days: int) -> None:
    """The latest bad afternoons of providers, as somebody noted them, and a deploy. Flushed."""
    begins = at.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days - 1)
    bad = [
        (begins + timedelta(days=day) + AFTERNOON, model)
        for day in range(days)
        for place, model in enumerate(models)
        if (day * 7 + place) % EVERY == 0
    ]
    said = [
        (when, Happening.INCIDENT, f"{model.provider.name} was slow, and refused half of the runs")
        for when, model in bad
        if when < at
    ]
    deployed = begins + timedelta(days=days * 2 // 3) + AFTERNOON / 2
    for when, kind, words in (*said[-NOTED:], (deployed, Happening.DEPLOY, "Support answers with shorter prompts")):
        db.session.add(Annotation(organization_id=home.id, user_id=owner.id, at=when, kind=kind, text=words))
    db.session.flush()


def limits(
    home: Organization, owner: User, projects: Sequence[Project], people: Sequence[User], key: uuid.UUID
) -> None:
    """Some nearly used up, one with a request for more. They count what was spent in their window so far. Flushed."""
    db.session.execute(text("SET LOCAL statement_timeout = 0"))
    wanted = (
        (Scope.ORGANIZATION, home.id, Window.MONTH, Unit.USD, True, 1.45),
        (Scope.PROJECT, projects[0].id, Window.MONTH, Unit.USD, True, 1.06),
        (Scope.PROJECT, projects[1].id, Window.MONTH, Unit.TOKENS, True, 1.9),
        (Scope.MEMBER, people[0].id, Window.WEEK, Unit.USD, True, 1.2),
        (Scope.MEMBER, people[1].id, Window.DAY, Unit.REQUESTS, False, 2.5),
        (Scope.KEY, key, Window.MONTH, Unit.USD, False, 0.97),
    )
    for scope, subject, window, unit, is_hard, times in wanted:
        budget = quota.set_limit(
            db.session, home.id, scope, subject, window, 0, unit, is_hard=False, alerts=[], created_by=owner.id
        )
        spent = select(func.coalesce(func.sum(BudgetPeriod.spent), 0)).where(BudgetPeriod.budget_id == budget.id)
        budget.limit, budget.is_hard = _round(round(int(db.session.scalar(spent) or 0) * times), unit), is_hard
        if scope is Scope.PROJECT and unit is Unit.USD:
            more = Increase(organization_id=home.id, budget_id=budget.id, asked=max(budget.limit // 4, 1))
            more.asked_by, more.reason = people[1].id, "The holidays bring more letters than usual."
            db.session.add(more)
    db.session.flush()


def _round(amount: int, unit: Unit) -> int:
    """Of two digits, upwards, as people write limits; a little where nothing was spent yet."""
    least = {Unit.USD: NANO, Unit.TOKENS: 100_000, Unit.REQUESTS: 50}[unit]
    wanted = max(amount, least)
    step = int("1" + "0" * (len(str(wanted)) - 2))
    return -(-wanted // step) * step
