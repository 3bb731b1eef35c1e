"""The one way from here to people: a notice."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from sqlalchemy.dialects.postgresql import insert

from ..extensions import db
from ..models import Notice, new_id, now


def tell(
    organization_id: uuid.UUID,
    user_ids: Iterable[uuid.UUID],
    key: str,
    kind: str,
    title: str,
    body: str = "",
    path: str = "",
) -> None:
    """A word to each of these people, once for each key. In the transaction of what it is about."""
    notice = {"organization_id": organization_id, "key": key, "kind": kind, "title": title[:200]}
    notice |= {"body": body, "path": path}
    rows = [{"id": new_id(), "created_at": now(), "user_id": id, **notice} for id in dict.fromkeys(user_ids)]
    if rows:
        db.session.execute(insert(Notice).on_conflict_do_nothing(index_elements=["user_id", "key"]), rows)
