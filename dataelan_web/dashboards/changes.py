"""Why spend changed against the period before: volume, model mix, tokens per call, cache share and price.

One step after the other, each with all before it done: so they add up to the difference, exactly, and each depends on
their order. Of each model the sums know runs, tokens by class and money; which part of the money is of which class they
do not. So classes are weighed by the model's price list, the same for both periods, and what was paid beside that is
the model's level of price. See docs/dashboards.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from .prices import Listed
from .sums import Sums

PLAIN = Listed(1, 1, 1, 1)
"""Of a model without a price list: all its tokens weigh the same, so the cache has no part."""


@dataclass(frozen=True)
class Steps:
    """Nano-USD. before + volume + mix + tokens + cache + price = after."""

    before: int
    volume: int
    mix: int
    tokens: int
    cache: int
    price: int
    after: int


def steps(now: Mapping[Any, Sums], before: Mapping[Any, Sums], lists: Mapping[Any, Listed]) -> Steps | None:
    """From sums by model. None: nothing ran before, so there is nothing to begin with."""
    all_now, all_before = sum(now.values(), Sums()), sum(before.values(), Sums())
    if not all_before.runs:
        return None
    growth = Fraction(all_now.runs, all_before.runs)
    mix = tokens = cache = Fraction(0)
    for model in {*now, *before}:
        one, was = now.get(model, Sums()), before.get(model, Sums())
        grown = was.cost * growth
        if not one.runs or not was.runs:
            mix += one.cost - grown  # new, gone, or only paid for where another one answered
            continue
        per_run = Fraction(was.cost, was.runs)
        mix += one.runs * per_run - grown
        more, kept = _per_run(one, was, per_run, lists.get(model, PLAIN))
        tokens += one.runs * more
        cache += one.runs * kept
    volume = all_before.cost * growth - all_before.cost
    told = Steps(all_before.cost, round(volume), round(mix), round(tokens), round(cache), 0, all_now.cost)
    return replace(told, price=told.after - told.before - told.volume - told.mix - told.tokens - told.cache)


def _per_run(one: Sums, was: Sums, paid: Fraction, listed: Listed) -> tuple[Fraction, Fraction]:
    """By how much a run costs more at the level of price before: for its tokens, then for what of them was cached."""
    weight = _weight(_input(was), was, listed)
    if not weight:
        return Fraction(0), Fraction(0)
    level = paid / weight
    as_cached_before = _weight(_input(one), was, listed, output=_output(one))
    return level * (as_cached_before - weight), level * (_weight(_input(one), one, listed) - as_cached_before)


def _weight(input_tokens: Fraction, cached_as: Sums, listed: Listed, output: Fraction | None = None) -> Fraction:
    """What a run weighs with so many input tokens, cached as in these runs."""
    all_input = cached_as.tokens_input + cached_as.tokens_cache_read + cached_as.tokens_cache_write
    read = Fraction(cached_as.tokens_cache_read, all_input) if all_input else Fraction(0)
    written = Fraction(cached_as.tokens_cache_write, all_input) if all_input else Fraction(0)
    per_token = (1 - read - written) * listed.input + read * listed.cache_read + written * listed.cache_write
    return input_tokens * per_token + (_output(cached_as) if output is None else output) * listed.output


def _input(of: Sums) -> Fraction:
    return Fraction(of.tokens_input + of.tokens_cache_read + of.tokens_cache_write, of.runs)


def _output(of: Sums) -> Fraction:
    return Fraction(of.tokens_output + of.tokens_reasoning, of.runs)
