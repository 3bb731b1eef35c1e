"""The heat map: runs, errors or latency by the hour of the week, of the last four weeks of the time shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import request

from .. import formats
from ..models.rollups import Grain
from . import sums
from .filters import Filters
from .panels import Cell, Panel, percent
from .ranges import HOUR, Range, Span
from .sums import PERCENTILES, Sums

LONGEST = timedelta(days=28)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
LEVELS = 7
EMPTY = "Nothing ran in these hours. By project, member or tag, hours are kept for five weeks."


@dataclass(frozen=True)
class Measure:
    label: str
    said: Callable[[float], str]
    note: str


MEASURES = {
    "runs": Measure("Runs", lambda number: formats.count(round(number)), "All of that hour together."),
    "latency": Measure("Latency, p50", formats.duration, "Half of the runs that completed were faster."),
    "p95": Measure("p95", formats.duration, "One run in twenty that completed was slower."),
    "errors": Measure("Errors, %", percent, "Runs that failed or were interrupted, of all of that hour."),
}


@dataclass(frozen=True)
class Spot:
    said: str
    level: int
    """0: nothing ran; up to LEVELS."""
    title: str


def shown(filters: Filters) -> dict[str, Any]:
    what = chosen()
    span = span_of(filters.range)
    values = measured(filters, what) if span else {}
    return {
        "what": what,
        "measures": MEASURES,
        "days": [(day, [_spot(values, n * 24 + hour, what) for hour in range(24)]) for n, day in enumerate(DAYS)],
        "has_any": bool(values),
        "of": span and (span.start.astimezone(filters.range.zone), (span.end - HOUR).astimezone(filters.range.zone)),
        "empty": EMPTY,
    }


def panel(filters: Filters) -> Panel:
    """The same numbers, as CSV."""
    what = chosen()
    values = measured(filters, what)
    rows = [
        [Cell(day), *(Cell("", _exact(values.get(n * 24 + hour), what)) for hour in range(24))]
        for n, day in enumerate(DAYS)
    ]
    return Panel("heat", "By hour of the week", ["Day", *(f"{hour:02}:00" for hour in range(24))], rows)


def chosen() -> str:
    what = request.args.get("heat", "")
    return what if what in MEASURES else "runs"


def span_of(over: Range) -> Span:
    end = min(over.end, over.at.astimezone(over.zone) + HOUR)
    return Span(Grain.HOUR, max(over.start, end - LONGEST), end)


def measured(filters: Filters, what: str) -> Mapping[int, float]:
    """{hours since Monday's midnight: value}"""
    asked, over, span = filters.asked, filters.range, span_of(filters.range)
    if what in ("latency", "p95"):
        place = PERCENTILES.index(0.95 if what == "p95" else 0.5)
        return {hour: told[place] for hour, told in sums.percentiles_by_hour_of_week(asked, span, over.zone).items()}
    found = sums.by_hour_of_week(asked, span, over.zone)
    return {hour: _value(one, what) for hour, one in found.items() if one.runs}


def _value(one: Sums, what: str) -> float:
    return float(one.runs) if what == "runs" else one.error_rate or 0.0


def _spot(values: Mapping[int, float], hour: int, what: str) -> Spot:
    """The levels are even steps from nothing to the most; of latencies, which are never nothing, from the least."""
    value, day = values.get(hour), f"{DAYS[hour // 24]} {hour % 24:02}:00"
    if value is None:
        return Spot("", 0, f"{day}: nothing ran")
    least = min(values.values()) if what in ("latency", "p95") else 0.0
    whole = max(values.values()) - least
    level = 1 + min(int((value - least) / whole * LEVELS), LEVELS - 1) if whole else 1
    said = MEASURES[what].said(value)
    return Spot(said.removesuffix(" %") if what == "errors" else said, level, f"{day}: {said}")


def _exact(value: float | None, what: str) -> Any:
    return "" if value is None else round(value) if what == "runs" else round(value, 6)
