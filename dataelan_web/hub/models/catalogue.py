"""What models cost and hold, from the `genai-prices` catalogue: kept by others, refreshed with each release.

Its prices are USD a million tokens, a million characters, an hour or a thousand requests (genai_prices.data_units).
What it prices and we do not measure (searches, pages, cached sound) is left out. Its variants (batch, flex, priority)
are for requests that ask for them, which ours do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from importlib.metadata import version
from typing import Any

from genai_prices import data_snapshot
from genai_prices.types import ModelInfo, ModelPrice, TieredPrices, TimeOfDateConstraint

from ...models import NANO, Price, now
from ...router.types import Task

NAME = "genai-prices"
SOURCE = f"{NAME} {version(NAME)}"

# Our class of price <- the catalogue's keys (the first that is there counts), and how many of our units are in theirs.
CLASSES: dict[str, tuple[tuple[str, ...], int]] = {
    "input": (("input_mtok", "input_text_mtok"), 1),
    "cache_read": (("cache_read_mtok", "cache_text_read_mtok"), 1),
    "cache_write": (("cache_write_mtok", "cache_text_write_mtok"), 1),
    "cache_write_1h": (("cache_write_1h_mtok", "cache_text_write_1h_mtok"), 1),
    "output": (("output_mtok", "output_text_mtok"), 1),
    "input_audio": (("input_audio_mtok",), 1),
    "input_image": (("input_image_mtok",), 1),
    "output_audio": (("output_audio_mtok",), 1),
    "output_image": (("output_image_mtok",), 1),
    "per_request": (("requests_kcount",), 1_000),
    "per_second": (("input_audio_hours", "audio_hours", "output_audio_hours"), 3_600),
    "per_character": (("input_mchars",), 1_000_000),
}
TIERED = ("input", "cache_read", "cache_write", "cache_write_1h", "output")


@dataclass(frozen=True)
class Known:
    """A model as the catalogue knows it."""

    name: str
    context_window: int | None
    price: Price | None
    """A new, unsaved row; None: the catalogue has no price for it."""
    description: str = ""
    is_deprecated: bool = False
    """Its provider has announced its end."""
    task: Task | None = None
    """What its classes of price tell that it makes; None: they do not tell."""


def look_up(catalogue: str, model: str) -> Known | None:
    """A model in the catalogue of one provider, or None."""
    if not catalogue:
        return None
    try:
        _, info = data_snapshot.get_snapshot().find_provider_model(model, None, catalogue, None)
    except LookupError:
        return None
    return _known(info)


def models_of(catalogue: str) -> list[tuple[str, Known]]:
    """Every model that the catalogue has of one provider, by name; for providers that list none themselves."""
    provider = next((one for one in data_snapshot.get_snapshot().providers if one.id == catalogue), None)
    return sorted((info.id, _known(info)) for info in provider.models) if provider else []


def free(source: str) -> Price:
    return Price(source=source, input=0, output=0)


def _known(info: ModelInfo) -> Known:
    price = _standard(info)
    return Known(
        info.name or info.id,
        info.context_window,
        _row(info, price),
        info.description or "",
        bool(info.deprecated),
        _task(info, price),
    )


def _standard(info: ModelInfo) -> ModelPrice:
    """The price of today. Where it depends on the hour, the dearest of the day: what one is charged is never more."""
    return max((info.get_prices(at) for at in _moments(info)), key=lambda price: sum(_each(price, "input", "output")))


def _moments(info: ModelInfo) -> Iterator[datetime]:
    """Now, and the moments of today at which the price changes."""
    moment = now()
    yield moment
    for conditional in [] if isinstance(info.prices, ModelPrice) else info.prices:
        if isinstance(conditional.constraint, TimeOfDateConstraint):
            for at in (conditional.constraint.start_time, conditional.constraint.end_time):
                yield datetime.combine(moment.date(), at if at.tzinfo else at.replace(tzinfo=UTC))


def _row(info: ModelInfo, price: ModelPrice) -> Price | None:
    values = {name: _value(price, name) for name in CLASSES}
    if all(value is None for value in values.values()):
        # OpenRouter's own mark for what it charges nothing for; without it, no price means that none is known.
        return free(SOURCE) if info.id.endswith(":free") else None
    base = {name: _nano(_base(value), name) for name, value in values.items()}
    film = getattr(price, "output_video_mtok", None)
    if film is not None:  # films have no class of their own: whichever output is dearer is never too little
        base["output"] = max(base["output"] or 0, _nano(_base(film), "output") or 0)
    base |= {name: base[name] or 0 for name in ("input", "output", "per_request")}
    return Price(source=SOURCE, tiers=_tiers(values), variants=[], **base)


def _tiers(values: dict[str, Any]) -> list[dict[str, int | None]]:
    tiered = [value for value in values.values() if isinstance(value, TieredPrices)]
    starts = sorted({tier.start for value in tiered for tier in value.tiers})
    return [{"above": start, **{name: _nano(_at(values[name], start), name) for name in TIERED}} for start in starts]


def _task(info: ModelInfo, price: ModelPrice) -> Task | None:
    """By what is paid for: sound by the hour without an answer in tokens is written down, characters are said aloud."""
    has = {key for key, value in vars(price).items() if value is not None}
    if "output_video_mtok" in has:
        return Task.VIDEO
    if "output_image_mtok" in has:
        return Task.IMAGE
    if "output_mtok" in has:
        return Task.CHAT if "input_audio_hours" in has else None
    if "input_mchars" in has:
        return Task.SPEECH
    if "input_audio_hours" in has:
        return Task.TRANSCRIPTION
    return Task.EMBEDDING if has and "embedding model" in (info.description or "").lower() else None


def _value(price: ModelPrice, name: str) -> Any:
    keys, _ = CLASSES[name]
    return next((value for key in keys if (value := getattr(price, key, None)) is not None), None)


def _each(price: ModelPrice, *names: str) -> Iterator[Decimal]:
    return (_base(_value(price, name)) or Decimal(0) for name in names)


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


def _nano(usd: Decimal | None, name: str) -> int | None:
    """In our unit, rounded up, as costs are."""
    if usd is None:
        return None
    return int((usd * NANO / CLASSES[name][1]).to_integral_value(ROUND_CEILING))
