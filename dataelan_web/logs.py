"""What is written to the log: lines of text, or of JSON, each with the request and the run that it belongs to.

A request, or a message of the queue, begins a scope; what is learnt in it (`note`) stands on every line that follows,
in whichever room it is written. A message takes the scope's names along (`handed_on`), so that a worker's lines can be
found by the request that asked for the run. No line holds a secret: what settings keep secret, and what looks like a
key, is blotted out as the line is written.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import uuid_utils

SAFE = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
"""A name of a request that somebody else gave: nothing that could begin another line, or a tag."""
BLOT = "•••"
KEYLIKE = re.compile(r"\b(?:sk-|dlan_|whsec_|AIza|Bearer )[A-Za-z0-9+/=._~-]{8,}")
PASSWORD = re.compile(r"(?<=://)([^\s:/@]{0,255}):[^\s@]{1,255}@")
"""In an address: scheme://user:password@host."""
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")

_SCOPE: ContextVar[dict[str, object] | None] = ContextVar("scope", default=None)
_structured = False


def init(level: str, form: str, secrets: Iterable[str]) -> None:
    """Once for each process; a program that has set up its log already keeps what it has. `form`: text or json."""
    global _structured
    _structured = form == "json"
    handler = logging.StreamHandler()
    handler.setFormatter((JsonLine if _structured else TextLine)(secrets))
    logging.basicConfig(level=level, handlers=[handler])
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # its INFO lines would name every provider's address


# -- whose line it is ------------------------------------------------------------------------------


def begin(request_id: str = "") -> str:
    """A new scope for this thread, in place of what it did before. A name that is missing, or not SAFE, is made up."""
    id = request_id if SAFE.fullmatch(request_id) else uuid_utils.uuid4().hex  # asks the system for nothing
    _SCOPE.set({"request_id": id})
    return id


def note(**names: object) -> None:
    """Stands on every further line of this scope. Outside of one, as in a thread of many things, nothing does."""
    if (scope := _SCOPE.get()) is not None:
        scope.update(names)


def forget(name: str) -> None:
    """What came to nothing stands on no further line."""
    if (scope := _SCOPE.get()) is not None:
        scope.pop(name, None)


def noted() -> Mapping[str, str]:
    return {name: str(value) for name, value in (_SCOPE.get() or {}).items()}


@contextmanager
def scope(names: Mapping[str, str]) -> Iterator[None]:
    """For the work of one message: what was `handed_on` with it, as far as it is SAFE."""
    kept = {name: value for name, value in names.items() if isinstance(value, str) and SAFE.fullmatch(value)}
    before = _SCOPE.set({"request_id": kept["request_id"]} if "request_id" in kept else {})
    try:
        yield
    finally:
        _SCOPE.reset(before)


def handed_on() -> dict[str, str]:
    """What a message of the queue takes along."""
    found = noted().get("request_id")
    return {"request_id": found} if found else {}


def tell(log: logging.Logger, what: str, **facts: object) -> None:
    """That something ordinary happened, for programs that read the log: written where it is JSON, and not otherwise."""
    if _structured:
        log.info(what, extra={"facts": facts})


# -- how it is written -----------------------------------------------------------------------------


class TextLine(logging.Formatter):
    """2026-11-27 12:00:00,000Z INFO dataelan_web.errors: words [request_id=… execution_id=…]

    A message is one line, whatever it quotes: nobody writes another by a line break in an address."""

    converter = staticmethod(time.gmtime)
    default_msec_format = "%s,%03dZ"

    def __init__(self, secrets: Iterable[str]):
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self.secrets = _worth_hiding(secrets)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        names = " ".join(f"{name}={value}" for name, value in noted().items())
        line = CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), super().formatMessage(record))
        return line + (f" [{names}]" if names else "")

    def format(self, record: logging.LogRecord) -> str:
        return blotted(super().format(record), self.secrets)


class JsonLine(logging.Formatter):
    """One object a line: time, level, logger, message; then the scope's names, facts, and an error's traceback."""

    def __init__(self, secrets: Iterable[str]):
        super().__init__()
        self.secrets = _worth_hiding(secrets)

    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": blotted(record.getMessage(), self.secrets),
            **noted(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            said["error"] = blotted(self.formatException(record.exc_info), self.secrets)
        if record.stack_info:
            said["stack"] = blotted(record.stack_info, self.secrets)
        return json.dumps(said, ensure_ascii=False, default=str)


def blotted(line: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        line = line.replace(secret, BLOT)
    return PASSWORD.sub(rf"\1:{BLOT}@", KEYLIKE.sub(BLOT, line))


def _worth_hiding(secrets: Iterable[str]) -> list[str]:
    return sorted({secret for secret in secrets if len(secret) >= 8}, key=len, reverse=True)
