"""The overview: six numbers against the period before, what each provider cost, and where the month will end."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Any

from .. import access, currencies, formats
from ..extensions import db
from ..limits import glance
from ..models import Budget, Scope, State, Unit, Window
from ..models.rollups import Grain
from . import figures, ranges, sums, why
from .filters import PROBLEMS, Filters
from .names import names_of
from .panels import RUNS, SPEND, Cell, Panel, over_time, percent, runs_of, slot_cell, usd
from .ranges import Range
from .sums import Sums

PAGE = "overview"
COMPLETED = State.COMPLETED.value
LOOKS_BACK = 28
"""Days that a forecast goes by: four of each weekday."""
LIKELY = 1.2816
"""Standard deviations around the mean between which 80 % of a normal distribution lies."""


@dataclass(frozen=True)
class Headline:
    label: str
    said: str
    exact: str
    change: str
    """“+12 %”; empty where there is nothing to compare with."""
    is_up: bool | None
    spark: dict[str, Any] | None
    opens: dict[str, str]
    """What the explorer is told of it, beside the filters."""


def page(filters: Filters) -> dict[str, Any]:
    asked, over = filters.asked, filters.range
    by_provider = sums.series(asked, over, "provider_id")
    lines = {slot: Sums() for slot in over.slots}
    for (slot, _), one in by_provider.items():
        lines[slot] += one
    models, models_before = sums.compared(asked, over, "model_id")
    now_, before = sum(lines.values(), Sums()), sum(models_before.values(), Sums())
    slow = sums.percentiles(asked, (over.span,)).get((None, None))
    was_slow = sums.percentiles(asked, over.before).get((None, None)) if over.before else None
    slots = sums.percentiles(asked, (over.span,), over=over)
    names = names_of(what for _, what in by_provider)
    return {
        "headlines": headlines(over, lines, now_, before, slots, slow, was_slow),
        "panels": [
            over_time("spend", "Spend by provider", filters, by_provider, "provider_id", names, PAGE),
            over_time("runs", "Runs by provider", filters, by_provider, "provider_id", names, PAGE, RUNS, first=SPEND),
            latency(filters, slots),
            forecast(filters),
            why.panel(filters, models, models_before),
        ],
        "glances": glance.alerts(),
        "unpriced": now_.unpriced,
    }


def headlines(
    over: Range, lines: dict[datetime, Sums], now_: Sums, before: Sums, slots: dict[Any, tuple[float, ...]],
    slow: tuple[float, ...] | None, was_slow: tuple[float, ...] | None,
) -> list[Headline]:  # fmt: skip
    def spark(values: Sequence[float | None]) -> dict[str, Any] | None:
        is_line = any(None not in pair for pair in pairwise(values))  # else there would be nothing to see
        return figures.lines(over, {"": values}) if is_line and any(values) else None

    def each(of: Any) -> list[float | None]:
        return [of(lines[slot]) for slot in over.slots]

    def told(place: int) -> list[float | None]:
        return [slots[slot, None][place] if (slot, None) in slots else None for slot in over.slots]

    currency = currencies.here()
    rate, was = now_.error_rate, before.error_rate
    first, second = slow or (None, None, None), was_slow or (None, None, None)
    return [
        _headline("Spend", formats.money(now_.cost), formats.money_title(now_.cost), now_.cost, before.cost,
                  spark(each(lambda s: currency.drawn(s.cost))), sort="cost"),
        _headline("Runs", formats.count(now_.runs), f"{now_.runs:,}", now_.runs, before.runs,
                  spark(each(lambda s: s.runs))),
        _headline("Tokens", formats.count(now_.tokens), f"{now_.tokens:,}", now_.tokens, before.tokens,
                  spark(each(lambda s: s.tokens))),
        _headline("Error rate", percent(rate), f"{now_.failed:,} of {now_.runs:,} runs failed or were interrupted",
                  rate, was, spark(each(lambda s: s.error_rate)), outcome=PROBLEMS),
        _headline("Latency, p50", formats.duration(first[0]), "Half of the runs were faster", first[0], second[0],
                  spark(told(0)), outcome=COMPLETED),
        _headline("Latency, p95", formats.duration(first[1]), "One run in twenty was slower", first[1], second[1],
                  spark(told(1)), outcome=COMPLETED, sort="latency"),
    ]  # fmt: skip


def _headline(
    label: str, said: str, exact: str, value: float | None, before: float | None, spark: dict[str, Any] | None,
    **opens: str,
) -> Headline:  # fmt: skip
    if not before or value is None:
        return Headline(label, said, exact, "", None, spark, opens)
    change = (value - before) / before
    words = f"×{value / before:,.1f}" if change > 9.99 else f"{change:+.0%}".replace("-", "−").replace("%", " %")
    return Headline(label, said, exact, words, change > 0 if round(change, 2) else None, spark, opens)


def latency(filters: Filters, slots: dict[Any, tuple[float, ...]]) -> Panel:
    over = filters.range
    found = [(n, slots[slot, None]) for n, slot in enumerate(over.slots) if (slot, None) in slots]
    drawn = {
        name: [slots[slot, None][n] if (slot, None) in slots else None for slot in over.slots]
        for n, name in enumerate(("p50", "p95"))
    }
    rows = [
        [slot_cell(n, filters, PAGE), *(Cell(formats.duration(one), round(one, 4)) for one in told)]
        for n, told in found
    ]
    figure = figures.lines(over, drawn, "s") if found else None
    note = "From asking to the end of the answer, of runs that completed."
    return Panel("latency", "Latency", ["Time", "p50", "p95", "p99"], rows, figure, note)


def forecast(filters: Filters) -> Panel:
    """Where this month ends, if the rest of its days are like the same weekdays of the last four weeks."""
    zone, now_ = filters.range.zone, filters.range.at
    today = now_.astimezone(zone).date()
    first = today.replace(day=1)
    last = (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)
    was = first - timedelta(days=1)
    start = was.replace(day=1) - timedelta(days=LOOKS_BACK)
    over = Range("", "", Grain.DAY, ranges.days(start, last, zone), zone, now_)
    found = sums.series(filters.asked, over)
    cost = {slot.date(): one.cost for (slot, _), one in found.items()}
    past = {day: cost.get(day, 0) for n in range(1, LOOKS_BACK + 1) if (day := today - timedelta(days=n))}
    spent, sure = _so_far(cost, first, today), sum(n for day, n in cost.items() if first <= day <= today)
    band = ahead(past, today, last, sure, cost.get(today, 0))
    days = [datetime.combine(first + timedelta(days=n), time(), zone) for n in range(last.day)]
    currency = currencies.here()
    gap: list[float | None] = [None] * (today.day - 1)
    low, high = ([*gap, *(currency.drawn(value) for value in side)] for side in zip(*band, strict=True))
    limit = _month_limit(filters)
    drawn = figures.band(days, [currency.drawn(n) for n in spent], {"low": low, "high": high},
                         None if limit is None else currency.drawn(limit))  # fmt: skip
    month = runs_of(filters, filters.said, range="month")
    ends = [Cell(formats.money(round(n)), usd(round(n))) for n in band[-1]]
    rows = [[Cell(f"{last:%-d %B}", last.isoformat()), Cell(formats.money(sure), usd(sure), month), *ends]]
    note = (
        f"At the end of {last:%B}: {ends[0].said} to {ends[1].said}. The days left are taken to be like the same "
        f"weekdays of the last {LOOKS_BACK} days; 8 of 10 months should end in this band."
    )
    if last_time := _missed(cost, today, was):
        then, band_then, whole = last_time
        ends = [Cell(formats.money(round(n)), usd(round(n))) for n in band_then]
        before = runs_of(filters, filters.said, range="last_month")
        rows.append([Cell(f"{was:%-d %B}, as seen on the {then.day}.", was.isoformat()),
                     Cell(formats.money(whole), usd(whole), before), *ends])  # fmt: skip
        note += f" {_said_of_miss(then, band_then, whole)}"
    columns = ["Month’s end", "Spent so far", "At least", "At most"]
    return Panel("forecast", "This month", columns, rows if any(cost.values()) else [], drawn, note,
                 empty="Nothing was spent in the last four weeks.")  # fmt: skip


def _missed(cost: Mapping[date, int], today: date, was: date) -> tuple[date, tuple[float, float], int] | None:
    """(the same day of last month, between what its forecast lay then, what the month came to). None: nothing was known
    of it then. `was`: the last day of last month."""
    then = was.replace(day=min(today.day, was.day))
    past = {day: cost.get(day, 0) for n in range(1, LOOKS_BACK + 1) if (day := then - timedelta(days=n))}
    if not any(past.values()):
        return None
    sure = sum(cost.get(was.replace(day=n), 0) for n in range(1, then.day))
    whole = sum(n for day, n in cost.items() if (day.year, day.month) == (was.year, was.month))
    return then, ahead(past, then, was, sure, 0)[-1], whole


def _said_of_miss(then: date, band: tuple[float, float], whole: int) -> str:
    low, high = band
    middle = (low + high) / 2
    off = percent(abs(middle - whole) / whole) if whole else formats.DASH
    way = "too high" if middle > whole else "too low"
    where = "within the band" if low <= whole <= high else "outside the band"
    return f"On the same day of {then:%B} its middle was {off} {way}, and the month ended {where}."


def _so_far(cost: dict[date, int], first: date, today: date) -> list[int]:
    spent, upto = [], 0
    for n in range((today - first).days + 1):
        upto += cost.get(first + timedelta(days=n), 0)
        spent.append(upto)
    return spent


def ahead(past: dict[date, int], today: date, last: date, sure: int, already: int) -> list[tuple[float, float]]:
    """(at least, at most) by each day from today on, beginning with what is spent now, unless today is the last. The
    band never falls below what is spent."""
    mean = {n: statistics.fmean(v for day, v in past.items() if day.weekday() == n) for n in range(7)}
    spread = statistics.pstdev(value - mean[day.weekday()] for day, value in past.items())
    middle, left = sure + max(mean[today.weekday()] - already, 0.0), (last - today).days
    band = [(float(sure), float(sure))] if left else []
    for n in range(1, left + 1) if left else (0,):
        middle += mean[(today + timedelta(days=n)).weekday()] if n else 0.0
        off = LIKELY * spread * math.sqrt(max(n, 1))
        band.append((max(middle - off, sure), middle + off))
    return band


def _month_limit(filters: Filters) -> int | None:
    """The organization's own, where the whole organization is looked at."""
    if filters.said or not filters.asked.seen.everyone:
        return None
    query = access.scoped(Budget).where(
        Budget.scope == Scope.ORGANIZATION, Budget.window == Window.MONTH, Budget.unit == Unit.USD
    )
    return min((budget.limit for budget in db.session.scalars(query)), default=None)
