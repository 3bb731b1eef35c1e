"""The ledger and what limits make of it: corrections, and whether the two agree."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, case, cast, func, or_, select, update

from ..models import (
    Attempt,
    BatchCell,
    Budget,
    BudgetPeriod,
    CellState,
    EntryKind,
    Execution,
    Hold,
    LedgerEntry,
    Reservation,
    ReservationState,
    Scope,
    Unit,
    Window,
    new_id,
)
from ..models.base import DbSession
from ..models.executions import OPEN
from .openings import WrongOpening, first_windows, wrong_openings
from .setting import USED

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Drift:
    """A window whose sums are not what the ledger and the holds say. Amounts are in the budget's unit."""

    period_id: uuid.UUID
    budget_id: uuid.UUID
    scope: Scope
    window: Window
    unit: Unit
    starts_at: datetime
    spent: int
    reserved: int
    spent_by_the_ledger: int
    held: int
    """The sum of what is held."""
    opening: int
    opening_by_the_ledger: int
    """The same, where nobody looked (openings)."""

    def __str__(self) -> str:
        return (
            f"{self.scope} {self.window} of {self.starts_at:%Y-%m-%d %H:%M} UTC in {self.unit} (budget"
            f" {self.budget_id}): spent {self.spent}, by the ledger {self.spent_by_the_ledger};"
            f" reserved {self.reserved}, held {self.held}"
            + (
                f"; at its beginning {self.opening}, by the ledger {self.opening_by_the_ledger}"
                if self.opening != self.opening_by_the_ledger
                else ""
            )
        )


def drift(
    session: DbSession,
    *,
    ended_after: timedelta | None = None,
    of: Collection[uuid.UUID] | None = None,
    openings: Collection[WrongOpening] = (),
) -> list[Drift]:
    """Every window that does not agree with the ledger: spent = opening + the lines of the calls that were held
    against it, reserved = what is held. In one statement, so of one moment.

    `ended_after`: not those that ended longer ago, which nothing charges any more. `of`: of these budgets only.
    `openings` that were found wrong: these windows drifted as well, and were spent by as much less, or more.
    """
    looked_at = select(BudgetPeriod.id)
    if ended_after is not None:
        is_recent = or_(BudgetPeriod.ends_at.is_(None), BudgetPeriod.ends_at > func.now() - ended_after)
        looked_at = looked_at.where(is_recent)
    if of is not None:
        looked_at = looked_at.where(BudgetPeriod.budget_id.in_(of))
    line = _CHARGED.where(Hold.period_id.in_(looked_at)).subquery()
    held = _HELD.where(Hold.period_id.in_(looked_at)).subquery()
    wrong = {one.period_id: one for one in openings}
    spent_by_the_ledger = BudgetPeriod.opening + _whole(line.c.sum)
    query = (
        select(
            BudgetPeriod.id,
            BudgetPeriod.budget_id,
            Budget.scope,
            Budget.window,
            Budget.unit,
            BudgetPeriod.starts_at,
            BudgetPeriod.spent,
            BudgetPeriod.reserved,
            spent_by_the_ledger,
            _whole(held.c.sum),
            BudgetPeriod.opening,
            BudgetPeriod.opening.label("opening_by_the_ledger"),
        )
        .join(Budget, Budget.id == BudgetPeriod.budget_id)
        .outerjoin(line, line.c.period_id == BudgetPeriod.id)
        .outerjoin(held, held.c.period_id == BudgetPeriod.id)
        .where(BudgetPeriod.id.in_(looked_at))
        .where(
            or_(
                BudgetPeriod.spent != spent_by_the_ledger,
                BudgetPeriod.reserved != _whole(held.c.sum),
                BudgetPeriod.id.in_(wrong),
            )
        )
        .order_by(BudgetPeriod.budget_id, BudgetPeriod.starts_at)
    )
    rows: Sequence[Any] = session.execute(query).all()
    return [_with_opening(Drift(*row), wrong.get(row.id)) for row in rows]


def _with_opening(found: Drift, wrong: WrongOpening | None) -> Drift:
    if wrong is None:
        return found
    spent = found.spent_by_the_ledger - found.opening + wrong.by_the_ledger
    return replace(found, spent_by_the_ledger=spent, opening_by_the_ledger=wrong.by_the_ledger)


_COUNTED = case(
    (Budget.unit == Unit.USD, USED[Unit.USD]),
    (Budget.unit == Unit.TOKENS, USED[Unit.TOKENS]),
    else_=USED[Unit.REQUESTS],
)
_CHARGED = (
    select(Hold.period_id, func.sum(_COUNTED).label("sum"))
    .join(Reservation, Reservation.id == Hold.reservation_id)
    .join(LedgerEntry, LedgerEntry.attempt_id == Reservation.attempt_id)
    .join(BudgetPeriod, BudgetPeriod.id == Hold.period_id)
    .join(Budget, Budget.id == BudgetPeriod.budget_id)
    .group_by(Hold.period_id)
)
_HELD = (
    select(Hold.period_id, func.sum(Hold.amount).label("sum"))
    .join(Reservation, Reservation.id == Hold.reservation_id)
    .where(Reservation.state == ReservationState.HELD)
    .group_by(Hold.period_id)
)


def _whole(sum_: Any) -> ColumnElement[int]:
    return cast(func.coalesce(sum_, 0), BigInteger)


def mend(session: DbSession) -> list[Drift]:
    """Set what drifted to what the ledger and the holds say, openings as well, and log each. Returns what it was. The
    caller commits."""
    openings = wrong_openings(session, first_windows(session))
    suspected = {one.budget_id for one in drift(session, openings=openings)}
    rows = select(BudgetPeriod.id).where(BudgetPeriod.budget_id.in_(suspected))
    session.execute(rows.order_by(BudgetPeriod.budget_id, BudgetPeriod.starts_at).with_for_update())
    found = drift(session, of=suspected, openings=openings)  # with nobody else charging them any more
    for one in found:
        session.execute(
            update(BudgetPeriod)
            .where(BudgetPeriod.id == one.period_id)
            .values(spent=one.spent_by_the_ledger, reserved=one.held, opening=one.opening_by_the_ledger)
        )
        log.warning("ledger.mended %s", one)
    return found


def correct(
    session: DbSession, attempt_id: uuid.UUID, amount: int, note: str, by: uuid.UUID | None, tokens: int = 0
) -> LedgerEntry:
    """A further line for what an attempt was charged too little, or too much (less than nothing): nano-USD, tokens.
    It counts in the windows that the call was held against, in its cost, and in the table of its batch. Raises
    ValueError where the call or its run has not ended, and where it would come to less than nothing. The caller
    commits."""
    execution_id = session.scalars(select(Attempt.execution_id).where(Attempt.id == attempt_id)).one()
    execution = session.get_one(Execution, execution_id, with_for_update={"key_share": True})
    attempt = session.get_one(Attempt, attempt_id, with_for_update={"key_share": True})
    reservation = session.scalars(
        select(Reservation).where(Reservation.attempt_id == attempt_id).with_for_update()
    ).first()
    lines = select(func.sum(LedgerEntry.amount), func.sum(LedgerEntry.tokens))
    charged, used = session.execute(lines.where(LedgerEntry.attempt_id == attempt_id)).one()
    if execution.state in OPEN:  # its worker knows what its calls came to, and writes their sum
        raise ValueError("This run has not ended yet.")
    if attempt.ended_at is None or (reservation and reservation.state is ReservationState.HELD):
        raise ValueError("This call has not ended yet.")
    if (charged or 0) + amount < 0 or (used or 0) + tokens < 0:
        raise ValueError("A call cannot come to less than nothing.")
    attempt.cost = int(charged or 0) + amount
    costs = session.scalars(select(Attempt.cost).where(Attempt.execution_id == execution.id)).all()
    before, execution.cost = execution.cost or 0, None if None in costs else sum(cost or 0 for cost in costs)
    if execution.cost is not None:
        _count_in_cell(session, execution.id, execution.cost - before)
    line = LedgerEntry(
        id=new_id(),
        organization_id=execution.organization_id,
        attempt_id=attempt_id,
        price_id=attempt.price_id,
        kind=EntryKind.CORRECTION,
        payer=attempt.payer,
        amount=amount,
        tokens=tokens,
        note=note,
        created_by=by,
    )
    session.add(line)
    session.flush()
    if reservation:
        _count(session, reservation.id, {Unit.USD: amount, Unit.TOKENS: tokens})
    return line


def _count_in_cell(session: DbSession, execution_id: uuid.UUID, more: int) -> None:
    """A batch's table sums up what its runs cost as they are settled; one that is not yet will have it then."""
    cell = update(BatchCell).where(BatchCell.execution_id == execution_id, BatchCell.state != CellState.RUNNING)
    session.execute(cell.values(cost=func.coalesce(BatchCell.cost, 0) + more))


def _count(session: DbSession, reservation_id: uuid.UUID, more: dict[Unit, int]) -> None:
    rows = session.execute(
        select(BudgetPeriod.id, Budget.unit)
        .join(Hold, Hold.period_id == BudgetPeriod.id)
        .join(Budget, Budget.id == BudgetPeriod.budget_id)
        .where(Hold.reservation_id == reservation_id)
        .order_by(BudgetPeriod.budget_id, BudgetPeriod.starts_at)
        .with_for_update(of=BudgetPeriod)
    ).all()
    for id, unit in rows:
        period = update(BudgetPeriod).where(BudgetPeriod.id == id)
        session.execute(period.values(spent=BudgetPeriod.spent + more.get(unit, 0)))
