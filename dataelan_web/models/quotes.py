"""What a run was expected to cost when Run was pressed, kept with it to be held against what it did cost."""

from __future__ import annotations

import uuid

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, Name, Nano, reference


class Quote(Base):
    """Of one execution, whose id it has. None: nobody could say. Money in nano-USD."""

    __tablename__ = "quotes"

    id: Mapped[uuid.UUID] = mapped_column(ForeignKey("executions.id", ondelete="CASCADE"), primary_key=True)
    model_id: Mapped[uuid.UUID | None] = reference("models.id")
    model_name: Mapped[Name]
    low: Mapped[Nano | None]
    high: Mapped[Nano | None]
    first_token_seconds: Mapped[float | None]
    seconds: Mapped[float | None]
