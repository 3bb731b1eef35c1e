"""The index that search reads: one document a run. A trigger writes that of a person's run when the run ends
(migrations, “finding”); those of programs and workers wait in `search_queue` for a moment (executions.indexing).

Documents of an organization lie in slices, from one moment to the next, of about 2,048 each. A search walks them
from the newest on and ends when its page is full, so that a word of every run costs as little as one of a single run.

`words` holds what was asked and answered, and facets: words that begin with U+0001, which no text can hold.
"""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Table, UniqueConstraint, Uuid
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, Time, parent

MARK = "\x01"
"""Begins a facet: s<slice> p<project> a<person> t<type> e (it failed); ids as 32 hexadecimal digits."""


def facet(kind: str, value: uuid.UUID | str = "") -> str:
    return f"{MARK}{kind}{value.hex if isinstance(value, uuid.UUID) else value}"


class SearchSlice(Base):
    """From `starts_at` until the next one's. The first begins with -infinity."""

    __tablename__ = "search_slices"
    __table_args__ = (UniqueConstraint("organization_id", "starts_at"),)

    organization_id: Mapped[uuid.UUID] = parent("organizations.id", index=False)
    starts_at: Mapped[Time]


class SearchDocument(Base):
    """`id` and `created_at` are the run's."""

    __tablename__ = "search_documents"
    __table_args__ = (
        # New words wait in a list, and go into the index many at a time (executions.indexing): that is soon, for a
        # search reads the list once a slice.
        Index("ix_search_documents_words", "words", postgresql_using="gin"),
    )

    id: Mapped[uuid.UUID] = mapped_column(ForeignKey("executions.id", ondelete="CASCADE"), primary_key=True)
    slice_id: Mapped[uuid.UUID] = parent("search_slices.id")
    session_id: Mapped[uuid.UUID | None] = parent("prompt_sessions.id")
    words: Mapped[Any] = mapped_column(TSVECTOR)


SEARCH_QUEUE = Table(
    "search_queue",
    Base.metadata,
    Column("id", BigInteger, primary_key=True),
    Column("execution_id", Uuid, nullable=False),
)
"""Runs that ended and have no document yet."""
