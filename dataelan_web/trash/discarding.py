"""Into the trash, and out of it again."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from flask_login import current_user
from sqlalchemy import func, select

from .. import audit, place
from ..executions.keeper import cancel
from ..executions.purge import purge_soon
from ..extensions import db
from ..models import IN_TRASH, Base, Batch, Budget, Execution, Project, PromptSession, RateLimit, Trashable, now
from ..models.executions import OPEN
from .kinds import kind_of
from .returning import bring_back


def discard(row: Any) -> None:
    """Commits. What still runs in it is asked to stop."""
    row.discard(current_user.id)
    audit.record(f"{kind_of(row).name}.deleted", row, place.owner_id())
    db.session.commit()
    for id in _running(row):
        cancel(id)


def restore(row: Any) -> None:
    """Commits. Raises returning.Hindered."""
    bring_back(row)
    audit.record(f"{kind_of(row).name}.restored", row, place.owner_id(), **_told(row))
    db.session.commit()


def erase(row: Any) -> None:
    """As if its 30 days were over: nobody can take it out any more, and a worker purges it in a moment. Commits."""
    row.deleted_at = now() - IN_TRASH
    audit.record(f"{kind_of(row).name}.erased", row, place.owner_id(), **_told(row))
    db.session.commit()
    purge_soon()


def _told(row: Any) -> dict[str, str]:
    """Limits have no name that a line of the log could say."""
    return {"on": kind_of(row).title(row)} if isinstance(row, Budget | RateLimit) else {}


def _running(row: Base | Trashable) -> Iterator[uuid.UUID]:
    query = select(Execution.id).where(Execution.state.in_(OPEN))
    if isinstance(row, PromptSession):
        yield from db.session.scalars(query.where(Execution.session_id == row.id)).all()
    if isinstance(row, Batch):
        yield from db.session.scalars(query.where(Execution.batch_id == row.id)).all()
    if isinstance(row, Project):
        home = func.coalesce(PromptSession.project_id, Execution.project_id)
        outer = query.outerjoin(PromptSession, Execution.session_id == PromptSession.id)
        yield from db.session.scalars(outer.where(home == row.id)).all()
