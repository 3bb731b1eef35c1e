"""Whose limits a page looks after (../place.py says more), whom they count, and by whose calendar."""

from __future__ import annotations

import uuid
from zoneinfo import ZoneInfo

from flask import g

from .. import place
from ..extensions import db
from ..models import Budget, Organization, RateLimit, Scope
from ..place import administered, is_operators, may_administer, owner_id, require_administer, seen, visible

__all__ = ["administered", "is_operators", "may_administer", "owner_id", "require_administer", "seen", "visible"]

UTC = ZoneInfo("UTC")


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
    return place.url("limits", name, **values)


def home_of(limit: Budget | RateLimit) -> str:
    """Where it is seen: its page, or its place in the list; of what is hidden, the list without it."""
    if is_hidden(limit):
        return url("overview")
    return url("limit", id=limit.id) if isinstance(limit, Budget) else url("overview", _anchor=f"rate-{limit.id}")
