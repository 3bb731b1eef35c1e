"""What models cost and hold, from the `genai-prices` catalogue: kept by others, refreshed with each release."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from importlib.metadata import version
from typing import Any

from genai_prices import data_snapshot
from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

from ..models import NANO, ModelType, Price, now

SOURCE = f"genai-prices {version('genai-prices')}"

# Families by the word their names share, where a provider's list does not say what a model is for.
NOT_TEXT: tuple[tuple[ModelType | None, str], ...] = (
    (None, r"embed|moderation|rerank|guard|realtime|search-api|computer-use|codex-search|ocr|\baqa\b"),
    (None, r"^(babbage|davinci)-|^gpt-3\.5-turbo-instruct"),  # they complete text, and refuse a chat
    (ModelType.IMAGE, r"dall-e|image|imagen|flux|stable-diffusion|sdxl"),
    (ModelType.VIDEO, r"sora|veo|video"),
    (ModelType.VOICE, r"whisper|tts|audio|transcribe|speech|voxtral|orpheus"),
)


@dataclass(frozen=True)
class Known:
    name: str
    context_window: int | None
    price: Price | None
    """A new, unsaved row; None: the catalogue has no price for it."""


def look_up(catalogue: str, model: str) -> Known | None:
    """A model in the catalogue of one provider, or None."""
    if not catalogue:
        return None
    try:
        _, info = data_snapshot.get_snapshot().find_provider_model(model, None, catalogue, None)
    except LookupError:
        return None
    return Known(info.name or info.id, info.context_window, _price(info))


def model_type(name: str) -> ModelType | None:
    """What a model is for, by its name. None: nothing a session can use, such as embeddings."""
    for kind, pattern in NOT_TEXT:
        if re.search(pattern, name.lower()):
            return kind
    return ModelType.TEXT


def free(source: str) -> Price:
    return Price(source=source, input=0, output=0)


def _price(info: ModelInfo) -> Price | None:
    price: ModelPrice = info.get_prices(now())
    values = {name: getattr(price, f"{name}_mtok", None) for name in ("input", "output", "cache_read", "cache_write")}
    if values["input"] is None and values["output"] is None:
        return None
    base = {name: _nano(_base(value)) for name, value in values.items()}
    return Price(
        source=SOURCE,
        input=base["input"] or 0,
        output=base["output"] or 0,
        cache_read=base["cache_read"],
        cache_write=base["cache_write"],
        per_request=_per_request(getattr(price, "requests_kcount", None)),
        tiers=_tiers(values),
    )


def _tiers(values: dict[str, Any]) -> list[dict[str, int | None]]:
    tiered = [value for value in values.values() if isinstance(value, TieredPrices)]
    starts = sorted({tier.start for value in tiered for tier in value.tiers})
    return [{"above": start, **{name: _nano(_at(value, start)) for name, value in values.items()}} for start in starts]


def _base(value: Any) -> Decimal | None:
    return value.base if isinstance(value, TieredPrices) else value


def _at(value: Any, start: int) -> Decimal | None:
    if not isinstance(value, TieredPrices):
        return value  # type: ignore[no-any-return]
    price = value.base
    for tier in value.tiers:
        if tier.start <= start:
            price = tier.price
    return price


def _nano(usd_per_million: Decimal | None) -> int | None:
    return None if usd_per_million is None else int(usd_per_million * NANO)


def _per_request(usd_per_thousand: Any) -> int:
    return int(_base(usd_per_thousand) * NANO / 1000) if usd_per_thousand is not None else 0  # type: ignore[operator]
