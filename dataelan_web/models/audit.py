"""Who did what to what: append-only."""

from __future__ import annotations

import uuid

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, Json, Name, parent, reference


class AuditEvent(Base):
    """`action` is a verb on a noun (`key.created`); `detail` never holds a secret."""

    __tablename__ = "audit_events"
    __table_args__ = (Index("ix_audit_events_organization_id_created_at", "organization_id", "created_at"),)

    organization_id: Mapped[uuid.UUID | None] = parent("organizations.id", index=False)
    actor_id: Mapped[uuid.UUID | None] = reference("users.id")
    action: Mapped[Name]
    subject_type: Mapped[Name]
    subject_id: Mapped[uuid.UUID | None]
    subject_name: Mapped[Name] = mapped_column(default="")
    detail: Mapped[Json] = mapped_column(default=dict)
    address: Mapped[Name] = mapped_column(default="")
