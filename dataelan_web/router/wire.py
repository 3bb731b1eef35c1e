"""The HTTP client. Everything about httpx is in this file, requests.py, reaching.py, http11.py and exchange.py.

No ambient proxy or credentials (`trust_env`), no redirects, no cookies: a key goes to the address it was entered for
or nowhere, and what one tenant's provider says is not carried into another's call. Answers are asked for uncompressed,
so that a small reply cannot unpack into a large one.

Of httpx there are addresses, forms with files, and errors. The connection a request goes out on is ours, with a parser
in C: what httpx has for that took half of all that a streamed answer costs (docs/architecture.md). A reused connection
leads where it was checked to lead.

Whatever a call waits for (a place, a name, a connection, TLS, the answer) ends with its time, and when it is stopped.
"""

from __future__ import annotations

import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial

import httpx2

from .http11 import Answer, Connection
from .reaching import TICK, Reach
from .requests import Origin, Request
from .room import DEFAULT, Room
from .stop import Stop

MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""Of a stream, most of which is not kept; for what is, room.ANSWERS."""
MAX_ASSET_BYTES = 128 * 1024 * 1024
"""Of one file that a provider made and keeps for us, such as a film. It is in memory as a whole for a moment."""
CONNECTIONS = 1000
"""Of one client, in use at once."""
SWEPT_EVERY = 5.0
"""Seconds after which connections that rested too long are closed."""


@dataclass(frozen=True)
class Deadlines:
    """Seconds. Ours, because a client's own timeout starts anew with every byte."""

    connect: float = 5.0
    first_byte: float = 120.0
    idle: float = 60.0
    total: float = 900.0


class Client:
    """Sends requests, each on a connection of its own while it is answered. Shared by all threads."""

    def __init__(self, reach: Reach, connections: int = CONNECTIONS):
        self.reach, self._most = reach, connections
        self._idle: dict[Origin, list[Connection]] = {}
        self._in_use = 0
        self._swept_at = time.monotonic()
        self._lock = threading.Lock()
        self._freed = threading.Condition(self._lock)

    def send(self, request: Request, deadlines: Deadlines, ends_at: float, stop: Stop | None = None) -> Answer:
        """The head of the answer, whose bytes come as they are asked for; it has to be closed. Raises what httpx
        raises, Forbidden or lookup.Late."""
        origin = request.place.origin
        now = time.monotonic()
        within = min(deadlines.connect, max(ends_at - now, 0.001))
        connection = self._taken(origin, now + within, stop)
        try:
            connection = connection or Connection(self.reach.connect(origin, within, ends_at, stop))
            answer = connection.ask(request, deadlines.first_byte, ends_at, stop)
        except BaseException:
            self._given_back(origin, None)
            if connection:
                connection.close()
            raise
        answer.when_over(partial(self._given_back, origin))
        return answer

    def close(self) -> None:
        with self._lock:
            for connection in (one for kept in self._idle.values() for one in kept):
                connection.close()
            self._idle.clear()

    def _taken(self, origin: Origin, until: float, stop: Stop | None) -> Connection | None:
        """A place, and an open connection where there is one. Raises PoolTimeout where no place was free in time, or it
        was stopped."""
        with self._lock:
            while self._in_use >= self._most:
                left = until - time.monotonic()
                if left <= 0 or (stop and stop.requested):
                    raise httpx2.PoolTimeout("every connection is in use")
                self._freed.wait(min(left, TICK))
            self._in_use += 1
            kept = self._idle.get(origin, [])
        # Beyond the lock, as to look at a connection lets others run, who would wait for it.
        while kept:
            try:
                connection = kept.pop()  # the last that was used: so the others may go in time
            except IndexError:  # another thread was quicker
                break
            if not (connection.has_rested or connection.has_word):
                return connection
            connection.close()
        return None

    def _given_back(self, origin: Origin, connection: Connection | None) -> None:
        """The place, and a connection that the next may have."""
        with self._lock:
            self._in_use -= 1
            self._freed.notify()
            if connection:
                self._idle.setdefault(origin, []).append(connection)
            if time.monotonic() - self._swept_at > SWEPT_EVERY:
                self._sweep()

    def _sweep(self) -> None:
        """Connections that nobody wants any more. The lock is held."""
        self._swept_at = time.monotonic()
        for origin, kept in list(self._idle.items()):
            self._idle[origin] = fresh = list[Connection]()
            with suppress(IndexError):
                while connection := kept.pop(0):  # others may take of it meanwhile
                    if connection.has_rested:
                        connection.close()
                    else:
                        fresh.append(connection)
            if not fresh:
                del self._idle[origin]


@dataclass(frozen=True)
class Clients:
    """One of each a process, shared by all its threads."""

    anywhere: Client
    public: Client
    room: Room = field(default_factory=Room)
    """The memory that their answers may take."""

    def reaching(self, is_trusted: bool) -> Client:
        return self.anywhere if is_trusted else self.public

    def close(self) -> None:
        self.anywhere.close()
        self.public.close()

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def clients(connections: int = CONNECTIONS, memory: int = DEFAULT, hosts: tuple[str, ...] = ()) -> Clients:
    """`memory`: bytes that all their answers may take together. `hosts`: the only ones that either calls; none: all."""
    anywhere, public = (Client(Reach(_trusted(), is_public, hosts), connections) for is_public in (False, True))
    return Clients(anywhere, public, Room(memory))


@cache
def _trusted() -> ssl.SSLContext:
    """Whose certificates are believed: read once a process, which takes 0.04 s."""
    context = httpx2.create_ssl_context(trust_env=False)
    context.set_alpn_protocols(["http/1.1"])
    return context
