"""Messages of a stream, as each API frames them."""

from __future__ import annotations

import json
from typing import Any

compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
"""A value as JSON, as short as can be. Made once: an answer has thousands of pieces."""


def data(document: Any) -> bytes:
    return f"data: {compact(document)}\n\n".encode()


def event(document: dict[str, Any]) -> bytes:
    """One whose `type` is the event's name too."""
    return f"event: {document['type']}\ndata: {compact(document)}\n\n".encode()
