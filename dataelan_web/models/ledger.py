"""Money: limits, what is held against them, and an append-only ledger. All amounts in nano-USD."""

from __future__ import annotations

import uuid
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .base import Base, Long, Nano, Time, parent, reference
from .executions import Payer


class Scope(StrEnum):
    PLATFORM = "platform"
    ORGANIZATION = "organization"
    PROJECT = "project"
    MEMBER = "member"
    KEY = "key"
    TOKEN = "token"  # noqa: S105 (a scope, not a secret)
    PROVIDER = "provider"
    MODEL = "model"


class Window(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TOTAL = "total"


class Budget(Base):
    """A limit on what one subject may spend in each window, in the organization's time zone."""

    __tablename__ = "budgets"
    __table_args__ = (
        UniqueConstraint("scope", "subject_id", "window"),
        Index("ix_budgets_subject_id", "subject_id"),
        CheckConstraint('"limit" >= 0', name="limit_is_not_negative"),
    )

    organization_id: Mapped[uuid.UUID | None] = parent("organizations.id")
    scope: Mapped[Scope]
    subject_id: Mapped[uuid.UUID]
    """The organization, project, member …; the nil id for the platform."""
    window: Mapped[Window]
    limit: Mapped[Nano]
    is_hard: Mapped[bool] = mapped_column(default=True)
    created_by: Mapped[uuid.UUID | None] = reference("users.id")


class BudgetPeriod(Base):
    """One window of one budget: what was spent in it and what is held. `spent + reserved ≤ limit` at every commit."""

    __tablename__ = "budget_periods"
    __table_args__ = (
        UniqueConstraint("budget_id", "starts_at"),
        CheckConstraint("spent >= 0", name="spent_is_not_negative"),
        CheckConstraint("reserved >= 0", name="reserved_is_not_negative"),
    )

    budget_id: Mapped[uuid.UUID] = parent("budgets.id", index=False)
    starts_at: Mapped[Time]
    ends_at: Mapped[Time | None]
    spent: Mapped[Nano] = mapped_column(default=0)
    reserved: Mapped[Nano] = mapped_column(default=0)

    budget: Mapped[Budget] = relationship()


class ReservationState(StrEnum):
    HELD = "held"
    SETTLED = "settled"
    VOIDED = "voided"


class Reservation(Base):
    """An attempt's upper bound, held against every limit that applies until the true cost is known."""

    __tablename__ = "reservations"
    __table_args__ = (
        Index("ix_reservations_held", "expires_at", postgresql_where=text("state = 'held'")),
        CheckConstraint("amount >= 0", name="amount_is_not_negative"),
    )

    attempt_id: Mapped[uuid.UUID] = parent("attempts.id", index=False, unique=True)
    execution_id: Mapped[uuid.UUID] = parent("executions.id")
    state: Mapped[ReservationState] = mapped_column(default=ReservationState.HELD)
    amount: Mapped[Nano]
    expires_at: Mapped[Time]

    holds: Mapped[list[Hold]] = relationship(cascade="all, delete-orphan")


class Hold(Base):
    """A reservation's share of one budget period; it charges the period in which it was made."""

    __tablename__ = "holds"
    __table_args__ = (UniqueConstraint("reservation_id", "period_id"),)

    reservation_id: Mapped[uuid.UUID] = parent("reservations.id", index=False)
    period_id: Mapped[uuid.UUID] = parent("budget_periods.id")


class EntryKind(StrEnum):
    CHARGE = "charge"
    CORRECTION = "correction"


class LedgerEntry(Base):
    """What was spent. Append-only: a mistake is mended by a further line. One charge an attempt at most."""

    __tablename__ = "ledger_entries"
    __table_args__ = (
        Index("uq_ledger_entries_charge", "attempt_id", unique=True, postgresql_where=text("kind = 'charge'")),
        Index("ix_ledger_entries_organization_id_created_at", "organization_id", "created_at"),
    )

    # No cascade: nothing that was paid for can be deleted from under its line.
    organization_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organizations.id"))
    attempt_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("attempts.id"))
    kind: Mapped[EntryKind] = mapped_column(default=EntryKind.CHARGE)
    payer: Mapped[Payer]
    amount: Mapped[Nano]
    price_id: Mapped[uuid.UUID | None] = reference("prices.id")
    note: Mapped[Long] = mapped_column(default="")
