"""A panel: a chart, the table with the same numbers, and its CSV. And the two that most pages have several of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from flask import url_for

from .. import currencies, formats
from ..limits.balance import Line
from ..models import NANO
from ..models.rollups import Grain
from . import figures
from .filters import DIMENSIONS, Filters
from .names import called
from .ranges import Range
from .sums import Sums

REST = "Everything else"
FILTERS = {dimension: name for name, dimension in DIMENSIONS.items()}
"""Dimension → the filter that a click on a row sets."""


@dataclass(frozen=True)
class Cell:
    said: str
    exact: Any = None
    """For the CSV, and as a title."""
    url: str = ""
    """Of a row's head: only this. Of a number: the runs that make it up."""
    part: float | None = None
    """How long the bar in it is, from 0 to 1."""
    hint: str = "Only this"
    """Where the head of a row leads."""


@dataclass(frozen=True)
class Panel:
    id: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    figure: Mapping[str, Any] | None = None
    note: str = ""
    is_table: bool = False
    """The table is what is looked at; there is no chart, or it lies beside."""
    empty: str = "There is nothing of this in the time shown. Choose a longer one, or fewer filters."
    footer: str = ""
    gauges: Sequence[Line] = ()
    """Limits drawn as bars, rather than a figure."""
    strips: Sequence[Any] = ()
    """Providers drawn as lines of hours (status.Strip)."""

    @property
    def csv(self) -> str:
        rows = [[cell.said if cell.exact is None else cell.exact for cell in row] for row in self.rows]
        return "".join(map(formats.csv_line, [self.columns, *rows]))


@dataclass(frozen=True)
class Measure:
    label: str
    of: Callable[[Sums], Any]
    said: Callable[[Any], str]
    exact: Callable[[Any], Any] = field(default=lambda value: value)


def usd(nano: int | None) -> str | None:
    """Exact, as a spreadsheet reads it."""
    return None if nano is None else f"{Decimal(nano) / NANO:f}"


def percent(part: float | None) -> str:
    """Cut off, not rounded: 99.96 % is not all."""
    return formats.DASH if part is None else f"{int(part * 1000) / 10:.1f} %"


SPEND = Measure("Spend", lambda s: s.cost, formats.money, usd)
RUNS = Measure("Runs", lambda s: s.runs, formats.count)
TOKENS = Measure("Tokens", lambda s: s.tokens, formats.count)
PER_RUN = Measure("Per run", lambda s: s.cost_per_run, formats.money, usd)
PER_1K = Measure("Per 1K tokens", lambda s: s.cost_per_1k, formats.money, usd)
ERRORS = Measure("Errors", lambda s: s.error_rate, percent)
SPEED = Measure("Tokens/s", lambda s: s.tokens_per_second, formats.speed)


OPENS = (SPEND, RUNS)
"""What leads to the runs; the rest of a row is made of the same ones."""


def cell(measure: Measure, sums: Sums, url: str = "") -> Cell:
    value = measure.of(sums)
    return Cell(measure.said(value), measure.exact(value) if value is not None else "", url)


def runs_of(filters: Filters, address: Mapping[str, str], **more: Any) -> str:
    """The explorer of the runs behind a number."""
    said = dict[str, Any]({**filters.own, **address, **{name: str(value) for name, value in more.items()}})
    return url_for("dashboards.explore", **said)


def page_of(page: str, address: Mapping[str, str]) -> str:
    return url_for("dashboards.show", page=page, **dict[str, Any](address))


def slot_cell(slot: int, filters: Filters, page: str) -> Cell:
    """The head of a row of one slot: only this time."""
    over = filters.range
    return Cell(at(over.slots[slot], over), over.slots[slot].isoformat(), page_of(page, filters.within(slot)))


def at(slot: datetime, over: Range) -> str:
    return f"{slot:%a %-d %b %Y}" if over.grain is Grain.DAY else f"{slot:%a %-d %b %H:%M}"


def over_time(
    id: str, title: str, filters: Filters, found: Mapping[tuple[datetime, Any], Sums], by: str,
    names: dict[Any, str], page: str, measure: Measure = SPEND, note: str = "", first: Measure | None = None,
    opens: Mapping[str, str] | None = None, empty: str = Panel.empty,
) -> Panel:  # fmt: skip
    """Stacked by what has most, of `first` where that is said, so that two charts of a page have the same colours; the
    rest together. Slots where nothing ran are 0. `opens`: what the runs of a number are narrowed to."""
    most = first or measure
    over, whole = filters.range, dict[Any, int]()
    for (_, what), sums in found.items():
        whole[what] = whole.get(what, 0) + most.of(sums)
    order = sorted((what for what in whole if whole[what] or first), key=lambda what: (-whole[what], str(what)))
    shown, rest = order[: figures.MOST], order[figures.MOST :]
    labels, parts = [called(by, what, names) for what in shown], [*shown]
    values = [[measure.of(found.get((slot, what), Sums())) for slot in over.slots] for what in shown]
    if rest:
        labels.append(REST)
        parts.append(REST)
        values.append([sum(measure.of(found.get((slot, what), Sums())) for what in rest) for slot in over.slots])
    is_money, currency = measure is SPEND, currencies.here()
    drawn = {f"{label}{' ' * n}": [currency.drawn(v) if is_money else v for v in line]
             for n, (label, line) in enumerate(zip(labels, values, strict=True))}  # fmt: skip

    def number(n: int, what: Any, value: int) -> Cell:
        said = {FILTERS[by]: what, **(opens or {})}
        url = runs_of(filters, filters.within(n), **said) if value and what is not REST else ""
        return Cell(measure.said(value), measure.exact(value), url)

    rows = [
        [slot_cell(n, filters, page), *(number(n, what, line[n]) for what, line in zip(parts, values, strict=True))]
        for n in range(len(over.slots))
        if any(line[n] for line in values)
    ]
    if is_money and not rows and (ran := sum(found.values(), Sums())).runs:
        empty = _all_free(ran)
    footer = f"The first {len(shown)} of {len(order)}; the others together." if rest else ""
    figure = figures.stacked(over, drawn, figures.MONEY if is_money else "") if values else None
    if figure:
        figures.can_be_clicked(figure, [filters.within(n) for n in range(len(over.slots))], FILTERS[by], shown)
    return Panel(id, title, ["Time", *labels], rows, figure, note, empty=empty, footer=footer)


def _all_free(ran: Sums) -> str:
    """Why a chart of money is empty where there were runs."""
    known = ran.runs - ran.unpriced
    if not known:
        return "What it cost is not known: its models have no price."
    return f"Nothing was spent: {known:,} run{'s' if known > 1 else ''} at {formats.money(0)}."


def by_what(
    id: str, title: str, filters: Filters, found: Mapping[Any, Sums], by: str, names: dict[Any, str], page: str,
    measures: Sequence[Measure] = (SPEND, RUNS, TOKENS, PER_RUN, PER_1K), note: str = "", most: int = 25,
) -> Panel:  # fmt: skip
    """A ranked table with a bar in each row; a click filters by it."""
    order = sorted(found, key=lambda what: (-found[what].cost, -found[what].runs, str(what)))
    largest = max((found[what].cost for what in order), default=0)
    rows = []
    for what in order[:most]:
        only = filters.with_(FILTERS[by], what)
        part = found[what].cost / largest if largest else None
        head = Cell(called(by, what, names), url=page_of(page, only), part=part)
        runs = runs_of(filters, only)
        rows.append([head, *(cell(one, found[what], runs if one in OPENS else "") for one in measures)])
    footer = f"The first {most} of {len(order)}." if len(order) > most else ""
    return Panel(id, title, [title, *(m.label for m in measures)], rows, None, note, True, footer=footer)
