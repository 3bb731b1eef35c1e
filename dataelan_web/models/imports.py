"""Conversations from elsewhere, between the file they came in and the sessions they become."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from sqlalchemy import Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .base import Base, Name, Time, parent, reference
from .workspace import Project

UNDECIDED = timedelta(days=1)
"""How long a file that nobody decided on is kept (executions.purge)."""


class Import(Base):
    """One file that somebody brought into a project."""

    __tablename__ = "imports"

    project_id: Mapped[uuid.UUID] = parent("projects.id")
    user_id: Mapped[uuid.UUID] = parent("users.id")
    source: Mapped[Name]
    """Whose export it is: a key of imports.formats.FORMATS."""
    file_name: Mapped[Name]
    confirmed_at: Mapped[Time | None]

    project: Mapped[Project] = relationship()


class ImportedSession(Base):
    """One conversation of the file, or one branch of it. Its content goes when the session is there."""

    __tablename__ = "imported_sessions"
    __table_args__ = (
        UniqueConstraint("import_id", "position"),
        Index("ix_imported_sessions_left", "created_at", postgresql_where=text("content IS NOT NULL")),
    )

    import_id: Mapped[uuid.UUID] = parent("imports.id", index=False)
    position: Mapped[int]
    source_id: Mapped[Name]
    """Its own id, where it came from."""
    title: Mapped[Name]
    runs_count: Mapped[int]
    began_at: Mapped[Time | None]
    content: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True), deferred=True)
    """A Conversation as JSON (imports.conversations)."""
    session_id: Mapped[uuid.UUID | None] = reference("prompt_sessions.id", index=True)
