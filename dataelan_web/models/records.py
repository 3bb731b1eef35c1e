"""Rows in memory that are plain records: of what a call wrote by statements (journal.py), in no session.

SQLAlchemy tells its sessions of each value that a row gets. Where there is none to be told, that is most of the work of
making one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from sqlalchemy.orm.attributes import instance_dict, manager_of_class

from .base import Base

Row = TypeVar("Row", bound=Base)


def record(model: type[Row], **values: Any) -> Row:
    """One with these values: of columns, and of what it is related to. What is not given is None."""
    row: Row = manager_of_class(model).new_instance()
    note(row, **values)
    return row


def note(row: Base, **values: Any) -> None:
    """What is known of it besides, or anew, but for lists of rows; no session that it is in writes that."""
    instance_dict(row).update(values)


def values(row: Base, names: Iterable[str]) -> dict[str, Any]:
    """Of any row, these by name: what is in memory past what SQLAlchemy does at each reading."""
    held = instance_dict(row)
    return {name: held[name] if name in held else getattr(row, name) for name in names}
