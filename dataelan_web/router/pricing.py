"""Usage × price → exact cost in whole nano-USD, or None when it cannot be known.

Token prices are nano-USD per 1,000,000 tokens, so that cached-token prices such as $0.0375 per million stay whole
numbers; pictures, seconds and characters are priced each. The five usage counters are disjoint and the finer ones
are parts of them (types.Usage), so nothing is counted twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from decimal import ROUND_CEILING, Decimal
from functools import cached_property
from typing import Any, NamedTuple

from .types import Usage

MILLION = 1_000_000
NANO = 1_000_000_000


@dataclass(frozen=True)
class Variant:
    """What a picture or a second costs where all of this is asked for: {"1024x1792", "hd"}."""

    when: frozenset[str]
    per_image: int | None = None
    per_second: int | None = None


@dataclass(frozen=True)
class Rates:
    """One class of prices. None: a class without its own price costs what its plain class does; a picture, second
    or character without one costs nothing beside its tokens."""

    input: int
    output: int
    cache_read: int | None = None
    cache_write: int | None = None
    per_request: int = 0
    tiers: tuple[tuple[int, Rates], ...] = ()
    """Steps by total input: from more than `tokens` on, these rates apply to the whole request."""
    cache_write_1h: int | None = None
    input_audio: int | None = None
    input_image: int | None = None
    output_audio: int | None = None
    output_image: int | None = None
    per_image: int | None = None
    per_second: int | None = None
    per_character: int | None = None
    variants: tuple[Variant, ...] = ()

    def of(self, options: Mapping[str, Any]) -> Rates:
        """As they are for a request with these options (Prompt.media): by the variant that says most about them."""
        if not self.variants:
            return self
        asked = {value.lower() for value in options.values() if isinstance(value, str)}
        fitting = [variant for variant in self.variants if variant.when <= asked]
        if not fitting:
            return self
        best = max(fitting, key=lambda variant: len(variant.when))
        named = {"per_image": best.per_image, "per_second": best.per_second}
        units = {name: nano for name, nano in named.items() if nano is not None}
        return replace(self, **units, tiers=tuple((above, replace(tier, **units)) for above, tier in self.tiers))  # type: ignore[arg-type]

    def at(self, input_tokens: int) -> Rates:
        if not self.tiers:
            return self
        reached = [(above, rates) for above, rates in self.tiers if input_tokens > above]
        return max(reached, key=lambda tier: tier[0])[1] if reached else self

    @cached_property
    def is_free(self) -> bool:
        return not any(getattr(self, field.name) for field in fields(self))

    @cached_property
    def has_token_price(self) -> bool:
        return any((self.input, self.output, self.cache_read, self.cache_write, self.input_audio, self.input_image,
                    self.output_audio, self.output_image, self.tiers))  # fmt: skip

    @cached_property
    def has_finer_price(self) -> bool:
        """Of a part of a counter of tokens."""
        finer = self.cache_write_1h, self.input_audio, self.input_image, self.output_audio, self.output_image
        return any(price is not None for price in finer)

    @cached_property
    def has_unit_price(self) -> bool:
        """Of a picture, a second or a character."""
        return any((self.per_image, self.per_second, self.per_character))

    @cached_property
    def dearest_input(self) -> int:
        return max(self.input, *(rate or 0 for rate in (self.cache_write, self.cache_write_1h, self.cache_read,
                                                        self.input_audio, self.input_image)))  # fmt: skip

    @cached_property
    def dearest_output(self) -> int:
        return max(self.output, self.output_audio or 0, self.output_image or 0)

    @cached_property
    def dearest_per_thousand(self) -> int:
        """Nano-USD per 1,000 tokens of the dearer of input and output, rounded up: what `max_cost` is held against."""
        return -(-max(self.input, self.output) // 1000)


class Most(NamedTuple):
    """The most that a call can use, apart from its output tokens."""

    input_tokens: int
    images: int = 0
    seconds: Decimal = Decimal(0)
    characters: int = 0
    requests: int = 1


def cost(usage: Usage, rates: Rates | None, options: Mapping[str, Any] | None = None) -> int | None:
    """What this usage costs, rounded up to the next nano-USD. None: price or usage unknown. `options` are those that
    were asked for (Prompt.media): a larger picture may cost more.

    Where no price is known, the provider's own bill is taken when it sends one (OpenRouter does).
    """
    if rates is None:
        return None if usage.billed_usd is None else _ceil(usage.billed_usd * NANO)
    if rates.is_free:
        return 0
    rates = rates.of(options or {})
    if not _covers(usage, rates):
        return None
    at = rates.at(usage.input_total)
    if usage.billed_input is not None or usage.billed_output is not None:
        tokens = (usage.billed_input or 0) * at.input + (usage.billed_output or 0) * at.output
    else:
        tokens = _tokens(usage, at)
    requests = 1 if usage.requests is None else usage.requests
    units = _units(at, usage.images, usage.seconds, usage.characters)
    return requests * at.per_request + -(-tokens // MILLION) + units


def _tokens(usage: Usage, at: Rates) -> int:
    read, write = _or(at.cache_read, at.input), _or(at.cache_write, at.input)
    plain = (
        (usage.input or 0) * at.input
        + (usage.cache_read or 0) * read
        + (usage.cache_write or 0) * write
        + ((usage.output or 0) + (usage.reasoning or 0)) * at.output
    )
    if not at.has_finer_price:
        return plain
    return (
        plain
        + _beyond(usage.input, at.input, (usage.input_audio, at.input_audio), (usage.input_image, at.input_image))
        + _beyond(usage.cache_write, write, (usage.cache_write_1h, at.cache_write_1h))
        + _beyond(usage.output, at.output, (usage.output_audio, at.output_audio), (usage.output_image, at.output_image))
    )


def upper_bound(most: Most | int, output_tokens: int, rates: Rates) -> int:
    """The most a call can cost: every token of its dearest class, in the dearest tier it may reach."""
    most = most if isinstance(most, Most) else Most(most)
    if not rates.tiers:
        return _at_most(most, output_tokens, rates)
    return max([_at_most(most, output_tokens, at) for at in _reachable(most.input_tokens, rates)])


def affordable_output(most: Most | int, available: int, rates: Rates) -> int | None:
    """The most output tokens whose `upper_bound` is within `available` nano-USD. None: as many as one likes."""
    most = most if isinstance(most, Most) else Most(most)
    if rates.is_free:
        return None
    limits = []
    for at in _reachable(most.input_tokens, rates):
        left = (available - _fixed(most, at)) * MILLION - most.input_tokens * at.dearest_input
        if left < 0:
            return 0
        if at.dearest_output:
            limits.append(left // at.dearest_output)
    return min(limits, default=None)


def _covers(usage: Usage, rates: Rates) -> bool:
    """Is at least one of the priced measures reported? Else the cost is unknown, not nothing."""
    if rates.has_token_price and (usage.input is not None or usage.output is not None):
        return True
    if not rates.has_unit_price:
        return not rates.has_token_price and usage.known
    units = (rates.per_image, usage.images), (rates.per_second, usage.seconds), (rates.per_character, usage.characters)
    return any(price and used is not None for price, used in units)


def _at_most(most: Most, output_tokens: int, at: Rates) -> int:
    tokens = most.input_tokens * at.dearest_input + output_tokens * at.dearest_output
    return _fixed(most, at) + -(-tokens // MILLION)


def _fixed(most: Most, at: Rates) -> int:
    return most.requests * at.per_request + _units(at, most.images, most.seconds, most.characters)


def _units(at: Rates, images: int | None, seconds: Decimal | None, characters: int | None) -> int:
    if not at.has_unit_price:
        return 0
    by_time = _ceil((seconds or Decimal(0)) * (at.per_second or 0))
    return (images or 0) * (at.per_image or 0) + by_time + (characters or 0) * (at.per_character or 0)


def _beyond(total: int | None, rate: int, *parts: tuple[int | None, int | None]) -> int:
    """How much more than at the rate of all the tokens of one counter come to, of which some have a price of their own;
    less than 0: that is lower. Parts larger than the whole are cut to it."""
    left, more = total or 0, 0
    for tokens, own in parts:
        if tokens and own is not None:
            taken = min(tokens, left)
            left, more = left - taken, more + taken * (own - rate)
    return more


def _reachable(input_tokens: int, rates: Rates) -> list[Rates]:
    """The rates that apply at some input of at most this size."""
    return [rates, *[tier for above, tier in rates.tiers if input_tokens > above]]


def _or(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value


def _ceil(nano: Decimal) -> int:
    return int(nano.to_integral_value(ROUND_CEILING))
