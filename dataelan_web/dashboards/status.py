"""How each provider did in the last 24 hours, hour by hour: which part of the runs that it answered last failed by its
own doing (rate limits, errors of its servers, silence), and not by what was asked of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ..models.base import NIL
from ..router.types import JOB_FAILED, Kind
from . import ranges, sums
from .filters import ERROR, PROBLEMS, Filters
from .names import called, names_of
from .panels import RUNS, Cell, Panel, cell, page_of, percent, runs_of
from .sums import Sums

THEIRS = (Kind.TRANSIENT.value, Kind.RATE_LIMIT.value, Kind.BILLING.value, JOB_FAILED, "interrupted")
"""Classes of errors that are the provider's, or of the way there."""
POOR, BAD, FEW = 0.05, 0.25, 3
"""Parts of the runs of an hour that failed; fewer runs than that make no hour poor."""
TITLE = "Providers in the last 24 hours"


@dataclass(frozen=True)
class Hour:
    state: str
    """none, fine, poor or bad."""
    title: str
    url: str


@dataclass(frozen=True)
class Strip:
    """A provider's line."""

    name: str
    url: str
    said: str
    state: str
    """Of the last hour in which something ran."""
    hours: Sequence[Hour]


def panel(filters: Filters) -> Panel:
    """Always of the last 24 hours, with the other filters of the page."""
    over = ranges.preset("24h", filters.range.zone, filters.range.at)
    day = replace(filters, range=over, first="", last="")
    whole = sums.series(day.asked, over, "provider_id")
    failing = replace(day.asked, filters={ERROR: THEIRS, **day.asked.filters})
    failed = sums.series(failing, over, "provider_id") if day.asked.filters.get(ERROR) in (None, *THEIRS) else {}
    providers = {what for _, what in whole if what != NIL}
    names = names_of(providers)
    runs = {what: sum((one for (_, of), one in whole.items() if of == what), Sums()) for what in providers}
    order = sorted((what for what in providers if runs[what].runs), key=lambda what: (-runs[what].runs, str(what)))
    strips, rows = [], []
    for what in order:
        bad = sum(failed[slot, what].failed for slot in over.slots if (slot, what) in failed)
        hours = [_hour(n, slot, what, whole, failed, day) for n, slot in enumerate(over.slots)]
        name, only = called("provider_id", what, names), day.with_("provider", what)
        good = percent(1 - bad / runs[what].runs)
        last = next((hour.state for hour in reversed(hours) if hour.state != "none"), "none")
        strips.append(Strip(name, runs_of(day, only), f"{good} of {runs[what].runs:,}", last, hours))
        opens = runs_of(day, only, outcome=PROBLEMS) if bad and "outcome" not in filters.said else ""
        states = [sum(hour.state == state for hour in hours) for state in ("poor", "bad")]
        head = Cell(name, url=page_of("performance", filters.with_("provider", what)))
        counts = [cell(RUNS, runs[what], runs_of(day, only)), Cell(f"{bad:,}", bad, opens), Cell(good)]
        rows.append([head, *counts, *(Cell(str(number), number) for number in states)])
    columns = ["Provider", "Runs", "Failed by its doing", "Served", "Poor hours", "Bad hours"]
    note = "Runs that failed by the provider’s doing: its errors, rate limits and silence."
    footer = (
        f"Poor: from {POOR:.0%} of an hour’s runs on; bad: from {BAD:.0%}. Never for fewer than {FEW} runs that failed."
    )
    empty = "Nothing ran in the last 24 hours that these filters let in."
    return Panel("status", TITLE, columns, rows, None, note, empty=empty, footer=footer, strips=strips)


def _hour(
    n: int, slot: datetime, what: object, whole: Mapping[tuple[datetime, object], Sums],
    failed: Mapping[tuple[datetime, object], Sums], day: Filters,
) -> Hour:  # fmt: skip
    runs, bad = whole.get((slot, what), Sums()).runs, failed.get((slot, what), Sums()).failed
    when = f"{slot:%a %H:%M}–{slot + timedelta(hours=1):%H:%M}"
    if not runs:
        return Hour("none", f"{when}: nothing ran", "")
    state = "fine" if bad < FEW or bad < POOR * runs else "poor" if bad < BAD * runs else "bad"
    return Hour(state, f"{when}: {bad:,} of {runs:,} failed", runs_of(day, day.within(n), provider=what))
