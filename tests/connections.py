"""Who this process tries to connect to, seen at the system call: nothing of ours or of a library can go around it. And
a port that connections come to nothing at."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_watching: list[Watched] = []


@dataclass
class Watched:
    """`tried` holds (address, port) of every attempt. With `only_look` False none of them leaves this machine."""

    tried: list[tuple[str, int]] = field(default_factory=list)
    only_look: bool = True
    thread: int = 0


@contextmanager
def connections(*, only_look: bool = True) -> Iterator[Watched]:
    """What the current thread connects to meanwhile."""
    watched = Watched(only_look=only_look, thread=threading.get_ident())
    _watching.append(watched)
    try:
        yield watched
    finally:
        _watching.remove(watched)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect" or not _watching:
        return
    address = arguments[1]
    for watched in _watching:
        if watched.thread == threading.get_ident() and isinstance(address, tuple):
            watched.tried.append((address[0], address[1]))
            if not watched.only_look:
                raise ConnectionRefusedError("seen, and not let through")


sys.addaudithook(_hook)


@contextmanager
def swallowing() -> Iterator[int]:
    """A port that takes no connection and refuses none, as behind a firewall: its queue is full, and nobody accepts."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(8)]
        try:
            for one in waiting:  # on loopback each has come to its end, or to none, when the call returns
                one.setblocking(False)
                one.connect_ex(listener.getsockname())
            yield listener.getsockname()[1]
        finally:
            for one in waiting:
                one.close()
