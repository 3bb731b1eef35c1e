"""Where the work is: projects, their collaborators, and sessions of related prompts."""

from __future__ import annotations

import uuid
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .accounts import Organization, User
from .base import Base, Json, Long, Name, Time, now, parent, reference

if TYPE_CHECKING:
    from .executions import Asset


class ModelType(StrEnum):
    TEXT = "TEXT"
    CODE = "CODE"
    IMAGE = "IMAGE"
    VOICE = "VOICE"
    VIDEO = "VIDEO"


class ProjectRole(StrEnum):
    EDITOR = "EDITOR"
    VIEWER = "VIEWER"


class Project(Base):
    __tablename__ = "projects"

    organization_id: Mapped[uuid.UUID] = parent("organizations.id")
    name: Mapped[Name]
    description: Mapped[Long] = mapped_column(default="")
    created_by: Mapped[uuid.UUID | None] = reference("users.id")
    allows_platform_keys: Mapped[bool] = mapped_column(default=True)
    """False: what runs here is paid by the organization's own keys, or not at all."""

    organization: Mapped[Organization] = relationship()


class Collaborator(Base):
    __tablename__ = "collaborators"
    __table_args__ = (UniqueConstraint("project_id", "user_id"),)

    project_id: Mapped[uuid.UUID] = parent("projects.id", index=False)
    user_id: Mapped[uuid.UUID] = parent("users.id")
    role: Mapped[ProjectRole]


class PromptSession(Base):
    """Related prompts of one model type. `settings` holds what the composer remembers: the fields that its form
    names in `REMEMBERED` (playground/forms.py and its neighbours)."""

    __tablename__ = "prompt_sessions"
    __table_args__ = (Index("ix_prompt_sessions_project_id_updated_at", "project_id", "updated_at"),)

    project_id: Mapped[uuid.UUID] = parent("projects.id", index=False)
    title: Mapped[Name]
    model_type: Mapped[ModelType] = mapped_column(default=ModelType.TEXT)
    settings: Mapped[Json] = mapped_column(default=dict)
    created_by: Mapped[uuid.UUID | None] = reference("users.id")
    updated_at: Mapped[Time] = mapped_column(default=now, onupdate=now)

    project: Mapped[Project] = relationship()

    def remember(self, **settings: Any) -> None:
        self.settings = {**self.settings, **settings}
        self.updated_at = now()


class Prompt(Base):
    """What a person wrote. It outlives every failed run of it."""

    __tablename__ = "prompts"
    __table_args__ = (Index("ix_prompts_session_id_created_at", "session_id", "created_at"),)

    session_id: Mapped[uuid.UUID] = parent("prompt_sessions.id", index=False)
    author_id: Mapped[uuid.UUID | None] = reference("users.id")
    text: Mapped[Long]

    session: Mapped[PromptSession] = relationship()
    author: Mapped[User | None] = relationship()
    assets: Mapped[list[Asset]] = relationship(order_by="Asset.position", passive_deletes=True)
