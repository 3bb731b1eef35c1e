"""The HTTP client, and how a call in flight is stopped. Everything about httpx is in this file and run.py.

No ambient proxy or credentials (`trust_env`), no redirects: a key goes to the address it was entered for or
nowhere. Answers are asked for uncompressed, so that a small reply cannot unpack into a large one.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass

import httpx2


@dataclass(frozen=True)
class Deadlines:
    """Seconds. Ours, because a client's own timeout starts anew with every byte."""

    connect: float = 5.0
    first_byte: float = 120.0
    idle: float = 60.0
    total: float = 900.0


MAX_ANSWER_BYTES = 64 * 1024 * 1024


def client(connections: int = 1000) -> httpx2.Client:
    """One a process, shared by all its threads."""
    return httpx2.Client(
        trust_env=False,
        follow_redirects=False,
        limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections // 4),
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

    def watch(self, response: httpx2.Response) -> None:
        stream = response.extensions.get("network_stream")
        with self._lock:
            self._socket = stream.get_extra_info("socket") if stream else None
        if self.requested:
            self.request()

    def unwatch(self) -> None:
        with self._lock:
            self._socket = None
