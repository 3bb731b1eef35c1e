"""What several threads of a process would do at the same moment, though one of them doing it is enough for all."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

PATIENCE = 1.0
"""Seconds that one waits for another, who may wait for a connection that this one has."""


class Turns:
    """One at a time, of those who do the same. Each looks first whether it was done by whoever was before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gates: dict[Hashable, _Gate] = {}

    def __len__(self) -> int:
        """Of how many things somebody does or awaits one."""
        return len(self._gates)

    @contextmanager
    def alone(self, key: Hashable) -> Iterator[None]:
        """Or beside the others, after PATIENCE."""
        with self._lock:
            gate = self._gates.setdefault(key, _Gate())
            gate.users += 1
        is_alone = gate.lock.acquire(timeout=PATIENCE)
        try:
            yield
        finally:
            if is_alone:
                gate.lock.release()
            with self._lock:
                gate.users -= 1
                if not gate.users:
                    del self._gates[key]


class _Gate:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
