"""A limit's bullet bar, in percent of its length: spent, held, the limit, the alerts, and how far the window is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ..quota import Standing

NEARLY = 80


@dataclass(frozen=True)
class Bar:
    spent: float
    held: float
    limit: float
    """Where the limit is: the end, unless a soft one was passed."""
    pace: float | None
    """Where it would be if it were used evenly; None: the window has no end."""
    marks: Sequence[float]
    """Its alerts."""
    tone: str
    """good, warn or danger: how near the limit is."""
    label: str
    """The same in words."""


def bar_of(standing: Standing, now: datetime) -> Bar:
    limit, used = standing.limit, standing.spent + standing.reserved
    length = max(limit, used, 1)
    ends = standing.ends_at
    gone = (now - standing.starts_at) / (ends - standing.starts_at) if ends else None
    at = 100 * limit / length
    return Bar(
        spent=100 * standing.spent / length,
        held=100 * standing.reserved / length,
        limit=at,
        pace=None if gone is None else min(max(gone, 0.0), 1.0) * at,
        marks=[at * alert / 100 for alert in standing.budget.alerts if 0 < alert < 100 and limit],
        tone=_tone(standing),
        label=_label(standing, gone),
    )


def plain(spent: int, limit: int) -> Bar:
    """Of a window that is over."""
    length = max(spent, limit, 1)
    tone = "danger" if spent >= limit else "warn" if 100 * spent >= NEARLY * limit else "good"
    label = f"{share(spent, limit)} used"
    return Bar(100 * spent / length, 0, 100 * limit / length, None, (), tone, label)


def share(part: int, whole: int) -> str:
    """Truncated, so that 99.9 % never reads 100 %; and what is there never reads 0 %."""
    if not whole:
        return "all"
    percent = 100 * part // whole
    return "under 1 %" if part and not percent else f"{percent} %"


def _tone(standing: Standing) -> str:
    if standing.left <= 0:
        return "danger"
    return "warn" if 100 * (standing.spent + standing.reserved) >= NEARLY * standing.limit else "good"


def _label(standing: Standing, gone: float | None) -> str:
    said = [f"{share(standing.spent, standing.limit)} spent" if standing.limit else "Nothing may be used"]
    if standing.reserved and standing.limit:
        said.append(f"{share(standing.reserved, standing.limit)} held for what is running")
    if gone is not None:
        said.append(f"{min(max(gone, 0.0), 1.0):.0%} of the window has passed".replace("%", " %"))
    return ", ".join(said)
