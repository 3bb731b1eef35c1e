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
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, TypeVar

DIRECTORY = "processors"
BOOT, THREADS = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/task")
NICE = 10
"""Of 19: a tenth of what others have who want the same processor."""
Value = TypeVar("Value")
_kept: list[BinaryIO] = []
"""For as long as this process lives."""
_others: set[int] = set()
"""The processors that it might run on, and does not."""


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


def out_of_the_way(work: Callable[[], Value]) -> Value:
    """What this comes to, which works long without Python's lock, such as a password's hash with its four threads: on
    the processor of all others they would have four fifths of it. So it runs in a thread of its own, of lower priority,
    on the processors that this process does not keep to, where another may; and so do all that it starts."""
    with ThreadPoolExecutor(1, initializer=_step_aside) as aside:
        return aside.submit(work).result()


def _step_aside() -> None:
    """This thread alone, which Linux can tell from its process."""
    if hasattr(os, "sched_setaffinity"):
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
            os.sched_setaffinity(0, _others or os.sched_getaffinity(0))


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
