"""Addresses at which anybody may read a session, or one run of it, without signing in."""

from __future__ import annotations

import hashlib
import secrets
import uuid

from sqlalchemy.orm import Mapped, mapped_column, relationship

from .accounts import User
from .base import Base, Name, Time, now, parent, reference
from .workspace import PromptSession


class PublicLink(Base):
    """Shows what was there when it was made, and never what came later. The secret itself is told once and not kept."""

    __tablename__ = "public_links"

    session_id: Mapped[uuid.UUID] = parent("prompt_sessions.id")
    execution_id: Mapped[uuid.UUID | None] = parent("executions.id")
    """The one run that it shows; None: the whole session."""
    created_by: Mapped[uuid.UUID | None] = reference("users.id")
    secret_hash: Mapped[Name] = mapped_column(unique=True)
    shows_names: Mapped[bool] = mapped_column(default=False)
    shows_cost: Mapped[bool] = mapped_column(default=False)
    expires_at: Mapped[Time | None]
    revoked_at: Mapped[Time | None]
    opened_at: Mapped[Time | None]
    """Last, to the minute."""

    session: Mapped[PromptSession] = relationship()
    creator: Mapped[User | None] = relationship()

    @staticmethod
    def new_secret() -> str:
        """192 random bits, as letters that an address may hold."""
        return secrets.token_urlsafe(24)

    @staticmethod
    def digest(secret: str) -> str:
        return hashlib.sha256(secret.encode(errors="replace")).hexdigest()

    @property
    def is_open(self) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now())
