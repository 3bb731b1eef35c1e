"""The operator's limits, by program: on the platform, or on one organization, provider, model or key of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import or_, select

from .. import audit, quota
from ..extensions import db
from ..models import APIKey, Budget, Model, Organization, Provider, RateLimit, Scope, Unit, Window
from ..models.base import NIL
from . import words
from .changes import Speeds
from .subjects import Pair, names_of

FORMS = "platform, organization:SLUG, provider:SLUG, model:PROVIDER/NAME or key:PROVIDER/LABEL"


class NoSuchThing(Exception):
    """What was named is not there, or not alone; the message says so."""


def set_limit(
    on: str, unit: Unit, window: Window, limit: int, *, is_hard: bool, alerts: Sequence[int] | None = None
) -> Budget:
    """`on`: one of FORMS; a key by its label or its last four letters. `alerts` in percent; None: as they are, or the
    usual ones. Raises NoSuchThing. Commits."""
    scope, subject_id = subject_of(on)
    budget = quota.set_limit(db.session, None, scope, subject_id, window, limit, unit, is_hard, alerts)
    told = {"unit": unit.value, "window": window.value, "limit": limit, "is_hard": is_hard}
    audit.record("limit.set", budget, on=on, **told, alerts=list(budget.alerts))
    db.session.commit()
    return budget


def set_rate(on: str, speeds: Speeds) -> RateLimit:
    """`on`, as above. All three numbers are set anew; at least one of them is there. Raises NoSuchThing. Commits."""
    scope, subject_id = subject_of(on)
    rate = quota.set_rate(db.session, None, scope, subject_id, **vars(speeds))
    if rate is None:
        raise LookupError("a limit of nothing is none: the command asks for a number")
    audit.record("rate.set", rate, on=on, **vars(speeds))
    db.session.commit()
    return rate


def all_limits() -> Iterator[str]:
    """A line each: its id, what it is on, how much or how fast, and how far that is used."""
    budgets, rates = _all(Budget), _all(RateLimit)
    names = names_of((row.scope, row.subject_id) for row in [*budgets, *rates])
    for standing in quota.standing(db.session, budgets):
        budget, unit = standing.budget, standing.budget.unit
        used = f"{quota.said(unit, standing.spent)} spent, {quota.said(unit, standing.reserved)} held"
        kind = "hard" if budget.is_hard else "soft"
        told = f"told at {words.percents(budget.alerts)}" if budget.alerts else "told never"
        on = _named(names, budget)
        yield "  ".join((str(budget.id), on, words.size(budget.limit, unit, budget.window), kind, used, told))
    for rate in rates:
        yield "  ".join((str(rate.id), _named(names, rate), words.rate_of(rate)))


def delete(id: uuid.UUID) -> str:
    """A limit or a rate, into the trash. What it was on. Raises NoSuchThing, for an organization's own too. Commits."""
    row = _operators(Budget, id) or _operators(RateLimit, id)
    if row is None:
        raise NoSuchThing(f"The operator has no limit {id}.")
    on = _named(names_of([(row.scope, row.subject_id)]), row)
    if isinstance(row, Budget):
        audit.record("limit.deleted", row, on=on, limit=row.limit)
        quota.delete_limit(db.session, row)
    else:
        audit.record("rate.deleted", row, on=on, limit=words.rate_of(row))
        quota.delete_rate(db.session, row)
    db.session.commit()
    return on


def subject_of(on: str) -> Pair:
    kind, _, name = on.partition(":")
    slug, _, rest = name.partition("/")
    query: Any
    match kind:
        case "platform" if not name:
            return Scope.PLATFORM, NIL
        case "organization":
            query = select(Organization.id).where(Organization.slug == name)
        case "provider":
            query = select(Provider.id).where(Provider.slug == name, Provider.organization_id.is_(None))
        case "model":
            mine = (Provider.slug == slug, Provider.organization_id.is_(None), Model.organization_id.is_(None))
            query = select(Model.id).join(Model.provider).where(*mine, Model.name == rest)
        case "key":
            mine = (Provider.slug == slug, APIKey.organization_id.is_(None), APIKey.archived_at.is_(None))
            called = or_(APIKey.label == rest, APIKey.last_four == rest)
            query = select(APIKey.id).join(APIKey.provider).where(*mine, called)
        case _:
            raise NoSuchThing(f"A limit cannot be on {on!r}. Name {FORMS}.")
    ids = db.session.scalars(query.limit(2)).all()
    if not ids:
        raise NoSuchThing(f"There is no {kind} {name!r}.")
    if len(ids) > 1:
        raise NoSuchThing(f"There are several of {kind} {name!r}. Name it by its label, or by its last four letters.")
    return Scope(kind), ids[0]


def _all(table: type[Any]) -> Sequence[Any]:
    return db.session.scalars(select(table).where(*_of_operator(table)).order_by(table.id)).all()


def _operators(table: type[Any], id: uuid.UUID) -> Any:
    return db.session.scalars(select(table).where(table.id == id, *_of_operator(table))).first()


def _of_operator(table: type[Any]) -> tuple[Any, ...]:
    return table.organization_id.is_(None), table.deleted_at.is_(None)


def _named(names: dict[Pair, Any], row: Budget | RateLimit) -> str:
    return f"{row.scope.value} {names[row.scope, row.subject_id].name}".removesuffix(" everyone")
