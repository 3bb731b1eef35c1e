"""Whose limits a page looks after: those of the organization in its address, or the operator's, under `/admin`.

What is looked up here is what the signed-in person may see at that address: inside an organization as `access` says,
and of the operator's nothing but to a superuser who is signed in in their own name.
"""

from __future__ import annotations

import uuid
from typing import TypeVar
from zoneinfo import ZoneInfo

from flask import abort, g, url_for
from sqlalchemy import Select, select

from .. import access
from ..extensions import db
from ..models import Budget, Increase, Organization, RateLimit, Scope
from ..models.holders import joined
from ..models.limits import ASKED_OF_OPERATOR

UTC = ZoneInfo("UTC")
Row = TypeVar("Row", Budget, RateLimit, Increase)


def is_operators() -> bool:
    return "organization" not in g


def owner_id() -> uuid.UUID | None:
    """The organization's; None: the operator's. 404 there for everybody but superusers."""
    if is_operators():
        access.require_superuser()
        return None
    found: uuid.UUID = g.organization.id
    return found


def seen(model: type[Row]) -> Select[Row]:
    """All that may be seen here: the start of every list query. Of an Increase, its budget and its rate are joined."""
    if owner_id() is not None:
        return access.scoped(model)
    if model is Increase:
        return joined(model).where(ASKED_OF_OPERATOR)
    owner = getattr(model, "organization_id")  # noqa: B009
    return select(model).where(owner.is_(None))


def administered(model: type[Row], id: uuid.UUID, *options: object) -> Row:
    """404 unless it may be seen here, 403 unless it may be changed or answered by whoever asks."""
    if owner_id() is not None:
        return access.administered(model, id, *options)
    return db.session.scalars(seen(model).where(model.id == id).options(*options)).first() or abort(404)  # type: ignore[arg-type]


def visible(model: type[Row], id: uuid.UUID) -> Row:
    return administered(model, id) if is_operators() else access.visible(model, id)


def may_administer(row: Budget | RateLimit | None = None) -> bool:
    """May whoever asks set limits here, or change this one?"""
    return owner_id() is None or access.may(access.ADMINISTER, row)


def require_administer(row: Budget | RateLimit | None = None) -> None:
    if not may_administer(row):
        abort(403)


def is_for_all(limit: Budget | RateLimit) -> bool:
    """Does it count several organizations? What they do together is for the operator to see, and nobody else."""
    return limit.organization_id is None and limit.scope is not Scope.ORGANIZATION


def is_hidden(limit: Budget | RateLimit) -> bool:
    """Is it not for the eyes of whoever asks here?"""
    return is_for_all(limit) and not is_operators()


def zone_of(scope: Scope, subject_id: uuid.UUID) -> ZoneInfo:
    """By whose calendar a limit goes that is set here: an organization's on itself, and the operator's on one, by its
    own; all others of the operator's by UTC."""
    if not is_operators():
        return ZoneInfo(g.organization.time_zone)
    home = db.session.get(Organization, subject_id) if scope is Scope.ORGANIZATION else None
    return ZoneInfo(home.time_zone) if home else UTC


def url(name: str, **values: object) -> str:
    """Of a page of limits that is here as there."""
    return url_for(f"admin_limits.{name}" if is_operators() else f"limits.{name}", **values)  # type: ignore[arg-type]


def home_of(limit: Budget | RateLimit) -> str:
    """Where it is seen: its page, or its place in the list; of what is hidden, the list without it."""
    if is_hidden(limit):
        return url("overview")
    return url("limit", id=limit.id) if isinstance(limit, Budget) else url("overview", _anchor=f"rate-{limit.id}")
