"""What pages are sent is read as fast as it comes, and not waited for without end.

The web server ends a head that comes slowly, and no body: with one byte a second as many senders as there are threads
shut everybody out, signed in or not. So bodies are read in threads of their own, a few at once, while the one that
answers waits for as long as the sender keeps to a least rate. Programs have to show a token first.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillReading
from tempfile import SpooledTemporaryFile
from threading import Condition
from typing import IO, Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask
from werkzeug.exceptions import RequestTimeout, ServiceUnavailable

from .api_errors import PATHS

AT_ONCE, AT_ONCE_FROM_ONE = 64, 32
"""Bodies that are read: a quarter of a web's threads, and half of that from one address."""
WAIT, FOR_A_PLACE = 64, 2.0
"""… that wait for it, since most are soon read, and seconds. Whatever comes, half of the threads stay free."""
PATIENCE, LEAST_RATE = 20.0, 4096
"""Seconds, and one more for each so many bytes that came."""
PIECE = 4096
IN_MEMORY = 1 << 20
"""Bytes; what is larger is in a file until it is answered."""


def init_app(app: Flask) -> None:
    """Before headers.init_app: addresses are those that a trusted proxy tells of."""
    app.wsgi_app = Bodies(app.wsgi_app, app.config["MAX_CONTENT_LENGTH"])  # type: ignore[method-assign]


class Bodies:
    def __init__(self, app: WSGIApplication, most: int, patience: float = PATIENCE):
        self._app, self._most, self._patience = app, most, patience
        self._readers = ThreadPoolExecutor(AT_ONCE, "body")
        self._reading: dict[str, int] = {}
        self._waiting = 0
        self._changed = Condition()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not environ.get("PATH_INFO", "").startswith(PATHS):
            environ["wsgi.input"] = Body(self, environ["wsgi.input"], environ.get("REMOTE_ADDR", ""))
        return self._app(environ, start_response)

    def read(self, stream: Any, sender: str) -> IO[bytes]:
        """All of it, or a byte more than may be sent. Raises RequestTimeout or ServiceUnavailable, for `errors`."""
        with self._changed:
            self._waiting += 1
            try:
                has_place = self._has_place(sender) or (self._waiting <= WAIT and self._comes_to_a_place(sender))
            finally:
                self._waiting -= 1
            if not has_place:
                words = "Too much is being sent here at once. Send it again in a few seconds."
                raise ServiceUnavailable(words, retry_after=5)
            self._reading[sender] = self._reading.get(sender, 0) + 1
        kept = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 (the request has it, and its end is the file's)
        reading = self._readers.submit(self._copy, stream, kept, sender)
        self._wait(reading, kept)
        kept.seek(0)
        return kept

    def _has_place(self, sender: str) -> bool:
        return self._reading.get(sender, 0) < AT_ONCE_FROM_ONE and sum(self._reading.values()) < AT_ONCE

    def _comes_to_a_place(self, sender: str) -> bool:
        return self._changed.wait_for(lambda: self._has_place(sender), FOR_A_PLACE)

    def _copy(self, stream: Any, kept: IO[bytes], sender: str) -> None:
        try:
            while kept.tell() <= self._most and (piece := stream.read(PIECE)):
                kept.write(piece)
        finally:
            with self._changed:
                self._reading[sender] -= 1
                if not self._reading[sender]:
                    del self._reading[sender]
                self._changed.notify_all()

    def _wait(self, reading: Future[None], kept: IO[bytes]) -> None:
        """Whoever is given up is read no further: the connection is closed as this is answered."""
        began = time.monotonic()
        while True:
            left = began + self._patience + kept.tell() / LEAST_RATE - time.monotonic()
            if left <= 0:
                raise RequestTimeout("What was sent came too slowly, and was not read to its end. Send it again.")
            try:
                return reading.result(left)
            except StillReading:
                continue


class Body:
    """A request's input, which is read whole as soon as some of it is asked for."""

    def __init__(self, bodies: Bodies, stream: Any, sender: str):
        self._bodies, self._stream, self._sender = bodies, stream, sender
        self._kept: IO[bytes] | None = None

    def _whole(self) -> IO[bytes]:
        if self._kept is None:
            self._kept = self._bodies.read(self._stream, self._sender)
        return self._kept

    def read(self, size: int = -1) -> bytes:
        return self._whole().read(size)

    def readline(self, size: int = -1) -> bytes:
        return self._whole().readline(size)

    def readlines(self, hint: int = -1) -> list[bytes]:
        return self._whole().readlines(hint)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._whole())
