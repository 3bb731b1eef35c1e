"""A call as it goes out: where to, and its bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import httpx2

from .types import Call

HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "Connection": "keep-alive", "User-Agent": "Dataelan"}
"""Of every request that does not say otherwise. Answers are asked for uncompressed, so that a small reply cannot unpack
into a large one."""
_LINES = {name.lower(): f"{name}: {value}\r\n" for name, value in HEADERS.items()}
PIECE = 64 * 1024
"""Bytes that are sent at once."""
PORTS = {"http": 80, "https": 443}
Origin = tuple[str, bytes, int]
"""Scheme, host and port."""

_encoded = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_WORD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t -~]*")


class Place(NamedTuple):
    origin: Origin
    target: bytes
    """Path and query, as they are sent."""
    host: str
    """… and the port, where it is not the usual one: as a header says it."""


@lru_cache(maxsize=1000)
def place_of(url: str) -> Place:
    """Read once, as a provider's is the same at every call. Raises InvalidURL, or UnsupportedProtocol for what is no
    address of the web."""
    parts = httpx2.URL(url)
    if parts.scheme not in PORTS or not parts.raw_host:
        raise httpx2.UnsupportedProtocol(f"{parts.scheme[:20]} is not spoken here")
    found = parts.scheme, parts.raw_host, parts.port or PORTS[parts.scheme]
    return Place(found, parts.raw_path, parts.netloc.decode("ascii"))


def origin(url: str) -> Origin | None:
    """As read by the client that will connect there; None for what is no web address."""
    try:
        return place_of(url).origin
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol):
        return None


@dataclass
class Request:
    place: Place
    head: bytes
    parts: Iterable[bytes] = field(repr=False)
    """All that follows, of the length that the head says."""

    def __iter__(self) -> Iterator[bytes]:
        """In pieces to be sent. A small request is one."""
        waiting = self.head
        for part in self.parts:
            for start in range(0, len(part), PIECE):
                piece = part[start : start + PIECE]
                if len(waiting) + len(piece) <= PIECE:
                    waiting += piece
                else:
                    yield waiting
                    waiting = piece
        yield waiting


def request_of(call: Call) -> Request:
    """Raises InvalidURL, UnsupportedProtocol, and ValueError, TypeError or RecursionError for what cannot be sent, such
    as a header that would be read as two."""
    place = place_of(call.url)
    if call.form is not None or call.uploads:
        return _in_parts(call, place)
    body, said = call.content or b"", dict[str, str]()
    if call.body is not None:
        body, said["Content-Type"] = _encoded(call.body).encode(), "application/json"
    if body or call.method != "GET":
        said["Content-Length"] = str(len(body))
    return Request(place, _head(call, place, said), (body,))


def _in_parts(call: Call, place: Place) -> Request:
    """As httpx puts a form and files together."""
    files = [(upload.name, (upload.filename, upload.content, upload.media_type)) for upload in call.uploads]
    made = httpx2.Request(call.method, call.url, data=dict(call.form or {}), files=files or None)
    if not isinstance(made.stream, httpx2.SyncByteStream) or "content-length" not in made.headers:
        raise ValueError("its length is not known")
    said = {name: made.headers[name] for name in ("Content-Length", "Content-Type")}
    return Request(place, _head(call, place, said), made.stream)


def _head(call: Call, place: Place, said: dict[str, str]) -> bytes:
    """What the call says goes before what is `said` of its body, and of every request."""
    lines = {"host": f"Host: {place.host}\r\n", **_LINES}
    for name, value in said.items():
        lines[name.lower()] = f"{name}: {value}\r\n"
    own = list[str]()
    for name, value in call.headers.items():
        if not _WORD.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError("a header has characters that cannot be sent")
        lines.pop(name.lower(), None)
        own.append(f"{name}: {value}\r\n")
    told = "".join([*lines.values(), *own])
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (call.method.encode("ascii"), place.target, told.encode("ascii"))
