"""What a call used: tokens, and what is counted beside them."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple


class Usage(NamedTuple):
    """What was used. Tokens are in five disjoint counters, whose sum is what the provider counts in all;
    `input_audio`, `input_image` are parts of `input`, and `output_audio`, `output_image` of `output`.
    `cache_write_1h` is the part of `cache_write` that is kept for an hour, which costs more.
    Beside tokens: pictures made, seconds of sound or film, characters spoken; how many requests it counts as, where
    that is not one; the tokens that are charged, where those are other than were read and written (Cohere); and the
    provider's own bill in USD.

    None means not reported, never 0. A later Usage replaces an earlier one counter by counter.
    """

    input: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    output: int | None = None
    reasoning: int | None = None
    cache_write_1h: int | None = None
    input_audio: int | None = None
    input_image: int | None = None
    output_audio: int | None = None
    output_image: int | None = None
    images: int | None = None
    seconds: Decimal | None = None
    characters: int | None = None
    requests: int | None = None
    billed_input: int | None = None
    billed_output: int | None = None
    billed_usd: Decimal | None = None

    def updated(self, later: Usage) -> Usage:
        if self == UNKNOWN:
            return later
        pairs: Iterable[tuple[Any, Any]] = zip(self, later, strict=True)
        return Usage(*[before if after is None else after for before, after in pairs])

    @property
    def counters(self) -> tuple[int | None, ...]:
        """The five disjoint token counters."""
        return self[:5]

    @property
    def input_total(self) -> int:
        return (self.input or 0) + (self.cache_read or 0) + (self.cache_write or 0)

    @property
    def output_total(self) -> int:
        return (self.output or 0) + (self.reasoning or 0)

    @property
    def known(self) -> bool:
        measures = (self.input, self.output, self.images, self.seconds, self.characters, self.requests)
        return any(measure is not None for measure in measures)


USAGE_FIELDS = Usage._fields
UNKNOWN = Usage()
