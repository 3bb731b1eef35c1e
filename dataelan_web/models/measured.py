"""What follows from the columns of a run, or of an attempt: how long it took, how much was said. Of their rows in any
form."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING


class Measured:
    """A mixin for what has these columns."""

    if TYPE_CHECKING:
        created_at: datetime
        first_token_at: datetime | None
        finished_at: datetime | None
        tokens_input: int | None
        tokens_cache_read: int | None
        tokens_cache_write: int | None
        tokens_output: int | None
        tokens_reasoning: int | None

    @property
    def seconds(self) -> float | None:
        """From submit to the end, as the person waited."""
        return (self.finished_at - self.created_at).total_seconds() if self.finished_at else None

    @property
    def first_token_seconds(self) -> float | None:
        return (self.first_token_at - self.created_at).total_seconds() if self.first_token_at else None

    @property
    def tokens_in(self) -> int | None:
        return _total(self.tokens_input, self.tokens_cache_read, self.tokens_cache_write)

    @property
    def tokens_out(self) -> int | None:
        return _total(self.tokens_output, self.tokens_reasoning)

    @property
    def tokens_per_second(self) -> float | None:
        """Output speed after the first token."""
        if not (self.first_token_at and self.finished_at and self.tokens_out):
            return None
        streaming = (self.finished_at - self.first_token_at).total_seconds()
        return self.tokens_out / streaming if streaming > 0 else None


class Lasted:
    """A mixin for what has these columns, of an attempt."""

    if TYPE_CHECKING:
        started_at: datetime
        first_token_at: datetime | None
        ended_at: datetime | None

    @property
    def seconds(self) -> float | None:
        return (self.ended_at - self.started_at).total_seconds() if self.ended_at else None

    @property
    def first_token_seconds(self) -> float | None:
        return (self.first_token_at - self.started_at).total_seconds() if self.first_token_at else None


def _total(*counters: int | None) -> int | None:
    known = [counter for counter in counters if counter is not None]
    return sum(known) if known else None
