"""Choosing among endpoints by the router's health scores, in the seeded simulation that lies beside the checkout.

For each scenario and load: the 99th percentile of the time to an answer, as a multiple of what an oracle gets that
knows every endpoint's true finish time. The policy sees what production sees: its own calls, and how they ended.

Then what a choice costs: scoring 500 candidates, and reading what is known of them from Valkey.
"""

from __future__ import annotations

import importlib.util
import os
import random
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from statistics import geometric_mean, mean, median
from types import ModuleType
from typing import Any

from dataelan_web.executions.health import ValkeyHealth
from dataelan_web.jobs.queue import connect
from dataelan_web.local.databases import servers
from dataelan_web.local.directory import Directory
from dataelan_web.router.health import (
    USUAL_TOKENS,
    Observation,
    Pair,
    Vital,
    best_latency,
    observed,
    ranked,
    work_of,
)
from dataelan_web.router.types import Kind

from .report import line, spread

LBSIM = Path(os.environ.get("DATAELAN_LBSIM") or Path(__file__).parents[2] / "shared" / "tools" / "lbsim.py")
SCENARIOS = ("hetero", "bursty", "brownout", "capacity")
LOADS = (0.05, 0.3, 0.6)
SEEDS = range(5)
SECONDS = 600.0
PAIRS, ROUNDS = 500, 100
CELLS = tuple((scenario, load) for scenario in SCENARIOS for load in LOADS)


def measure() -> None:
    simulated()
    with tempfile.TemporaryDirectory(prefix="dataelan-bench-") as place:
        directory = Directory(place)
        with directory.held("measuring"), servers(directory, {"REDIS_URL"}) as environment:
            choosing(ValkeyHealth(connect(environment["REDIS_URL"])))


def simulated() -> None:
    if reason := missing():
        return line("not simulated", "", reason)
    ratios = []
    for scenario, load in CELLS:
        ratios.append(ratio(scenario, load, SEEDS))
        line(f"{scenario}, load {load}: p99, oracle = 1", f"{ratios[-1]:.2f}", "bar: 7")
    line("geometric mean", f"{geometric_mean(ratios):.2f}", "bar: 1.9")


def choosing(health: ValkeyHealth) -> None:
    pairs = [(uuid.uuid4(), key) for key in (uuid.uuid4(), uuid.uuid4()) for _ in range(PAIRS // 2)]
    spread("one call's begin and end, until written", [timed(partial(called, health, pair)) for pair in pairs])
    spread(f"read {PAIRS} pairs", [timed(partial(health.read, pairs)) for _ in range(ROUNDS)], "bar: 3 ms")
    vitals, now, draw = list(health.read(pairs).values()), time.time(), random.Random(1)
    best = best_latency(vitals)
    scored = [timed(lambda: [vital.score(now, best) for vital in vitals]) for _ in range(ROUNDS)]
    line(f"score {PAIRS} pairs, median", f"{median(scored) * 1e6:.0f} µs", "bar: 300 µs")
    spread(f"rank {PAIRS} pairs", [timed(lambda: ranked(vitals, now, draw)) for _ in range(ROUNDS)])


def called(health: ValkeyHealth, pair: Pair) -> None:
    call_id = uuid.uuid4()
    health.begin(pair, call_id)
    health.end(pair, call_id, Observation(seconds=random.uniform(0.5, 20), first_token_seconds=0.4))
    health.settle()


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def missing() -> str:
    """Why there can be no simulation here; empty when there can."""
    if importlib.util.find_spec("numpy") is None:
        return "the simulation needs numpy"
    return "" if LBSIM.exists() else f"there is no simulation at {LBSIM} (DATAELAN_LBSIM)"


def ratio(scenario: str, load: float, seeds: Iterable[int]) -> float:
    """p99 over the oracle's, mean over the seeds."""
    return mean(_p99(policy, scenario, load, seed) / _p99(oracle, scenario, load, seed) for seed in seeds)


def policy() -> type:
    return _ByHealth


def oracle() -> type:
    found: type = simulation().Oracle
    return found


@cache
def simulation() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lbsim", LBSIM)
    if spec is None or spec.loader is None:
        raise ImportError(f"{LBSIM} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _p99(policy: Callable[[], type], scenario: str, load: float, seed: int) -> float:
    return float(simulation().run(policy(), scenario, seed, T=SECONDS, util=load)["p99"])


class _ByHealth:
    """The router's health rules as a policy of the simulation, whose work of 1 is an ordinary answer."""

    oracle = False

    def __init__(self, endpoints: int, generator: Any, base: Any, capacity: Any, params: Any):
        self.vitals = [Vital()] * endpoints
        self.draw = random.Random(int(generator.integers(2**32)))

    def start(self, endpoint: int, now: float) -> None:
        """The simulation counts what is in flight."""

    def done(self, endpoint: int, now: float, seconds: float, ok: bool, work: float) -> None:
        kind = None if ok else Kind.TRANSIENT
        observation = Observation(kind, float(seconds), work_of(float(work) * USUAL_TOKENS))
        self.vitals[endpoint] = observed(self.vitals[endpoint], observation, float(now))

    def pick(self, now: float, outstanding: Any, exclude: int | None = None) -> int:
        for place, count in enumerate(outstanding.tolist()):
            if self.vitals[place].in_flight != count:
                self.vitals[place] = replace(self.vitals[place], in_flight=count)
        places = [place for place in range(len(self.vitals)) if place != exclude]
        return places[ranked([self.vitals[place] for place in places], now, self.draw).places[0]]
