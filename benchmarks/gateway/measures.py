"""What is measured of each product, and in which order."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from statistics import mean
from typing import Any

from .. import processes
from .products import HERE, Product
from .upstream import INSTANT, SLOW

CONNECTIONS = (1, 16, 64)
WAITING = 200
"""Clients of the slow provider."""
STREAMS = (200, 500)
ROUNDS = 2
"""Of streams; before them, a few to warm up. Where one takes longer than LONG seconds, it is the last."""
LONG = 5.0
SECONDS = 4.0
"""That each rate is counted."""
ALL = ("rates", "slow", "streams")
OTHERS = {"simulated"}
"""Of a running Dataelan, what has no part in this: the provider that newcomers ask."""


@dataclass
class Answers:
    """So many clients that ask again as soon as they were answered. Times in seconds."""

    rate: float
    p50: float
    p99: float
    processor: float | None
    """Seconds of it a request, of all the product's processes together."""
    programs: dict[str, float] = field(default_factory=dict)
    """The same by program."""


@dataclass
class Streams:
    intact: int
    of: int
    p50: float
    """Until the first word, the mean of the rounds' medians; inf where none came."""
    took: float
    """Until the last of all ended, in the slowest round."""
    processor: float | None


@dataclass
class Figures:
    answers: dict[int, Answers] = field(default_factory=dict)
    slow: Answers | None = None
    streams: dict[int, Streams] = field(default_factory=dict)
    memory: Counter[str] = field(default_factory=Counter)
    """Bytes by program, when it was most."""
    threads: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


class Measured:
    """One product while it runs."""

    def __init__(self, product: Product, seconds: float = SECONDS):
        self.product, self.seconds, self.figures = product, seconds, Figures()

    def all(self, wanted: Collection[str] = ALL) -> Figures:
        self._load(connections=16, seconds=0.5)
        if "rates" in wanted:
            for connections in CONNECTIONS:
                self.figures.answers[connections] = self.rate(connections)
            self._look()
        if "slow" in wanted:
            self.figures.slow = self.rate(WAITING, model=SLOW, warm=2.0)
        if "streams" in wanted:
            self._load(connections=16, streams=True)
            for connections in STREAMS:
                self.figures.streams[connections] = self.stream(connections)
        return self.figures

    def rate(self, connections: int, model: str = INSTANT, warm: float = 1.0) -> Answers:
        before = processes.seconds(self.product.pid)
        told = self._load(connections=connections, model=model, seconds=self.seconds, warm=warm)
        spent = self._spent(before, told["answered"])
        never = float("inf")
        return Answers(told["rate"], told["p50"] or never, told["p99"] or never, _total(spent), dict(spent))

    def stream(self, connections: int) -> Streams:
        before = processes.seconds(self.product.pid)
        told: list[dict[str, Any]] = []
        while len(told) < ROUNDS and all(one["took"] < LONG for one in told):
            told.append(self._load(connections=connections, streams=True, looks=True))
        spent = self._spent(before, connections * len(told))
        firsts = [one["p50"] or float("inf") for one in told]
        intact, took = sum(one["intact"] for one in told), max(one["took"] for one in told)
        return Streams(intact, connections * len(told), mean(firsts), took, _total(spent))

    def _load(self, looks: bool = False, model: str = INSTANT, **asked: Any) -> dict[str, Any]:
        """What load.py says. Where it `looks`, the memory in the midst of it is noted too."""
        given = asked | {"url": self.product.url, "headers": dict(self.product.headers), "model": model}
        given["says_done"] = self.product.says_done
        command = [sys.executable, str(HERE / "load.py"), json.dumps(given)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as load:
            assert load.stdout
            load.stdout.readline()
            if looks:
                time.sleep(0.5)
                self._look()
            said = load.stdout.read()
        if load.returncode:
            raise RuntimeError(f"the load ended with {load.returncode}")
        told: dict[str, Any] = json.loads(said)
        what = f"{asked['connections']} {'streams' if asked.get('streams') else 'clients'} of {model}"
        self.figures.faults += [f"{what}: {count} × {fault}" for fault, count in told["faults"].items()]
        return told

    def _look(self) -> None:
        now = processes.memory(self.product.pid)
        if _total(now) > _total(self.figures.memory):
            self.figures.memory, self.figures.threads = now, processes.threads(self.product.pid)

    def _spent(self, before: Counter[str], requests: int) -> Counter[str]:
        """Seconds a request since then, with what is done of them a little later."""
        time.sleep(1)
        return Counter(
            {name: used / max(1, requests) for name, used in (processes.seconds(self.product.pid) - before).items()}
        )


def _total(used: Counter[str]) -> float:
    return sum(value for name, value in used.items() if name not in OTHERS)
