"""Answers that are a file as often as JSON: sound, or a transcript as plain text. Told apart by their first bytes.

An endpoint for speech answers with raw bytes, with JSON that holds them, or with server-sent events, and which of them
it is depends on the server; an error that comes with status 200 is JSON in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from dataelan_web.router.providers.framing import BODY_LIMIT, EVENT_LIMIT, MEBIBYTE, Answer, Frame, Frames
from dataelan_web.router.providers.json_values import broken
from dataelan_web.router.types import Decoder, Event

# How JSON, a web page and an event stream begin.
MARKS = (b"{", b"<", b"data:", b"event:", b"id:", b":")
# Raw samples may begin with any single byte; a beginning of several is no accident.
MARKS_BESIDE_SAMPLES = (b'{"', b"data:", b"event:")
_LONGEST_MARK = 6
_BOM = b"\xef\xbb\xbf"


def decoder(
    answer: Answer,
    raw: Callable[[bytes], Iterator[Event]],
    marks: tuple[bytes, ...] = MARKS,
    event_limit: int = EVENT_LIMIT,
    *,
    as_it_comes: bool = False,
) -> Decoder:
    """JSON and events go to `answer` as they become complete; any other body to `raw`, once it is whole or else
    `as_it_comes`."""
    body = _EitherBody(marks, event_limit)

    def decode(chunk: bytes, is_last: bool) -> Iterator[Event]:
        frames = body.feed(chunk, is_last)
        if frames is not None:
            for frame in frames:
                yield from answer.read(frame)
        elif is_last or (as_it_comes and body.is_raw):
            yield from raw(body.taken())
        if is_last:
            yield from answer.end()

    return decode


class _EitherBody:
    def __init__(self, marks: tuple[bytes, ...], event_limit: int):
        self._marks = marks
        self._frames = Frames(event_limit)
        self._bytes = bytearray()
        self._is_json: bool | None = None
        self._size = 0

    @property
    def is_raw(self) -> bool:
        return self._is_json is False

    def feed(self, chunk: bytes, is_last: bool) -> Iterable[Frame] | None:
        """The documents that are complete now; None for a raw body, and as long as it cannot be told."""
        self._bytes += chunk
        self._size += 0 if self._is_json else len(chunk)
        if self._size > BODY_LIMIT:
            raise broken(f"The provider's answer is larger than {BODY_LIMIT // MEBIBYTE} MiB.")
        if self._is_json is None:
            self._look(is_last)
        return self._frames.feed(self.taken(), is_last) if self._is_json else None

    def taken(self) -> bytes:
        taken = bytes(self._bytes)
        self._bytes.clear()
        return taken

    def _look(self, is_last: bool) -> None:
        start = bytes(self._bytes[:4096]).lstrip().removeprefix(_BOM).lstrip()
        if len(start) < _LONGEST_MARK and not is_last:
            return
        # An empty answer is left to the reader of JSON, which says so.
        self._is_json = not start or start.startswith(self._marks)
