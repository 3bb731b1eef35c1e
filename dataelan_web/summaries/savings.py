"""What a period saved: by reading from providers' caches, and by what rules chose. Estimates, at list prices."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .. import formats
from ..dashboards import prices, routing
from ..dashboards.explorer import LOOKED_AT
from ..dashboards.panels import percent
from ..dashboards.ranges import Range
from ..dashboards.sums import Asked, Sums

MILLION = 1_000_000


def told(asked: Asked, over: Range, models: Mapping[Any, Sums]) -> str:
    """From sums by model. Empty: nothing, or nobody can say."""
    runs = sum(one.runs for one in models.values())
    return f"{_cached(asked.organization_id, models, over.end)} {_chosen(asked, over, runs)}".strip()


def _chosen(asked: Asked, over: Range, runs: int) -> str:
    """What rules saved, as the page of routing counts it: from the runs, where these are few enough."""
    if not asked.seen.everyone or not 0 < runs <= LOOKED_AT:
        return ""
    if not (saved := routing.saved_by_rules(asked, over)):
        return ""
    told = f"saved {formats.about_money(saved)}" if saved > 0 else f"cost {formats.about_money(-saved)} more"
    return f"Routing rules {told}, against the dearest model that each allows."


def _cached(organization_id: uuid.UUID, models: Mapping[Any, Sums], at: datetime) -> str:
    """What reading from a cache cost less than reading anew, less what writing into it cost more, by price lists."""
    lists = prices.in_force(organization_id, [what for what, one in models.items() if one.tokens_cache_read], at)
    saved = sum(prices.saved_by_cache(models[what], listed) for what, listed in lists.items())
    if saved < MILLION:
        return ""
    everything = sum(models.values(), Sums())
    share = percent(everything.tokens_cache_read / everything.tokens_in)
    return (
        f"{share} of all input came from providers’ caches, which saved {formats.about_money(saved // MILLION)} at "
        "the models’ list prices."
    )
