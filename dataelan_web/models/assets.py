"""Files of prompts and answers."""

from __future__ import annotations

import uuid

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, Long, Name, Nano, Trashable, in_trash, parent, reference


class Asset(Trashable, Base):
    """A file that came with a prompt or out of an answer. The bytes are in storage (storage.py), under `storage_key`.

    One that came with a prompt belongs to no execution: every run of that prompt uses it. One that `is_kept` belongs to
    its project alone.
    """

    __tablename__ = "assets"
    __table_args__ = (
        in_trash("assets"),
        Index("ix_assets_storage_key", "storage_key"),
        Index("ix_assets_kept", "project_id", "id", postgresql_where=text("is_kept")),
    )

    organization_id: Mapped[uuid.UUID] = parent("organizations.id")
    project_id: Mapped[uuid.UUID] = parent("projects.id")
    execution_id: Mapped[uuid.UUID | None] = parent("executions.id")
    prompt_id: Mapped[uuid.UUID | None] = parent("prompts.id")
    copied_answer_id: Mapped[uuid.UUID | None] = parent("copied_answers.id")
    user_id: Mapped[uuid.UUID | None] = reference("users.id")
    position: Mapped[int] = mapped_column(default=0)
    name: Mapped[Name]
    media_type: Mapped[Name]
    size: Mapped[Nano]
    sha256: Mapped[Name]
    storage_key: Mapped[Name]
    note: Mapped[Long] = mapped_column(default="")
    is_kept: Mapped[bool] = mapped_column(default=False)


class Leftover(Base):
    """Bytes in storage whose row is gone for ever. They go too, once nothing else names them (executions.purge)."""

    __tablename__ = "leftovers"

    storage_key: Mapped[Name] = mapped_column(unique=True)
