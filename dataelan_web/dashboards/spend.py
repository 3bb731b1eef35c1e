"""Where money goes: by provider, model, project, member, key, payer, type and tag; and what caches saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import g

from .. import formats
from ..limits import glance
from . import prices, repriced, sums, tags, treemap
from .filters import Filters
from .names import called, names_of
from .panels import Cell, Panel, by_what, over_time, page_of, percent, runs_of, usd
from .sums import Sums

TABLES = {
    "provider_id": ("providers", "Provider"),
    "model_id": ("models", "Model"),
    "project_id": ("projects", "Project"),
    "user_id": ("members", "Member"),
    "api_key_id": ("keys", "Key"),
    "payer": ("payers", "Paid by"),
    "model_type": ("types", "Type"),
}
MILLION = 1_000_000
PAIR = ("provider_id", "model_id")
SAVED = (
    "What these tokens would have cost as plain input, less what writing them into the cache cost more: at the list "
    "prices in force at the end of the time shown, so an estimate."
)


def page(filters: Filters, page: str = "spend", but: tuple[str, ...] = ()) -> dict[str, Any]:
    asked, over = filters.asked, filters.range
    line, pairs = sums.series(asked, over, "model_id"), sums.pairs(asked, (over.span,), *PAIR)
    others = [one for one in TABLES if one not in (*PAIR, *but) and (one != "api_key_id" or asked.seen.everyone)]
    shown = {dimension: sums.folded(pairs, place) for place, dimension in enumerate(PAIR)}
    shown |= {dimension: sums.groups(asked, (over.span,), dimension) for dimension in others}
    names = names_of([what for found in shown.values() for what in found] + [what for _, what in line])
    tables = [
        by_what(TABLES[dimension][0], TABLES[dimension][1], filters, found, dimension, names, page)
        for dimension, found in shown.items()
    ]
    note = "Money counts where it was paid: of a run that fell back, the first model’s part is the first model’s."
    providers = sorted(shown["provider_id"], key=lambda what: (-shown["provider_id"][what].cost, str(what)))
    return {
        "panels": [
            over_time("spend", "Spend by model", filters, line, "model_id", names, page, note=note),
            treemap.panel(filters, pairs, providers, names, page),
            _cached(filters, shown["model_id"], names, page),
            *tables,
            tags.panel(filters, sum(pairs.values(), Sums()), page),
        ],
        "priced": repriced.notes((model for (_, model), one in line.items() if one.cost), over),
    }


def mine(filters: Filters) -> dict[str, Any]:
    return page(filters, "mine", but=("user_id", "api_key_id")) | {"glances": glance.mine()}


def _cached(filters: Filters, models: Mapping[Any, Sums], names: dict[Any, str], page: str) -> Panel:
    """What reading from providers' caches saved, by model. Nano-USD, rounded down a model."""
    reading = {model: one for model, one in models.items() if one.tokens_cache_read}
    over = filters.range
    lists = prices.in_force(g.organization.id, reading, min(over.end, over.at))
    saved = {
        model: prices.saved_by_cache(one, lists[model]) // MILLION for model, one in reading.items() if model in lists
    }
    rows = []
    for model in sorted(reading, key=lambda what: (-saved.get(what, 0), str(what))):
        one, only = reading[model], filters.with_("model", model)
        share = one.tokens_cache_read / one.tokens_in
        nano = saved.get(model)
        rows.append(
            [
                Cell(called("model_id", model, names), url=page_of(page, only)),
                Cell(formats.count(one.tokens_cache_read), one.tokens_cache_read, runs_of(filters, only)),
                Cell(percent(share), round(share, 6)),
                Cell(formats.DASH, "") if nano is None else Cell(formats.money(nano), usd(nano)),
            ]
        )
    note = f"Reading input from providers’ caches saved {formats.about_money(sum(saved.values()))}." if saved else ""
    columns = ["Model", "Tokens read", "Of all input", "Saved"]
    empty = "No model read input from a cache in the time shown."
    return Panel("cache", "Cache savings", columns, rows, None, note, True, empty=empty, footer=SAVED if rows else "")
