"""The gateway beside others, and what a call through it consists of.

make bench BENCH_ARGS=gateway
python -m benchmarks.gateway one litellm --only rates --seconds 10
"""

from __future__ import annotations

from . import inside, whole


def measure() -> None:
    whole.run()
    print()
    inside.measure()
