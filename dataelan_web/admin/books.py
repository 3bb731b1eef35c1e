"""Limits that do not agree with the ledger, for superusers: which, by how much, since when."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from ..executions import bookkeeping
from ..extensions import db
from ..limits.words import A, amount
from ..models import LedgerDrift, Organization


@dataclass(frozen=True)
class Line:
    """One window. Amounts in words: (what it is, what the limit says, what the ledger says, by how much it is off)."""

    home: str
    limit: str
    starts_at: datetime
    since: datetime
    amounts: Sequence[tuple[str, str, str, str]]


def count() -> int:
    return db.session.scalar(select(func.count(LedgerDrift.id))) or 0


def lines() -> list[Line]:
    found = bookkeeping.standing()
    ids = {row.period.budget.organization_id for row in found}
    rows = db.session.execute(select(Organization.id, Organization.name).where(Organization.id.in_(ids)))
    names: dict[uuid.UUID | None, str] = {row[0]: row[1] for row in rows}
    return [_line(row, names.get(row.period.budget.organization_id) or "The operator’s") for row in found]


def _line(row: LedgerDrift, home: str) -> Line:
    budget = row.period.budget
    pairs = (
        ("Spent", row.spent, row.spent_by_the_ledger),
        ("Held", row.reserved, row.held),
        ("Spent before the limit was made", row.opening, row.opening_by_the_ledger),
    )
    amounts = [
        (what, amount(says, budget.unit), amount(is_, budget.unit), _off(says - is_, row))
        for what, says, is_ in pairs
        if says != is_
    ]
    limit = f"{budget.scope.value.capitalize()}, {A[budget.window]}"
    return Line(home, limit, row.period.starts_at, row.created_at, amounts)


def _off(difference: int, row: LedgerDrift) -> str:
    return f"{amount(abs(difference), row.period.budget.unit)} too {'much' if difference > 0 else 'little'}"
