"""The operator's limits, by program: on the platform, or on one organization, provider or model of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from sqlalchemy import select

from .. import audit, quota
from ..extensions import db
from ..models import Budget, Model, Organization, Provider, Scope, Unit, Window
from ..models.base import NIL
from . import words
from .subjects import names_of


class NoSuchThing(Exception):
    """What was named is not there; the message says so."""


def set_limit(on: str, unit: Unit, window: Window, limit: int, *, is_hard: bool) -> Budget:
    """`on`: platform, organization:SLUG, provider:SLUG or model:PROVIDER/NAME. Raises NoSuchThing. Commits."""
    scope, subject_id = _subject(on)
    budget = quota.set_limit(db.session, None, scope, subject_id, window, limit, unit, is_hard)
    audit.record("limit.set", budget, on=on, unit=unit.value, window=window.value, limit=limit, is_hard=is_hard)
    db.session.commit()
    return budget


def all_limits() -> Iterator[str]:
    """A line each: its id, what it is on, how much, and how far that is used."""
    budgets = db.session.scalars(select(Budget).where(Budget.organization_id.is_(None)).order_by(Budget.id)).all()
    names = names_of((budget.scope, budget.subject_id) for budget in budgets)
    for standing in quota.standing(db.session, budgets):
        budget, unit = standing.budget, standing.budget.unit
        used = f"{quota.said(unit, standing.spent)} spent, {quota.said(unit, standing.reserved)} held"
        subject = names[budget.scope, budget.subject_id]
        on = f"{budget.scope.value} {subject.name}".removesuffix(" everyone")
        kind = "hard" if budget.is_hard else "soft"
        yield "  ".join((str(budget.id), on, words.size(budget.limit, unit, budget.window), kind, used))


def delete(id: uuid.UUID) -> str:
    """What it was on. Raises NoSuchThing, for an organization's own limits too. Commits."""
    budget = db.session.scalars(select(Budget).where(Budget.id == id, Budget.organization_id.is_(None))).first()
    if budget is None:
        raise NoSuchThing(f"The operator has no limit {id}.")
    on = f"{budget.scope.value} {names_of([(budget.scope, budget.subject_id)])[budget.scope, budget.subject_id].name}"
    audit.record("limit.deleted", budget, on=on, limit=budget.limit)
    quota.delete_limit(db.session, budget)
    db.session.commit()
    return on.removesuffix(" everyone")


def _subject(on: str) -> tuple[Scope, uuid.UUID]:
    kind, _, name = on.partition(":")
    query: Any
    match kind:
        case "platform" if not name:
            return Scope.PLATFORM, NIL
        case "organization":
            query = select(Organization.id).where(Organization.slug == name)
        case "provider":
            query = select(Provider.id).where(Provider.slug == name, Provider.organization_id.is_(None))
        case "model":
            slug, _, model = name.partition("/")
            mine = (Provider.slug == slug, Provider.organization_id.is_(None), Model.organization_id.is_(None))
            query = select(Model.id).join(Model.provider).where(*mine, Model.name == model)
        case _:
            raise NoSuchThing(f"A limit cannot be on {on!r}. Name platform, organization:…, provider:… or model:….")
    id = db.session.scalar(query)
    if id is None:
        raise NoSuchThing(f"There is no {kind} {name!r}.")
    return Scope(kind), id
