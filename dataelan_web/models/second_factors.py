"""What a person shows beside their password: a code of their authenticator app, or one kept for its loss."""

from __future__ import annotations

import uuid

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .accounts import User
from .base import Base, Long, Name, Time, parent


class Authenticator(Base):
    """An app that shares a secret with us. It counts once its first code was seen."""

    __tablename__ = "authenticators"

    user_id: Mapped[uuid.UUID] = parent("users.id", index=False, unique=True)
    ciphertext: Mapped[Long]
    confirmed_at: Mapped[Time | None]
    last_step: Mapped[int] = mapped_column(BigInteger, default=0)
    """The half minute, counted since 1970, of the last code that was taken: none is taken twice, nor an older one."""

    user: Mapped[User] = relationship()

    @property
    def name(self) -> str:
        """For whoever looks after the encryption keys."""
        return self.user.email


class RecoveryCode(Base):
    """120 random bits, of which the hash is kept: as many cannot be tried, however fast a hash is."""

    __tablename__ = "recovery_codes"

    user_id: Mapped[uuid.UUID] = parent("users.id")
    code_hash: Mapped[Name]
    used_at: Mapped[Time | None]
