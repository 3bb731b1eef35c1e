"""Nothing is kept for ever: deliveries for a month, notices for half a year."""

from __future__ import annotations

import uuid
from datetime import timedelta

from sqlalchemy import delete, select

from ..models import Delivery, Notice, now
from ..models.base import DbSession

EVERY = 3600.0
"""Seconds."""
DELIVERIES_KEPT = timedelta(days=30)
NOTICES_KEPT = timedelta(days=180)
BATCH = 1000


def prune(session: DbSession) -> int:
    """One batch of each. Returns how many rows went. Commits."""
    return _prune(session, Delivery, DELIVERIES_KEPT) + _prune(session, Notice, NOTICES_KEPT)


def _prune(session: DbSession, model: type[Delivery | Notice], kept: timedelta) -> int:
    batch = select(model.id).where(model.id < first_id(kept)).order_by(model.id).limit(BATCH)
    query = delete(model).where(model.id.in_(batch)).returning(model.id)
    gone = session.scalars(query.execution_options(synchronize_session=False)).all()
    session.commit()
    return len(gone)


def first_id(ago: timedelta) -> uuid.UUID:
    """The least id (UUID version 7) that could be made so long ago: ids are in time order, so theirs is the index."""
    milliseconds = int((now() - ago).timestamp() * 1000)
    return uuid.UUID(int=(milliseconds << 80) | (7 << 76) | (2 << 62))
