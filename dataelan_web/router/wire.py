"""The HTTP client, and how a call in flight is stopped. Everything about httpx is in this file and exchange.py.

No ambient proxy or credentials (`trust_env`), no redirects, no cookies: a key goes to the address it was entered for
or nowhere, and what one tenant's provider says is not carried into another's call. Answers are asked for uncompressed,
so that a small reply cannot unpack into a large one.

A name is resolved here, once for each new connection, and that connection goes to an address that was resolved: between
the check of an address and its use nobody is asked again. A reused connection leads where it was checked to lead.
"""

from __future__ import annotations

import contextlib
import math
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpcore2
import httpx2

from .addresses import refusal

Client = httpx2.Client


@dataclass(frozen=True)
class Deadlines:
    """Seconds. Ours, because a client's own timeout starts anew with every byte."""

    connect: float = 5.0
    first_byte: float = 120.0
    idle: float = 60.0
    total: float = 900.0


MAX_ANSWER_BYTES = 64 * 1024 * 1024
MAX_ASSET_BYTES = 128 * 1024 * 1024
"""Of one file that a provider made and keeps for us, such as a film. It is in memory as a whole for a moment."""


PIECE = 64 * 1024
POOL = 16
"""Connections in one pool."""


class Forbidden(Exception):
    """A connection to an address that may not be reached; the message is fit to show."""


@dataclass(frozen=True)
class Clients:
    """One of each a process, shared by all its threads."""

    anywhere: Client
    public: Client
    """Connects to public addresses only, whatever a name resolves to at that moment. A name that leads to a private
    address as well is refused outright: no honest one does."""

    def reaching(self, is_trusted: bool) -> Client:
        return self.anywhere if is_trusted else self.public

    def close(self) -> None:
        self.anywhere.close()
        self.public.close()

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@cache
def _trusted() -> ssl.SSLContext:
    """Whose certificates are believed: read once a process, which takes 0.04 s."""
    return httpx2.create_ssl_context(trust_env=False)


def clients(connections: int = 1000) -> Clients:
    return Clients(_client(connections, is_public=False), _client(connections, is_public=True))


def _client(connections: int, *, is_public: bool) -> Client:
    return httpx2.Client(
        transport=_Pools(connections, is_public=is_public),
        verify=_trusted(),
        trust_env=False,
        follow_redirects=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        headers={"Accept-Encoding": "identity", "User-Agent": "Dataelan"},
    )


class _Pools(httpx2.BaseTransport):
    """Pools of a few connections, each made when those before it are full, and used for as long as they are.

    A pool looks at each of its connections whenever a request begins or ends, and asks the sockets of idle ones: with
    200 in one pool, that cost as much as all else that a call does on its line.
    """

    def __init__(self, connections: int, *, is_public: bool):
        self.context, self._is_public = _trusted(), is_public
        self._size = min(POOL, connections)
        self._most = -(-connections // self._size)
        self._pools: list[httpx2.HTTPTransport] = []
        self._in_flight: list[int] = []
        self._lock = threading.Lock()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        place = self._taken()
        try:
            response = self._pools[place].handle_request(request)
        except BaseException:
            self._give_back(place)
            raise
        if isinstance(response.stream, httpx2.SyncByteStream):
            response.stream = _Held(response.stream, lambda: self._give_back(place))
        return response

    def close(self) -> None:
        for pool in self._pools:
            pool.close()

    def _taken(self) -> int:
        """The first pool with room; where all are full and no more may be made, the emptiest, to wait there."""
        with self._lock:
            place = next((n for n, count in enumerate(self._in_flight) if count < self._size), len(self._pools))
            if place == self._most:
                place = self._in_flight.index(min(self._in_flight))
            elif place == len(self._pools):
                self._pools.append(self._made())
                self._in_flight.append(0)
            self._in_flight[place] += 1
            return place

    def _give_back(self, place: int) -> None:
        with self._lock:
            self._in_flight[place] -= 1

    def _made(self) -> httpx2.HTTPTransport:
        limits = httpx2.Limits(max_connections=self._size, max_keepalive_connections=self._size)
        transport = httpx2.HTTPTransport(verify=self.context, trust_env=False, limits=limits)
        # httpx has no public way to hand its pool a backend.
        transport._pool._network_backend = _Backend(self._is_public)
        return transport


class _Held(httpx2.SyncByteStream):
    """An answer's bytes, and what is to be done when they are closed, once."""

    def __init__(self, stream: httpx2.SyncByteStream, give_back: Callable[[], None]):
        self._stream, self._give_back = stream, give_back
        self._is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            try:
                self._stream.close()
            finally:
                self._give_back()


class Stop:
    """A person's wish that a call ends now. Another thread may ask; a read that waits is woken."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self.is_lost = False
        """Nobody wishes it: the run is another worker's now, and its job must go on."""
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    @property
    def requested(self) -> bool:
        return self._asked.is_set()

    def lose(self) -> None:
        self.is_lost = True
        self.request()

    def request(self) -> None:
        self._asked.set()
        with self._lock:
            if self._socket is not None:
                # Closing would race with the reader; shutting down makes its recv() return.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def wait(self, seconds: float) -> bool:
        """Sleep unless or until asked to stop. True: asked."""
        return self._asked.wait(seconds)

    def watch(self, connection: socket.socket) -> None:
        with self._lock:
            self._socket = connection
        if self.requested:
            self.request()

    def unwatch(self) -> None:
        with self._lock:
            self._socket = None


_sending = threading.local()


@contextlib.contextmanager
def sending(ends_at: float, stop: Stop | None = None) -> Iterator[None]:
    """While inside, the connection this thread sends its request on is the one that `stop` shuts down, and no later
    than `ends_at` (time.monotonic()) nothing more is read from it."""
    _sending.call = ends_at, stop
    try:
        yield
    finally:
        _sending.call = None


class _Backend(httpcore2.SyncBackend):
    """Connections that tell whose request they carry: only they know, and long before the answer begins."""

    def __init__(self, is_public: bool):
        self._is_public = is_public

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        addresses = _resolved(host, port)
        if self._is_public:
            _check(host, port, addresses)
        ends_at = time.monotonic() + (math.inf if timeout is None else timeout)
        for left in range(len(addresses), 0, -1):
            address, share = addresses[-left], (ends_at - time.monotonic()) / left
            try:
                seconds = None if timeout is None else max(share, 0.001)
                return _Line(super().connect_tcp(address, port, seconds, local_address, socket_options))
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if left == 1:
                    raise
        raise httpcore2.ConnectError(f"no address is known for {host}")


def _resolved(host: str, port: int) -> Sequence[str]:
    """Every address the name leads to, in the resolver's order."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, OverflowError) as error:  # unknown; no name at all; a port above 65535
        raise httpcore2.ConnectError(str(error)) from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _check(host: str, port: int, addresses: Sequence[str]) -> None:
    for address in addresses:
        if refused := refusal(address, port):
            words = refused.replace(f" ({host})", "")  # the address itself was named
            raise Forbidden(f"{host} leads to {words}. Ask the operator to allow it (DATAELAN_PRIVATE_ADDRESSES).")


class _Line(httpcore2.NetworkStream):
    def __init__(self, stream: httpcore2.NetworkStream):
        self._stream = stream
        self._ends_at = math.inf
        self.close, self.get_extra_info = stream.close, stream.get_extra_info  # type: ignore[method-assign]

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._within(timeout, httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._ends_at, stop = getattr(_sending, "call", None) or (math.inf, None)
        if stop:
            stop.watch(self.get_extra_info("socket"))
        # In pieces: the stream below begins its timeout anew with whatever little the other side takes.
        for start in range(0, len(buffer), PIECE):
            piece = buffer[start : start + PIECE]
            self._stream.write(piece, self._within(timeout, httpcore2.WriteTimeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _Line(self._stream.start_tls(ssl_context, server_hostname, timeout))

    def _within(self, timeout: float | None, late: type[httpcore2.TimeoutException]) -> float | None:
        """A timeout holds for one read or write; together they must not outlast the call."""
        if self._ends_at == math.inf:
            return timeout
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise late("the call's time is over")
        return left if timeout is None else min(timeout, left)
