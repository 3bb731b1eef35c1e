"""One program to keep alive, as a value."""

import sys
from dataclasses import dataclass
from pathlib import Path

TETHER = Path(__file__).with_name("tether.py")


@dataclass(frozen=True)
class Program:
    name: str
    command: tuple[str, ...]
    user: str = "-"  # the account it runs as; "-" is ours
    stop_signal: str = "SIGTERM"
    grace: int = 10  # seconds to end by itself once asked to
    alone: int = 0  # seconds until it is asked once more, where nobody is left for whom it runs; 0: it is not
    settled: int = 1  # seconds it must live to count as started; a faster death slows the next try
    copies: int = 1

    @property
    def processes(self) -> list[str]:
        return [self.name] if self.copies == 1 else [f"{self.name}-{number}" for number in range(self.copies)]

    @property
    def tethered(self) -> tuple[str, ...]:
        """The command that starts it so that it ends with whoever started it."""
        how = (self.user, self.stop_signal, str(self.grace), str(self.alone))
        return (sys.executable, "-I", "-S", str(TETHER), *how, *self.command)
