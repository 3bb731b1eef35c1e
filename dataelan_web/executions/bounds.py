"""The most that a call may use, and how its output is lowered to what limits leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from .. import quota
from ..models import Unit
from ..router import pricing
from ..router.candidates import Candidate
from ..router.pricing import Rates
from ..router.run import limited
from ..router.sizes import may_be_anything
from ..router.types import Prompt, Task
from .measures import known_tokens, most

OUTPUT_LIMIT = 8192
"""Output tokens assumed, and asked for, where a limit of them applies and neither person nor model names one."""
FEWEST = 16
"""Under so many output tokens an answer is not worth starting."""


@dataclass
class Bound:
    """What one call may use at most. Only of a chat can the output be lowered, and then it is asked for. Made for each
    call, so not frozen; one that is lowered is another."""

    asked: Prompt
    size: pricing.Most
    output: int
    """Tokens."""
    rates: Rates | None = None
    ceiling: int = 0
    """Nano-USD that a call of unknown price counts as."""
    tokens: int | None = None
    """What it will count as, where that is known beforehand (measures.known_tokens)."""
    is_capped: bool = False
    """Something forbids more output than this, so it must be said to the provider."""
    notice: str = ""
    use: quota.Use = field(init=False)

    def __post_init__(self) -> None:
        usd = self.ceiling if self.rates is None else pricing.upper_bound(self.size, self.output, self.rates)
        self.use = quota.Use(usd, self.size.input_tokens + self.output if self.tokens is None else self.tokens)

    @classmethod
    def of(
        cls,
        prompt: Prompt,
        candidate: Candidate,
        limits: Sequence[quota.Limit],
        rates: Sequence[quota.Rate],
        ceiling: int,
    ) -> Bound:
        price = candidate.rates
        units = (Unit.TOKENS,) if price is None else (Unit.TOKENS, Unit.USD)
        caps = [limit for limit in limits if limit.is_hard and limit.unit in units]
        paced = [rate for rate in rates if rate.tokens_per_minute]
        is_capped = prompt.task is Task.CHAT and bool(caps or paced)
        window, longest = _room(candidate)
        output = prompt.max_tokens or (min(longest, OUTPUT_LIMIT) if is_capped else longest)
        size, output = most(prompt, output, window)
        rates_here, tokens = price and price.of(prompt.media), known_tokens(prompt, price)
        return cls(prompt, size, output, rates_here, ceiling, tokens, is_capped)

    @property
    def prompt(self) -> Prompt:
        """As it may be sent."""
        return limited(self.asked, self.output) if self.is_capped else self.asked

    @property
    def because(self) -> str:
        """Why it may use so much, where that is not seen in the prompt's length."""
        if not may_be_anything(self.asked):
            return ""
        return (
            "How much the model reads in an attached file is not known beforehand, so all that it can read is reckoned"
            f" with: {self.size.input_tokens:,} tokens. A model with a smaller context window needs less."
        )

    def exceeds(self, limit: quota.Limit) -> bool:
        return limit.is_hard and self.use.of(limit.unit) > limit.left

    def within(self, refusing: Sequence[quota.Limit], counted: quota.Applicable) -> Bound:
        """Lowered to what these limits leave. Raises OverLimit where that is too little."""
        if not refusing:
            return self
        room = {limit.id: self._room_in(limit) for limit in refusing}
        if hopeless := [limit for limit in refusing if room[limit.id] < min(FEWEST, self.output)]:
            raise quota.OverLimit(quota.tightest(hopeless), counted.zone, self.because)
        least = min(refusing, key=lambda limit: room[limit.id])
        output = min(self.output, room[least.id])
        notice = f"The answer is limited to {output:,} tokens. {quota.OverLimit(least, counted.zone).message}"
        return replace(self, output=output, notice=notice)

    def slowed(self, rates: Sequence[quota.Rate]) -> Bound:
        """Lowered to what is let through in a minute, if nothing else is: else it never would be."""
        per_minute = min((rate.tokens_per_minute for rate in rates if rate.tokens_per_minute), default=None)
        room = self.output if per_minute is None else per_minute - self.size.input_tokens
        if room >= self.output or room < min(FEWEST, self.output) or not self.is_capped:
            return self
        notice = f"The answer is limited to {room:,} tokens: a limit of {per_minute:,} tokens per minute applies."
        return replace(self, output=room, notice=notice)

    def _room_in(self, limit: quota.Limit) -> int:
        """The most output tokens with which it fits into what is left; -1: its output is not what is too much."""
        if not self.is_capped or limit.unit is Unit.REQUESTS:
            return -1
        if limit.unit is Unit.TOKENS:
            return limit.left - self.size.input_tokens
        affordable = pricing.affordable_output(self.size, limit.left, self.rates) if self.rates else None
        return -1 if affordable is None else affordable


def _room(candidate: Candidate) -> tuple[int | None, int]:
    """(the context window, the longest answer) that it is reckoned with. What an organization says itself of one of
    everyone's models makes no hold smaller: the operator's limits, too, are held to by it."""
    window, longest = candidate.context_window, candidate.max_output_tokens or OUTPUT_LIMIT
    if (said := candidate.catalogues) is None:
        return window, longest
    if window is not None:
        window = None if said.context_window is None else max(window, said.context_window)
    return window, max(longest, said.max_output_tokens or OUTPUT_LIMIT)
