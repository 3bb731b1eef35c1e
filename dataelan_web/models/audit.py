"""Who did what to what: append-only. The database refuses every change of a line, and lets one go only when it is older
than its organization keeps them (migrations/versions/20261204_audit.py)."""

from __future__ import annotations

import uuid
from enum import StrEnum

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, Json, Name, parent


class Source(StrEnum):
    """From where something was done. Programs with a gateway token change nothing: what they do are runs."""

    BROWSER = "browser"
    COMMAND = "command"
    WORKER = "worker"


class AuditEvent(Base):
    """`action` is a verb on a noun (`key.created`); `detail` never holds a secret.

    People are named as they were called then, and by ids that lead nowhere when they are gone: a line says the same for
    ever.
    """

    __tablename__ = "audit_events"
    __table_args__ = (
        Index("ix_audit_events_organization_id_created_at", "organization_id", "created_at"),
        Index("ix_audit_events_created_at", "created_at"),
    )

    organization_id: Mapped[uuid.UUID | None] = parent("organizations.id", index=False)
    actor_id: Mapped[uuid.UUID | None]
    actor_name: Mapped[Name] = mapped_column(default="")
    impersonator_id: Mapped[uuid.UUID | None]
    """The superuser who acted as `actor_id`."""
    impersonator_name: Mapped[Name] = mapped_column(default="")
    action: Mapped[Name]
    subject_type: Mapped[Name]
    subject_id: Mapped[uuid.UUID | None]
    subject_name: Mapped[Name] = mapped_column(default="")
    detail: Mapped[Json] = mapped_column(default=dict)
    source: Mapped[Source] = mapped_column(default=Source.WORKER)
    source_name: Mapped[Name] = mapped_column(default="")
    """What the browser says that it is; the command, and whose it was."""
    address: Mapped[Name] = mapped_column(default="")
