"""Keeps a process of many threads to one processor at a time.

Python runs one of them at once, whoever holds its lock. Where they may run anywhere, each that gets the lock mostly
wakes up on another processor, which has nothing of what it needs in its caches: a web that keeps to one answers a third
more of programs' calls (docs/gateway.md), and a prompt takes a worker a quarter less. Whatever else runs, such as the
database, the system moves out of its way; and where it does not, as that keeps there too, this process moves.

Only on Linux, and where there are several processors.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

EVERY = 3.0
"""Seconds between two looks, more or less: several that look at the same moment would move to the same place."""
FULL, THEIRS, FREE = 0.9, 0.25, 0.5
"""This process moves where its processor is as busy as this, others have so much of it, and another is not busier."""
TIMES, THREADS = Path("/proc/stat"), Path("/proc/self/task")


def keep_to_one(number: int) -> None:
    """All threads of this process, present and to come. `number`: what tells it from others that do so."""
    if not hasattr(os, "sched_setaffinity"):
        return
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) > 1:
        here = allowed[number % len(allowed)]
        _go_to(here)
        threading.Thread(target=_look_around, args=(allowed, here), name="processor", daemon=True).start()


def _go_to(processor: int) -> None:
    for thread in THREADS.iterdir():
        with suppress(ProcessLookupError):  # it has just ended
            os.sched_setaffinity(int(thread.name), {processor})


def _look_around(allowed: Collection[int], here: int) -> None:
    with suppress(OSError):  # where the times are not to be read, it stays
        while True:
            before, own, began = _times(), time.process_time(), time.monotonic()
            time.sleep(EVERY * random.uniform(0.7, 1.3))
            busy = _shares(before, _times())
            mine = (time.process_time() - own) / (time.monotonic() - began)
            there = better(busy, mine, here, allowed)
            if there is not None:
                here = there
                _go_to(here)


def better(busy: dict[int, float], mine: float, here: int, allowed: Collection[int]) -> int | None:
    """Where to move, by the shares of the time in which each processor was busy, and this one with this process. None:
    it stays. What else runs moves by itself, so it is in the way only where it does not, though there is room."""
    there = min(allowed, key=lambda one: busy.get(one, 1.0))
    is_crowded = busy.get(here, 0.0) >= FULL and busy.get(here, 0.0) - mine >= THEIRS
    return there if is_crowded and busy.get(there, 1.0) <= FREE else None


def _times() -> dict[int, tuple[int, int]]:
    """{processor: (ticks, of which it had nothing to do)}, as proc(5) tells of /proc/stat. Raises OSError."""
    found = {}
    for line in TIMES.read_text().splitlines():
        name, *said = line.split()
        if name.startswith("cpu") and name[3:].isdecimal():
            ticks = [int(one) for one in said[:8]]  # what guests take is in these
            found[int(name[3:])] = sum(ticks), ticks[3] + ticks[4]
    return found


def _shares(before: dict[int, tuple[int, int]], after: dict[int, tuple[int, int]]) -> dict[int, float]:
    """{processor: the share of the time in which it was busy}"""
    shares = {}
    for processor, (ticks, idle) in after.items():
        earlier, idle_then = before.get(processor, (0, 0))
        shares[processor] = 1 - (idle - idle_then) / max(1, ticks - earlier)
    return shares
