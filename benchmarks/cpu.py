"""What the processes of a running Dataelan took of the processors, as Linux tells it."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

NAMES = {
    "postgres": "postgres",
    "valkey": "valkey",
    "simulated": "simulated",
    "jobs.worker": "worker",
    "wsgi:app": "web",
}
"""What stands in a command → which program it is."""
TICK = os.sysconf("SC_CLK_TCK")


def seconds(supervisor: int) -> Counter[str]:
    """By program, of all that the supervisor started and what these started."""
    parents, used, commands = {}, {}, {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            fields = (place / "stat").read_text().rpartition(")")[2].split()
            commands[int(place.name)] = (place / "cmdline").read_text()
        except OSError:  # it has just ended
            continue
        parents[int(place.name)], used[int(place.name)] = int(fields[1]), (int(fields[11]) + int(fields[12])) / TICK
    found: Counter[str] = Counter()
    for pid in used:
        line = [pid]
        while line[-1] in parents and line[-1] != supervisor:
            line.append(parents[line[-1]])
        if line[-1] == supervisor:
            found[_program(commands, line)] += used[pid]  # type: ignore[assignment]
    return found


def _program(commands: dict[int, str], line: list[int]) -> str:
    """Of a process, by its own command or that of the nearest who started it."""
    for pid in line[:-1]:
        for part, name in NAMES.items():
            if part in commands.get(pid, ""):
                return name
    return "supervisor"
