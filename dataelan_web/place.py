"""Whose things a page looks after: those of the organization in its address, or the operator's, under `/admin`.

What is looked up here is what the signed-in person may see at that address: inside an organization as `access` says,
and of the operator's nothing but to a superuser who is signed in in their own name.
"""

from __future__ import annotations

import uuid
from typing import Any, TypeVar

from flask import abort, g, url_for
from sqlalchemy import Select

from . import access
from .extensions import db
from .models import IN_TRASH, APIKey, Base, Budget, Increase, Model, Organization, Provider, RateLimit, Trashable, now
from .models.holders import joined

Row = TypeVar("Row", bound=Base)
WHOSE: dict[type[Base], tuple[Any, ...]] = {Increase: (Budget, RateLimit), Model: (Model, Provider)}
"""What says whose a row is, where that is not the row itself alone."""
ARCHIVABLE = (APIKey, Model, Provider)


def is_operators() -> bool:
    return "organization" not in g


def organization() -> Organization | None:
    """None: the operator's. 404 there for everybody but superusers."""
    if is_operators():
        access.require_superuser()
        return None
    found: Organization = g.organization
    return found


def owner_id() -> uuid.UUID | None:
    """The organization's; None: the operator's, as above."""
    found = organization()
    return found.id if found else None


def time_zone() -> str:
    """By whose calendar days begin and end here: the organization's; of the operator's by UTC."""
    found = organization()
    return found.time_zone if found else "UTC"


def seen(model: type[Row]) -> Select[Row]:
    """All that may be seen here: the start of every list query. Of an Increase, its budget and its rate are joined; of
    a Model, its provider."""
    if owner_id() is not None:
        return access.scoped(model)
    query = joined(model)
    for table in WHOSE.get(model, (model,)):
        query = query.where(table.organization_id.is_(None))
        query = query.where(table.archived_at.is_(None)) if table in ARCHIVABLE else query
        query = query.where(table.deleted_at.is_(None)) if issubclass(table, Trashable) else query
    return query


def in_trash(model: type[Row]) -> Select[Row]:
    """What of it was deleted here and can be taken back, by who may (access.right_to_delete)."""
    if owner_id() is not None:
        return access.in_trash(model)
    table: Any = model
    return joined(model).where(table.organization_id.is_(None), table.deleted_at > now() - IN_TRASH)


def trashed(model: type[Row], id: uuid.UUID) -> Row:
    """One of these, as access.trashed has it."""
    if owner_id() is not None:
        return access.trashed(model, id)
    table: Any = model
    query = in_trash(model).where(table.id == id).with_for_update(of=table)
    return db.session.scalars(query.execution_options(populate_existing=True)).first() or abort(404)


def administered(model: type[Row], id: uuid.UUID, *options: Any) -> Row:
    """404 unless it may be seen here, 403 unless it may be changed or answered by whoever asks."""
    if owner_id() is not None:
        return access.administered(model, id, *options)
    table: Any = model
    found = db.session.scalars(seen(model).where(table.id == id).options(*options)).first()
    if found is None:
        _tell_if_in_trash(model, id)
    return found or abort(404)


def _tell_if_in_trash(model: Any, id: uuid.UUID) -> None:
    """Of the operator's. Raises InTrash."""
    row = db.session.scalars(in_trash(model).where(model.id == id)).first() if issubclass(model, Trashable) else None
    if row is not None:
        raise access.InTrash(row)


def visible(model: type[Row], id: uuid.UUID) -> Row:
    return administered(model, id) if is_operators() else access.visible(model, id)


def may_administer(row: Base | None = None) -> bool:
    """May whoever asks make such things here, or change this one?"""
    return owner_id() is None or access.may(access.ADMINISTER, row)


def require_administer(row: Base | None = None) -> None:
    if not may_administer(row):
        abort(403)


def require_see() -> None:
    """403 for a guest of one project, who is told nothing of what else the organization has."""
    if owner_id() is not None:
        access.require(access.SEE)


def undo_url(kind: str, id: uuid.UUID) -> str:
    """Where to POST to take what was just deleted out of the trash again. `kind`: as trash/kinds.py names it."""
    return url("trash", "restore", kind=kind, id=id)


def url(feature: str, name: str, **values: Any) -> str:
    """Of a feature's page that is here as there."""
    return url_for(f"admin_{feature}.{name}" if is_operators() else f"{feature}.{name}", **values)
