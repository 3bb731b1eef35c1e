"""The HTTP client, and how a call in flight is stopped. Everything about httpx is in this file and exchange.py.

No ambient proxy or credentials (`trust_env`), no redirects: a key goes to the address it was entered for or
nowhere. Answers are asked for uncompressed, so that a small reply cannot unpack into a large one.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import httpcore2
import httpx2

Client = httpx2.Client


@dataclass(frozen=True)
class Deadlines:
    """Seconds. Ours, because a client's own timeout starts anew with every byte."""

    connect: float = 5.0
    first_byte: float = 120.0
    idle: float = 60.0
    total: float = 900.0


MAX_ANSWER_BYTES = 64 * 1024 * 1024
MAX_ASSET_BYTES = 256 * 1024 * 1024
"""Of one file that a provider made and keeps for us, such as a film."""


class Forbidden(Exception):
    """A connection to an address that may not be reached; the message is fit to show."""


@dataclass(frozen=True)
class Clients:
    """One of each a process, shared by all its threads."""

    anywhere: Client
    public: Client
    """Connects to public addresses only, whatever a name resolves to at that moment."""

    def reaching(self, is_trusted: bool) -> Client:
        return self.anywhere if is_trusted else self.public

    def close(self) -> None:
        self.anywhere.close()
        self.public.close()

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def clients(connections: int = 1000) -> Clients:
    return Clients(client(connections), client(connections))


def client(connections: int = 1000) -> Client:
    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections // 4)
    transport = httpx2.HTTPTransport(trust_env=False, limits=limits)
    transport._pool._network_backend = _Backend()  # httpx has no public way to hand its pool a backend
    return httpx2.Client(
        transport=transport,
        trust_env=False,
        follow_redirects=False,
        headers={"Accept-Encoding": "identity", "User-Agent": "Dataelan"},
    )


class Stop:
    """A person's wish that a call ends now. Another thread may ask; a read that waits is woken."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    @property
    def requested(self) -> bool:
        return self._asked.is_set()

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

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """While inside, the connection this thread sends its request on is the one to be shut down."""
        _sending.stop = self
        try:
            yield
        finally:
            _sending.stop = None

    def watch(self, connection: socket.socket) -> None:
        with self._lock:
            self._socket = connection
        if self.requested:
            self.request()

    def unwatch(self) -> None:
        with self._lock:
            self._socket = None


_sending = threading.local()


class _Backend(httpcore2.SyncBackend):
    """Connections that tell whose request they carry: only they know, and long before the answer begins."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        return _Line(super().connect_tcp(host, port, timeout, local_address, socket_options))


class _Line(httpcore2.NetworkStream):
    def __init__(self, stream: httpcore2.NetworkStream):
        self._stream = stream
        self.read, self.close, self.get_extra_info = stream.read, stream.close, stream.get_extra_info  # type: ignore[method-assign]

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if stop := getattr(_sending, "stop", None):
            stop.watch(self.get_extra_info("socket"))
        self._stream.write(buffer, timeout)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _Line(self._stream.start_tls(ssl_context, server_hostname, timeout))
