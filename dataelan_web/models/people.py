"""How people and programs come into an organization: invitations, and accounts that belong to no person."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from datetime import timedelta

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .accounts import Organization, Role, User
from .base import NIL, Base, Name, Time, now, parent, reference
from .workspace import Project, ProjectRole

INVITED_FOR = timedelta(days=7)
"""How long an invitation can be accepted; a renewal begins anew."""


class Invitation(Base):
    """A way in for one address: into the organization with a `role`, or as a guest of one project with a
    `project_role`. Only the hash of its secret is kept, so a link can be made anew but never read again."""

    __tablename__ = "invitations"
    __table_args__ = (
        CheckConstraint("email = lower(email)", name="email_is_lower_case"),
        CheckConstraint("(project_id IS NULL) = (role IS NOT NULL)", name="is_for_one_of_both"),
        CheckConstraint("(project_id IS NULL) = (project_role IS NULL)", name="a_guest_has_a_role"),
        Index(
            "uq_invitations_open",
            "organization_id",
            "email",
            text(f"coalesce(project_id, '{NIL}')"),
            unique=True,
            postgresql_where=text("accepted_at IS NULL AND revoked_at IS NULL"),
        ),
    )

    organization_id: Mapped[uuid.UUID] = parent("organizations.id")
    project_id: Mapped[uuid.UUID | None] = parent("projects.id")
    email: Mapped[Name]
    role: Mapped[Role | None]
    project_role: Mapped[ProjectRole | None]
    secret_hash: Mapped[Name] = mapped_column(unique=True)
    invited_by: Mapped[uuid.UUID | None] = reference("users.id")
    expires_at: Mapped[Time]
    sent_at: Mapped[Time | None]
    """When it was last handed over for mail."""
    accepted_at: Mapped[Time | None]
    accepted_by: Mapped[uuid.UUID | None] = reference("users.id")
    revoked_at: Mapped[Time | None]

    organization: Mapped[Organization] = relationship()
    project: Mapped[Project | None] = relationship()
    inviter: Mapped[User | None] = relationship(foreign_keys=[invited_by])

    @property
    def name(self) -> str:
        """For the audit log."""
        return self.email

    @property
    def is_open(self) -> bool:
        return self.accepted_at is None and self.revoked_at is None

    @property
    def is_expired(self) -> bool:
        return self.is_open and self.expires_at <= now()

    def renew(self) -> str:
        """A new secret, which is never to be seen again, and a new week. Whoever has the old one is refused."""
        secret = secrets.token_urlsafe(32)
        self.secret_hash, self.expires_at = self.digest(secret), now() + INVITED_FOR
        return secret

    @staticmethod
    def digest(secret: str) -> str:
        return hashlib.sha256(secret.encode()).hexdigest()


class ServiceAccount(Base):
    """A program's account: it belongs to the organization, so it goes on when whoever made it leaves. What it may do
    is said by its gateway tokens, one or more in each project it works in."""

    __tablename__ = "service_accounts"
    __table_args__ = (UniqueConstraint("organization_id", "name"),)

    organization_id: Mapped[uuid.UUID] = parent("organizations.id", index=False)
    name: Mapped[Name]
    description: Mapped[Name] = mapped_column(default="")
    created_by: Mapped[uuid.UUID | None] = reference("users.id")
    disabled_at: Mapped[Time | None]
    """All of its tokens are refused."""
