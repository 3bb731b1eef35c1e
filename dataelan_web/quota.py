"""Limits that hold: reserve the most an attempt can cost, settle the true cost, release what was never sent.

One guarded UPDATE a budget, all in the transaction that records the attempt, in a fixed order (so that two
attempts can never wait for each other) and last (so that a hot row is locked briefly). PostgreSQL's clock
decides the window. A reservation charges the window in which it was made.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from .models import (
    NANO,
    Budget,
    BudgetPeriod,
    Hold,
    LedgerEntry,
    Organization,
    Reservation,
    ReservationState,
    Scope,
    Unit,
    Window,
    new_id,
)
from .models.base import NIL, DbSession
from .models.executions import Payer

GRACE = timedelta(minutes=20)
"""How long past its making a hold may stand before the sweeper ends it: longer than any call may last."""


@dataclass(frozen=True)
class Subjects:
    """Whom a call is counted against."""

    organization_id: uuid.UUID
    project_id: uuid.UUID
    user_id: uuid.UUID | None
    token_id: uuid.UUID | None
    key_id: uuid.UUID | None
    provider_id: uuid.UUID | None
    model_id: uuid.UUID | None
    payer: Payer

    @property
    def pairs(self) -> list[tuple[Scope, uuid.UUID]]:
        named = {
            Scope.ORGANIZATION: self.organization_id,
            Scope.PROJECT: self.project_id,
            Scope.MEMBER: self.user_id,
            Scope.TOKEN: self.token_id,
            Scope.KEY: self.key_id,
            Scope.PROVIDER: self.provider_id,
            Scope.MODEL: self.model_id,
            # Spend from an organization's own keys never counts against the platform's limits.
            Scope.PLATFORM: NIL if self.payer is Payer.PLATFORM else None,
        }
        return [(scope, id) for scope, id in named.items() if id is not None]


class OverLimit(Exception):
    """A hard limit has less left than was asked for. `left` is what may still be reserved, in nano-USD."""

    def __init__(self, budget: Budget, period: BudgetPeriod):
        self.budget, self.ends_at = budget, period.ends_at
        self.left = max(0, budget.limit - period.spent - period.reserved)
        super().__init__(self.message)

    @property
    def message(self) -> str:
        resets = f" It resets on {self.ends_at:%d %B %Y at %H:%M} UTC." if self.ends_at else ""
        whose = {Scope.KEY: "API key", Scope.TOKEN: "gateway token"}.get(self.budget.scope, self.budget.scope.value)
        per = "in all" if self.budget.window is Window.TOTAL else f"per {self.budget.window.value}"
        return (
            f"The {whose}'s limit of {usd(self.budget.limit)} {per} has {usd(self.left)} left, "
            f"less than this prompt may cost.{resets}"
        )


def usd(nano: int) -> str:
    """Exact, without a tail of zeros: $5.00, $0.0004125."""
    whole, part = divmod(nano, NANO)
    digits = f"{part:09d}".rstrip("0").ljust(2, "0")
    return f"${whole:,}.{digits}"


def applicable(session: DbSession, subjects: Subjects) -> Sequence[Budget]:
    """Every limit that counts this call, in the one order in which all are locked."""
    mine = or_(*(and_(Budget.scope == scope, Budget.subject_id == id) for scope, id in subjects.pairs))
    ours = or_(Budget.organization_id == subjects.organization_id, Budget.organization_id.is_(None))
    return session.scalars(select(Budget).where(mine, ours).order_by(Budget.id)).all()


def reserve(
    session: DbSession, budgets: Sequence[Budget], execution_id: uuid.UUID, attempt_id: uuid.UUID, amount: int
) -> None:
    """Hold `amount` against every budget or none. Raises OverLimit; the caller rolls back."""
    if not budgets:
        return
    now, zone = _clock(session, budgets)
    periods = [_period(session, budget, now, zone) for budget in budgets]
    reservation_id = new_id()
    session.add(
        Reservation(
            id=reservation_id,
            attempt_id=attempt_id,
            execution_id=execution_id,
            amount=amount,
            expires_at=now + GRACE,
            holds=[Hold(period_id=period_id, amount=amount) for period_id in periods],
        )
    )
    session.flush()
    for budget, period_id in zip(budgets, periods, strict=True):
        _hold(session, budget, period_id, amount)


def settle(session: DbSession, attempt_id: uuid.UUID, entry: LedgerEntry | None) -> None:
    """End a reservation with what was truly spent, and write the ledger's line. Safe to run twice: the second
    time finds nothing held, and the ledger takes one charge an attempt."""
    spent = entry.amount if entry else 0
    if entry:
        written = session.scalar(
            insert(LedgerEntry)
            .values(
                id=new_id(),
                created_at=func.now(),
                organization_id=entry.organization_id,
                attempt_id=attempt_id,
                kind=entry.kind,
                payer=entry.payer,
                amount=entry.amount,
                price_id=entry.price_id,
                note=entry.note or "",
            )
            .on_conflict_do_nothing()
            .returning(LedgerEntry.id)
        )
        spent = spent if written else 0
    _end(session, attempt_id, ReservationState.SETTLED, spent)


def void(session: DbSession, attempt_id: uuid.UUID) -> None:
    """Release a hold whose request surely never reached the provider."""
    _end(session, attempt_id, ReservationState.VOIDED, 0)


def held(session: DbSession, attempt_id: uuid.UUID) -> int | None:
    """What is held for an attempt; None: nothing."""
    amount: int | None = session.scalar(
        select(Reservation.amount).where(
            Reservation.attempt_id == attempt_id, Reservation.state == ReservationState.HELD
        )
    )
    return amount


def prolong(session: DbSession, attempt_id: uuid.UUID) -> None:
    """A hold's time begins anew: what it is held for still goes on."""
    session.execute(
        update(Reservation)
        .where(Reservation.attempt_id == attempt_id, Reservation.state == ReservationState.HELD)
        .values(expires_at=func.now() + GRACE)
        .execution_options(synchronize_session=False)
    )


def used_percent(session: DbSession, subjects: Subjects) -> int:
    """How much of the tightest limit that counts these subjects is spent or held now, 0 to 100; 0: none does."""
    budgets = applicable(session, subjects)
    if not budgets:
        return 0
    now, zone = _clock(session, budgets)
    starts = {budget.id: window_of(budget.window, now, zone)[0] for budget in budgets}
    rows = session.execute(
        select(BudgetPeriod.budget_id, BudgetPeriod.starts_at, BudgetPeriod.spent + BudgetPeriod.reserved).where(
            BudgetPeriod.budget_id.in_(starts)
        )
    ).all()
    used = {budget_id: sum_ for budget_id, starts_at, sum_ in rows if starts_at == starts[budget_id]}
    return max(
        100 if not budget.limit else min(100, 100 * used.get(budget.id, 0) // budget.limit) for budget in budgets
    )


def set_limit(
    session: DbSession,
    organization_id: uuid.UUID | None,
    scope: Scope,
    subject_id: uuid.UUID,
    window: Window,
    limit: int,
) -> Budget:
    """Make or change a budget. Lowering it under what is spent breaks nothing; it only refuses what comes."""
    budget = session.scalars(
        select(Budget).where(
            Budget.organization_id == organization_id,
            Budget.scope == scope,
            Budget.subject_id == subject_id,
            Budget.window == window,
            Budget.unit == Unit.USD,
        )
    ).first()
    if budget is None:
        budget = Budget(organization_id=organization_id, scope=scope, subject_id=subject_id, window=window)
        session.add(budget)
    budget.limit = limit
    session.flush()
    return budget


def window_of(window: Window, now: datetime, zone: ZoneInfo) -> tuple[datetime, datetime | None]:
    """The window that `now` lies in, by the calendar of `zone`: [start, end), in UTC. Weeks start on Monday."""
    if window is Window.TOTAL:
        return datetime(1970, 1, 1, tzinfo=UTC), None
    # fold=0: where clocks go back over midnight, the day begins at its first midnight, whichever `now` is after.
    day = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if window is Window.WEEK:
        day -= timedelta(days=day.weekday())
        end = day + timedelta(days=7)
    elif window is Window.MONTH:
        day = day.replace(day=1)
        end = (day + timedelta(days=32)).replace(day=1)
    else:
        end = day + timedelta(days=1)
    return day.astimezone(UTC), end.astimezone(UTC)


def _clock(session: DbSession, budgets: Sequence[Budget]) -> tuple[datetime, ZoneInfo]:
    organization_id = next((budget.organization_id for budget in budgets if budget.organization_id), None)
    now, zone = session.execute(
        select(func.now(), select(Organization.time_zone).where(Organization.id == organization_id).scalar_subquery())
    ).one()
    return now, ZoneInfo(zone or "UTC")


def _period(session: DbSession, budget: Budget, now: datetime, zone: ZoneInfo) -> uuid.UUID:
    starts_at, ends_at = window_of(budget.window, now, zone)
    session.execute(
        insert(BudgetPeriod)
        .values(
            id=new_id(), created_at=now, budget_id=budget.id, starts_at=starts_at, ends_at=ends_at, spent=0, reserved=0
        )
        .on_conflict_do_nothing()
    )
    period_id: uuid.UUID = session.scalars(
        select(BudgetPeriod.id).where(BudgetPeriod.budget_id == budget.id, BudgetPeriod.starts_at == starts_at)
    ).one()
    return period_id


def _hold(session: DbSession, budget: Budget, period_id: uuid.UUID, amount: int) -> None:
    fits = BudgetPeriod.spent + BudgetPeriod.reserved + amount <= Budget.limit
    held = session.scalar(
        update(BudgetPeriod)
        .where(BudgetPeriod.id == period_id, Budget.id == BudgetPeriod.budget_id, or_(~Budget.is_hard, fits))
        .values(reserved=BudgetPeriod.reserved + amount)
        .returning(BudgetPeriod.id)
        .execution_options(synchronize_session=False)
    )
    if held is None:
        period = session.scalars(
            select(BudgetPeriod).where(BudgetPeriod.id == period_id).execution_options(populate_existing=True)
        ).one()
        raise OverLimit(session.get(Budget, budget.id, populate_existing=True) or budget, period)


def _end(session: DbSession, attempt_id: uuid.UUID, state: ReservationState, spent: int) -> None:
    ended = session.execute(
        update(Reservation)
        .where(Reservation.attempt_id == attempt_id, Reservation.state == ReservationState.HELD)
        .values(state=state)
        .returning(Reservation.id, Reservation.amount)
        .execution_options(synchronize_session=False)
    ).first()
    if ended is None:
        return
    periods = session.scalars(
        select(BudgetPeriod.id)
        .join(Hold, Hold.period_id == BudgetPeriod.id)
        .where(Hold.reservation_id == ended.id)
        .order_by(BudgetPeriod.budget_id)
    ).all()
    for period_id in periods:
        session.execute(
            update(BudgetPeriod)
            .where(BudgetPeriod.id == period_id)
            .values(
                reserved=BudgetPeriod.reserved - ended.amount,
                spent=BudgetPeriod.spent + spent,
            )
            .execution_options(synchronize_session=False)
        )
