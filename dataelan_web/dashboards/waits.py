"""How long each provider, or each model, takes over time: the first token or the whole answer, at one percentile."""

from __future__ import annotations

from typing import Any

from flask import request

from .. import formats
from . import figures, sums
from .filters import Filters
from .names import called, names_of
from .panels import FILTERS, Cell, Panel, runs_of, slot_cell
from .sums import PERCENTILES

PAGE = "performance"
CHOICES: dict[str, dict[str, str]] = {
    "by": {"provider": "By provider", "model": "By model"},
    "wait": {"first_token": "First token", "total": "Total"},
    "of": {"p95": "p95", "p50": "p50", "p99": "p99"},
}
"""What can be chosen, by the names in the address; the first of each is shown where nothing is said."""
TITLE = "Time by provider and model"
EMPTY = "No run completed in the time shown. Choose a longer one, or fewer filters."


def shown(filters: Filters) -> dict[str, Any]:
    return {"panel": panel(filters), "chosen": chosen(), "waits": CHOICES}


def chosen() -> dict[str, str]:
    said = {name: request.args.get(name, "") for name in CHOICES}
    return {name: said[name] if said[name] in words else next(iter(words)) for name, words in CHOICES.items()}


def panel(filters: Filters) -> Panel:
    over, what = filters.range, chosen()
    by, place = f"{what['by']}_id", PERCENTILES.index(int(what["of"][1:]) / 100)
    order = _most_first(filters, by)
    found = sums.percentiles(filters.asked, (over.span,), what["wait"], by, over)
    names = names_of(order)
    lines = {
        f"{called(by, one, names)}{' ' * n}": [
            found[slot, one][place] if (slot, one) in found else None for slot in over.slots
        ]
        for n, one in enumerate(order)
    }
    drawn = list(zip(order, lines.values(), strict=True))
    rows = [
        [slot_cell(n, filters, PAGE), *(_cell(line[n], filters, n, {FILTERS[by]: one}) for one, line in drawn)]
        for n in range(len(over.slots))
        if any(line[n] is not None for _, line in drawn)
    ]
    figure = figures.lines(over, lines, "s") if rows else None
    words = [CHOICES[name][what[name]] for name in CHOICES]
    note = f"{words[1]}, {words[2]}, {words[0].lower()}: of runs that completed, within 2 %."
    return Panel("waits", TITLE, ["Time", *lines], rows, figure, note, empty=EMPTY)


def _most_first(filters: Filters, by: str) -> list[Any]:
    """Those with most runs, as many as can be told apart."""
    found = sums.groups(filters.asked, (filters.range.span,), by)
    order = sorted(found, key=lambda one: (-found[one].runs, str(one)))
    return [one for one in order if found[one].runs][: figures.MOST]


def _cell(seconds: float | None, filters: Filters, slot: int, only: dict[str, Any]) -> Cell:
    if seconds is None:
        return Cell(formats.DASH, "")
    return Cell(formats.duration(seconds), round(seconds, 4), runs_of(filters, filters.within(slot), **only))
