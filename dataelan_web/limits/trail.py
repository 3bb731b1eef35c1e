"""What a run came to in the books: its lines of the ledger, and what was held for its calls against which limits.

Who reads the run reads what it cost; limits are named to those who may see them, and counted for the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from .. import access
from ..extensions import db
from ..models import Attempt, Budget, BudgetPeriod, Execution, Hold, LedgerEntry, Reservation, ReservationState, User
from .subjects import Subject, names_of


@dataclass(frozen=True)
class Held:
    """For one call, against one limit; in the limit's unit."""

    number: int
    """Of the call."""
    budget: Budget
    subject: Subject
    amount: int
    is_still: bool


@dataclass(frozen=True)
class Trail:
    charges: Sequence[Any]
    """(number of the call, LedgerEntry, who corrected)"""
    held: Sequence[Held]
    hidden: int
    """Limits that the signed-in person may not see."""

    def __bool__(self) -> bool:
        return bool(self.charges or self.held or self.hidden)


def trail(run: Execution) -> Trail:
    charges = (
        select(Attempt.number, LedgerEntry, User.name.label("by"))
        .join(LedgerEntry, LedgerEntry.attempt_id == Attempt.id)
        .outerjoin(User, User.id == LedgerEntry.created_by)
        .where(Attempt.execution_id == run.id)
        .order_by(Attempt.number, LedgerEntry.id)
    )
    holds = (
        select(Attempt.number, Hold.amount, Reservation.state, Budget)
        .join(Reservation, Reservation.attempt_id == Attempt.id)
        .join(Hold, Hold.reservation_id == Reservation.id)
        .join(BudgetPeriod, BudgetPeriod.id == Hold.period_id)
        .join(Budget, Budget.id == BudgetPeriod.budget_id)
        .where(Attempt.execution_id == run.id)
        .order_by(Attempt.number, Budget.id)
    )
    rows = db.session.execute(holds).all()
    ids = {budget.id for *_, budget in rows}
    seen = (
        set(db.session.scalars(access.scoped(Budget).with_only_columns(Budget.id).where(Budget.id.in_(ids))))
        if ids
        else set()
    )
    names = names_of((budget.scope, budget.subject_id) for *_, budget in rows if budget.id in seen)
    held = [
        Held(number, budget, names[budget.scope, budget.subject_id], amount, state is ReservationState.HELD)
        for number, amount, state, budget in rows
        if budget.id in seen
    ]
    return Trail(db.session.execute(charges).all(), held, len(ids - seen))
