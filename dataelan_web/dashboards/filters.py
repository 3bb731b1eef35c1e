"""What a dashboard was asked for, in its address: a time range, and of which project, member, provider, model …"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from flask import g

from .. import sums_seen
from ..models import ModelType, Origin, Payer, State
from ..models.executions import OPEN
from ..models.rollups import TAGS
from ..rollups.counting import REPAIR
from . import ranges
from .ranges import BadRange, Range
from .sums import Asked, Value

BY_ID = {
    "project": "project_id",
    "member": "user_id",
    "provider": "provider_id",
    "model": "model_id",
    "key": "api_key_id",
}
PROBLEMS = "problems"
"""The outcome of all runs that count as errors."""
FAILED = (State.FAILED.value, State.INTERRUPTED.value)
BY_WORD = {
    "type": ("model_type", [one.value for one in ModelType]),
    "outcome": ("outcome", [*(one.value for one in State if one not in OPEN), PROBLEMS]),
    "payer": ("payer", [one.value for one in Payer]),
    "origin": ("origin", [*(one.value for one in Origin if one is not Origin.IMPORT), REPAIR]),
}
ERROR = "error"
"""A class of errors: whatever word providers and limits have for it."""
TAG = "tag"
LONGEST_TAG = 64
NAMES = (*BY_ID, *BY_WORD, ERROR, TAG)
DIMENSIONS = BY_ID | {name: dimension for name, (dimension, _) in BY_WORD.items()} | {ERROR: ERROR, TAG: TAGS}


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
    own: dict[str, str] = field(default_factory=dict)
    """What the explorer has to be told beside the address: on the page of one's own runs, whose."""

    @property
    def address(self) -> dict[str, str]:
        """The address of the same view."""
        dates = {"from": self.first, "to": self.last} if self.range.key == ranges.CUSTOM else {}
        return {"range": self.range.key, **dates, **self.said}

    def without(self, name: str) -> dict[str, str]:
        return {key: value for key, value in self.address.items() if key != name}

    def with_(self, name: str, value: object) -> dict[str, str]:
        return self.address | {name: str(value)}

    def within(self, slot: int) -> dict[str, str]:
        """The address of one slot of it."""
        first, last = ranges.named(self.range, slot)
        return self.said | {"range": ranges.CUSTOM, "from": first, "to": last}


def read(args: Mapping[str, str], *, mine: bool = False) -> Filters:
    """Raises BadFilter. `mine`: only what the signed-in person asked themselves."""
    try:
        over = ranges.read(args.get("range") or ranges.DEFAULT, args.get("from", ""), args.get("to", ""), _zone())
    except BadRange as bad:
        raise BadFilter(str(bad)) from bad
    said = {name: args[name] for name in NAMES if args.get(name)}
    filters = {DIMENSIONS[name]: _value(name, value) for name, value in said.items()}
    seen = sums_seen.sums_seen()
    if mine:
        seen = sums_seen.SumsSeen(False, (), seen.user_id)
    asked, own = Asked(g.organization.id, seen, filters), {"member": str(seen.user_id)} if mine else {}
    return Filters(over, said, asked, args.get("from", ""), args.get("to", ""), own)


def nothing(*, mine: bool = False) -> Filters:
    return read({}, mine=mine)


def _value(name: str, value: str) -> Value:
    if name in BY_WORD:
        if value not in BY_WORD[name][1]:
            raise BadFilter(f"There is no {name} “{value[:40]}”.")
        return FAILED if value == PROBLEMS else value
    if name == ERROR:
        if not re.fullmatch(r"[a-z0-9_.-]{1,30}", value):
            raise BadFilter("There is no such class of errors. Choose one of the list.")
        return value
    if name == TAG:
        if len(value) > LONGEST_TAG:
            raise BadFilter(f"A tag has {LONGEST_TAG} characters at most.")
        return value.replace("\0", "")
    try:
        return uuid.UUID(value)
    except ValueError:
        raise BadFilter(f"The {name} in this address is none. Choose one of the list.") from None


def _zone() -> ZoneInfo:
    return ZoneInfo(g.organization.time_zone)
