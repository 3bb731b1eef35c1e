"""The panel that says why spend changed: a waterfall from the period before to this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import g

from .. import currencies, formats
from . import changes, figures, prices
from .changes import Steps
from .filters import Filters
from .panels import Cell, Panel, percent, runs_of, usd
from .sums import Sums

TITLE = "Why it changed"
NOTE = "From the period before to this one, one step after the other."
NOTHING_RAN = "There were no runs in the period before to compare with."
TOO_LONG_AGO = "The period before was so long ago that its hours are kept no longer."
METHOD = (
    "As many runs as now; then of the models as now; with as many tokens each; as much of them cached; at what was "
    "paid for them. Tokens are weighed by each model’s price list. Models that are new or gone count as model mix; "
    "price has what is left, such as pictures, and what the others were rounded by."
)


def panel(filters: Filters, now: Mapping[Any, Sums], before: Mapping[Any, Sums]) -> Panel:
    """From sums by model."""
    over = filters.range
    lists = prices.in_force(g.organization.id, {*now} & {*before}, min(over.end, over.at))
    found = changes.steps(now, before, lists)
    columns = ["Step", "Spend", "Of before", "Because"]
    empty = NOTHING_RAN if over.before else TOO_LONG_AGO
    if found is None or found.before == found.after == 0:
        return Panel("why", TITLE, columns, [], None, empty=empty if found is None else "Nothing was paid in either.")
    rows, drawn = _rows(found, now, before, filters), map(currencies.here().drawn, _amounts(found))
    parts = [(row[0].said, amount, row[1].said) for row, amount in zip(rows, drawn, strict=True)]
    return Panel("why", TITLE, columns, rows, figures.waterfall(parts), NOTE, footer=METHOD)


def _amounts(found: Steps) -> tuple[int, ...]:
    return found.before, found.volume, found.mix, found.tokens, found.cache, found.price, found.after


def _rows(found: Steps, now: Mapping[Any, Sums], before: Mapping[Any, Sums], filters: Filters) -> list[Sequence[Cell]]:
    one, was = sum(now.values(), Sums()), sum(before.values(), Sums())
    shifted = len({*now} ^ {*before})
    mixed = "Other shares of the same models" if not shifted else f"{shifted} new or gone"
    return [
        _whole("Before", found.before, found.before),
        _step("Volume", found.volume, found.before, f"{one.runs:,} runs against {was.runs:,}"),
        _step("Model mix", found.mix, found.before, mixed),
        _step("Tokens per call", found.tokens, found.before, f"{_each(one)} a run against {_each(was)}"),
        _step("Cache share", found.cache, found.before, f"{_cached(one)} of input against {_cached(was)}"),
        _step("Price", found.price, found.before, "The same tokens, at what was paid for them"),
        _whole("Now", found.after, found.before, runs_of(filters, filters.address)),
    ]


def _whole(said: str, nano: int, before: int, url: str = "") -> Sequence[Cell]:
    return Cell(said), Cell(formats.money(nano), usd(nano), url), _part(nano, before), Cell("", "")


def _step(said: str, nano: int, before: int, because: str) -> Sequence[Cell]:
    return Cell(said), Cell(formats.signed_money(nano), usd(nano)), _part(nano, before), Cell(because)


def _part(nano: int, before: int) -> Cell:
    if not before:
        return Cell(formats.DASH, "")
    return Cell(("−" if nano < 0 else "") + percent(abs(nano) / before), round(nano / before, 6))


def _each(of: Sums) -> str:
    return f"{of.tokens // of.runs:,} tokens" if of.runs else formats.DASH


def _cached(of: Sums) -> str:
    return percent(of.tokens_cache_read / of.tokens_in if of.tokens_in else None)
