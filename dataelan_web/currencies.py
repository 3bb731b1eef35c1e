"""In which currency amounts are shown. All are counted in US dollars; an organization may say what a dollar is in
another currency, and its people see about how much that is. Exact amounts stay in dollars: of limits, prices that are
entered, exports, and all that programs are told.

    here().said(nano)           as a page shows an amount of nano-USD
    with shown_as(currency):    where there is no page: in a letter, or in dollars after all

Names, signs and decimals are CLDR's, as Babel has them: fetched only where a currency was chosen.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import cache, lru_cache

from flask import g, has_app_context

from .models import NANO, Organization

LANGUAGE = "en"
THREE_DIGITS = Context(prec=3, rounding=ROUND_HALF_UP)
SMALLEST, LEAST = 9, 12
"""Decimals of the smallest amount in dollars, and in any other currency."""


@dataclass(frozen=True)
class Currency:
    code: str
    per_usd: Decimal
    """How many of it one US dollar is."""
    set_on: date | None
    """The day on which somebody said so; None: of the dollar itself."""
    sign: str
    decimals: int

    @property
    def is_dollars(self) -> bool:
        return self.code == "USD"

    def of(self, nano: int) -> Decimal:
        """So many of it are so many nano-USD."""
        usd = Decimal(nano) / NANO
        return usd if self.is_dollars else usd * self.per_usd

    def drawn(self, nano: float) -> float:
        """The same for a chart."""
        return nano / NANO if self.is_dollars else nano / NANO * float(self.per_usd)

    def said(self, nano: int, *, plus: bool = False) -> str:
        """$12.30, ≈ €12.30, ≈ −€0.00412. `plus`: more than nothing has a sign too."""
        about = "" if self.is_dollars or not nano else "≈ "
        minus = "−" if nano < 0 else "+" if nano and plus else ""
        return f"{about}{minus}{self.sign}{self.digits(abs(self.of(nano)))}"

    def digits(self, amount: Decimal) -> str:
        """Of at least one its decimals, and none from 10,000 on; of less three that count, without a tail of zeros, so
        that what is exact reads as quota.usd says it: 0.01, not 0.0100. Nothing is 0."""
        if amount < 1:
            amount = THREE_DIGITS.plus(amount)
        if amount == 0:
            return "0"
        if amount >= 1:
            shown = 0 if amount >= 10_000 else self.decimals if amount >= 100 else max(self.decimals, 2)
            return f"{amount:,.{shown}f}"
        places = max(2, -amount.normalize().as_tuple().exponent)  # type: ignore[operator]
        return f"{amount:.{min(places, SMALLEST if self.is_dollars else LEAST)}f}"

    @property
    def rate(self) -> str:
        """0.92 EUR per USD, as set on 28 November 2026; empty: of dollars."""
        if self.is_dollars:
            return ""
        return f"{plain(self.per_usd)} {self.code} per USD, as set on {self.set_on:%-d %B %Y}"


DOLLARS = Currency("USD", Decimal(1), None, "$", 2)
_chosen: ContextVar[Currency | None] = ContextVar("chosen_currency", default=None)


def here() -> Currency:
    """That of a `with shown_as(…)`, or else of the organization whose page this is; dollars where there is neither."""
    if (chosen := _chosen.get()) is not None:
        return chosen
    organization = g.get("organization") if has_app_context() else None
    return DOLLARS if organization is None else of(organization)


def of(organization: Organization) -> Currency:
    code, rate, set_on = organization.currency, organization.currency_rate, organization.currency_set_on
    return DOLLARS if code is None or rate is None else _made(code, rate, set_on)


@contextmanager
def shown_as(currency: Currency) -> Iterator[None]:
    before = _chosen.set(currency)
    try:
        yield
    finally:
        _chosen.reset(before)


@lru_cache(maxsize=256)
def _made(code: str, rate: Decimal, set_on: date | None) -> Currency:
    from babel import numbers

    sign, decimals = numbers.get_currency_symbol(code, LANGUAGE), numbers.get_currency_precision(code)
    return Currency(code, rate, set_on, f"{sign}\N{NO-BREAK SPACE}" if sign[-1:].isalpha() else sign, decimals)


@cache
def offered() -> list[tuple[str, str]]:
    """[(EUR, Euro)…]: what is money somewhere today, by its code."""
    from babel import numbers
    from babel.core import get_global

    used = {code for place in get_global("territory_currencies") for code in numbers.get_territory_currencies(place)}
    return [(code, numbers.get_currency_name(code, locale=LANGUAGE)) for code in sorted(used - {"USD"})]


def plain(rate: Decimal) -> str:
    """Without a tail of zeros, and never 1E+3."""
    return f"{rate.normalize():f}"
