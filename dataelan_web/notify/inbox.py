"""One person's notices: how many are unread, and reading them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ScalarSelect, func, select, update

from ..models import Notice, now
from ..models.base import DbSession

MOST_COUNTED = 10
"""Beyond nine it is “9+”, and nobody counts on."""


def unread(session: DbSession, user_id: uuid.UUID, organization_ids: Iterable[uuid.UUID]) -> int:
    """Of these organizations, up to MOST_COUNTED."""
    return session.scalar(select(counted(user_id, list(organization_ids)))) or 0


def counted(user_id: Any, organization_ids: Any) -> ScalarSelect[int]:
    """The same within a question, of a column or parameter, and of what a query finds: a look into one small index."""
    mine = (Notice.user_id == user_id, Notice.read_at.is_(None), Notice.organization_id.in_(organization_ids))
    found = select(Notice.id).where(*mine).limit(MOST_COUNTED).subquery()
    return select(func.count()).select_from(found).scalar_subquery()


def read_all(session: DbSession, user_id: uuid.UUID, kind: str = "") -> int:
    """All of a person's, or those of one kind. Returns how many were unread. Commits."""
    mine = (Notice.user_id == user_id, Notice.read_at.is_(None), *([Notice.kind == kind] if kind else []))
    query = update(Notice).where(*mine).values(read_at=now()).returning(Notice.id)
    read = session.scalars(query.execution_options(synchronize_session=False)).all()
    session.commit()
    return len(read)
