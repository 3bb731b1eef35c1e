"""Usage × price → exact cost in whole nano-USD, or None when it cannot be known.

Prices are nano-USD per 1,000,000 tokens, so that cached-token prices such as $0.0375 per million stay whole
numbers. The five usage counters are disjoint (types.Usage), so nothing is counted twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .types import Usage

MILLION = 1_000_000


@dataclass(frozen=True)
class Rates:
    """One class of prices. None: a class without its own price costs what its plain class does."""

    input: int
    output: int
    cache_read: int | None = None
    cache_write: int | None = None
    per_request: int = 0
    tiers: tuple[tuple[int, Rates], ...] = ()
    """Steps by total input: from more than `tokens` on, these rates apply to the whole request."""

    def at(self, input_tokens: int) -> Rates:
        reached = [(above, rates) for above, rates in self.tiers if input_tokens > above]
        return max(reached, key=lambda tier: tier[0])[1] if reached else self

    @property
    def is_free(self) -> bool:
        return not any((self.input, self.output, self.cache_read, self.cache_write, self.per_request, self.tiers))

    @property
    def dearest_input(self) -> int:
        return max(self.input, self.cache_write or 0, self.cache_read or 0)

    @property
    def dearest_per_thousand(self) -> int:
        """Nano-USD per 1,000 tokens of the dearer of input and output, rounded up: what `max_cost` is held against."""
        return -(-max(self.input, self.output) // 1000)


def cost(usage: Usage, rates: Rates | None) -> int | None:
    """What this usage costs, rounded up to the next nano-USD. None: price or usage unknown."""
    if rates is None:
        return None
    if rates.is_free:
        return 0
    if not usage.known:
        return None
    at = rates.at(usage.input_total)
    total = (
        (usage.input or 0) * at.input
        + (usage.cache_read or 0) * _or(at.cache_read, at.input)
        + (usage.cache_write or 0) * _or(at.cache_write, at.input)
        + usage.output_total * at.output
    )
    return at.per_request + -(-total // MILLION)


def upper_bound(input_tokens: int, output_tokens: int, rates: Rates) -> int:
    """The most a call can cost: every input token at the dearest input class, in the dearest tier it may reach."""
    return max(
        at.per_request + -(-(input_tokens * at.dearest_input + output_tokens * at.output) // MILLION)
        for at in _reachable(input_tokens, rates)
    )


def affordable_output(input_tokens: int, available: int, rates: Rates) -> int | None:
    """The most output tokens whose `upper_bound` is within `available` nano-USD. None: as many as one likes."""
    if rates.is_free:
        return None
    limits = []
    for at in _reachable(input_tokens, rates):
        left = (available - at.per_request) * MILLION - input_tokens * at.dearest_input
        if left < 0:
            return 0
        if at.output:
            limits.append(left // at.output)
    return min(limits, default=None)


def _reachable(input_tokens: int, rates: Rates) -> Iterator[Rates]:
    """The rates that apply at some input of at most this size."""
    yield rates
    yield from (tier for above, tier in rates.tiers if input_tokens > above)


def _or(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value
