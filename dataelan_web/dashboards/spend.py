"""Where money goes: by provider, model, project, member, key, payer and type."""

from __future__ import annotations

from typing import Any

from . import repriced, sums
from .filters import Filters
from .names import names_of
from .panels import by_what, over_time

TABLES = {
    "provider_id": ("providers", "Provider"),
    "model_id": ("models", "Model"),
    "project_id": ("projects", "Project"),
    "user_id": ("members", "Member"),
    "api_key_id": ("keys", "Key"),
    "payer": ("payers", "Paid by"),
    "model_type": ("types", "Type"),
}


def page(filters: Filters, page: str = "spend", but: tuple[str, ...] = ()) -> dict[str, Any]:
    asked, over = filters.asked, filters.range
    line = sums.series(asked, over, "model_id")
    shown = {
        dimension: sums.groups(asked, (over.span,), dimension)
        for dimension in TABLES
        if dimension not in but and (dimension != "api_key_id" or asked.seen.everyone)
    }
    names = names_of([what for found in shown.values() for what in found] + [what for _, what in line])
    tables = [
        by_what(TABLES[dimension][0], TABLES[dimension][1], filters, found, dimension, names, page)
        for dimension, found in shown.items()
    ]
    note = "Money counts where it was paid: of a run that fell back, the first model’s part is the first model’s."
    return {
        "panels": [over_time("spend", "Spend by model", filters, line, "model_id", names, page, note=note), *tables],
        "priced": repriced.notes((model for (_, model), one in line.items() if one.cost), over),
    }


def mine(filters: Filters) -> dict[str, Any]:
    return page(filters, "mine", but=("user_id", "api_key_id"))
