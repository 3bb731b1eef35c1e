"""Names → addresses, in bounded time. The system's resolver takes as long as it likes (30 s where name servers are
silent) and cannot be ended, so each look-up has a thread of its own, and who asks waits no longer than they wish.

A look-up that hangs keeps its thread until the system gives it up. So that it costs others nothing: all who ask for one
name wait for one look-up; names of one family (by their last two labels, what one owner may invent at will) get a few
threads only; and names that were never found get only a part of them, so that those in use can still be looked up.
Where there is no room, who asks waits for some, within their time, and is told so then.
"""

from __future__ import annotations

import ipaddress
import math
import socket
import threading
import time
from collections import Counter

from .stop import Stop

SECONDS = 10.0
"""The most that one answer is awaited: as long as the system takes to pass over one dead name server of two."""
MOST, MOST_UNKNOWN, MOST_ALIKE = 64, 40, 8
"""Look-ups at once: in all, of names never found before, and of one family."""
REMEMBERED = 4096

Name = tuple[str, int]


class Late(Exception):
    """No answer came in time, or it is not awaited any more."""


class Crowded(Late):
    """So many look-ups hang that this one could not even begin."""


class _LookUp:
    """One question of the system's resolver, in a thread that ends when that answers."""

    def __init__(self, name: Name):
        self.name = name
        self.found: list[str] | None = None
        self.error: Exception | None = None

    @property
    def family(self) -> str:
        return family(self.name)


class LookUps:
    """All look-ups of a process."""

    def __init__(self, most: int = MOST, most_unknown: int = MOST_UNKNOWN, most_alike: int = MOST_ALIKE):
        self._most, self._most_unknown, self._most_alike = most, most_unknown, most_alike
        self._open: dict[Name, _LookUp] = {}
        self._alike: Counter[str] = Counter()
        self._known: dict[str, None] = {}
        self._waiting: set[threading.Event] = set()
        self._lock = threading.Lock()

    def addresses(self, host: str, port: int, until: float = math.inf, stop: Stop | None = None) -> list[str]:
        """Every address the name leads to, in the resolver's order, by `until` (time.monotonic()) or in SECONDS. Raises
        OSError or ValueError where there is no such name, and Late."""
        if is_number(host):
            return _asked((host, port))  # no server is asked for that
        until = min(until, time.monotonic() + SECONDS)
        woken = threading.Event()
        with self._lock:
            self._waiting.add(woken)
        if stop:
            stop.watch(woken.set)
        try:
            return self._awaited((host, port), until, stop, woken)
        finally:
            if stop:
                stop.unwatch()
            with self._lock:
                self._waiting.discard(woken)

    def _awaited(self, name: Name, until: float, stop: Stop | None, woken: threading.Event) -> list[str]:
        mine: _LookUp | None = None
        while True:
            woken.clear()
            mine = mine or self._joined(name)
            if stop and stop.requested:
                raise Late("It was stopped.")
            if mine and mine.error:
                raise _again(mine.error)
            if mine and mine.found is not None:
                return mine.found
            if not woken.wait(max(0.0, until - time.monotonic())):
                raise Late("Its name was not looked up in time.") if mine else Crowded("Too many names are looked up.")

    def _joined(self, name: Name) -> _LookUp | None:
        """The look-up of this name that is under way, or a new one; None: there is no room for it."""
        with self._lock:
            if found := self._open.get(name):
                return found
            begun, most = _LookUp(name), self._most if name[0] in self._known else self._most_unknown
            if len(self._open) >= min(most, self._most) or self._alike[begun.family] >= self._most_alike:
                return None
            threading.Thread(target=self._run, args=(begun,), name="look-up", daemon=True).start()
            self._open[name] = begun
            self._alike[begun.family] += 1
            return begun

    def _run(self, lookup: _LookUp) -> None:
        found, problem = _answer(lookup.name)
        with self._lock:  # at one moment: who comes after it asks anew
            lookup.found, lookup.error = found, problem
            del self._open[lookup.name]
            self._alike[lookup.family] -= 1
            if not self._alike[lookup.family]:
                del self._alike[lookup.family]
            if found is not None:
                self._known.pop(lookup.name[0], None)
                self._known[lookup.name[0]] = None
                if len(self._known) > REMEMBERED:
                    del self._known[next(iter(self._known))]
            for waiting in self._waiting:
                waiting.set()


lookups = LookUps()
"""Of this process."""


def family(name: Name) -> str:
    return ".".join(name[0].rstrip(".").lower().rsplit(".", 2)[-2:])


def is_number(host: str) -> bool:
    """Is it an address already?"""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _asked(name: Name) -> list[str]:
    found = socket.getaddrinfo(*name, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _answer(name: Name) -> tuple[list[str] | None, Exception | None]:
    try:
        return _asked(name), None
    except Exception as error:  # whatever it is, somebody waits for it
        return None, error


def _again(error: Exception) -> Exception:
    """An exception of one's own: several may wait for the same, and raising it writes where it came through."""
    return type(error)(*error.args) if isinstance(error, OSError) else ValueError(str(error))
