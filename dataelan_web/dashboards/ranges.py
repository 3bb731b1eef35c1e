"""The time that a dashboard shows: whole buckets of the organization's time zone, the last of which still runs.

A preset stays relative in the address, dates are exact. What it is compared with is as many buckets before it, up to
the same point of the last one: half a day is compared with half a day; to the quarter of an hour, or the hour where
quarters are kept no longer (rollups.cuts).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from ..models import now
from ..models.rollups import Grain
from ..rollups.cuts import HOURS_KEPT, QUARTERS_KEPT

QUARTER, HOUR = timedelta(minutes=15), timedelta(hours=1)
MOST_DAYS = 366
MOST_HOURS = timedelta(days=2)
BY_WEEK = 100
"""Days from which on a line of weeks is read more easily than one of days."""


class BadRange(ValueError):
    """The message is for the person."""


@dataclass(frozen=True)
class Span:
    """Buckets of one grain: from `start`, before `end`."""

    grain: Grain
    start: datetime
    end: datetime

    @property
    def coarse(self) -> tuple[Span, ...]:
        """The same time in as few buckets as may be: whole weeks for days."""
        if self.grain is not Grain.DAY or not isinstance(zone := self.start.tzinfo, ZoneInfo):
            return (self,)
        first, last = self.start.date(), self.end.astimezone(zone).date()
        monday, ends = first + timedelta(days=-first.weekday() % 7), last - timedelta(days=last.weekday())
        if ends <= monday:
            return (self,)
        edges = [_midnight(day, zone) for day in (first, monday, ends, last)]
        parts = zip((Grain.DAY, Grain.WEEK, Grain.DAY), edges, edges[1:], strict=False)
        return tuple(Span(grain, start, end) for grain, start, end in parts if start < end)


@dataclass(frozen=True)
class Range:
    key: str
    label: str
    grain: Grain
    edges: tuple[datetime, ...]
    """Where each bucket begins, and where the last one ends."""
    zone: ZoneInfo
    at: datetime
    """Now, the same for all that a page shows."""

    @property
    def start(self) -> datetime:
        return self.edges[0]

    @property
    def end(self) -> datetime:
        return self.edges[-1]

    @property
    def span(self) -> Span:
        return Span(self.grain, self.start, self.end)

    @property
    def by_week(self) -> bool:
        return self.grain is Grain.DAY and len(self.edges) - 1 > BY_WEEK

    @cached_property
    def slots(self) -> list[datetime]:
        """Where each point of a line lies, in the organization's time: buckets, or weeks of them, from Monday on."""
        local = [edge.astimezone(self.zone) for edge in self.edges[:-1]]
        if not self.by_week:
            return local
        mondays = {one.date() - timedelta(days=one.weekday()) for one in local}
        return [_midnight(day, self.zone) for day in sorted(mondays)]

    @property
    def runs_still(self) -> bool:
        return self.start <= self.at < self.end

    @property
    def running(self) -> int | None:
        """Which slot still runs; those after it, of a time that ends in the future, have not begun. None: none does."""
        return bisect_right(self.slots, self.at) - 1 if self.runs_still else None

    @cached_property
    def before(self) -> tuple[Span, ...]:
        """The period before it, of the same length. Nothing: its buckets are kept no longer."""
        edges = _back(self.edges[0], len(self.edges) - 1, self.grain, self.zone)
        now_in = bisect_right(self.edges, self.at) - 1 if self.runs_still else len(edges) - 1
        last = edges[now_in]
        if (whole := self._kept(edges[0], last)) is None:
            return ()
        if not self.runs_still:
            return (whole,)
        until, ends = last + (self.at - self.edges[now_in]), edges[now_in + 1]
        if (grain := finest(last, self.at)) is not Grain.DAY:
            step = QUARTER if grain is Grain.QUARTER else HOUR
            upto = last + (until - last) // step * step + step
            return (whole, Span(grain, last, min(upto, ends)))
        # So long ago there are days only. Of more than two months, half a day is less than one in a hundred.
        is_most = until - last > (ends - last) / 2
        return (Span(self.grain, edges[0], ends if is_most else last),)

    def _kept(self, start: datetime, end: datetime) -> Span | None:
        """That time in buckets that are still there."""
        grain = self.grain if self.grain is Grain.DAY else max(self.grain, finest(start, self.at))
        is_whole = grain is not Grain.HOUR or not any(one.astimezone(self.zone).minute for one in (start, end))
        return Span(grain, start, end) if is_whole and grain in (self.grain, Grain.HOUR) else None


def finest(start: datetime, at: datetime) -> Grain:
    """The shortest buckets that are kept, whatever is filtered by, of a time that begins there."""
    gone = at - start + HOUR
    return Grain.QUARTER if gone < QUARTERS_KEPT else Grain.HOUR if gone < HOURS_KEPT else Grain.DAY


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """The first moment of it, as the sums have it (date_trunc): 1:00 where clocks go on at midnight, as in Cairo."""
    return datetime.combine(day, time(), zone).astimezone(UTC).astimezone(zone)


def days(first: date, last: date, zone: ZoneInfo) -> tuple[datetime, ...]:
    return tuple(_midnight(first + timedelta(days=n), zone) for n in range((last - first).days + 2))


def _back(start: datetime, count: int, grain: Grain, zone: ZoneInfo) -> tuple[datetime, ...]:
    if grain is Grain.DAY:
        day = start.astimezone(zone).date()
        return days(day - timedelta(days=count), day - timedelta(days=1), zone)
    step = QUARTER if grain is Grain.QUARTER else HOUR
    return tuple(start - step * (count - n) for n in range(count + 1))


def _latest(count: int, grain: Grain) -> Callable[[datetime, ZoneInfo], tuple[Grain, tuple[datetime, ...]]]:
    def edges(at: datetime, zone: ZoneInfo) -> tuple[Grain, tuple[datetime, ...]]:
        local = at.astimezone(zone)
        if grain is Grain.DAY:
            return grain, days(local.date() - timedelta(days=count - 1), local.date(), zone)
        step = 15 if grain is Grain.QUARTER else 60
        begun = timedelta(minutes=local.minute % step, seconds=local.second, microseconds=local.microsecond)
        return grain, _back(at - begun + timedelta(minutes=step), count, grain, zone)

    return edges


def _month(at: datetime, zone: ZoneInfo) -> tuple[Grain, tuple[datetime, ...]]:
    today = at.astimezone(zone).date()
    return Grain.DAY, days(today.replace(day=1), today, zone)


def _last_month(at: datetime, zone: ZoneInfo) -> tuple[Grain, tuple[datetime, ...]]:
    last = at.astimezone(zone).date().replace(day=1) - timedelta(days=1)
    return Grain.DAY, days(last.replace(day=1), last, zone)


PRESETS = {
    "1h": ("Last hour", _latest(4, Grain.QUARTER)),
    "24h": ("Last 24 hours", _latest(24, Grain.HOUR)),
    "7d": ("Last 7 days", _latest(7, Grain.DAY)),
    "30d": ("Last 30 days", _latest(30, Grain.DAY)),
    "90d": ("Last 90 days", _latest(90, Grain.DAY)),
    "365d": ("Last 365 days", _latest(365, Grain.DAY)),
    "month": ("This month", _month),
    "last_month": ("Last month", _last_month),
}
DEFAULT, CUSTOM = "30d", "custom"


def presets() -> list[tuple[str, str]]:
    return [(key, label) for key, (label, _) in PRESETS.items()]


def preset(key: str, zone: ZoneInfo, at: datetime | None = None) -> Range:
    label, edges_of = PRESETS[key]
    at = at or now()
    grain, edges = edges_of(at, zone)
    return Range(key, label, grain, edges, zone, at)


def read(key: str, first: str, last: str, zone: ZoneInfo) -> Range:
    """From an address. Raises BadRange."""
    if key in PRESETS:
        return preset(key, zone)
    if key != CUSTOM:
        raise BadRange("There is no such time range. Choose one of the list.")
    if "T" in first or "T" in last:
        return _between(first, last, zone)
    try:
        start, end = date.fromisoformat(first), date.fromisoformat(last)
    except ValueError:
        raise BadRange("A range of dates needs a first and a last day, such as 2026-03-01.") from None
    if end < start:
        raise BadRange("The last day lies before the first.")
    if (end - start).days >= MOST_DAYS or not 2000 <= start.year <= 2200:
        raise BadRange(f"A range can be {MOST_DAYS} days long at most.")
    return Range(key, f"{start:%-d %b %Y} to {end:%-d %b %Y}", Grain.DAY, days(start, end, zone), zone, now())


def named(over: Range, slot: int) -> tuple[str, str]:
    """The first and the last day of a slot, or where its quarter or hour begins and ends, as `read` takes them."""
    begins = over.slots[slot]
    if over.grain is not Grain.DAY:
        return begins.isoformat(), over.edges[slot + 1].astimezone(over.zone).isoformat()
    last = begins.date() + timedelta(days=6 if over.by_week else 0)
    first_shown, last_shown = (edge.astimezone(over.zone).date() for edge in (over.edges[0], over.edges[-2]))
    return max(begins.date(), first_shown).isoformat(), min(last, last_shown).isoformat()


def _between(first: str, last: str, zone: ZoneInfo) -> Range:
    """Quarters of an hour, or hours: from one, before the other, both with their offset from UTC."""
    try:
        start, end = datetime.fromisoformat(first), datetime.fromisoformat(last)
        whole = (end - start) // QUARTER * QUARTER == end - start and start.timestamp() % QUARTER.total_seconds() == 0
    except (ValueError, TypeError, OverflowError):
        raise BadRange("A range of hours needs both ends, such as 2026-03-01T14:00:00+00:00.") from None
    if (
        not whole
        or start.tzinfo is None
        or not timedelta() < end - start <= MOST_HOURS
        or not 2000 <= start.year <= 2200
    ):
        raise BadRange("A range of hours has whole quarters of an hour, and is two days long at most.")
    at, local = now(), (start.astimezone(zone), end.astimezone(zone))
    grain = finest(start, at)
    if grain is Grain.DAY or (grain is Grain.HOUR and any(one.minute for one in local)):
        kept = f"hours are kept for {HOURS_KEPT.days} days, and quarters of one for {QUARTERS_KEPT.days}"
        raise BadRange(f"This was so long ago that it can be read in longer parts only: {kept}.")
    step = QUARTER if grain is Grain.QUARTER else HOUR
    edges = tuple(start + n * step for n in range((end - start) // step + 1))
    until = f"{local[1]:%H:%M}" if local[1].date() == local[0].date() else f"{local[1]:%-d %b %Y %H:%M}"
    return Range(CUSTOM, f"{local[0]:%-d %b %Y %H:%M} to {until}", grain, edges, zone, at)
