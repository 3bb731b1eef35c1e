"""What is counted beside tokens and within them, and the provider's own bill. Garbage reads as "not said"."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from dataelan_web.router.providers.json_values import count, mapping

# A year of sound: what is larger is garbage.
_LONGEST = 366 * 24 * 3600
# A larger bill for one answer is garbage.
_LARGEST_BILL = 100_000
# docs.x.ai/developers/cost-tracking. Azure's Grok reports 0 ticks for what is not free.
_TICKS_PER_USD = 10**10


def number(value: Any, largest: float = _LONGEST) -> float | None:
    """A number from 0 to `largest`, or None for everything else (true, text, 1e999)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value <= largest else None


def seconds(*values: Any) -> Decimal | None:
    """The first that is a length of time, with the digits the provider wrote."""
    return next((Decimal(str(value)) for value in values if number(value) is not None), None)


def part_of(whole: int | None, value: Any) -> int | None:
    """Tokens that are counted within others, and so are never more: cached ones may be in what the provider said."""
    if whole is None or value is None or (part := count(value)) is None:
        return None
    return min(part, whole)


def billed_usd(reported: Mapping[str, Any]) -> Decimal | None:
    """OpenRouter, Vercel and Avian say `cost`, Perplexity a table with a total, xAI counts ticks. With a key of the
    user's own at the provider behind OpenRouter, `cost` is only its fee, and that provider's bill comes on top."""
    cost = reported.get("cost")
    usd = _usd(mapping(cost).get("total_cost") if isinstance(cost, dict) else cost)
    if usd is not None and reported.get("is_byok") is True:
        usd += _usd(mapping(reported.get("cost_details")).get("upstream_inference_cost")) or 0
    ticks = _usd(reported.get("cost_in_usd_ticks"), _LARGEST_BILL * _TICKS_PER_USD)
    return ticks / _TICKS_PER_USD if usd is None and ticks else usd


def _usd(value: Any, largest: int = _LARGEST_BILL) -> Decimal | None:
    return Decimal(str(value)) if number(value, largest) is not None else None
