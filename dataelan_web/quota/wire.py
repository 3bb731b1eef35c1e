"""How the functions of limits are called: in words as PostgreSQL reads them, since every counted call pays for it.

A list goes as one word, which is read with less effort than an expression for each of its elements.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID


def array(values: Iterable[object]) -> str:
    """Ids, times or numbers as PostgreSQL writes an array of them."""
    return "{" + ",".join([_word(value) for value in values]) + "}"


def _word(value: object) -> str:
    if value is None:
        return "NULL"
    return value.hex if isinstance(value, UUID) else f'"{value}"'  # without hyphens it is made with less effort
