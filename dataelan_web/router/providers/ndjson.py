"""Newline-delimited JSON, a document a line, as Ollama and Cohere's v1 stream their answers.

A JSON body that is laid out over several lines, server-sent events and web pages are read too: the same address
answers with those when it was not asked to stream, or through a proxy. One line may be a whole body or the first of
many, so `Frame.whole` says nothing here. Source: ollama/ollama, docs/api/streaming.mdx.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from dataelan_web.router.providers.framing import EVENT_LIMIT, LINE_COST, MEBIBYTE, Answer, Frame, Frames, Lines
from dataelan_web.router.providers.json_values import broken, parse
from dataelan_web.router.types import Decoder, Event, Failure, Kind


class Reader(Protocol):
    """From chunks of bytes to documents."""

    def feed(self, chunk: bytes, is_last: bool) -> Iterable[Frame]: ...


def decoder(answer: Answer, event_limit: int = EVENT_LIMIT) -> Decoder:
    return decoding(JsonLines(event_limit), answer)


def decoding(reader: Reader, answer: Answer) -> Decoder:
    """Feed the documents of a body to `answer` as they become complete."""

    def decode(chunk: bytes, is_last: bool) -> Iterator[Event]:
        for frame in reader.feed(chunk, is_last):
            yield from answer.read(frame)
        if is_last:
            yield from answer.end()

    return decode


def cut_off() -> Failure:
    return Failure(Kind.TRANSIENT, "The provider's answer broke off before its end.", code="cut_off")


class JsonLines:
    """Told from other bodies by the first byte that is not blank."""

    def __init__(self, event_limit: int = EVENT_LIMIT):
        self._event_limit = event_limit
        self._reader: Reader | None = None

    def feed(self, chunk: bytes, is_last: bool) -> Iterable[Frame]:
        if self._reader is None:
            chunk = chunk.lstrip()
            if not chunk and not is_last:
                return ()
            limit = self._event_limit
            self._reader = _Documents(limit) if chunk.startswith(b"{") else Frames(limit)
        return self._reader.feed(chunk, is_last)


class _Documents:
    """A first line that is no document by itself begins a body that is laid out over several lines."""

    def __init__(self, event_limit: int):
        self._lines = Lines(event_limit)
        self._limit = event_limit
        self._has_begun = False
        self._body: list[str] = []
        self._size = 0

    def feed(self, chunk: bytes, is_last: bool) -> Iterator[Frame]:
        for line in self._lines.feed(chunk, False):
            yield from self._line(line)
        if is_last:
            yield from self._end(next(iter(self._lines.feed(b"", True)), ""))

    def _line(self, line: str) -> Iterator[Frame]:
        if self._body:
            self._add(line)
        elif line.strip():
            yield from self._document(line)

    def _document(self, line: str) -> Iterator[Frame]:
        try:
            document = parse(line)
        except Failure:
            if self._has_begun:
                raise
            self._add(line)
            return
        self._has_begun = True
        yield Frame(document)

    def _add(self, line: str) -> None:
        self._body.append(line)
        self._size += len(line) + LINE_COST
        if self._size > self._limit:
            raise broken(f"The provider's answer is larger than {self._limit // MEBIBYTE} MiB.")

    def _end(self, rest: str) -> Iterator[Frame]:
        """`rest`: a last line without its end, which may be whole all the same."""
        if self._body or (rest.strip() and not self._has_begun):
            yield Frame(parse("\n".join([*self._body, rest])))
        elif rest.strip():
            try:
                document = parse(rest)
            except Failure:
                raise cut_off() from None
            yield Frame(document)
