"""How amounts, shares and lists read in what a rule says of itself, and in reasons."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from math import floor

NANO = 1_000_000_000


@lru_cache(maxsize=10_000)
def dollars(nano: int) -> str:
    whole, dot, cents = f"{(Decimal(nano) / NANO).normalize():f}".partition(".")
    return f"{whole}{dot}{cents.ljust(2, '0')}" if dot else whole


def per_million(nano: int) -> str:
    """Of an amount per 1,000: as people read every other price."""
    return f"${dollars(nano * 1000)} per 1M tokens"


def percent(share: Decimal) -> str:
    """All its decimals."""
    return f"{(share * 100).normalize():f}"


def cut(share: float) -> str:
    """To a tenth of a percent, and never rounded up to what it is held against."""
    return f"{floor(share * 1000 + 1e-6) / 10:g}%"


def joined(names: Iterable[str], word: str = "and") -> str:
    *others, last = list(names) or [""]
    return f"{', '.join(others)} {word} {last}" if others else last
