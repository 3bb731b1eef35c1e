"""From bytes to JSON documents, without I/O: one body of JSON or a stream of server-sent events, told apart by
the first byte. Sources: RFC 8259; https://html.spec.whatwg.org/multipage/server-sent-events.html.

Chunks may break anywhere, inside a CRLF or a UTF-8 character too; what comes out does not depend on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, NamedTuple, Protocol

from dataelan_web.router.providers.json_values import WEB_PAGE, broken, parse
from dataelan_web.router.types import Decoder, Event, Failure

MEBIBYTE = 1024 * 1024
EVENT_LIMIT = 8 * MEBIBYTE
BODY_LIMIT = 64 * MEBIBYTE
WIDE_LIMIT = 16 * MEBIBYTE
LINE_COST = 64
"""Bytes of memory that even a line of nothing takes."""

_BOM = b"\xef\xbb\xbf"
_DATA_FIELDS = ("data", "error")  # `error:` is llama.cpp's own, for a failure in mid-stream
_TERMINATOR = "[DONE]"


class Frame(NamedTuple):
    """One JSON document of an answer. `whole`: it is the entire body. `done`: OpenAI's [DONE], with no document."""

    document: Any = None
    whole: bool = False
    done: bool = False


class Answer(Protocol):
    """What an adapter makes of the documents of one answer."""

    def read(self, frame: Frame) -> Iterable[Event]: ...

    def end(self) -> Iterator[Event]:
        """The bytes are over: say the last events, or raise Failure when the answer is not complete."""
        ...


def decoder(answer: Answer, event_limit: int = EVENT_LIMIT) -> Decoder:
    """Feed the documents of a body to `answer` as they become complete. After its last byte another body may follow
    (a polled job), which need not be framed as the first one was."""
    frames = Frames(event_limit)

    def decode(chunk: bytes, is_last: bool) -> Iterator[Event]:
        events = chain.from_iterable(map(answer.read, frames.feed(chunk, is_last)))
        return ended(events) if is_last else events

    def ended(events: Iterator[Event]) -> Iterator[Event]:
        nonlocal frames
        yield from events
        frames = Frames(event_limit)
        yield from answer.end()

    return decode


class Frames:
    """Tells a JSON body from an event stream by the first byte that is not blank, then reads it as such."""

    def __init__(self, event_limit: int = EVENT_LIMIT):
        self._event_limit = event_limit
        self._head = b""
        self._reader: _Body | _Stream | None = None

    def feed(self, chunk: bytes, is_last: bool) -> Iterable[Frame]:
        if self._reader is None:
            # Blank lines before an answer are keep-alives (DeepSeek sends them while a request waits).
            self._head = (self._head + chunk).lstrip()
            if _BOM.startswith(self._head) and not is_last:
                return ()
            chunk, self._head = self._head.removeprefix(_BOM).lstrip(), b""
            if not chunk and not is_last:
                return ()
            self._reader = self._choose(chunk)
        return self._reader.feed(chunk, is_last)

    def _choose(self, start: bytes) -> _Body | _Stream:
        if not start:
            raise broken("The provider's answer is empty.")
        if start.startswith(b"<"):
            raise broken(WEB_PAGE)
        return _Body() if start.startswith((b"{", b"[")) else _Stream(self._event_limit)


class _Body:
    """One JSON body. A list is Gemini's stream without `alt=sse`: every item is a document of its own."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, chunk: bytes, is_last: bool) -> Iterator[Frame]:
        self._bytes += chunk
        if len(self._bytes) > BODY_LIMIT:
            raise broken(f"The provider's answer is larger than {BODY_LIMIT // MEBIBYTE} MiB.")
        if not is_last:
            return
        # What is not ASCII takes up to four bytes a character in memory, and a document twice that while it is parsed.
        if len(self._bytes) > WIDE_LIMIT and not (self._bytes.isascii() and b"\\u" not in self._bytes):
            raise broken(f"The provider's answer is larger than {WIDE_LIMIT // MEBIBYTE} MiB and not plain ASCII.")
        text = self._bytes.decode("utf-8", "replace")
        self._bytes.clear()
        document = parse(text)
        del text  # it is not needed while its events are read
        if isinstance(document, list):
            yield from map(Frame, document)
        else:
            yield Frame(document, whole=True)


class _Stream:
    """Server-sent events whose data is JSON. An event that the end of the body cut off is read all the same:
    many servers leave out the last blank line, and half a document fails in `parse` anyway."""

    def __init__(self, limit: int):
        self._lines = Lines(limit)
        self._limit = limit
        self._data: list[str] = []
        self._size = 0
        self._seen = False

    def feed(self, chunk: bytes, is_last: bool) -> Iterable[Frame]:
        """Nearly all that come, of which there are thousands, are whole events of one line of data each, and nothing
        else. They need not be looked at line by line."""
        is_between = not self._data and self._lines.is_even and len(chunk) <= self._limit
        if is_between and chunk.startswith(b"data: ") and chunk.endswith(b"\n\n") and b"\r" not in chunk:
            events = chunk[6:-2].decode("utf-8", "replace").split("\n\ndata: ")
            if chunk.count(b"\n") == 2 * len(events):
                return filter(None, map(self._frame, events))
        return self._by_lines(chunk, is_last)

    def _by_lines(self, chunk: bytes, is_last: bool) -> Iterator[Frame]:
        for line in self._lines.feed(chunk, is_last):
            if line:
                self._take(line)
            elif frame := self._dispatched():
                yield frame
        if is_last:
            if frame := self._dispatched():
                yield frame
            if not self._seen:
                raise broken("The provider answered with neither JSON nor an event stream. Check the base URL.")

    def _take(self, line: str) -> None:
        field, _, value = line.partition(":")
        if field in _DATA_FIELDS:
            self._add(value.removeprefix(" "))
        elif line.startswith("{"):  # some proxies report an error as a bare line of JSON in mid-stream
            self._add(line)

    def _add(self, value: str) -> None:
        self._data.append(value)
        self._size += len(value) + LINE_COST
        if self._size > self._limit:
            raise _too_large(self._limit)

    def _dispatched(self) -> Frame | None:
        """The event that an empty line ends; None where there was none."""
        if not self._data:
            return None
        data, self._data, self._size = "\n".join(self._data), [], 0
        return self._frame(data)

    def _frame(self, event: str) -> Frame | None:
        """None: the event holds nothing."""
        data = event.strip()
        if not data:
            return None
        self._seen = True
        return Frame(done=True) if data == _TERMINATOR else Frame(parse(data))


class Lines:
    """Splits bytes at CR, LF or CRLF into lines of text, holding back what is not complete."""

    def __init__(self, limit: int = EVENT_LIMIT):
        self._limit = limit
        self._pending = bytearray()
        self._after_cr = False

    @property
    def is_even(self) -> bool:
        """Is nothing held back?"""
        return not (self._pending or self._after_cr)

    def feed(self, chunk: bytes, is_last: bool) -> Iterator[str]:
        if self._after_cr and chunk:  # the LF of a CRLF that was cut in two
            chunk, self._after_cr = chunk.removeprefix(b"\n"), False
        for piece in chunk.splitlines(keepends=True):
            line = piece.rstrip(b"\r\n")
            self._pending += line
            if len(self._pending) > self._limit:
                raise _too_large(self._limit)
            if len(line) < len(piece):
                yield self._take()
        self._after_cr = self._after_cr or chunk.endswith(b"\r")
        if is_last and self._pending:
            yield self._take()

    def _take(self) -> str:
        line = self._pending.decode("utf-8", "replace")
        self._pending.clear()
        return line


def _too_large(limit: int) -> Failure:
    return broken(f"The provider sent a single event larger than {limit // MEBIBYTE} MiB.")
