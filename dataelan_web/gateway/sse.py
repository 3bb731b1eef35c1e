"""Messages of a stream, as each API frames them."""

from __future__ import annotations

from typing import Any

from ..models.base import as_json


def data(document: Any) -> bytes:
    return f"data: {as_json(document)}\n\n".encode()


def event(document: dict[str, Any]) -> bytes:
    """One whose `type` is the event's name too."""
    return f"event: {document['type']}\ndata: {as_json(document)}\n\n".encode()
