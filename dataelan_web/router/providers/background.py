"""What OpenAI's Responses and Google's Interactions have in common: an answer that may be made in the background, and
is asked for again until it is over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from dataelan_web.router.providers.failures import failure_in_answer
from dataelan_web.router.providers.jobs import failed
from dataelan_web.router.types import Again, Call, Event, Failure, Progress, Usage

WAITING = ("queued", "in_progress")


class Background:
    """`place` is where such answers are kept, `poll` the seconds between two questions."""

    def __init__(self, place: str, poll: float):
        self._place, self._poll = place, poll
        self._was_polled = False
        self._usage: Usage | None = None
        self.is_waiting = False
        """It was asked for again; the answer to that is still to come."""

    def wait(self, id: str, status: str) -> Iterator[Event]:
        """What is written meanwhile comes again with the end."""
        self.is_waiting = self._was_polled = True
        url = f"{self._place}/{quote(id, safe='')}"
        yield Progress(note=status)
        yield Again(Call(url, method="GET"), self._poll, cancel=Call(f"{url}/cancel"))

    def cost(self, usage: Usage) -> Iterator[Usage]:
        """Totals come with several events; only what is new is said."""
        if usage.known and usage != self._usage:
            self._usage = usage
            yield usage

    def failure(self, error: Any) -> Failure:
        """A job that was waited for was taken, and may have been paid for."""
        return failed(error) if self._was_polled or not error else failure_in_answer({"error": error})
