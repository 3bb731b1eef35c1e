"""Calls after which a run went on: to another model (a fallback), or to the same one again (a retry); and calls that
were refused for their rate. They count with the model that was called, in the slot in which the run was asked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ..rollups.counting import RATE_LIMIT
from . import figures, sums
from .filters import Filters
from .names import called
from .panels import FILTERS, RUNS, Cell, Measure, Panel, over_time, page_of, percent, runs_of, slot_cell
from .runs import FALLBACK, RETRY
from .sums import Sums

PAGE = "performance"
MOST = 25
LIMITED = Measure("Rate-limit hits", lambda s: s.rate_limited, lambda n: f"{n:,}")
WENT_ON = {FALLBACK: ("Fell back", "fallbacks"), RETRY: ("Tried again", "retries")}
"""What runs met → (in words, the counter)."""
NOTE = "Of all calls: after which part of them a run went on to another model, or asked the same one again."
HITS = (
    "Calls that a provider refused for their rate, also where the run went on; of no provider are runs that a limit "
    "here held back before any call."
)
EMPTY = "No provider was called in the time shown. Choose a longer one, or fewer filters."
QUIET = "Nothing was refused for its rate in the time shown."


def over_slots(filters: Filters, providers: Mapping[tuple[datetime, Any], Sums]) -> Panel:
    over = filters.range
    of_slots = sums.folded(providers, 0)
    found = [of_slots.get(slot, Sums()) for slot in over.slots]
    drawn = {said: [_share(one, counter) for one in found] for said, counter in WENT_ON.values()}
    rows = [
        [slot_cell(n, filters, PAGE), *_numbers(one, filters, filters.within(n))]
        for n, one in enumerate(found)
        if one.attempts
    ]
    figure = figures.lines(over, drawn, "%") if rows else None
    return Panel("fallbacks", "Fallbacks and retries", ["Time", *_columns()], rows, figure, NOTE, empty=EMPTY)


def hits(filters: Filters, providers: Mapping[tuple[datetime, Any], Sums], names: dict[Any, str]) -> Panel:
    found = providers if any(one.rate_limited for one in providers.values()) else {}
    return over_time("limited", "Rate-limit hits", filters, found, "provider_id", names, PAGE, LIMITED, HITS,
                     first=RUNS, opens={"met": RATE_LIMIT}, empty=QUIET)  # fmt: skip


def by_what(id: str, title: str, filters: Filters, found: Mapping[Any, Sums], by: str, names: dict[Any, str]) -> Panel:
    """Where runs went on most often, first."""
    called_ones = [what for what, one in found.items() if one.attempts or one.rate_limited]
    order = sorted(called_ones, key=lambda what: (-found[what].fallbacks - found[what].retries, str(what)))
    rows = []
    for what in order[:MOST]:
        only = filters.with_(FILTERS[by], what)
        hits = found[what].rate_limited
        head = Cell(called(by, what, names), url=page_of(PAGE, only))
        refused = Cell(f"{hits:,}", hits, runs_of(filters, only, met=RATE_LIMIT) if hits else "")
        rows.append([head, *_numbers(found[what], filters, only), refused])
    footer = f"The first {MOST} of {len(order)}." if len(order) > MOST else ""
    columns = [title, *_columns(), LIMITED.label]
    return Panel(id, f"Fallbacks by {title.lower()}", columns, rows, None, "", True, EMPTY, footer)


def _columns() -> list[str]:
    return ["Calls", *(column for said, _ in WENT_ON.values() for column in (said, "Share"))]


def _numbers(of: Sums, filters: Filters, address: dict[str, str]) -> list[Cell]:
    cells = [Cell(f"{of.attempts:,}", of.attempts)]
    for met, (_, counter) in WENT_ON.items():
        count, share = getattr(of, counter), _share(of, counter)
        opens = runs_of(filters, address, met=met) if count else ""
        cells += [Cell(f"{count:,}", count, opens), Cell(percent(share), "" if share is None else round(share, 6))]
    return cells


def _share(of: Sums, counter: str) -> float | None:
    return getattr(of, counter) / of.attempts if of.attempts else None
