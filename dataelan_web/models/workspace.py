"""Where the work is: projects, their collaborators, and sessions of related prompts."""

from __future__ import annotations

import uuid
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .accounts import Organization, User
from .base import Base, Json, JsonList, Long, Name, Time, Trashable, in_trash, now, parent, reference

if TYPE_CHECKING:
    from .assets import Asset


class ModelType(StrEnum):
    TEXT = "TEXT"
    CODE = "CODE"
    IMAGE = "IMAGE"
    VOICE = "VOICE"
    VIDEO = "VIDEO"


class ProjectRole(StrEnum):
    EDITOR = "EDITOR"
    VIEWER = "VIEWER"


class Project(Trashable, Base):
    __tablename__ = "projects"
    __table_args__ = (in_trash("projects"),)

    organization_id: Mapped[uuid.UUID] = parent("organizations.id")
    name: Mapped[Name]
    description: Mapped[Long] = mapped_column(default="")
    instructions: Mapped[Long] = mapped_column(default="")
    """The system prompt that its new conversations begin with; there one sees it, and may change it."""
    created_by: Mapped[uuid.UUID | None] = reference("users.id")
    allows_platform_keys: Mapped[bool] = mapped_column(default=True)
    """False: what runs here is paid by the organization's own keys, or not at all."""
    cache_seconds: Mapped[int] = mapped_column(default=0)
    """How long a program that asks word for word the same gets the same answer; 0: each is asked anew."""
    reads_on: Mapped[bool] = mapped_column(default=False)
    """When a program goes away while it is answered: its answer is read to the end, for what it truly costs. False: it
    is ended at its provider, and what came is charged by estimate."""
    purged_at: Mapped[Time | None]
    """Its content is gone for ever. The row stays, for the money that was spent in it."""

    organization: Mapped[Organization] = relationship()

    def first_settings(self, model_type: ModelType) -> dict[str, Any]:
        """What a new session of this type begins with."""
        is_told = self.instructions and model_type in PromptSession.CONVERSATIONS
        settings: dict[str, Any] = {"system": self.instructions} if is_told else {}
        rule = self.organization.default_rule
        is_asked = rule is not None and rule.project_id in (None, self.id) and rule.is_for(model_type)
        return settings | ({"model": rule.name} if rule is not None and is_asked else {})


class Collaborator(Base):
    __tablename__ = "collaborators"
    __table_args__ = (UniqueConstraint("project_id", "user_id"),)

    project_id: Mapped[uuid.UUID] = parent("projects.id", index=False)
    user_id: Mapped[uuid.UUID] = parent("users.id")
    role: Mapped[ProjectRole]


class PromptSession(Trashable, Base):
    """Related prompts of one model type. `settings` holds what the composer remembers: the fields that its form
    names in `REMEMBERED` (playground/forms.py and its neighbours)."""

    CONVERSATIONS: ClassVar = (ModelType.TEXT, ModelType.CODE)
    """Types of which each prompt continues what was said before it."""

    __tablename__ = "prompt_sessions"
    __table_args__ = (
        Index("ix_prompt_sessions_project_id_updated_at", "project_id", "updated_at"),
        in_trash("prompt_sessions"),
    )

    project_id: Mapped[uuid.UUID] = parent("projects.id", index=False)
    title: Mapped[Name]
    model_type: Mapped[ModelType] = mapped_column(default=ModelType.TEXT)
    settings: Mapped[Json] = mapped_column(default=dict)
    created_by: Mapped[uuid.UUID | None] = reference("users.id")
    updated_at: Mapped[Time] = mapped_column(default=now)
    """When it was last worked in. Naming, tagging or moving it is no work."""
    archived_at: Mapped[Time | None]
    tags: Mapped[JsonList] = mapped_column(default=list)
    forked_from_id: Mapped[uuid.UUID | None] = reference("prompt_sessions.id")

    project: Mapped[Project] = relationship()
    forked_from: Mapped[PromptSession | None] = relationship(remote_side="PromptSession.id")

    def remember(self, **settings: Any) -> None:
        """It is worked in: what the composer was told, and out of the archive it comes."""
        self.settings = {**self.settings, **settings}
        self.updated_at, self.archived_at = now(), None


class Prompt(Base):
    """What a person wrote. It outlives every failed run of it."""

    __tablename__ = "prompts"
    __table_args__ = (Index("ix_prompts_session_id_created_at", "session_id", "created_at"),)

    session_id: Mapped[uuid.UUID] = parent("prompt_sessions.id", index=False)
    author_id: Mapped[uuid.UUID | None] = reference("users.id")
    text: Mapped[Long]

    session: Mapped[PromptSession] = relationship()
    author: Mapped[User | None] = relationship()
    assets: Mapped[list[Asset]] = relationship(
        order_by="Asset.position",
        passive_deletes=True,
        primaryjoin="and_(Prompt.id == Asset.prompt_id, Asset.deleted_at.is_(None))",
    )


class CopiedAnswer(Base):
    """What a fork begins with: an answer of the session it was made from, under its own copy of the prompt.

    It cost nothing here: the run it came from is the other session's. Ids are in the order of the conversation, and
    all before those of the fork's own runs.
    """

    __tablename__ = "copied_answers"

    session_id: Mapped[uuid.UUID] = parent("prompt_sessions.id")
    prompt_id: Mapped[uuid.UUID] = parent("prompts.id", index=False, unique=True)
    execution_id: Mapped[uuid.UUID | None] = reference("executions.id", index=True)
    """The run that gave it."""
    asked: Mapped[Json]
    """The prompt's own message, as it was sent (executions.prompts)."""
    text: Mapped[Long] = mapped_column(default="")
    tool_calls: Mapped[JsonList] = mapped_column(default=list)
    model_name: Mapped[Name] = mapped_column(default="")
    answered_at: Mapped[Time | None]

    prompt: Mapped[Prompt] = relationship()
    assets: Mapped[list[Asset]] = relationship(
        order_by="Asset.position",
        passive_deletes=True,
        primaryjoin="and_(CopiedAnswer.id == Asset.copied_answer_id, Asset.deleted_at.is_(None))",
    )


class Star(Base):
    """A session that one person wants at hand."""

    __tablename__ = "stars"
    __table_args__ = (UniqueConstraint("user_id", "session_id"),)

    user_id: Mapped[uuid.UUID] = parent("users.id", index=False)
    session_id: Mapped[uuid.UUID] = parent("prompt_sessions.id")
