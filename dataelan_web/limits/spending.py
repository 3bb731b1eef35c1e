"""What the ledger says of one limit's subject: how much was used in a window, and by which models and people."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select

from ..extensions import db
from ..models import Attempt, EntryKind, Execution, LedgerEntry, Organization, Payer, Scope, Unit, User
from ..quota import Standing
from . import place

BIGGEST = 5
COLUMNS: dict[Scope, Any] = {
    Scope.PROJECT: Execution.project_id,
    Scope.MEMBER: Execution.user_id,
    Scope.TOKEN: Execution.token_id,
    Scope.KEY: Attempt.api_key_id,
    Scope.PROVIDER: Attempt.provider_id,
    Scope.MODEL: Attempt.model_id,
}
USED: dict[Unit, ColumnElement[int]] = {
    Unit.USD: func.coalesce(func.sum(LedgerEntry.amount), 0),
    Unit.TOKENS: func.coalesce(func.sum(LedgerEntry.tokens), 0),
    Unit.REQUESTS: func.count().filter(LedgerEntry.kind == EntryKind.CHARGE),
}
COUNTS = LedgerEntry.payer != Payer.ORGANIZATION
"""What the operator's limits count."""


@dataclass(frozen=True)
class Share:
    """What one model or person used, in the limit's unit, and its part of all that was used, in percent."""

    name: str
    used: int
    percent: float


@dataclass(frozen=True)
class Spenders:
    models: Sequence[Share]
    people: Sequence[Share]
    """Or organizations, under a limit that counts several."""


def already(scope: Scope, subject_id: uuid.UUID, unit: Unit, starts_at: datetime) -> int:
    """Used since then, by this organization; for a limit of the operator's by all, as far as it counts them."""
    query = _charges(scope, subject_id).where(*_since(starts_at))
    query = query.where(COUNTS) if place.is_operators() else query
    return int(db.session.scalar(query.with_only_columns(USED[unit], maintain_column_froms=True)) or 0)


def spenders(standing: Standing, *, people: bool) -> Spenders:
    """The biggest of its window; of people only where they are asked for."""
    budget, ends_at = standing.budget, standing.ends_at
    charges = _charges(budget.scope, budget.subject_id).where(*_since(standing.starts_at))
    if ends_at is not None:
        charges = charges.where(LedgerEntry.created_at < ends_at)
    if budget.organization_id is None:
        charges = charges.where(COUNTS)
    models = _biggest(charges, budget.unit, Attempt.provider_name + " / " + Attempt.model_name)
    if not people:
        return Spenders(models, ())
    if place.is_operators():
        homes = charges.join(Organization, Organization.id == LedgerEntry.organization_id)
        return Spenders(models, _biggest(homes.group_by(Organization.id), budget.unit, Organization.name))
    who = func.coalesce(User.name, "Programs, through the gateway")
    return Spenders(models, _biggest(charges.outerjoin(User, User.id == Execution.user_id), budget.unit, who))


def _biggest(charges: Select[Any], unit: Unit, name: Any) -> list[Share]:
    used = USED[unit]
    total = func.sum(used).over()
    query = charges.with_only_columns(name, used, total, maintain_column_froms=True).group_by(name)
    rows = db.session.execute(query.having(used > 0).order_by(used.desc(), name).limit(BIGGEST))
    return [Share(name, int(amount), 100 * float(amount) / float(all_)) for name, amount, all_ in rows]


def _since(starts_at: datetime) -> tuple[ColumnElement[bool], ...]:
    """Of calls that began then or later: what began before counts in the window before, whenever it ended."""
    return LedgerEntry.created_at >= starts_at, Attempt.started_at >= starts_at


def _charges(scope: Scope, subject_id: uuid.UUID) -> Select[Any]:
    query = (
        select(LedgerEntry.id)
        .join(Attempt, Attempt.id == LedgerEntry.attempt_id)
        .join(Execution, Execution.id == Attempt.execution_id)
    )
    if (owner := place.owner_id()) is not None:
        query = query.where(LedgerEntry.organization_id == owner)
    elif scope is Scope.ORGANIZATION:
        query = query.where(LedgerEntry.organization_id == subject_id)
    return query.where(COLUMNS[scope] == subject_id) if scope in COLUMNS else query
