"""A week or a month of an organization's time zone. Its address: 2026-W48, or 2026-11."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from ..dashboards import ranges
from ..dashboards.ranges import Range, Span
from ..models.rollups import Grain

FIRST_YEAR, LAST_YEAR = 2000, 2200


class Kind(StrEnum):
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True)
class Period:
    kind: Kind
    first: date
    """A Monday, or the first of a month."""
    zone: ZoneInfo

    @property
    def last(self) -> date:
        return self.next_first - timedelta(days=1)

    @property
    def next_first(self) -> date:
        if self.kind is Kind.WEEK:
            return self.first + timedelta(days=7)
        return (self.first + timedelta(days=32)).replace(day=1)

    @property
    def before(self) -> Period:
        return containing(self.kind, self.first - timedelta(days=1), self.zone)

    @property
    def after(self) -> Period:
        return Period(self.kind, self.next_first, self.zone)

    @property
    def span(self) -> Span:
        edges = ranges.days(self.first, self.last, self.zone)
        return Span(Grain.DAY, edges[0], edges[-1])

    def range(self, at: datetime) -> Range:
        return Range(ranges.CUSTOM, self.label, Grain.DAY, ranges.days(self.first, self.last, self.zone), self.zone, at)

    @property
    def address(self) -> str:
        if self.kind is Kind.WEEK:
            year, week, _ = self.first.isocalendar()
            return f"{year}-W{week:02}"
        return f"{self.first:%Y-%m}"

    @property
    def label(self) -> str:
        if self.kind is Kind.MONTH:
            return f"{self.first:%B %Y}"
        start = f"{self.first:%-d}" if self.first.month == self.last.month else f"{self.first:%-d %B}"
        return f"Week {self.first.isocalendar().week}, {start} to {self.last:%-d %B %Y}"

    @property
    def short(self) -> str:
        """To end a sentence with."""
        return f"{self.first:%B}" if self.kind is Kind.MONTH else f"week {self.first.isocalendar().week}"

    def runs_still(self, at: datetime) -> bool:
        return at.astimezone(self.zone).date() <= self.last


def containing(kind: Kind, day: date, zone: ZoneInfo) -> Period:
    first = day - timedelta(days=day.weekday()) if kind is Kind.WEEK else day.replace(day=1)
    return Period(kind, first, zone)


def latest(kind: Kind, at: datetime, zone: ZoneInfo) -> Period:
    """The last one that is over."""
    return containing(kind, at.astimezone(zone).date(), zone).before


def read(address: str, zone: ZoneInfo) -> Period | None:
    """None: it is none."""
    found = re.fullmatch(r"(\d{4})-(?:W(\d{2})|(\d{2}))", address, re.ASCII)
    if not found or not FIRST_YEAR <= int(found[1]) <= LAST_YEAR:
        return None
    try:
        if found[2]:
            return Period(Kind.WEEK, date.fromisocalendar(int(found[1]), int(found[2]), 1), zone)
        return Period(Kind.MONTH, date(int(found[1]), int(found[3]), 1), zone)
    except ValueError:
        return None
