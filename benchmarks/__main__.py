"""`make bench`: every measurement, or those named: `make bench BENCH_ARGS="throughput first_token"`."""

from __future__ import annotations

import importlib
import sys

ALL = (
    "planning",
    "start",
    "throughput",
    "first_token",
    "streaming",
    "pages",
    "gateway",
    "balancing",
    "limits",
    "search",
    "dashboard",
)


def main() -> None:
    for name in sys.argv[1:] or ALL:
        if name not in ALL:
            raise SystemExit(f"{name} is not a benchmark; there are {', '.join(ALL)}")
        print(f"\n{name}")
        importlib.import_module(f"benchmarks.{name}").measure()


if __name__ == "__main__":
    main()
