"""What the explorer of runs was asked for, in its address: a dashboard's filters, and what only runs have."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from ..models import NANO
from . import filters as reading
from . import sorting
from .filters import BadFilter, Filters
from .runs import MET, Only, Wanted
from .sorting import Order, Place

COLUMNS = {
    "time": "Time",
    "model": "Model",
    "provider": "Provider",
    "member": "Member",
    "project": "Project",
    "outcome": "Outcome",
    "error": "Error",
    "type": "Type",
    "origin": "Asked by",
    "rule": "Rule",
    "tags": "Tags",
    "key": "Key",
    "payer": "Paid by",
    "attempts": "Calls",
    "tokens": "Tokens",
    "cost": "Cost",
    "first": "First token",
    "latency": "Total time",
    "speed": "Tokens/s",
}
NUMBERS = ("attempts", "tokens", "cost", "first", "latency", "speed")
ALWAYS = "time"
USUAL = ("time", "model", "member", "project", "outcome", "tokens", "cost", "first", "latency")
MOST_USD, MOST_SECONDS = 1_000_000, 1_000_000
ONLY = ("rule", "untagged", "met", "cost", "seconds")


@dataclass(frozen=True)
class View:
    filters: Filters
    only: Only = field(default_factory=Only)
    narrowed: dict[str, str] = field(default_factory=dict)
    """Of ONLY, as the address has it."""
    order: Order = field(default_factory=Order)
    after: Place | None = None
    before: Place | None = None
    columns: tuple[str, ...] = USUAL
    live: int | None = None
    """Since when it is watched: seconds since 1970."""

    @property
    def address(self) -> dict[str, str]:
        """Of its first page."""
        chosen = {} if self.columns == USUAL else {"columns": ",".join(self.columns)}
        sort = {} if self.order == Order() else {"sort": self.order.said}
        return {**self.filters.address, **self.narrowed, **sort, **chosen}

    def but(self, **changed: Any) -> dict[str, str]:
        """The address with some of it changed; None takes it out."""
        return {name: value for name, value in (self.address | changed).items() if value is not None}

    @property
    def wanted(self) -> Wanted:
        return Wanted(self.filters.asked, self.filters.range.start, self.filters.range.end, self.only)

    @property
    def can_be_watched(self) -> bool:
        return self.filters.range.runs_still and self.order == Order() and not (self.after or self.before)


def read(args: Mapping[str, str]) -> View:
    """Raises BadFilter."""
    narrowed = {name: args[name].strip()[:200] for name in ONLY if args.get(name, "").strip()}
    after, before = sorting.place(args.get("after", "")), sorting.place(args.get("before", ""))
    order = sorting.order(args.get("sort", ""))
    view = View(reading.read(args), _only(narrowed), narrowed, order, after, before, _columns(args))
    live = args.get("live", "")
    watched = int(live) if live.isascii() and live.isdigit() and len(live) <= 11 and view.can_be_watched else None
    return replace(view, live=watched)


def _columns(args: Mapping[str, str]) -> tuple[str, ...]:
    """In their own order. What is no column, or none any more, is left out: a link lives longer than it."""
    chosen = args.get("columns", "")
    if hasattr(args, "getlist"):
        chosen = ",".join(args.getlist("columns"))
    named = set(chosen.split(",")) & set(COLUMNS)
    return tuple(name for name in COLUMNS if name in named or name == ALWAYS) if named else USUAL


def _only(said: Mapping[str, str]) -> Only:
    rule = None
    if "rule" in said:
        try:
            rule = uuid.UUID(said["rule"])
        except ValueError:
            raise BadFilter("The rule in this address is none. Choose one of the list.") from None
    if said.get("untagged", "yes") != "yes":
        raise BadFilter("Runs can be untagged=yes, or left alone.")
    if said.get("met", "") not in ("", *MET):
        raise BadFilter(f"Runs can have met: {', '.join(MET)}.")
    cost = _number("least cost", said.get("cost"), MOST_USD)
    seconds = _number("least time", said.get("seconds"), MOST_SECONDS)
    nano = None if cost is None else int(cost * NANO)
    return Only(rule, "untagged" in said, nano, None if seconds is None else float(seconds), said.get("met", ""))


def _number(what: str, said: str | None, most: int) -> Decimal | None:
    if not said:
        return None
    try:
        number = Decimal(said)
    except InvalidOperation:
        raise BadFilter(f"The {what} has to be a number, such as 0.05.") from None
    if not number.is_finite() or not 0 <= number <= most:
        raise BadFilter(f"The {what} has to be between 0 and {most:,}.")
    return number


def since(view: View) -> datetime | None:
    return None if view.live is None else sorting.EPOCH.fromtimestamp(view.live, sorting.EPOCH.tzinfo)
