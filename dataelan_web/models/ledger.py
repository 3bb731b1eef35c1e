"""Money that is held for calls and money that was spent: reservations, and an append-only ledger. In nano-USD."""

from __future__ import annotations

import uuid
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .base import Base, Long, Nano, Time, parent
from .executions import Payer


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
    tokens: Mapped[Nano] = mapped_column(default=0)
    """The most it may use, of all classes together."""
    expires_at: Mapped[Time]

    holds: Mapped[list[Hold]] = relationship(cascade="all, delete-orphan")


class Hold(Base):
    """A reservation's share of one budget period, in that budget's unit; it charges the period in which it was made."""

    __tablename__ = "holds"
    __table_args__ = (UniqueConstraint("reservation_id", "period_id"),)

    reservation_id: Mapped[uuid.UUID] = parent("reservations.id", index=False)
    period_id: Mapped[uuid.UUID] = parent("budget_periods.id")
    amount: Mapped[Nano]


class EntryKind(StrEnum):
    CHARGE = "charge"
    CORRECTION = "correction"


class LedgerEntry(Base):
    """What was spent. Append-only, by a trigger: a mistake is mended by a further line. One charge an attempt at most.

    A call that cost nothing has a line too where a limit counted it, for its tokens.
    """

    __tablename__ = "ledger_entries"
    __table_args__ = (
        Index("uq_ledger_entries_charge", "attempt_id", unique=True, postgresql_where=text("kind = 'charge'")),
        Index("ix_ledger_entries_organization_id_created_at", "organization_id", "created_at"),
        Index("ix_ledger_entries_attempt_id", "attempt_id"),
        Index("ix_ledger_entries_created_at", "created_at", postgresql_using="brin"),  # they are written in its order
    )

    # No cascade: nothing that was paid for can be deleted from under its line.
    organization_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organizations.id"))
    attempt_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("attempts.id"))
    price_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("prices.id"))
    kind: Mapped[EntryKind] = mapped_column(default=EntryKind.CHARGE)
    payer: Mapped[Payer]
    amount: Mapped[Nano]
    tokens: Mapped[Nano] = mapped_column(default=0)
    note: Mapped[Long] = mapped_column(default="")
    """Of a charge: “estimated”, “overrun” (more than was held), both or neither. Of a correction: why."""
    created_by: Mapped[uuid.UUID | None]
    """Who made a correction. No foreign key: it would have to change the line when that person goes."""
