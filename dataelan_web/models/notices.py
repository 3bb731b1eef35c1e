"""What Dataelan tells people by itself: notices in the product, and the same to programs and mailboxes."""

from __future__ import annotations

import uuid
from enum import StrEnum

from sqlalchemy import Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .base import Base, Json, JsonList, Long, Name, Time, Trashable, in_trash, now, parent, reference


class Notice(Base):
    """A word to one person. `key` names what it is about, so that nobody is told the same twice."""

    __tablename__ = "notices"
    __table_args__ = (
        UniqueConstraint("user_id", "key"),
        Index("ix_notices_user_id_created_at", "user_id", "created_at"),
        Index("ix_notices_unread", "user_id", postgresql_where=text("read_at IS NULL")),
    )

    organization_id: Mapped[uuid.UUID] = parent("organizations.id")
    user_id: Mapped[uuid.UUID] = parent("users.id", index=False)
    key: Mapped[Name]
    kind: Mapped[Name]
    """`limit.reached`, `increase.asked`, `increase.answered` …"""
    title: Mapped[Name]
    body: Mapped[Long] = mapped_column(default="")
    path: Mapped[Long] = mapped_column(default="")
    """Where to go from here: a path on this site."""
    read_at: Mapped[Time | None]


class Webhook(Trashable, Base):
    """An organization's program to be told: signed as Standard Webhooks say. `ciphertext`: its secret (secrets.py). One
    in the trash is told nothing, and keeps its secret until it goes for good."""

    __tablename__ = "webhooks"
    __table_args__ = (in_trash("webhooks"),)

    organization_id: Mapped[uuid.UUID] = parent("organizations.id")
    label: Mapped[Name]
    url: Mapped[Long]
    ciphertext: Mapped[Long]
    previous_ciphertext: Mapped[Long] = mapped_column(default="")
    """The secret before, which signs too for a day after `rotated_at`."""
    rotated_at: Mapped[Time | None]
    events: Mapped[JsonList] = mapped_column(default=list)
    """Which kinds of notices it wants; empty: all."""
    is_enabled: Mapped[bool] = mapped_column(default=True)
    created_by: Mapped[uuid.UUID | None] = reference("users.id")

    @property
    def is_told(self) -> bool:
        return self.is_enabled and self.deleted_at is None


class DeliveryState(StrEnum):
    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


class Delivery(Base):
    """One message on its way out: to a webhook, or by mail where there is none. Tried again with growing pauses."""

    __tablename__ = "deliveries"
    __table_args__ = (
        Index("ix_deliveries_waiting", "next_at", postgresql_where=text("state = 'waiting'")),
        Index("ix_deliveries_organization_id_created_at", "organization_id", "created_at"),
        Index("uq_deliveries_key", "webhook_id", "key", unique=True),
    )

    organization_id: Mapped[uuid.UUID | None] = parent("organizations.id", index=False)
    """None: a letter about somebody's account."""
    webhook_id: Mapped[uuid.UUID | None] = parent("webhooks.id")
    address: Mapped[Name] = mapped_column(default="")
    """The mailbox, where it goes by mail."""
    key: Mapped[Name]
    """That of the notice: no program is told the same twice."""
    event: Mapped[Name]
    payload: Mapped[Json]
    state: Mapped[DeliveryState] = mapped_column(default=DeliveryState.WAITING)
    tries: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[Time] = mapped_column(default=now)
    status: Mapped[int | None]
    """What the webhook last answered."""
    error: Mapped[Long] = mapped_column(default="")
    delivered_at: Mapped[Time | None]

    webhook: Mapped[Webhook | None] = relationship()
