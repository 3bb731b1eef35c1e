"""The windows that limits are counted in: a day, week or month of the organization's calendar, or all time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from ..models import Window


def window_of(window: Window, now: datetime, zone: ZoneInfo) -> tuple[datetime, datetime | None]:
    """The window that `now` lies in, by the calendar of `zone`: [start, end), in UTC. Weeks start on Monday."""
    if window is Window.TOTAL:
        return datetime(1970, 1, 1, tzinfo=UTC), None
    # fold=0: where clocks go back over midnight, the day begins at its first midnight, whichever `now` is after.
    day = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if window is Window.WEEK:
        day -= timedelta(days=day.weekday())
        end = day + timedelta(days=7)
    elif window is Window.MONTH:
        day = day.replace(day=1)
        end = (day + timedelta(days=32)).replace(day=1)
    else:
        end = day + timedelta(days=1)
    return day.astimezone(UTC), end.astimezone(UTC)
