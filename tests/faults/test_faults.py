"""The short parts of the fault suite: one small Dataelan, and in it a few faults; among the sweeps, some of each sort.
The long part: `make test-faults`."""

from __future__ import annotations

import os

import pytest

from .chaos import Plan, run
from .drills import DRILLS

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("faults")]

SEED = int(os.environ.get("DATAELAN_FAULT_SEED") or 1)
PROGRAMS = ("worker killed", "Valkey killed", "connections cut", "messages doubled")
DRILLED = tuple(name for name in DRILLS if name != "provider stalls")  # it takes a minute


FEW = (*PROGRAMS, "provider breaks off", "form sent twice", "run cancelled")


@pytest.mark.parametrize(
    "kinds", [FEW, pytest.param((*PROGRAMS, *DRILLED), marks=pytest.mark.sweep)], ids=["a few", "of each sort"]
)
def test_whatever_breaks_nothing_is_lost_and_nothing_is_paid_twice(kinds: tuple[str, ...]) -> None:
    words: list[str] = []
    plan = Plan(SEED, len(kinds), rate=2.0, only=kinds, webs=1, workers=1, is_in_a_hurry=True)
    verdict = run(plan, words.append)
    print(*words, sep="\n")
    assert verdict.is_good, words[-1]
