"""The HTTP client. Everything about httpx is in this file and exchange.py.

No ambient proxy or credentials (`trust_env`), no redirects, no cookies: a key goes to the address it was entered for
or nowhere, and what one tenant's provider says is not carried into another's call. Answers are asked for uncompressed,
so that a small reply cannot unpack into a large one.

A name is looked up once for each new connection, and that connection goes to an address that was found: between the
check of an address and its use nobody is asked again. A reused connection leads where it was checked to lead.

Whatever a call waits for (a place in a pool, a name, a connection, TLS, the answer) ends with its time, and when it is
stopped.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import httpcore2
import httpx2
from httpcore2._backends.sync import SyncStream

from .addresses import is_listed, refusal
from .lookup import lookups
from .room import DEFAULT, Room
from .stop import Stop


class Client:
    """httpx's requests, answers and connections without its client: whatever that adds is not wanted here (redirects,
    cookies, credentials from an address or the environment)."""

    def __init__(self, transport: httpx2.BaseTransport):
        self.transport = transport

    def send(self, request: httpx2.Request) -> httpx2.Response:
        """The head of the answer, whose body comes as it is read. Raises what httpx raises, and Forbidden or Late."""
        response = self.transport.handle_request(request)
        response.request = request
        return response

    def close(self) -> None:
        self.transport.close()


@dataclass(frozen=True)
class Deadlines:
    """Seconds. Ours, because a client's own timeout starts anew with every byte."""

    connect: float = 5.0
    first_byte: float = 120.0
    idle: float = 60.0
    total: float = 900.0


MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""Of a stream, most of which is not kept; for what is, room.ANSWERS."""
MAX_ASSET_BYTES = 128 * 1024 * 1024
"""Of one file that a provider made and keeps for us, such as a film. It is in memory as a whole for a moment."""


PIECE = 64 * 1024
POOL = 16
"""Connections in one pool."""
TICK = 0.2
"""Seconds after which a wait that nobody can end looks whether it was stopped."""


class Forbidden(Exception):
    """A connection to an address that may not be reached; the message is fit to show."""


NOT_LISTED = "{} is no host that may be called from here. Ask the operator to list it (DATAELAN_REACHABLE_HOSTS)."


@dataclass(frozen=True)
class Clients:
    """One of each a process, shared by all its threads."""

    anywhere: Client
    public: Client
    """Connects to public addresses only, whatever a name resolves to at that moment. A name that leads to a private
    address as well is refused outright: no honest one does."""
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


@cache
def _trusted() -> ssl.SSLContext:
    """Whose certificates are believed: read once a process, which takes 0.04 s."""
    return httpx2.create_ssl_context(trust_env=False)


def clients(connections: int = 1000, memory: int = DEFAULT, hosts: tuple[str, ...] = ()) -> Clients:
    """`memory`: bytes that all their answers may take together. `hosts`: the only ones that either calls; none: all."""
    anywhere, public = (Client(_Pools(connections, hosts, is_public=is_public)) for is_public in (False, True))
    return Clients(anywhere, public, Room(memory))


class _Pools(httpx2.BaseTransport):
    """Pools of a few connections, each made when those before it are full, and used for as long as they are.

    A pool looks at each of its connections whenever a request begins or ends, and asks the sockets of idle ones: with
    200 in one pool, that cost as much as all else that a call does on its line.
    """

    def __init__(self, connections: int, hosts: tuple[str, ...], *, is_public: bool):
        self.context, self._hosts, self._is_public = _trusted(), hosts, is_public
        self._size = min(POOL, connections)
        self._most = -(-connections // self._size)
        self._pools: list[httpx2.HTTPTransport] = []
        self._in_flight: list[int] = []
        self._freed = threading.Condition()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        place = self._taken(request)
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

    def _taken(self, request: httpx2.Request) -> int:
        """A pool with room. Raises PoolTimeout where none was in time, or it was stopped."""
        seconds = request.extensions.get("timeout", {}).get("pool")
        until = time.monotonic() + (math.inf if seconds is None else seconds)
        _, stop = _call()
        with self._freed:
            while (place := self._free()) is None:
                left = until - time.monotonic()
                if left <= 0 or (stop and stop.requested):
                    raise httpx2.PoolTimeout("every connection is in use", request=request)
                self._freed.wait(min(left, TICK))
            self._in_flight[place] += 1
            return place

    def _free(self) -> int | None:
        """The first pool with room, if need be a new one."""
        place = next((n for n, count in enumerate(self._in_flight) if count < self._size), len(self._pools))
        if place == self._most:
            return None
        if place == len(self._pools):
            self._pools.append(self._made())
            self._in_flight.append(0)
        return place

    def _give_back(self, place: int) -> None:
        with self._freed:
            self._in_flight[place] -= 1
            self._freed.notify()

    def _made(self) -> httpx2.HTTPTransport:
        limits = httpx2.Limits(max_connections=self._size, max_keepalive_connections=self._size)
        transport = httpx2.HTTPTransport(verify=self.context, trust_env=False, limits=limits)
        # httpx has no public way to hand its pool a backend.
        transport._pool._network_backend = _Backend(self._hosts, self._is_public)
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


def _call() -> tuple[float, Stop | None]:
    """(when the call of this thread ends, who may stop it)"""
    return getattr(_sending, "call", None) or (math.inf, None)


class _Backend(httpcore2.SyncBackend):
    """Connections that tell whose request they carry: only they know, and long before the answer begins."""

    def __init__(self, hosts: tuple[str, ...], is_public: bool):
        self._hosts, self._is_public = hosts, is_public

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """`timeout` is for all that comes after the name, TLS too. Raises Forbidden and lookup.Late besides."""
        if self._hosts and not is_listed(host, self._hosts):
            raise Forbidden(NOT_LISTED.format(host))
        ends_at, stop = _call()
        try:
            addresses = lookups.addresses(host, port, ends_at, stop)
        except (OSError, ValueError, OverflowError) as error:  # unknown; no name at all; a port above 65535
            raise httpcore2.ConnectError(str(error)) from error
        if self._is_public:
            _check(host, port, addresses)
        ends_at = min(ends_at, time.monotonic() + (math.inf if timeout is None else timeout))
        for left in range(len(addresses), 0, -1):
            share = max((ends_at - time.monotonic()) / left, 0.001)
            try:
                line = _connected(addresses[-left], port, time.monotonic() + share, stop)
                for option in (*(socket_options or ()), (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)):
                    line.setsockopt(*option)
                return _Line(SyncStream(line), ends_at)
            except TimeoutError as error:
                if left == 1:
                    raise httpcore2.ConnectTimeout(str(error)) from error
            except OSError as error:
                if left == 1 or (stop and stop.requested):
                    raise httpcore2.ConnectError(str(error)) from error
        raise httpcore2.ConnectError(f"no address is known for {host}")


def connecting(address: str, port: int) -> socket.socket:
    """A connection that is on its way there, and does not block. Raises OSError."""
    line = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        line.setblocking(False)
        if (problem := line.connect_ex((address, port))) not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
            raise OSError(problem, os.strerror(problem))
    except BaseException as error:
        line.close()
        if isinstance(error, OverflowError):  # a port above 65535
            raise OSError(str(error)) from error
        raise
    return line


def _connected(address: str, port: int, until: float, stop: Stop | None) -> socket.socket:
    """Raises OSError: TimeoutError where nobody took it by then, and whichever where it was stopped."""
    line = connecting(address, port)
    try:
        waiting = select.poll()
        waiting.register(line, select.POLLOUT)
        while not waiting.poll(1000 * max(0.0, min(TICK, until - time.monotonic()))):
            if stop and stop.requested:
                raise ConnectionAbortedError("stopped")
            if time.monotonic() >= until:
                raise TimeoutError("nobody answered")
        if problem := line.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(problem, os.strerror(problem))
    except BaseException:
        line.close()
        raise
    return line


def _check(host: str, port: int, addresses: Sequence[str]) -> None:
    for address in addresses:
        if refused := refusal(address, port):
            words = refused.replace(f" ({host})", "")  # the address itself was named
            raise Forbidden(f"{host} leads to {words}. Ask the operator to allow it (DATAELAN_PRIVATE_ADDRESSES).")


class _Line(httpcore2.NetworkStream):
    def __init__(self, stream: httpcore2.NetworkStream, made_by: float):
        self._stream, self._made_by = stream, made_by
        self._ends_at = math.inf
        self.close, self.get_extra_info = stream.close, stream.get_extra_info  # type: ignore[method-assign]

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._within(timeout, httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._ends_at, stop = _call()
        if stop:
            stop.watch(partial(_cut, self.get_extra_info("socket")))
        # In pieces: the stream below begins its timeout anew with whatever little the other side takes.
        for start in range(0, len(buffer), PIECE):
            piece = buffer[start : start + PIECE]
            self._stream.write(piece, self._within(timeout, httpcore2.WriteTimeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        """In what is left of the time for this connection. The hello is a step of its own, for it to be ended."""
        line, (_, stop) = self.get_extra_info("socket"), _call()
        left = min(self._made_by - time.monotonic(), math.inf if timeout is None else timeout)
        try:
            line.settimeout(None if left == math.inf else max(left, 0.001))
            line = ssl_context.wrap_socket(line, server_hostname=server_hostname, do_handshake_on_connect=False)
            if stop:
                stop.watch(partial(_cut, line))
            line.do_handshake()
        except BaseException as error:
            if stop:
                stop.unwatch()
            line.close()
            if isinstance(error, TimeoutError):
                raise httpcore2.ConnectTimeout(str(error)) from error
            if isinstance(error, OSError):
                raise httpcore2.ConnectError(str(error)) from error
            raise
        return _Line(SyncStream(line), self._made_by)

    def _within(self, timeout: float | None, late: type[httpcore2.TimeoutException]) -> float | None:
        """A timeout holds for one read or write; together they must not outlast the call."""
        if self._ends_at == math.inf:
            return timeout
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise late("the call's time is over")
        return left if timeout is None else min(timeout, left)


def _cut(line: socket.socket) -> None:
    """Closing would race with the reader; shutting down makes its recv() return, and a hello that waits."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(line, socket.SHUT_RDWR)
