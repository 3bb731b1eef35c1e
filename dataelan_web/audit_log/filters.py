"""Which lines are asked for, in an address: `person`, `kind`, `subject`, `name`, `source`, `from` and `to`, `after`."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, or_, tuple_

from ..models import AuditEvent
from ..models.audit import Source

NOBODY = "nobody"
"""The person of what commands and Dataelan itself did."""
KIND = re.compile(r"[a-z_]{1,60}(\.[a-z0-9_]{1,60})?")
NAMES = ("person", "kind", "subject", "name", "source", "from", "to")


class BadFilter(ValueError):
    """The message is for the person."""


@dataclass(frozen=True)
class Cursor:
    """After which line a page goes on: lines are in the order of time, from the newest on."""

    at: datetime
    id: uuid.UUID

    @classmethod
    def of(cls, event: AuditEvent) -> Cursor:
        return cls(event.created_at, event.id)

    @classmethod
    def read(cls, text: str) -> Cursor:
        at, _, id = text.partition("_")
        try:
            return cls(datetime.fromtimestamp(int(at) / 1e6, UTC), uuid.UUID(id))
        except (ValueError, OverflowError, OSError):
            raise BadFilter("This address leads to no page of the log. Begin with the newest.") from None

    def __str__(self) -> str:
        return f"{round(self.at.timestamp() * 1e6)}_{self.id}"

    @property
    def older(self) -> ColumnElement[bool]:
        return tuple_(AuditEvent.created_at, AuditEvent.id) < (self.at, self.id)


@dataclass(frozen=True)
class Filters:
    said: dict[str, str]
    """Names of the address → what they say: the address of the same lines."""
    where: tuple[ColumnElement[bool], ...]
    after: Cursor | None = None

    def but(self, **changed: object) -> dict[str, Any]:
        """The address with these changed, or left out."""
        said = self.said | {name: str(value) for name, value in changed.items() if value}
        return {name: value for name, value in said.items() if changed.get(name, value)}


def read(args: Mapping[str, str], zone: ZoneInfo) -> Filters:
    """Raises BadFilter. Days begin in `zone`."""
    said = {name: args[name].strip() for name in NAMES if args.get(name, "").strip()}
    where = tuple(_WHERE[name](value, zone) for name, value in said.items())
    if said.get("from", "") > said.get("to", "9"):
        raise BadFilter("The time ends before it begins.")
    after = args.get("after", "")
    return Filters(said, where, Cursor.read(after) if after else None)


def _person(value: str, zone: ZoneInfo) -> ColumnElement[bool]:
    """Also what they did in another's name."""
    if value == NOBODY:
        return AuditEvent.actor_id.is_(None)
    id = _id(value, "person")
    return or_(AuditEvent.actor_id == id, AuditEvent.impersonator_id == id)


def _kind(value: str, zone: ZoneInfo) -> ColumnElement[bool]:
    if not KIND.fullmatch(value):
        raise BadFilter(f"There is no kind of change “{value[:40]}”.")
    return AuditEvent.action == value if "." in value else AuditEvent.action.startswith(f"{value}.", autoescape=True)


def _subject(value: str, zone: ZoneInfo) -> ColumnElement[bool]:
    return AuditEvent.subject_id == _id(value, "subject")


def _name(value: str, zone: ZoneInfo) -> ColumnElement[bool]:
    return AuditEvent.subject_name.icontains(value[:100], autoescape=True)


def _source(value: str, zone: ZoneInfo) -> ColumnElement[bool]:
    if value not in list(Source):
        raise BadFilter(f"Nothing is done from “{value[:40]}”.")
    return AuditEvent.source == Source(value)


def _from(value: str, zone: ZoneInfo) -> ColumnElement[bool]:
    return AuditEvent.created_at >= _midnight(value, zone)


def _to(value: str, zone: ZoneInfo) -> ColumnElement[bool]:
    """The whole day."""
    return AuditEvent.created_at < _midnight(value, zone, timedelta(days=1))


_WHERE: dict[str, Callable[[str, ZoneInfo], ColumnElement[bool]]] = {
    "person": _person,
    "kind": _kind,
    "subject": _subject,
    "name": _name,
    "source": _source,
    "from": _from,
    "to": _to,
}


def _midnight(text: str, zone: ZoneInfo, later: timedelta = timedelta()) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(text) + later, time(), zone)
    except (ValueError, OverflowError):
        raise BadFilter(f"“{text[:40]}” is no day. Write it like 2026-11-27.") from None


def _id(text: str, what: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise BadFilter(f"The {what} in this address is none.") from None
