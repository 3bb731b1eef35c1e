"""What the ledger says of one limit's subject: how much was used in a window, and by which models and people."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select

from .. import quota
from ..extensions import db
from ..models import Attempt, EntryKind, Execution, LedgerEntry, Organization, Scope, Unit, User
from ..quota import Standing
from . import place

BIGGEST = 5
USED: dict[Unit, ColumnElement[int]] = {
    Unit.USD: func.coalesce(func.sum(LedgerEntry.amount), 0),
    Unit.TOKENS: func.coalesce(func.sum(LedgerEntry.tokens), 0),
    Unit.REQUESTS: func.count().filter(LedgerEntry.kind == EntryKind.CHARGE),
}


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
    query = _charges(quota.counts_for(scope, unit, place.owner_id(), subject_id)).where(*_since(starts_at))
    return int(db.session.scalar(query.with_only_columns(USED[unit], maintain_column_froms=True)) or 0)


def spenders(standing: Standing, *, people: bool) -> Spenders:
    """The biggest of its window; of people only where they are asked for."""
    budget, ends_at = standing.budget, standing.ends_at
    counted = quota.counts_for(budget.scope, budget.unit, budget.organization_id, budget.subject_id)
    charges = _charges(counted).where(*_since(standing.starts_at))
    if ends_at is not None:
        charges = charges.where(LedgerEntry.created_at < ends_at)
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


def _charges(counted: ColumnElement[bool]) -> Select[Any]:
    """Lines that a limit counts, by the rule that it counts by; to an organization none but its own."""
    query = (
        select(LedgerEntry.id)
        .join(Attempt, Attempt.id == LedgerEntry.attempt_id)
        .join(Execution, Execution.id == Attempt.execution_id)
        .where(counted)
    )
    owner = place.owner_id()
    return query if owner is None else query.where(LedgerEntry.organization_id == owner)
