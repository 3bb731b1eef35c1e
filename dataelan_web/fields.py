"""What the forms of all features share: how a field's text is cleaned before it is checked."""

from __future__ import annotations


def trim(value: str | None) -> str | None:
    """Without the spaces that come along with a paste."""
    return value.strip() if value else value


def lower(value: str | None) -> str | None:
    """For addresses, which are one however they are written."""
    return value.strip().lower() if value else value
