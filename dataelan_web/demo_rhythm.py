"""When the demo's people work: by day, on weekdays, and a little more each month. Hour by hour, how many runs."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from datetime import datetime, timedelta

HOUR = timedelta(hours=1)
OF_THE_DAY = [1] * 6 + [2, 4, 9, 12, 13, 12, 9, 11, 13, 12, 10, 7, 5, 4, 3, 3, 2, 1]
"""How much of the work falls into each hour, in UTC."""
WEEKEND = 0.2
DAYS_DIFFER, HOURS_DIFFER = 0.15, 0.2
"""By how much, one from the other: the standard deviation of the logarithm."""
GROWTH = 1.5
"""So much more at the end than at the beginning, as a part of that."""


@dataclass(frozen=True)
class Stretch:
    """An hour, or what there was of the last one."""

    starts_at: datetime
    seconds: float
    day: int
    """Counted from the first."""
    hour: int
    runs: int


def stretches(days: int, runs: int, at: datetime, seed: int) -> list[Stretch]:
    """All hours of so many days, with `runs` between them."""
    dice = random.Random(seed)
    of_days = [math.exp(dice.gauss(0, DAYS_DIFFER)) for _ in range(days)]
    begins = at.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days - 1)
    hours = [begins + n * HOUR for n in range(int((at - begins) / HOUR) + 1)]
    lasts = [min(HOUR, at - hour).total_seconds() for hour in hours]
    weights = [
        _weight(hour, (hour - begins) / (at - begins))
        * of_days[(hour - begins).days]
        * seconds
        * math.exp(dice.gauss(0, HOURS_DIFFER))
        for hour, seconds in zip(hours, lasts, strict=True)
    ]
    whole, upto, made, found = sum(weights), 0.0, 0, []
    for n, (hour, seconds, weight) in enumerate(zip(hours, lasts, weights, strict=True)):
        upto += weight
        until = runs if n == len(hours) - 1 else int(runs * upto / whole)
        if until > made:
            found.append(Stretch(hour, seconds, (hour - begins).days, hour.hour, until - made))
        made = until
    return found


def _weight(hour: datetime, gone: float) -> float:
    return OF_THE_DAY[hour.hour] * (WEEKEND if hour.isoweekday() > 5 else 1) * (1 + GROWTH * gone)
