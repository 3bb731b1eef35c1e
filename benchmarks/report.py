"""How a measurement is printed: what, how much, and the bar it has to meet."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def line(what: str, value: str, bar: str = "") -> None:
    print(f"  {what:<56} {value:>14}  {bar}", flush=True)


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def spread(what: str, seconds: Sequence[float], bar: str = "") -> None:
    """Median, with the 95th percentile beside it."""
    ordered = sorted(seconds)
    high = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    line(what, ms(statistics.median(ordered)), f"p95 {ms(high)}  {bar}")
