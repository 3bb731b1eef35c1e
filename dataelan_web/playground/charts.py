"""What of a table can be drawn: the filter `chart` of templates/playground/_actions.html; static/charts.js draws it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

MOST_LINES = 6
"""As many as there are colours that can be told apart."""
MOST_POINTS = 500

NUMBER = re.compile(
    r"(?P<sign>[-+−–]?)[$€£¥~≈]?\s?(?P<digits>\d+|\d{1,3}(?:,\d{3})+)?(?P<part>\.\d+)?\s?[^\W\d]{0,3}%?"
)
"""A number with at most a sign, a currency, thousands by commas, and a short unit: "$1,234.50", "12 ms", "−4 %"."""


def chart(table: dict[str, Any]) -> dict[str, Any] | None:
    """The columns of numbers of a table of an answer, over what its rows are called.

    table: {header: [text], rows: [[text]]}. Returns {labels: [text], lines: [{name, values: [float | None]}]}, or None
    where nothing can be drawn: under two rows, or no column in which most cells are numbers.
    """
    rows = table["rows"][:MOST_POINTS]
    columns = [[row[at] if at < len(row) else "" for row in rows] for at in range(len(table["header"]))]
    read = [[number(cell) for cell in column] for column in columns]
    numeric = [at for at, values in enumerate(read) if _are_numbers(columns[at], values)]
    named = next((at for at in range(len(columns)) if at not in numeric), None)
    if named is None and len(numeric) > 1:
        named = numeric.pop(0)  # all are numbers: the first is what the others are drawn over, as a year is
    if len(rows) < 2 or not numeric:
        return None
    labels = columns[named] if named is not None else [str(place) for place in range(1, len(rows) + 1)]
    lines = [{"name": table["header"][at] or f"Column {at + 1}", "values": read[at]} for at in numeric[:MOST_LINES]]
    return {"labels": labels, "lines": lines}


def number(text: str) -> float | None:
    """`$1,234.50` → 1234.5; None where it is no number, one of several, or larger than any that can be drawn."""
    found = NUMBER.fullmatch(text.strip())
    if not found or not (found["digits"] or found["part"]):
        return None
    value = float((found["digits"] or "0").replace(",", "") + (found["part"] or ""))
    if not math.isfinite(value):  # which no JSON holds, so that no line would be drawn
        return None
    return -value if found["sign"] in ("-", "−", "–") and found["sign"] else value


def _are_numbers(cells: Sequence[str], values: Sequence[float | None]) -> bool:
    filled = [value for cell, value in zip(cells, values, strict=True) if cell.strip()]
    return len(filled) >= 2 and sum(value is not None for value in filled) >= 0.8 * len(filled)
