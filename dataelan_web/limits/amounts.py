"""Amounts as people type them, exact: money to the billionth of a dollar, all else as whole numbers."""

from __future__ import annotations

import re
from decimal import Decimal

from ..models import NANO, Measure, Unit

MOST_USD = 1_000_000_000
MOST_COUNT = 1_000_000_000_000_000
LONGEST = 40
GROUPED = re.compile(r"\d{1,3}(?:[, ]\d{3})+")
"""Thousands set apart. A comma anywhere else may be meant as a decimal point, so it is asked about, not guessed."""
NUMBER = re.compile(r"\d+(?:\.\d*)?|\.\d+", re.ASCII)


def read(text: str, unit: Measure) -> int:
    """In the unit's own whole numbers. ValueError has words for the person who typed it."""
    return _usd(text) if unit is Unit.USD else whole(text, 0, MOST_COUNT)


def typed(unit: Measure, amount: int) -> str:
    """An amount as a person would type it."""
    return f"{(Decimal(amount) / NANO).normalize():f}" if unit is Unit.USD else f"{amount:,}"


def whole(text: str, least: int, most: int) -> int:
    digits = _ungrouped(text.strip())
    if digits.startswith("-"):
        raise ValueError("It cannot be negative.")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= LONGEST):
        raise ValueError("Enter a whole number, such as 40 or 120,000.")
    if not least <= int(digits) <= most:
        raise ValueError(f"Enter a number from {least:,} to {most:,}.")
    return int(digits)


def rounded_up(amount: int) -> int:
    """To two digits that count: 1234 → 1300."""
    step: int = 10 ** max(0, len(str(amount)) - 2)
    return -(-amount // step) * step


def _usd(text: str) -> int:
    number = _ungrouped(text.strip().removeprefix("$").removesuffix("USD").strip())
    if number.startswith(("-", "−")):
        raise ValueError("It cannot be negative.")
    if "," in number:
        raise ValueError("Write a point for decimals, such as 2.50, and commas only between thousands.")
    if len(number) > LONGEST or not NUMBER.fullmatch(number):
        raise ValueError("Enter an amount in US dollars, such as 50 or 2.50.")
    nano = Decimal(number) * NANO
    if nano != nano.to_integral_value():
        raise ValueError("At most nine decimals: money is counted in billionths of a dollar.")
    if nano > MOST_USD * NANO:
        raise ValueError(f"${MOST_USD:,} is the most that can be entered.")
    return int(nano)


def _ungrouped(text: str) -> str:
    whole, point, rest = text.partition(".")
    return re.sub("[, ]", "", whole) + point + rest if GROUPED.fullmatch(whole) else text
