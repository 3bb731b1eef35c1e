"""What people keep beside the dashboard: views of it by name, and notes of what happened, on its charts."""

from __future__ import annotations

import uuid
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .accounts import User
from .base import Base, Json, Name, Time, Trashable, in_trash, parent, reference


class SavedView(Trashable, Base):
    """A page of the dashboard with its filters, by name: one's own, or everyone's in the organization. One of these
    opens where the dashboard is opened without filters."""

    __tablename__ = "saved_views"
    __table_args__ = (
        Index("uq_saved_views_default", "organization_id", unique=True, postgresql_where=text("is_default")),
        CheckConstraint("is_shared OR NOT is_default", name="default_is_shared"),
        in_trash("saved_views"),
    )

    organization_id: Mapped[uuid.UUID] = parent("organizations.id")
    user_id: Mapped[uuid.UUID | None] = reference("users.id")
    """Who saved it."""
    name: Mapped[Name]
    page: Mapped[Name]
    address: Mapped[Json]
    """{name of the address: what it says}: the filters, and how the explorer sorts and what it shows."""
    is_shared: Mapped[bool] = mapped_column(default=False)
    is_default: Mapped[bool] = mapped_column(default=False)

    author: Mapped[User | None] = relationship(foreign_keys=[user_id])

    def discard(self, user_id: uuid.UUID | None) -> None:
        """The dashboard opens with it no more, and may be told to open with another: so it comes back as any other."""
        super().discard(user_id)
        self.is_default = False


class Happening(StrEnum):
    INCIDENT = "incident"
    DEPLOY = "deploy"
    PRICE = "price"
    OTHER = "other"


class Annotation(Trashable, Base):
    """Something that happened, as somebody wrote it down: a line on the charts of the organization."""

    __tablename__ = "annotations"
    __table_args__ = (Index("ix_annotations_organization_id_at", "organization_id", "at"), in_trash("annotations"))

    organization_id: Mapped[uuid.UUID] = parent("organizations.id", index=False)
    user_id: Mapped[uuid.UUID | None] = reference("users.id")
    at: Mapped[Time]
    kind: Mapped[Happening]
    text: Mapped[Name]

    author: Mapped[User | None] = relationship(foreign_keys=[user_id])
