"""What the terminal shows of the programs' logs: everything that is not routine, with the program's name before it."""

import os
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from .program import Program

ROUTINE = re.compile(r"\b(INFO|DEBUG)\b|allows spawning up to \d+ Python threads")  # that many is our intention
LEVEL = re.compile(r"\b(DEBUG|INFO|WARN|WARNING|ERROR|ERRO|CRITICAL|CRIT)\b")
RESTART = re.compile(r"\b(exited: [^:]*not expected\)|gave up: .*)")


def say(text: str, to: int = 1) -> None:
    """Straight to the descriptor: safe in a signal handler, and a terminal that is gone stops nothing."""
    with suppress(OSError):
        os.write(to, f"{text}\n".encode())


class Terminal:
    """What we say ourselves, and what we let through of the programs' logs."""

    def __init__(self, logs: Path, programs: Sequence[Program]):
        self.logs = logs
        names = [name for program in programs for name in program.processes]
        self._tails = [Tail(logs / f"{name}.log", name, Remarkable()) for name in names]
        self._tails.append(Tail(logs / "supervisor.log", "supervisor", restarts))
        self._patience = time.monotonic() + 8

    def waiting_for(self, missing: str) -> None:
        """Says so only when it takes long."""
        self.show()
        if time.monotonic() > self._patience:
            self._patience = time.monotonic() + 15
            say(f"Still waiting for: {missing}. What they say is in {self.logs}.")

    def show(self) -> None:
        for tail in self._tails:
            tail.show()


class Tail:
    """Follows one log file from its present end, through rotation, printing what `worth` selects."""

    def __init__(self, path: Path, name: str, worth: Callable[[str], str]):
        self.path, self.name, self.worth = path, name, worth
        self._file: TextIO | None = None
        self._rest = ""
        self._open(at_end=True)

    def _open(self, at_end: bool = False) -> None:
        try:
            self._file = open(self.path, errors="replace")  # noqa: SIM115 (followed for as long as we run)
        except FileNotFoundError:
            self._file = None
            return
        if at_end:
            self._file.seek(0, 2)

    def show(self) -> None:
        self._print()
        if self._file is None or self._rotated(self._file):
            self._open()
            self._print()

    def _rotated(self, file: TextIO) -> bool:
        try:
            return self.path.stat().st_ino != Path(f"/dev/fd/{file.fileno()}").stat().st_ino
        except FileNotFoundError:
            return False

    def _print(self) -> None:
        if self._file is None:
            return
        *lines, self._rest = (self._rest + self._file.read()).split("\n")
        for line in lines:
            if shown := self.worth(line):
                say(f"{self.name:>10} │ {shown}", to=2)


class Remarkable:
    """Selects warnings, errors and their tracebacks: a line without a level belongs to the one before it."""

    def __init__(self) -> None:
        self._showing = False

    def __call__(self, line: str) -> str:
        head = line[:80]
        if line.startswith("Traceback "):
            self._showing = True
        elif LEVEL.search(head) and not head[:1].isspace():
            self._showing = not ROUTINE.search(head)
        return line.rstrip() if self._showing else ""


def restarts(line: str) -> str:
    """From supervisord's own log: who ended without being asked."""
    found = RESTART.search(line)
    return found[0] if found else ""
