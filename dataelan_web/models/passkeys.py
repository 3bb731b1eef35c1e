"""Passkeys: keys that people's devices keep, and by which they sign in (WebAuthn)."""

from __future__ import annotations

import hashlib
import uuid

from sqlalchemy import BigInteger, LargeBinary
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .accounts import User
from .base import Base, JsonList, Name, Time, now, parent


class Passkey(Base):
    """The public half; the other one never leaves the device, or the password manager, that made it."""

    __tablename__ = "passkeys"

    user_id: Mapped[uuid.UUID] = parent("users.id")
    name: Mapped[Name]
    credential_id: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    """COSE, as the authenticator gave it."""
    sign_count: Mapped[int] = mapped_column(BigInteger, default=0)
    """How often the authenticator says that it signed; 0 for ever where it does not count, as those that are synced."""
    transports: Mapped[JsonList] = mapped_column(default=list)
    is_synced: Mapped[bool] = mapped_column(default=False)
    """It is kept by a password manager, and so not lost with one device."""
    used_at: Mapped[Time | None]

    user: Mapped[User] = relationship()


class SpentChallenge(Base):
    """One that was answered: nobody answers it again. Its id is its digest. Kept until none so old is taken anyway."""

    __tablename__ = "spent_challenges"

    @classmethod
    def spend(cls, challenge: bytes) -> Insert:
        """The statement that spends it, and returns no row where somebody did before."""
        row = {"id": uuid.UUID(bytes=hashlib.sha256(challenge).digest()[:16]), "created_at": now()}
        return insert(cls).values(row).on_conflict_do_nothing()
