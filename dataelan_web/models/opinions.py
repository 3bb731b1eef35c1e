"""What people say of a run: whether it was good, and in words."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .accounts import User
from .base import Base, Long, Time, Trashable, in_trash, now, parent, reference

if TYPE_CHECKING:
    from .executions import Execution


class Feedback(Base):
    """One person's thumb up or down on one run, for people now and for routing and evaluation later."""

    __tablename__ = "feedback"
    __table_args__ = (UniqueConstraint("execution_id", "user_id"),)

    execution_id: Mapped[uuid.UUID] = parent("executions.id", index=False)
    user_id: Mapped[uuid.UUID] = parent("users.id")
    is_good: Mapped[bool]
    note: Mapped[Long] = mapped_column(default="")
    updated_at: Mapped[Time] = mapped_column(default=now)

    user: Mapped[User] = relationship()


class Comment(Trashable, Base):
    """Plain text under a run. A deleted one can be taken back by its author, and by owners and admins."""

    __tablename__ = "comments"
    __table_args__ = (
        Index("ix_comments_execution_id_created_at", "execution_id", "created_at"),
        in_trash("comments"),
    )

    execution_id: Mapped[uuid.UUID] = parent("executions.id", index=False)
    author_id: Mapped[uuid.UUID | None] = reference("users.id")
    text: Mapped[Long]
    edited_at: Mapped[Time | None]

    author: Mapped[User | None] = relationship(foreign_keys=[author_id])
    execution: Mapped[Execution] = relationship()
