"""How fast and how sure: the first token, the whole answer, tokens a second, what failed, by model and over time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .. import formats
from . import fallbacks, figures, status, sums
from .filters import PROBLEMS, Filters
from .names import called, names_of
from .panels import ERRORS, RUNS, SPEED, Cell, Panel, cell, over_time, page_of, runs_of, slot_cell
from .sums import Sums

PAGE = "performance"
MOST_MODELS = 25
PARTS = ("p50", "p95", "p99")
WAITED = {
    "first_token": ("first-token", "Time to first token"),
    "total": ("total", "Total time"),
}


def page(filters: Filters) -> dict[str, Any]:
    asked, over = filters.asked, filters.range
    models = sums.groups(asked, (over.span,), "model_id")
    providers = sums.series(asked, over, "provider_id")
    errors = {key: one for key, one in sums.series(asked, over, "error").items() if key[1] and one.failed}
    names = names_of([*models, *(what for _, what in providers)])
    return {
        "panels": [
            status.panel(filters),
            *(_waited(what, filters, sums.percentiles(asked, (over.span,), what, None, over)) for what in WAITED),
            _speed(filters, providers, names),
            over_time("errors", "Errors by class", filters, errors, "error", {}, PAGE, RUNS),
            fallbacks.over_slots(filters, providers),
            fallbacks.hits(filters, providers, names),
            fallbacks.by_what(
                "went-on-providers", "Provider", filters, sums.folded(providers, 1), "provider_id", names
            ),
            fallbacks.by_what("went-on-models", "Model", filters, models, "model_id", names),
            _models(filters, models, names),
        ]
    }


def _waited(what: str, filters: Filters, found: Mapping[Any, tuple[float, ...]]) -> Panel:
    over, (id, title) = filters.range, WAITED[what]
    drawn = {
        part: [found[slot, None][n] if (slot, None) in found else None for slot in over.slots]
        for n, part in enumerate(PARTS)
    }
    rows = [
        [slot_cell(n, filters, PAGE), *(_seconds(one) for one in found[slot, None])]
        for n, slot in enumerate(over.slots)
        if (slot, None) in found
    ]
    return Panel(id, title, ["Time", *PARTS], rows, figures.lines(over, drawn, "s") if rows else None,
                 "Of runs that completed; right within 2 %.")  # fmt: skip


def _seconds(one: float | None) -> Cell:
    return Cell(formats.duration(one), "" if one is None else round(one, 4))


def _speed(filters: Filters, found: Mapping[tuple[datetime, Any], Sums], names: dict[Any, str]) -> Panel:
    over = filters.range
    whole: dict[Any, int] = {}
    for (_, what), one in found.items():
        whole[what] = whole.get(what, 0) + one.streamed_ms
    order = sorted((what for what in whole if whole[what]), key=lambda what: (-whole[what], str(what)))[: figures.MOST]
    values = {what: [found.get((slot, what), Sums()).tokens_per_second for slot in over.slots] for what in order}
    labels = [called("provider_id", what, names) for what in order]
    rows = [
        [slot_cell(n, filters, PAGE), *(Cell(formats.speed(line[n]), line[n]) for line in values.values())]
        for n in range(len(over.slots))
        if any(line[n] for line in values.values())
    ]
    drawn = dict(zip(labels, values.values(), strict=False))
    figure = figures.lines(over, drawn, "tok/s") if rows else None
    note = "Output tokens after the first, by provider."
    return Panel("speed", "Tokens per second", ["Time", *labels], rows, figure, note)


def _models(filters: Filters, found: Mapping[Any, Sums], names: dict[Any, str]) -> Panel:
    asked, spans = filters.asked, (filters.range.span,)
    first = sums.percentiles(asked, spans, "first_token", "model_id")
    total = sums.percentiles(asked, spans, "total", "model_id")
    none = (None, None, None)
    order = sorted(found, key=lambda what: (-found[what].runs, str(what)))
    rows = []
    for what in order[:MOST_MODELS]:
        one = found[what]
        waits = [*first.get((None, what), none), *total.get((None, what), none)]
        only = filters.with_("model", what)
        failed = cell(ERRORS, one, runs_of(filters, {"outcome": PROBLEMS, **only}) if one.failed else "")
        measured = [cell(RUNS, one, runs_of(filters, only)), failed, cell(SPEED, one)]
        head = Cell(called("model_id", what, names), url=page_of(PAGE, only))
        rows.append([head, *measured, *map(_seconds, waits)])
    heads = [f"{name} {part}" for name in ("First token", "Total") for part in PARTS]
    footer = f"The first {MOST_MODELS} of {len(order)}." if len(order) > MOST_MODELS else ""
    columns = ["Model", "Runs", "Errors", "Tokens/s", *heads]
    return Panel("models", "Models", columns, rows, None, "", True, footer=footer)
