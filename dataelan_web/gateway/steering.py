"""What a program says of its call beside the body: which rule, whose, of what conversation, and whether a stored answer
will do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from flask import request

from ..extensions import this_request
from .errors import Refused

RULE, TAGS, SESSION, CACHE, KEY = (
    "x-dataelan-rule", "x-dataelan-tags", "x-dataelan-session", "x-dataelan-cache", "Idempotency-Key",
)  # fmt: skip
MOST_TAGS, LONGEST_TAG, LONGEST = 10, 64, 200
ALL = tuple(f"HTTP_{name.upper().replace('-', '_')}" for name in (RULE, TAGS, SESSION, CACHE, KEY))
"""As the web server hands them on."""


class Cache(StrEnum):
    """`on`: a stored answer will do. `refresh`: ask anew, and store that. `off`: neither."""

    ON = "on"
    REFRESH = "refresh"
    OFF = "off"


@dataclass(frozen=True)
class Steering:
    rule: str = ""
    """Its name, which goes before what the body calls `model`."""
    tags: tuple[str, ...] = ()
    session: str = ""
    cache: Cache = Cache.ON
    idempotency_key: str = ""

    @property
    def labels(self) -> dict[str, Any] | None:
        """As it is kept with the run (Execution.labels)."""
        said = ({"tags": list(self.tags)} if self.tags else {}) | ({"session": self.session} if self.session else {})
        return said or None


NONE = Steering()


def steering() -> Steering:
    """Of this request. Raises Refused (400) naming the header."""
    if this_request().environ.keys().isdisjoint(ALL):
        return NONE
    tags = tuple(dict.fromkeys(tag for part in _said(TAGS, 2000).split(",") if (tag := part.strip())))
    if len(tags) > MOST_TAGS or any(len(tag) > LONGEST_TAG for tag in tags):
        raise Refused(400, f"{TAGS}: {MOST_TAGS} tags of {LONGEST_TAG} characters at most.", "invalid_value", TAGS)
    cache = _said(CACHE).lower() or Cache.ON
    if cache not in list(Cache):
        raise Refused(400, f"{CACHE}: one of {', '.join(Cache)}.", "invalid_value", CACHE)
    return Steering(_said(RULE), tags, _said(SESSION), Cache(cache), _sent(KEY))


def _said(name: str, longest: int = LONGEST) -> str:
    value = _sent(name).strip()
    if len(value) > longest or not value.isprintable():
        raise Refused(400, f"{name}: {longest} printable characters at most.", "invalid_value", name)
    return value


def _sent(name: str) -> str:
    """Without the header, empty. What is sent and comes empty was written in letters that our server does not read, and
    passing over it would ask another model, or pay twice. Raises Refused (400)."""
    value = request.headers.get(name)
    if value is not None and not value.strip():
        message = f"{name}: it came empty. Headers hold ASCII only; a rule of any name can be named as `model`."
        raise Refused(400, message, "invalid_value", name)
    return value or ""
