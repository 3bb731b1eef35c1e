"""What the forms of all features share: how a field’s text is cleaned before it is checked, and what an address is."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from email_validator import EmailNotValidError, validate_email
from flask import abort
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]


def trim(value: str | None) -> str | None:
    """Without the spaces that come along with a paste."""
    return value.strip() if value else value


def lower(value: str | None) -> str | None:
    """For addresses, which are one however they are written."""
    return value.strip().lower() if value else value


def offered(pairs: Iterable[tuple[str, str]]) -> list[SelectChoice]:
    """The choices of a field: of each what is sent, and what is read."""
    return [SelectChoice(value, label) for value, label in pairs]


def id_in(text: str | None) -> uuid.UUID:
    """The id in a form's field; 404 for what is none."""
    try:
        return uuid.UUID(text or "")
    except ValueError:
        abort(404)


def is_address(text: str) -> bool:
    """Of a mailbox, as every form takes it: nobody could sign in with another."""
    try:
        validate_email(text, check_deliverability=False)
    except EmailNotValidError:
        return False
    return len(text) <= 200
