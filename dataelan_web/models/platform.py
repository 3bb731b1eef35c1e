"""What holds for everybody: whether Dataelan is open, can only be read, or is being looked after."""

from __future__ import annotations

import uuid
from enum import StrEnum

from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, Long, Name, Time, now, reference


class Mode(StrEnum):
    OPEN = "open"
    READ_ONLY = "read_only"  # what is there can be looked at; nothing is changed, and nothing asked
    MAINTENANCE = "maintenance"  # only superusers come in


class PlatformMode(Base):
    """One row, which the migration made."""

    __tablename__ = "platform_modes"

    name: Mapped[Name] = mapped_column(unique=True, default="platform")
    mode: Mapped[Mode] = mapped_column(default=Mode.OPEN)
    words: Mapped[Long] = mapped_column(default="")
    """Why, and until when: for whoever is turned away."""
    since: Mapped[Time] = mapped_column(default=now)
    set_by: Mapped[uuid.UUID | None] = reference("users.id")
