"""Keeps a process of many threads to one processor.

Python runs one of them at once, whoever holds its lock. Where they may run anywhere, each that gets the lock mostly
wakes up on another processor, which has nothing of what it needs in its caches: a web that keeps to one answers a third
more of programs' calls (docs/gateway-speed.md), and a prompt takes a worker a quarter less. Whatever else runs, such as
the database, the system moves out of its way.

Which one: that which the fewest others of the same data directory keep to, by locks that end with who holds them; so it
does not matter how many there are, nor in how many containers. Only on Linux, and where there are several processors.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

DIRECTORY = "processors"
BOOT, THREADS = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/task")
_kept: list[BinaryIO] = []
"""For as long as this process lives."""
_others: set[int] = set()
"""The processors that it may run on, and does not."""


def keep_to_one(data_dir: Path) -> None:
    """All threads of this process, present and to come. To none, where no lock can be had."""
    if not hasattr(os, "sched_setaffinity"):
        return
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) > 1:
        with suppress(OSError):
            processor, lock = _claimed(data_dir / DIRECTORY, allowed)
            _kept.append(lock)
            _others.update(set(allowed) - {processor})
            for thread in THREADS.iterdir():
                with suppress(ProcessLookupError):  # it has just ended
                    os.sched_setaffinity(int(thread.name), {processor})


@contextmanager
def out_of_the_way() -> Iterator[None]:
    """For this thread, and those that it starts, while it works long without Python's lock. On the processor of all
    others it would take half of that from them, and with four threads, as for a password's hash, four fifths."""
    if not _others:
        yield
        return
    kept = os.sched_getaffinity(0)
    with suppress(OSError):  # none of them is to be had any more
        os.sched_setaffinity(0, _others)
    try:
        yield
    finally:
        os.sched_setaffinity(0, kept)


def _claimed(directory: Path, allowed: Sequence[int]) -> tuple[int, BinaryIO]:
    """Raises OSError. What is of another machine, or of before it was started anew, has another name."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    boot, first = BOOT.read_text().strip(), directory.stat().st_ino % len(allowed)
    in_order = [*allowed[first:], *allowed[:first]]  # several installations begin at different ones
    others = 0
    while True:
        for processor in in_order:
            file = (directory / f"{boot}.{processor}.{others}").open("ab")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
            else:
                return processor, file
        others += 1
