"""python -m tests.faults [--seed N] [--faults N] [--only KIND]…: the long part, as `make test-faults` runs it."""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import replace

from .breakage import FAULTS
from .chaos import Plan, run
from .drills import DRILLS
from .stack import NoDisk
from .verdict import Verdict


def main(arguments: list[str]) -> int:
    reader = argparse.ArgumentParser(prog="python -m tests.faults")
    reader.add_argument("--seed", type=int, default=int(os.environ.get("DATAELAN_FAULT_SEED") or time.time()))
    reader.add_argument("--faults", type=int, default=int(os.environ.get("DATAELAN_FAULTS") or 1000))
    reader.add_argument("--rate", type=float, default=4.0, help="acts a second")
    reader.add_argument("--only", action="append", default=[], choices=[*FAULTS, *DRILLS])
    given = reader.parse_args(arguments)
    plan = Plan(given.seed, given.faults, given.rate, tuple(given.only))
    verdicts = [run(plan, say)] if "disk full" not in plan.only else []
    if not plan.only or "disk full" in plan.only:
        verdicts += with_a_small_disk(plan)
    return 0 if all(verdict.is_good for verdict in verdicts) else 1


def with_a_small_disk(plan: Plan) -> list[Verdict]:
    """F10, on a stack of its own: one fault in fifty."""
    try:
        return [run(replace(plan, faults=max(3, plan.faults // 50), only=("disk full",), disk="400m"), say)]
    except NoDisk as reason:
        say(f"F10 (disk full) was left out: no disk of its own could be made for the database ({reason}).")
        return []


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
