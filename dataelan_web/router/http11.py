"""One connection that speaks HTTP/1.1 (RFC 9112): a request goes out, and its answer comes in pieces.

Answers are parsed by llhttp, as strictly as Node does; where one breaks the rules, the call ends. A piece is all that
came at once, however many chunks its sender made of it: the more there is to do, the fewer pieces it is in.
"""

from __future__ import annotations

import re
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import httptools
import httpx2

from .reaching import cut
from .requests import PIECE, Request
from .stop import Stop

HEAD_LIMIT = BETWEEN_LIMIT = 100 * 1024
"""Bytes that come before an answer's own begin, and between them: of headers, and of what a chunk says of itself."""
RESTS, RESTS_SECURE = 4.0, 45.0
"""Seconds that a connection waits for its next use. Many programs close theirs after 5 s; what stands before a provider
after 60 s (Amazon's), 75 s (nginx) or 400 s (Cloudflare), and anew it would cost two journeys more and a handshake."""
MARGIN = 1.0
"""Seconds before the other end closes it, as it says itself, for what is on its way then would be lost."""
SAYS_ITSELF = re.compile(r"\btimeout\s*=\s*\"?(\d{1,9})", re.IGNORECASE)
"""In a Keep-Alive header (RFC 2068 §19.7.1.1), which no later standard has but many send."""


class Connection:
    """Used by one call at a time."""

    def __init__(self, line: socket.socket):
        self.line = line
        self._waits = -1.0
        self._rests_until = 0.0

    def ask(self, request: Request, seconds: float, ends_at: float, stop: Stop | None) -> Answer:
        """Send it and read the head of its answer, waiting `seconds` for each step, and for none beyond `ends_at`.
        Raises what httpx raises. `stop` ends what is waited for from now on, until it is told to watch no more."""
        answer = Answer(self, seconds, ends_at)
        if stop:
            stop.watch(partial(cut, self.line))
        try:
            for piece in request:
                self._write(piece, seconds, ends_at)
        except httpx2.WriteError:  # some answer before they have read all, and close
            answer.is_last = True
        answer.read_head()
        return answer

    def read(self, seconds: float, ends_at: float) -> bytes:
        """Nothing: its other end is closed."""
        try:
            self._wait(seconds, ends_at)
            return self.line.recv(PIECE)
        except (TimeoutError, BlockingIOError) as error:
            raise httpx2.ReadTimeout(str(error)) from error
        except OSError as error:
            raise httpx2.ReadError(str(error)) from error

    def _write(self, piece: bytes, seconds: float, ends_at: float) -> None:
        try:
            while piece:
                self._wait(seconds, ends_at)
                piece = piece[self.line.send(piece) :]
        except (TimeoutError, BlockingIOError) as error:
            raise httpx2.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpx2.WriteError(str(error)) from error

    def _wait(self, seconds: float, ends_at: float) -> None:
        """The most that a step takes from now on; many together must not outlast the call. Set only where it is
        another, and by the system: Python's way asks at each step first whether it can be made, and lets go of its lock
        for each question; where many threads run that is two switches between them. For TLS, which may read and write
        in one step, there is no other. Raises TimeoutError."""
        left = ends_at - time.monotonic()
        if left < seconds:
            if left <= 0:
                raise TimeoutError("the call's time is over")
            seconds = left
        if seconds == self._waits:
            return
        self._waits = seconds
        if isinstance(self.line, ssl.SSLSocket):
            self.line.settimeout(seconds)
            return
        self.line.setblocking(True)
        parts = struct.pack("ll", *divmod(int(max(seconds, 0.001) * 1_000_000), 1_000_000))
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self.line.setsockopt(socket.SOL_SOCKET, option, parts)

    def rests(self, said: str) -> None:
        """Until its next use; `said` is the Keep-Alive header of its last answer."""
        longest = RESTS_SECURE if isinstance(self.line, ssl.SSLSocket) else RESTS
        if told := SAYS_ITSELF.search(said):
            longest = min(int(told[1]) - MARGIN, RESTS_SECURE)
        self._rests_until = time.monotonic() + longest

    @property
    def has_rested(self) -> bool:
        """So long that its other end may be about to close it."""
        return time.monotonic() > self._rests_until

    @property
    def has_word(self) -> bool:
        """Does something lie there to be read, though nobody was asked? It is its end, or what nobody wants."""
        looking = select.poll()
        looking.register(self.line, select.POLLIN)
        return bool(looking.poll(0))

    def close(self) -> None:
        self.line.close()


class Answer:
    """What was answered. Its bytes come as they are asked for."""

    def __init__(self, connection: Connection, patience: float, ends_at: float):
        self.status = 0
        self.headers: Mapping[str, str] = {}
        """Their names in small letters. Several of a name are one, with commas between."""
        self.patience = patience
        """Seconds that each of its pieces is awaited."""
        self.is_last = False
        """No other may follow on its connection: half a request lies there."""
        self._connection, self._ends_at = connection, ends_at
        self._parser = httptools.HttpResponseParser(self)
        self._fields: dict[str, str] = {}
        self._came: list[bytes] = []
        self._has_head = self._is_whole = self._ends_with_line = self._stays = self._is_closed = False
        self._done: Callable[[Connection | None], None] | None = None

    @property
    def is_redirect(self) -> bool:
        return 300 <= self.status < 400

    def read_head(self) -> None:
        size = 0
        while not self._has_head:
            piece = self._connection.read(self.patience, self._ends_at)
            if not piece:
                raise httpx2.RemoteProtocolError("closed without an answer")
            self._parse(piece)
            size += len(piece)
            if size > HEAD_LIMIT and not self._has_head:
                raise httpx2.RemoteProtocolError("too many headers")

    def __iter__(self) -> Iterator[bytes]:
        """Raises ReadTimeout, ReadError, and RemoteProtocolError where it breaks off."""
        read, came, between = self._connection.read, self._came, 0
        while True:
            if came:
                piece, between = b"".join(came), 0
                came.clear()
                yield piece
            if self._is_whole:
                return
            if data := read(self.patience, self._ends_at):
                self._parse(data)
                if not came:
                    between += len(data)
                    if between > BETWEEN_LIMIT:
                        raise httpx2.RemoteProtocolError("too much between its pieces")
            elif self._ends_with_line:
                self._is_whole = True
            else:
                raise httpx2.RemoteProtocolError("closed before the answer was whole")

    def when_over(self, done: Callable[[Connection | None], None]) -> None:
        """`done` is told of the connection, if another call may have it."""
        self._done = done

    def close(self) -> None:
        """May be done twice."""
        if self._is_closed:
            return
        self._is_closed = True
        del self._parser  # it knows this answer too: else both would wait for the garbage collector
        is_free = self._is_whole and self._stays and not self.is_last
        if is_free:
            self._connection.rests(self.headers.get("keep-alive", ""))
        else:
            self._connection.close()
        if self._done:
            self._done(self._connection if is_free else None)

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._stays = False
            if not self._is_whole:
                raise httpx2.RemoteProtocolError(str(error)) from error

    # -- what the parser says ----------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._is_whole:  # nobody asked for another
            self._stays = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._has_head:
            key, text = name.decode("latin-1").lower(), value.decode("utf-8", "replace")
            self._fields[key] = f"{self._fields[key]}, {text}" if key in self._fields else text

    def on_headers_complete(self) -> None:
        if self._has_head:
            return
        self.status = self._parser.get_status_code()
        if self.status < 200:  # such as 103, with hints for a browser: the answer is yet to come
            self._fields.clear()
            return
        self._has_head, self.headers = True, self._fields
        self._stays = self._parser.should_keep_alive()
        framing = self.headers.get("transfer-encoding")
        if framing and framing.lower() != "chunked":
            raise httpx2.RemoteProtocolError(f"an answer within {framing[:40]}, which was not asked for")
        self._ends_with_line = not framing and "content-length" not in self.headers

    def on_body(self, body: bytes) -> None:
        if not self._is_whole:
            self._came.append(body)

    def on_message_complete(self) -> None:
        self._is_whole = self._has_head
