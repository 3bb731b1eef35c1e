"""How numbers read: the template filters. Small money never reads $0.00, and unknown is a dash."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from flask import Flask
from markupsafe import Markup

from . import currencies
from .markdown import render as markdown
from .models import NANO, now

DASH = "–"
KEPT_UNDER = 20_000
FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r]")
NUMBER = re.compile(r"[+-]?(\d[\d.,]*|\.\d+)(e[+-]?\d+)?\s*%?", re.IGNORECASE | re.ASCII)
"""What a spreadsheet may take for a formula gets a ' before it, if it is no plain number."""
BYTE_ORDER_MARK = "\ufeff"
"""Excel wants to see it at the start of a CSV."""


def init_app(app: Flask) -> None:
    app.jinja_env.globals["currency"] = currencies.here
    app.jinja_env.filters.update(
        money=money,
        exact_money=exact_money,
        signed_money=signed_money,
        money_title=money_title,
        price=price,
        duration=duration,
        count=count,
        tokens=tokens,
        ago=ago,
        speed=speed,
        markdown=answer,
    )


def money(nano: int | None) -> str:
    """$12.30 from one dollar on; below, at most three digits that count: $0.00412, $0.01. In the organization's
    currency, where it chose one: ≈ €12.30. None: unknown."""
    if nano is None:
        return DASH
    return currencies.here().said(nano)


def signed_money(nano: int) -> str:
    """+$1.20, −$0.00412."""
    return currencies.here().said(nano, plus=True)


def about_money(nano: int) -> str:
    """An estimate: about $1.20; in another currency all are."""
    said = money(nano)
    return said if said.startswith("≈") else f"about {said}"


def exact_money(nano: int | None) -> str:
    """In dollars, whatever is shown beside it."""
    return "The price is unknown" if nano is None else f"${Decimal(nano) / NANO:f}"


def money_title(nano: int | None) -> str:
    """Behind what is shown: the exact amount, and by which rate that was made of it."""
    rate = currencies.here().rate
    return f"{exact_money(nano)}, shown at {rate}" if rate and nano else exact_money(nano)


def price(nano_per_million: int | None) -> str:
    """A price per 1,000,000 tokens."""
    if nano_per_million is None:
        return DASH
    if nano_per_million == 0:
        return "free"
    if not (shown := currencies.here()).is_dollars:
        return shown.said(nano_per_million)
    usd = (Decimal(nano_per_million) / NANO).normalize()
    return f"${usd:,.2f}" if -usd.as_tuple().exponent < 2 else f"${usd:f}"  # type: ignore[operator]


def duration(seconds: float | None) -> str:
    """840ms, 3.4s, 2m 5s."""
    if seconds is None:
        return DASH
    if seconds < 0.9995:
        return f"{max(seconds, 0) * 1000:.0f}ms"
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes}m" if hours else f"{minutes}m {rest}s"


def count(number: int | None) -> str:
    """Grouped to 999,999; then 1.2M, truncated, never rounded up."""
    if number is None:
        return DASH
    for size, unit in ((1_000_000_000, "B"), (1_000_000, "M")):
        if number >= size:
            tenths = number * 10 // size
            return f"{tenths // 10}.{tenths % 10}{unit}"
    return f"{number:,}"


def tokens(pair: tuple[int | None, int | None]) -> str:
    """Input → output."""
    return f"{count(pair[0])} → {count(pair[1])}"


def speed(per_second: float | None) -> str:
    return DASH if per_second is None else f"{per_second:,.0f} tok/s"


def ago(at: datetime | None) -> str:
    if at is None:
        return "never"
    seconds = (now() - at).total_seconds()
    if seconds < 45:
        return "just now"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            number = int(seconds // size)
            return f"{number} {unit} ago" if number < 30 or unit != "d" else f"{at:%-d %b %Y}"
    return "1 min ago"


def csv_line(values: Sequence[object]) -> str:
    """A line that no spreadsheet takes for a formula."""
    written = io.StringIO()
    csv.writer(written).writerow([_harmless(str(value)) for value in values])
    return written.getvalue()


def csv_cell(value: str) -> str:
    """A cell of such a line as it was before."""
    return value[1:] if value[:1] == "'" and _harmless(value[1:]) == value else value


def _harmless(value: str) -> str:
    return f"'{value}" if FORMULA.match(value) and not NUMBER.fullmatch(value) else value


def answer(text: Any) -> Markup:
    """A model's answer as safe HTML. Rendering is the dearest part of a page, and an answer never changes."""
    text = str(text or "")
    return _kept(text) if len(text) < KEPT_UNDER else markdown(text)


_kept = lru_cache(maxsize=1024)(markdown)
