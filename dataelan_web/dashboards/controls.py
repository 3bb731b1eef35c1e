"""What stands above every page of the dashboard: its filters, and chips that undo them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy.exc import OperationalError

from .. import formats
from ..extensions import db
from ..models.base import NIL
from . import filters as reading
from . import ranges, sums
from .filters import BY_WORD, DIMENSIONS, ERROR, TAG, Filters
from .names import called, names_of

TABS = (
    ("overview", "Overview"),
    ("spend", "Spend"),
    ("performance", "Performance"),
    ("quota", "Quota"),
    ("routing", "Routing"),
    ("runs", "Runs"),
    ("mine", "Mine"),
)
TOO_LONG = "This took too long and was given up. Choose a shorter time, or a filter."
MOST_TAGS = 500
"""To choose from; any other can be written into the address."""
CANCELLED = "57014"
"""PostgreSQL's word for a statement that took longer than it may."""


def give_up(error: OperationalError) -> None:
    """Raises what is no statement that took too long."""
    if getattr(error.orig, "pgcode", "") != CANCELLED and getattr(error.orig, "sqlstate", "") != CANCELLED:
        raise error
    db.session.rollback()


def choices(filters: Filters) -> dict[str, list[tuple[str, str]]]:
    """Filter → [(value, name)], by name."""
    known = sums.known(filters.asked.organization_id, filters.asked.seen)
    names = names_of(id for ids in known.values() for id in ids)
    found = {
        name: sorted(
            ((str(id), names[id]) for id in known.get(dimension, ()) if id in names), key=lambda pair: pair[1].lower()
        )
        for name, dimension in reading.BY_ID.items()
    }
    words = {name: [(v, called(dimension, v, {})) for v in values] for name, (dimension, values) in BY_WORD.items()}
    errors = [(word, called(ERROR, word, {})) for word in sorted(known[ERROR]) if word]
    tags = {*sums.known_tags(filters.asked.organization_id, filters.asked.seen, MOST_TAGS), filters.said.get(TAG, "")}
    return found | words | {ERROR: errors, TAG: [(tag, tag) for tag in sorted(tags - {""})]}


def chips(filters: Filters, known: Mapping[str, list[tuple[str, str]]]) -> list[dict[str, Any]]:
    """What is filtered by, each with the address without it."""
    shown = [
        {"name": name, "said": _said(name, value, known), "without": filters.without(name)}
        for name, value in filters.said.items()
    ]
    if filters.range.key == ranges.CUSTOM:
        usual = {"range": ranges.DEFAULT, **filters.said}
        shown.insert(0, {"name": "time", "said": filters.range.label, "without": usual})
    return shown


def _said(name: str, value: str, known: Mapping[str, list[tuple[str, str]]]) -> str:
    if name == TAG:
        return f"#{value}"
    if name in reading.BY_ID and uuid.UUID(value) == NIL:
        return called(DIMENSIONS[name], NIL, {})
    return dict(known.get(name, [])).get(value, formats.DASH)
