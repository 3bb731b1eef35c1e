"""Form fields of the hub: an amount of money, several names, and a key as it is pasted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

from wtforms import Field
from wtforms.validators import Regexp
from wtforms.widgets import TextArea, TextInput

from ..models import NANO

# It travels in an HTTP header, which holds nothing else.
PLAIN = Regexp(r"[!-~]*\Z", message="A key has plain letters, digits and signs only: something else was pasted along.")
LONGEST_KEY = 4_000
"""Temporary keys carry a token of one or two thousand characters."""
MOST_USD = 1_000_000


class UsdField(Field):
    """An amount of US dollars; `data` is whole nano-USD, or None for an empty field."""

    widget = TextInput()

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return "" if self.data is None else f"{Decimal(self.data) / NANO:f}"

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        text = valuelist[0].strip().removeprefix("$").replace(",", "") if valuelist else ""
        self.data = None
        if not text:
            return
        try:
            nano = Decimal(text) * NANO
        except ArithmeticError as error:
            raise ValueError("Enter an amount in USD, such as 2.50.") from error
        if not nano.is_finite() or not 0 <= nano <= MOST_USD * NANO or nano != int(nano):
            raise ValueError(f"Enter an amount between 0 and {MOST_USD:,} USD, with nine decimals at most.")
        self.data = int(nano)


class NamesField(Field):
    """Names between commas, spaces or line ends; `data` is a list of them, each once."""

    widget = TextArea()  # type: ignore[assignment]

    def _value(self) -> str:
        return str(self.raw_data[0]) if self.raw_data else "\n".join(self.data or [])

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        names = re.split(r"[\s,]+", valuelist[0]) if valuelist else []
        self.data = list(dict.fromkeys(name for name in names if name))
