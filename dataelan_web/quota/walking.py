"""Lines that everybody's calls wrote, read piece by piece: there may be more of them than one statement has time for.

A line never changes, so what a piece came to stays true, and a walk can be gone on with later, in another process too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, func, select

from ..models.base import DbSession

_READS_ALL = select(func.set_config("enable_seqscan", bindparam("may"), True))

SHORTEST, LONGEST = timedelta(minutes=1), timedelta(hours=6)
QUICK, SLOW = 0.2, 1.0
"""Seconds for a piece: after a quicker one the next is twice as long, after a slower one half."""

Sums = tuple[int, ...]


@dataclass(frozen=True)
class Walk:
    """How far the lines were read, how far they are to be read, and what they came to."""

    at: datetime
    to: datetime
    sums: Sums = (0, 0, 0, 0)
    step: timedelta = timedelta(hours=1)

    @property
    def is_over(self) -> bool:
        return self.at >= self.to

    def kept(self) -> list[str | float]:
        """As JSON can hold it."""
        return [self.at.isoformat(), self.to.isoformat(), self.step.total_seconds(), *self.sums]

    @classmethod
    def of(cls, kept: Sequence[str | float]) -> Walk:
        at, to, step, *sums = kept
        between = datetime.fromisoformat(str(at)), datetime.fromisoformat(str(to))
        return cls(*between, tuple(map(int, sums)), timedelta(seconds=float(step)))

    def goes_on(self, first: datetime, read: Callable[[datetime, datetime], Sums], until: float) -> Walk:
        """To its end, or until the clock (time.monotonic) says so; by one piece at least. `read` sums up what was
        written from a time on and before another; before the `first` there is hardly anything, so that is one piece."""
        walk = self
        while not walk.is_over:
            to = min(walk.to, max(walk.at + walk.step, first))
            began = time.monotonic()
            sums = tuple(old + new for old, new in zip(walk.sums, read(walk.at, to), strict=True))
            walk = replace(walk, at=to, sums=sums, step=_next_step(walk.step, time.monotonic() - began))
            if time.monotonic() >= until:
                break
        return walk


def by_index(session: DbSession, asked: Any) -> Sequence[Any]:
    """Its rows. Left to itself, PostgreSQL reads every call that was ever made."""
    session.execute(_READS_ALL, {"may": "off"})
    rows: Sequence[Any] = session.execute(asked).all()
    session.execute(_READS_ALL, {"may": "on"})
    return rows


def _next_step(step: timedelta, seconds: float) -> timedelta:
    if seconds < QUICK:
        return min(step * 2, LONGEST)
    return max(step / 2, SHORTEST) if seconds > SLOW else step
