"""What a search is narrowed to, as the address has it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ..models import ModelType
from .words import LONGEST


@dataclass(frozen=True)
class Filters:
    """What makes no sense in an address is as good as nothing."""

    q: str = ""
    project: str = ""
    type: str = ""
    person: str = ""
    since: str = ""
    until: str = ""
    """Days, the last one included, by the organization's calendar."""
    error: str = ""
    starred: str = ""
    tag: str = ""
    after: str = ""
    """Where the page before ended."""

    @classmethod
    def of(cls, arguments: Mapping[str, str]) -> Filters:
        values = {field.name: arguments.get(field.name, "")[: 2 * LONGEST] for field in fields(cls)}
        return cls(**{name: value if name == "q" else value.strip() for name, value in values.items()})

    @property
    def said(self) -> dict[str, Any]:
        """For an address: only what was said."""
        return {name: value for name, value in vars(self).items() if value and name != "after"}

    @property
    def further(self) -> int:
        """How many of the filters behind “More filters” are in use."""
        return sum(bool(getattr(self, name)) for name in ("person", "since", "until", "error", "starred", "tag"))

    @property
    def is_narrow(self) -> bool:
        return bool(self.project or self.type or self.further)

    @property
    def project_id(self) -> uuid.UUID | None:
        return _id(self.project)

    @property
    def person_id(self) -> uuid.UUID | None:
        return _id(self.person)

    @property
    def model_type(self) -> ModelType | None:
        return ModelType(self.type) if self.type in list(ModelType) else None

    def days(self, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
        """[from, to) in time."""
        return _day(self.since, zone), _day(self.until, zone, timedelta(days=1))

    @property
    def place(self) -> tuple[datetime, uuid.UUID] | None:
        at, _, id = self.after.partition("_")
        try:
            return datetime.fromisoformat(at).astimezone(), uuid.UUID(id)
        except (ValueError, OverflowError):
            return None


def _id(text: str) -> uuid.UUID | None:
    """None for nothing; an id that nothing has for what is none, so that it finds nothing."""
    try:
        return uuid.UUID(text) if text else None
    except ValueError:
        return uuid.UUID(int=0)


def _day(text: str, zone: ZoneInfo, later: timedelta = timedelta()) -> datetime | None:
    try:
        return datetime.combine(datetime.strptime(text, "%Y-%m-%d").date() + later, time(), zone)  # noqa: DTZ007 (a day)
    except (ValueError, OverflowError):
        return None
