"""Choosing among endpoints by the router's health scores, in the seeded simulation that lies beside the checkout.

For each scenario and load: the 99th percentile of the time to an answer, as a multiple of what an oracle gets that
knows every endpoint's true finish time. The policy sees what production sees: its own calls, and how they ended.
"""

from __future__ import annotations

import importlib.util
import os
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import geometric_mean, mean
from types import ModuleType
from typing import Any

from dataelan_web.router.health import USUAL_TOKENS, Observation, Vital, observed, ranked, work_of
from dataelan_web.router.types import Kind

from .report import line

LBSIM = Path(os.environ.get("DATAELAN_LBSIM") or Path(__file__).parents[2] / "shared" / "tools" / "lbsim.py")
SCENARIOS = ("hetero", "bursty", "brownout", "capacity")
LOADS = (0.05, 0.3, 0.6)
SEEDS = range(5)
SECONDS = 600.0
CELLS = tuple((scenario, load) for scenario in SCENARIOS for load in LOADS)


def measure() -> None:
    if reason := missing():
        return line("not measured", "", reason)
    ratios = []
    for scenario, load in CELLS:
        ratios.append(ratio(scenario, load, SEEDS))
        line(f"{scenario}, load {load}: p99, oracle = 1", f"{ratios[-1]:.2f}", "bar: 7")
    line("geometric mean", f"{geometric_mean(ratios):.2f}", "bar: 1.9")


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
        places = [place for place in range(len(self.vitals)) if place != exclude]
        vitals = [replace(self.vitals[place], in_flight=int(outstanding[place])) for place in places]
        return places[ranked(vitals, now, self.draw)[0]]
