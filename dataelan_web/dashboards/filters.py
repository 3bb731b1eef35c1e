"""What a dashboard was asked for, in its address: a time range, and of which project, member, provider, model …"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from flask import g

from .. import access
from ..models import ModelType, State
from ..models.executions import OPEN
from . import ranges
from .ranges import BadRange, Range
from .sums import Asked

BY_ID = {"project": "project_id", "member": "user_id", "provider": "provider_id", "model": "model_id"}
BY_WORD = {
    "type": ("model_type", [one.value for one in ModelType]),
    "outcome": ("outcome", [one.value for one in State if one not in OPEN]),
}


class BadFilter(ValueError):
    """The message is for the person."""


@dataclass(frozen=True)
class Filters:
    range: Range
    said: dict[str, str]
    """Names of the address → what they say; only those that let less in."""
    asked: Asked
    first: str = ""
    last: str = ""

    @property
    def address(self) -> dict[str, str]:
        """The address of the same view."""
        dates = {"from": self.first, "to": self.last} if self.range.key == ranges.CUSTOM else {}
        return {"range": self.range.key, **dates, **self.said}

    def without(self, name: str) -> dict[str, str]:
        return {key: value for key, value in self.address.items() if key != name}

    def with_(self, name: str, value: object) -> dict[str, str]:
        return self.address | {name: str(value)}


def read(args: Mapping[str, str], *, mine: bool = False) -> Filters:
    """Raises BadFilter. `mine`: only what the signed-in person asked themselves."""
    try:
        over = ranges.read(args.get("range") or ranges.DEFAULT, args.get("from", ""), args.get("to", ""), _zone())
    except BadRange as bad:
        raise BadFilter(str(bad)) from bad
    said = {name: args[name] for name in (*BY_ID, *BY_WORD) if args.get(name)}
    filters: dict[str, uuid.UUID | str] = {}
    for name, value in said.items():
        filters[BY_ID[name] if name in BY_ID else BY_WORD[name][0]] = _value(name, value)
    seen = access.sums_seen()
    if mine:
        seen = access.SumsSeen(False, (), seen.user_id)
    return Filters(over, said, Asked(g.organization.id, seen, filters), args.get("from", ""), args.get("to", ""))


def nothing(*, mine: bool = False) -> Filters:
    return read({}, mine=mine)


def _value(name: str, value: str) -> uuid.UUID | str:
    if name in BY_WORD:
        if value not in BY_WORD[name][1]:
            raise BadFilter(f"There is no {name} “{value[:40]}”.")
        return value
    try:
        return uuid.UUID(value)
    except ValueError:
        raise BadFilter(f"The {name} in this address is none. Choose one of the list.") from None


def _zone() -> ZoneInfo:
    return ZoneInfo(g.organization.time_zone)
