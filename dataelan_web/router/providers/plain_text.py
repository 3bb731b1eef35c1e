"""Prompts for formats that take one text, or turns of nothing but text."""

from __future__ import annotations

from dataelan_web.router.types import ImagePart, Prompt, TextPart, Unsupported


def refuse_more_than_text(prompt: Prompt, *, but_images: bool = False) -> None:
    """Raises Unsupported."""
    taken: type[TextPart] | tuple[type, ...] = (TextPart, ImagePart) if but_images else TextPart
    if prompt.tools or any(not isinstance(part, taken) for message in prompt.messages for part in message.parts):
        pictures = "" if but_images else " pictures,"
        raise Unsupported(f"This format takes text; it knows no{pictures} files or tools.")
