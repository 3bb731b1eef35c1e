"""Messages of a stream, as each API frames them."""

from __future__ import annotations

from typing import Any

from ..models.base import json_bytes


def data(document: Any) -> bytes:
    return b"data: %b\n\n" % json_bytes(document)


def event(document: dict[str, Any]) -> bytes:
    """One whose `type` is the event's name too."""
    return b"event: %b\ndata: %b\n\n" % (document["type"].encode(), json_bytes(document))
