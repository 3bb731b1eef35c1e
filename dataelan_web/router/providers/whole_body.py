"""Answers that are one JSON body and never a stream: vectors, rankings, verdicts, transcripts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dataelan_web.router.providers import failures, framing
from dataelan_web.router.providers.framing import EVENT_LIMIT, Frame
from dataelan_web.router.providers.json_values import broken, mapping
from dataelan_web.router.types import Decoder, Event

Read = Callable[[Mapping[str, Any]], Iterator[Event]]

_COMPLAINTS = {"detail", "message", "err_msg"}
"""Where a document without what was asked for says why."""


def decoder(read: Read, what: str, event_limit: int = EVENT_LIMIT) -> Decoder:
    """`read` says the events of a document of its format, Done last, and none of any other document. `what` it holds is
    for the words about an answer that holds nothing."""
    return framing.decoder(_WholeBody(read, what), event_limit)


class _WholeBody:
    def __init__(self, read: Read, what: str):
        self._read, self._what = read, what
        self._is_read = False

    def read(self, frame: Frame) -> Iterator[Event]:
        if self._is_read:
            return
        document = mapping(frame.document)
        if failures.is_error(document):
            raise failures.failure_in_answer(document)
        events = list(self._read(document))
        if not events and document.keys() & _COMPLAINTS:
            raise failures.failure_in_answer(document)
        if not events:
            raise broken(f"The provider's answer is JSON, but holds no {self._what}. Check the base URL.")
        self._is_read = True
        yield from events

    def end(self) -> Iterator[Event]:
        if not self._is_read:
            raise broken(f"The provider's answer holds no {self._what}. Check the base URL.")
        yield from ()
