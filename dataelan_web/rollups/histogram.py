"""How long things took, as counts in bins whose widths grow with the time: any two can be added, and every percentile
of the sum is right within 2 %.

A time of t milliseconds lies in bin ⌈18 · log₂ t⌉, so bin i holds (2^((i−1)/18), 2^(i/18)]: each is γ = 2^(1/18) ≈
1.0393 times as wide as the one before. What is told for a bin is 2·2^(i/18) / (γ + 1), whose relative error is at most
(γ − 1) / (γ + 1) = 1.93 % for whatever lies in it. This is the mapping of DDSketch (Masson, Rim, Lee: "DDSketch: A Fast
and Fully-Mergeable Quantile Sketch with Relative-Error Guarantees", VLDB 2019, section 2.1), without its collapsing:
from a millisecond to three hours there are 420 bins. Shorter times count as a millisecond.
"""

from __future__ import annotations

PER_DOUBLING = 18
GAMMA = 2 ** (1 / PER_DOUBLING)
PACKED = 40
"""Bits of a count below its bin, in the arrays of `rollups`."""
COUNT = (1 << PACKED) - 1
"""All of these bits: counts are added modulo 2^40, so that one can be taken away."""


def bin_sql(seconds: str, count: str = "1") -> str:
    """The packed bin of a time in seconds, with a count, in SQL. NULL for NULL."""
    milliseconds = f"greatest(extract(epoch FROM {seconds})::float8 * 1000, 1)"
    bin = f"(ceil({PER_DOUBLING} * ln({milliseconds}) / ln(2::float8))::bigint << {PACKED})"
    return f"({bin} | ({count}::bigint & {COUNT}))"


def seconds_of(bin: int) -> float:
    """What is told for all times in it."""
    return 2 * GAMMA**bin / (GAMMA + 1) / 1000
