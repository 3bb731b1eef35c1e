"""Amounts of what limits count, and how they are said."""

from __future__ import annotations

from typing import NamedTuple

from ..models import NANO, Unit


class Use(NamedTuple):
    """What one call uses, or may use at most."""

    usd: int = 0
    """Nano-USD."""
    tokens: int = 0
    """Of all classes together."""
    requests: int = 1

    def of(self, unit: Unit) -> int:
        amount: int = getattr(self, unit)
        return amount


def said(unit: Unit, amount: int) -> str:
    """ "$5.00", "12,000 tokens", "1 request"."""
    if unit is Unit.USD:
        return usd(amount)
    return f"{amount:,} {unit.value if amount != 1 else unit.value[:-1]}"


def usd(nano: int) -> str:
    """Exact, without a tail of zeros: $5.00, $0.0004125."""
    whole, part = divmod(nano, NANO)
    digits = f"{part:09d}".rstrip("0").ljust(2, "0")
    return f"${whole:,}.{digits}"
