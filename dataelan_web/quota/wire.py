"""How the functions of limits are called: in words as PostgreSQL reads them, since every counted call pays for it.

A list goes as one word, which is read with less effort than an expression for each of its elements.
"""

from __future__ import annotations

from collections.abc import Iterable


def array(values: Iterable[object]) -> str:
    """Ids, times or numbers as PostgreSQL writes an array of them."""
    return "{" + ",".join("NULL" if value is None else f'"{value}"' for value in values) + "}"
