"""Large exports of runs: what was asked for, how far it is, and where the file lies until it expires."""

from __future__ import annotations

import uuid
from datetime import timedelta
from enum import StrEnum

from sqlalchemy import Index, Select, select, text
from sqlalchemy.orm import Mapped, mapped_column

from .accounts import User
from .base import Base, DbSession, Json, Long, Name, Nano, Time, parent

KEPT = timedelta(days=3)
"""How long a file can be fetched."""


class ExportState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


UNFINISHED = (ExportState.QUEUED, ExportState.RUNNING)


class RunExport(Base):
    """One person's; nobody else sees it. `wanted` is what the worker looks for (dashboards.runs.Wanted) as it was
    allowed when it was asked for; `address` is the page that it was asked from."""

    __tablename__ = "run_exports"
    __table_args__ = (
        Index("ix_run_exports_unfinished", "lease_until", postgresql_where=text("state IN ('queued', 'running')")),
        Index("ix_run_exports_expires_at", "expires_at", postgresql_where=text("state = 'done'")),
    )

    organization_id: Mapped[uuid.UUID] = parent("organizations.id")
    user_id: Mapped[uuid.UUID] = parent("users.id")
    form: Mapped[Name]
    """csv or jsonl."""
    address: Mapped[Json]
    wanted: Mapped[Json]
    about: Mapped[Long] = mapped_column(default="")
    """In words, for its page and its notice."""
    state: Mapped[ExportState] = mapped_column(default=ExportState.QUEUED)
    expected: Mapped[Nano]
    """Runs, as the sums had it."""
    written: Mapped[Nano] = mapped_column(default=0)
    cost: Mapped[Nano] = mapped_column(default=0)
    """Nano-USD of what was written."""
    fence: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[Time | None]
    ended_at: Mapped[Time | None]
    expires_at: Mapped[Time | None]
    storage_key: Mapped[Name] = mapped_column(default="")
    size: Mapped[Nano] = mapped_column(default=0)

    @property
    def is_open(self) -> bool:
        return self.state in UNFINISHED

    @property
    def part(self) -> float:
        """How far it is, from 0 to 1."""
        return min(self.written / self.expected, 1) if self.expected else 0


def being_written(session: DbSession, organization_id: uuid.UUID, user_id: uuid.UUID) -> Select[RunExport]:
    """What this person has asked for here and is not there yet. Who asks twice at once waits for the first."""
    session.execute(select(User.id).where(User.id == user_id).with_for_update(key_share=True))
    mine = RunExport.organization_id == organization_id, RunExport.user_id == user_id
    return select(RunExport).where(*mine, RunExport.state.in_(UNFINISHED))
