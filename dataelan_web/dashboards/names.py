"""What the ids in sums are called. They come from sums that one may see, so their names may be seen too."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from sqlalchemy import case, literal, select, union_all

from ..extensions import db
from ..models import APIKey, Model, Project, Provider, User
from ..models.base import NIL

NONE = {
    "project_id": "No project",
    "user_id": "Nobody (a program)",
    "provider_id": "No provider",
    "model_id": "No model",
    "api_key_id": "No key",
}
WORDS = {
    "organization": "Own keys",
    "platform": "Dataelan’s keys",
    "nobody": "Free of charge",
    "completed": "Completed",
    "failed": "Failed",
    "cancelled": "Stopped",
    "interrupted": "Interrupted",
    "problems": "Failed or interrupted",
    "playground": "The playground",
    "gateway": "A program",
    "batch": "A batch",
    "judge": "A judge of a batch",
    "repair": "The repair of an action",
}
OURS = "A key of the platform"


def names_of(ids: Iterable[Any]) -> dict[Any, str]:
    """One query for ids of any kind."""
    wanted = [id for id in set(ids) if isinstance(id, uuid.UUID) and id != NIL]
    if not wanted:
        return {}
    key = case((APIKey.organization_id.is_(None), literal(OURS)), else_=APIKey.label)
    columns = ((Project, Project.name), (User, User.name), (Provider, Provider.name), (Model, Model.display_name))
    parts = [select(model.id, name).where(model.id.in_(wanted)) for model, name in (*columns, (APIKey, key))]
    return dict(db.session.execute(union_all(*parts)).all())


def called(dimension: str, what: Any, names: dict[Any, str]) -> str:
    if isinstance(what, uuid.UUID):
        return NONE[dimension] if what == NIL else names.get(what, "Deleted")
    if dimension == "error":
        return str(what).replace("_", " ").capitalize() or "No error"
    return WORDS.get(what, str(what).capitalize())
