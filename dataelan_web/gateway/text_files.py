"""A document of plain text that came in a request."""

from __future__ import annotations

from base64 import b64encode

from ..router.types import FilePart


def text_file(text: str, name: str = "") -> FilePart:
    return FilePart("text/plain", b64encode(text.encode()).decode(), name=name)
