"""From the name of a host to a connection there: looked up, looked at, connected, and over TLS where that is asked for.

A name is looked up once for each connection, and that connection goes to an address that was found: between the check
of an address and its use nobody is asked again. Whatever is waited for here (a name, a connection, TLS) ends with the
call's time, and when it is stopped.
"""

from __future__ import annotations

import errno
import math
import os
import select
import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import httpx2

from .addresses import is_listed, refusal
from .lookup import lookups
from .requests import Origin
from .stop import Stop

TICK = 0.2
"""Seconds after which a wait that nobody can end looks whether it was stopped."""
ASKED_AFTER = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 4}
"""Seconds of silence after which the other end is asked whether it is there, and from one question to the next; so many
without an answer, and the connection is lost. Some routers forget one after 30 s."""
NOT_LISTED = "{} is no host that may be called from here. Ask the operator to list it (DATAELAN_REACHABLE_HOSTS)."


class Forbidden(Exception):
    """A connection to an address that may not be reached; the message is fit to show."""


@dataclass(frozen=True)
class Reach:
    """Where connections may lead."""

    context: ssl.SSLContext
    """Whose certificates are believed."""
    is_public: bool = False
    """To public addresses only, whatever a name leads to at that moment. A name that leads to a private address as well
    is refused outright: no honest one does."""
    hosts: tuple[str, ...] = ()
    """The only ones that are called; none: all."""

    def connect(self, origin: Origin, seconds: float, ends_at: float, stop: Stop | None) -> socket.socket:
        """A connection there. `seconds` are for all that comes after the name, TLS too. Raises ConnectError,
        ConnectTimeout, Forbidden, and lookup.Late."""
        scheme, raw_host, port = origin
        host = raw_host.decode("ascii")
        if self.hosts and not is_listed(host, self.hosts):
            raise Forbidden(NOT_LISTED.format(host))
        try:
            addresses = lookups.addresses(host, port, ends_at, stop)
        except (OSError, ValueError, OverflowError) as error:  # unknown; no name at all; a port above 65535
            raise httpx2.ConnectError(str(error)) from error
        if self.is_public:
            _check(host, port, addresses)
        until = min(ends_at, time.monotonic() + seconds)
        line = _first_of(addresses, port, until, stop)
        return _secured(self.context, line, host, until, stop) if scheme == "https" else line


def _check(host: str, port: int, addresses: Sequence[str]) -> None:
    for address in addresses:
        if refused := refusal(address, port):
            words = refused.replace(f" ({host})", "")  # the address itself was named
            raise Forbidden(f"{host} leads to {words}. Ask the operator to allow it (DATAELAN_PRIVATE_ADDRESSES).")


def _first_of(addresses: Sequence[str], port: int, until: float, stop: Stop | None) -> socket.socket:
    """A connection to the first that takes one. Each has its part of the time."""
    for left in range(len(addresses), 0, -1):
        share = max((until - time.monotonic()) / left, 0.001)
        try:
            line = _connected(addresses[-left], port, time.monotonic() + share, stop)
            _set(line)
            return line
        except TimeoutError as error:
            if left == 1:
                raise httpx2.ConnectTimeout(str(error)) from error
        except OSError as error:
            if left == 1 or (stop and stop.requested):
                raise httpx2.ConnectError(str(error)) from error
    raise httpx2.ConnectError("no address is known for it")


def _set(line: socket.socket) -> None:
    """What is said goes out at once. And who says nothing is asked whether they are there, by the system: else a router
    between would forget a connection that rests, or on which a model thinks for minutes, without a word to us."""
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ASKED_AFTER.items():
        if hasattr(socket, option):  # not on every system
            line.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


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


def _secured(context: ssl.SSLContext, line: socket.socket, host: str, until: float, stop: Stop | None) -> ssl.SSLSocket:
    """The hello is a step of its own, for it to be ended."""
    left = until - time.monotonic()
    try:
        line.settimeout(None if left == math.inf else max(left, 0.001))
        line = secure = context.wrap_socket(line, server_hostname=host, do_handshake_on_connect=False)
        if stop:
            stop.watch(partial(cut, secure))
        secure.do_handshake()  # its timeout is for all of it
        return secure
    except BaseException as error:
        if stop:
            stop.unwatch()
        line.close()
        if isinstance(error, TimeoutError):
            raise httpx2.ConnectTimeout(str(error)) from error
        if isinstance(error, OSError):
            raise httpx2.ConnectError(str(error)) from error
        raise


def cut(line: socket.socket) -> None:
    """Closing would race with the reader; shutting down makes its recv() return, and a hello that waits."""
    with suppress(OSError):
        socket.socket.shutdown(line, socket.SHUT_RDWR)
