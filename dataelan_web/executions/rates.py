"""A row of the price book as the router's Rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..router.pricing import Rates, Variant

FINER = (
    "cache_write_1h",
    "input_audio",
    "input_image",
    "output_audio",
    "output_image",
    "per_image",
    "per_second",
    "per_character",
)


def rates_of(price: Any) -> Rates:
    """A Price, or a row with its columns, as the router's Rates."""
    return Rates(
        price.input,
        price.output,
        price.cache_read,
        price.cache_write,
        price.per_request,
        tuple((tier["above"], _tier(tier, price)) for tier in price.tiers),
        variants=tuple(map(_variant, price.variants)),
        **{name: getattr(price, name) for name in FINER},
    )


def _variant(stored: Mapping[str, Any]) -> Variant:
    return Variant(frozenset(stored["when"]), stored.get("per_image"), stored.get("per_second"))


def _tier(tier: dict[str, int | None], price: Any) -> Rates:
    return Rates(
        tier.get("input") or price.input,
        tier.get("output") or price.output,
        tier.get("cache_read"),
        tier.get("cache_write"),
        price.per_request,
        **{name: getattr(price, name) for name in FINER} | {"cache_write_1h": tier.get("cache_write_1h")},
    )
