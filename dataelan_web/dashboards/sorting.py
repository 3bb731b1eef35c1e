"""By what the runs of the explorer can be sorted, and a place in that order.

Every order is by a whole number and, where that is equal, by the run's id: so a place is exact, and stays where it is
while new runs come. Unknown numbers are −1: last, or first where the order rises.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import BigInteger, ColumnElement, Table, and_, func, literal_column, tuple_
from sqlalchemy import cast as as_type

from ..models import Execution
from ..models.explored import COST, LATENCY
from ..models.rollups import TOKENS
from .filters import BadFilter

RUNS = cast(Table, Execution.__table__)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LONGEST_TIME = 253_402_300_799_000_000
"""Microseconds until the end of the year 9999."""


@dataclass(frozen=True)
class Sort:
    name: str
    label: str
    number: ColumnElement[Any]
    is_indexed: bool = False
    """Beside the time there is an index for each day."""


def _tokens() -> ColumnElement[Any]:
    first, *rest = (func.coalesce(as_type(RUNS.c[name], BigInteger), 0) for name in TOKENS)  # together beyond integer
    return sum(rest, first)


_WAITED = func.extract("epoch", RUNS.c.first_token_at - RUNS.c.created_at) * 1000
TIME = Sort("time", "Time", RUNS.c.created_at)
SORTS = {
    sort.name: sort
    for sort in (
        TIME,
        Sort("cost", "Cost", literal_column(COST, BigInteger), True),
        Sort("latency", "Total time", literal_column(LATENCY, BigInteger), True),
        Sort("tokens", "Tokens", _tokens()),
        Sort("first", "First token", func.coalesce(as_type(_WAITED, BigInteger), -1)),
    )
}
RISING = ".up"


@dataclass(frozen=True)
class Order:
    sort: Sort = TIME
    rises: bool = False

    @property
    def said(self) -> str:
        return self.sort.name + (RISING if self.rises else "")

    def columns(self, number: ColumnElement[Any], id: ColumnElement[Any], *, backwards: bool) -> list[Any]:
        return [one.asc() if self.rises is not backwards else one.desc() for one in (number, id)]

    def beyond(self, place: Place, *, backwards: bool) -> ColumnElement[bool]:
        """Behind this place; backwards: before it."""
        number = EPOCH + timedelta(microseconds=place.number) if self.sort is TIME else place.number
        here, there = tuple_(self.sort.number, RUNS.c.id), tuple_(number, place.id)
        if self.rises is not backwards:
            return and_(here > there, self.sort.number >= number)
        return and_(here < there, self.sort.number <= number)

    def place(self, number: Any, id: uuid.UUID) -> Place:
        return Place((number - EPOCH) // timedelta(microseconds=1) if self.sort is TIME else int(number), id)


def order(said: str) -> Order:
    """Raises BadFilter."""
    name = said.removesuffix(RISING) or TIME.name
    if name not in SORTS:
        raise BadFilter("Runs cannot be sorted by that. Choose a column that can.")
    return Order(SORTS[name], said.endswith(RISING))


@dataclass(frozen=True)
class Place:
    """Behind, or before, which run a page begins."""

    number: int
    """Microseconds since 1970, or what is sorted by."""
    id: uuid.UUID

    def __str__(self) -> str:
        return f"{self.number}.{self.id.hex}"


def place(said: str) -> Place | None:
    """Raises BadFilter."""
    if not said:
        return None
    found = re.fullmatch(r"(-?[0-9]{1,18})\.([0-9a-f]{32})", said, re.ASCII)
    if not found or not -1 <= int(found[1]) <= LONGEST_TIME:
        raise BadFilter("The page in this address is none. Begin with the first.")
    return Place(int(found[1]), uuid.UUID(found[2]))
