"""What the processes of a running program took of the processors and of the memory, as Linux tells it."""

from __future__ import annotations

import os
import re
from collections import Counter
from contextlib import suppress
from pathlib import Path

NAMES = {
    "postgres": "postgres",
    "valkey": "valkey",
    "simulated": "simulated",
    "jobs.worker": "worker",
    "serve.py": "web",
}
"""What stands in a command of Dataelan's → which program it is."""
TICK = os.sysconf("SC_CLK_TCK")


def seconds(root: int) -> Counter[str]:
    """Of a processor, by program, of this process and all that it started and these started, also of those that have
    ended: whoever waited for them counts theirs too."""
    used: Counter[str] = Counter()
    for pid, program in tree(root).items():
        with suppress(OSError):  # it has just ended
            used[program] += sum(map(int, _stat(pid)[11:15])) / TICK  # type: ignore[assignment]
    return used


def memory(root: int) -> Counter[str]:
    """Bytes, in the same way. What several processes share, such as PostgreSQL's buffers, counts once: each has its
    part of it (PSS). Asking takes milliseconds in which these processes wait."""
    used: Counter[str] = Counter()
    for pid, program in tree(root).items():
        with suppress(OSError):
            told = Path(f"/proc/{pid}/smaps_rollup").read_text()
            if found := re.search(r"^Pss:\s+(\d+) kB", told, re.M):
                used[program] += int(found[1]) * 1024
    return used


def threads(root: int) -> Counter[str]:
    used: Counter[str] = Counter()
    for pid, program in tree(root).items():
        with suppress(OSError):
            used[program] += int(_stat(pid)[17])
    return used


def tree(root: int) -> dict[int, str]:
    """Process → program, of this process and all below it."""
    parents, commands = {}, {}
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            commands[int(place.name)] = (place / "cmdline").read_text()
            parents[int(place.name)] = int(_stat(int(place.name))[1])
    found = {}
    for pid in parents:
        line = [pid]
        while line[-1] in parents and line[-1] != root:
            line.append(parents[line[-1]])
        if line[-1] == root:
            found[pid] = _program(commands, line)
    return found


def _stat(pid: int) -> list[str]:
    """The fields after the name, which may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _program(commands: dict[int, str], line: list[int]) -> str:
    """Of a process, by its own command or that of the nearest who started it."""
    for pid in line[:-1]:
        for part, name in NAMES.items():
            if part in commands.get(pid, ""):
                return name
    return "supervisor"
