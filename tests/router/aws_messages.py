"""Writing Amazon's binary event stream, for tests."""

from __future__ import annotations

import base64
import json
from binascii import crc32
from struct import pack
from typing import Any


def message(headers: dict[str, str], payload: bytes) -> bytes:
    written = b"".join(
        pack(">B", len(name)) + name.encode() + b"\x07" + pack(">H", len(value.encode())) + value.encode()
        for name, value in headers.items()
    )
    return framed(written, payload)


def framed(headers: bytes, payload: bytes) -> bytes:
    prelude = pack(">II", 16 + len(headers) + len(payload), len(headers))
    whole = prelude + pack(">I", crc32(prelude)) + headers + payload
    return whole + pack(">I", crc32(whole))


def event(type: str, document: Any) -> bytes:
    headers = {":event-type": type, ":content-type": "application/json", ":message-type": "event"}
    return message(headers, json.dumps(document).encode())


def exception(type: str, document: Any) -> bytes:
    return message({":exception-type": type, ":message-type": "exception"}, json.dumps(document).encode())


def chunk(document: Any) -> bytes:
    """A piece of an InvokeModel stream."""
    return event("chunk", {"bytes": base64.b64encode(json.dumps(document).encode()).decode(), "p": "abc"})
