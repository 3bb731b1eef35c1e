"""Hours in which spend or errors were outside what is usual for that hour of that weekday.

Usual is the median of the same hour of the week in the eight weeks before, give or take four times the spread: the
median distance from that median, × 1.4826, as a standard deviation is of a normal distribution. Both are of no
concern to a few wild weeks. The spread is never taken for less than what chance alone makes of so many runs, so that
small numbers never alarm. See docs/dashboards.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from .. import formats
from ..models.rollups import Grain
from ..rollups.cuts import HOURS_KEPT
from . import ranges, sums
from .filters import PROBLEMS, Filters
from .panels import percent, runs_of
from .ranges import HOUR, Range
from .sums import Sums

WEEKS, NEEDED = 8, 4
"""Of the same hour: that many are looked at, and so many there have to be."""
LOOKED_AT = timedelta(days=7)
"""The hours that are judged: the last of the time shown."""
TIMES = 4
NORMAL = 1.4826
ALWAYS = 0.2
"""Part of the usual spend by which it differs anyway."""
RUN_VARIES = 2
"""Times the mean by which the cost of one run differs from another's."""
FEW_RUNS, FEW_ERRORS = 20, 5
WORTH = 0.5
"""Of the spend of an hour in the middle: a smaller difference is nobody's concern."""
WILD = 0.05
"""Part of the hours, those with most errors, that say nothing on how many are usual at all."""
MOST, LONGEST = 6, 24
"""Lines, and hours of one."""
SPEND, ERRORS = "Spend", "Errors"


@dataclass(frozen=True)
class Judged:
    """One hour that is outside. Money in nano-USD."""

    what: str
    at: datetime
    usual: float
    is_more: bool
    by: float
    """How many times the spread it is away from what is usual."""
    sums: Sums


@dataclass(frozen=True)
class Line:
    what: str
    when: str
    said: str
    is_more: bool
    url: str
    """The runs of that time; of errors, those that failed."""


def shown(filters: Filters) -> dict[str, Any]:
    over = filters.range
    window = hours_of(over)
    if window is None:
        return {"lines": [], "window": None, "has_enough": False}
    start, end = window
    first = _back(start, WEEKS, over.zone)
    edges = (first, end.astimezone(UTC))
    found = sums.series(filters.asked, Range("", "", Grain.HOUR, edges, over.zone, over.at))
    hours = {slot.astimezone(UTC): one for (slot, _), one in found.items()}
    judged = judge(hours, start, end, over.zone)
    has_enough = min(hours, default=end) <= _back(end, NEEDED, over.zone)
    return {"lines": [_line(part, filters) for part in worst(judged)], "window": window, "has_enough": has_enough}


def hours_of(over: Range) -> tuple[datetime, datetime] | None:
    """The hours of a time that are judged: whole ones that ended, not longer ago than they can be opened one by one."""
    local = min(over.end, over.at).astimezone(over.zone)
    end = local - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    start = max(over.start, end - LOOKED_AT).astimezone(over.zone)
    return (start, end) if start < end and over.at - start < HOURS_KEPT - HOUR else None


def judge(hours: Mapping[datetime, Sums], start: datetime, end: datetime, zone: ZoneInfo) -> list[Judged]:
    """Of the hours from start to end those that are outside. `hours`: in UTC; where nothing ran there is none."""
    found: list[Judged] = []
    past = [one for at, one in hours.items() if at < start]
    if not past:
        return found
    first, worth, rate = min(hours), WORTH * median(one.cost for one in past), _rate(past)
    at = start.astimezone(UTC)
    while at < end:
        same = [hours.get(then, Sums()) for n in range(1, WEEKS + 1) if (then := _back(at, n, zone)) >= first]
        if len(same) >= NEEDED:
            one = hours.get(at, Sums())
            found += [judged for judged in (_spend(at, one, same, worth), _errors(at, one, same, rate)) if judged]
        at += HOUR
    return found


def _spend(at: datetime, one: Sums, same: Sequence[Sums], worth: float) -> Judged | None:
    middle, spread = _usual([float(past.cost) for past in same])
    runs = median(past.runs for past in same)
    spread = max(spread, middle * max(ALWAYS, RUN_VARIES / math.sqrt(max(runs, 1))))
    off = one.cost - middle
    is_more = off > 0
    is_many = (one.runs if is_more else runs) >= FEW_RUNS
    if abs(off) <= max(TIMES * spread, worth) or not is_many:
        return None
    return Judged(SPEND, at, middle, is_more, abs(off) / max(spread, 1.0), one)


def _errors(at: datetime, one: Sums, same: Sequence[Sums], rate: float) -> Judged | None:
    """More than usual of so many runs, and never fewer: that is nobody's concern."""
    middle, spread = _usual([past.error_rate or 0.0 for past in same if past.runs])
    usual = max(middle, rate) * one.runs
    spread = max(spread * one.runs, math.sqrt(usual), 1.0)
    if one.failed <= usual + TIMES * spread or one.failed < FEW_ERRORS or one.runs < FEW_RUNS:
        return None
    return Judged(ERRORS, at, usual, True, (one.failed - usual) / spread, one)


def _rate(past: Sequence[Sums]) -> float:
    """Which part of all runs fails, incidents apart."""
    calm = sorted(past, key=lambda one: one.failed)[: math.ceil(len(past) * (1 - WILD))]
    return sum(calm, Sums()).error_rate or 0.0


def _usual(values: Sequence[float]) -> tuple[float, float]:
    """(median, spread)"""
    middle = median(values) if values else 0.0
    return middle, NORMAL * median(abs(value - middle) for value in values) if values else 0.0


def _back(at: datetime, weeks: int, zone: ZoneInfo) -> datetime:
    """The same hour of the clock so many weeks before, in UTC."""
    local = at.astimezone(zone)
    day = local.date() - timedelta(weeks=weeks)
    return datetime.combine(day, local.time(), zone).astimezone(UTC)


def worst(judged: Sequence[Judged]) -> list[list[Judged]]:
    """Hours of one kind that follow each other together; those furthest outside, the latest first."""
    parts: list[list[Judged]] = []
    for what in (SPEND, ERRORS):
        for is_more in (True, False):
            for one in (one for one in judged if one.what == what and one.is_more == is_more):
                last = parts[-1] if parts else None
                if last and _follows(one, last[-1]) and len(last) < LONGEST:
                    last.append(one)
                else:
                    parts.append([one])
    furthest = sorted(parts, key=lambda part: -max(one.by for one in part))[:MOST]
    return sorted(furthest, key=lambda part: part[0].at, reverse=True)


def _follows(one: Judged, last: Judged) -> bool:
    return (one.what, one.is_more, one.at) == (last.what, last.is_more, last.at + HOUR)


def _line(part: Sequence[Judged], filters: Filters) -> Line:
    zone, first = filters.range.zone, part[0]
    start, end = first.at.astimezone(zone), (part[-1].at + HOUR).astimezone(zone)
    together, usual = sum((one.sums for one in part), Sums()), sum(one.usual for one in part)
    time = {"range": ranges.CUSTOM, "from": start.isoformat(), "to": end.isoformat()}
    until = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%a %H:%M}"
    when, address = f"{start:%a %-d %b %H:%M}–{until}", filters.said | time
    if first.what == SPEND:
        about = f"usually {formats.about_money(round(usual))}" if usual else "usually nothing"
        said = f"{formats.money(together.cost)}, {about}"
        return Line(SPEND, when, said, first.is_more, runs_of(filters, address, sort="cost"))
    said = f"{together.failed:,} of {together.runs:,} runs ({percent(together.error_rate)}), usually about {usual:.0f}"
    opens = {"outcome": PROBLEMS} if "outcome" not in filters.said else {}
    return Line(ERRORS, when, said, True, runs_of(filters, address, **opens))
