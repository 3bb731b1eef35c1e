"""The day a model ends, as providers write it: ISO 8601 mostly, as a date or a moment, and sometimes neither."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime

from ...models import now

FORMS = ("%d %b %Y", "%d %B %Y", "%B %d, %Y", "%b %d, %Y", "%d.%m.%Y")


@dataclass(frozen=True)
class End:
    """`day` None: what was said is no date that we can read."""

    said: str
    day: date | None

    @property
    def days_left(self) -> int | None:
        """Below zero: it has ended."""
        return (self.day - now().date()).days if self.day else None

    @property
    def is_over(self) -> bool:
        return self.days_left is not None and self.days_left < 0

    def __str__(self) -> str:
        return f"{self.day:%-d %b %Y}" if self.day else self.said


def end_of(said: str | None) -> End | None:
    """None where nothing was said. A moment is taken in UTC, so that a day is the same for everyone."""
    text = (said or "").strip()
    return End(text, _day(text)) if text else None


def _day(text: str) -> date | None:
    for read in (_moment, _seconds, _date_and_more, *map(_in_words, FORMS)):
        try:
            return read(text)
        except (ValueError, OverflowError):
            continue
    return None


def _moment(text: str) -> date:
    moment = datetime.fromisoformat(text.replace(" UTC", "+00:00"))
    return (moment.astimezone(UTC) if moment.tzinfo else moment).date()


def _seconds(text: str) -> date:
    """Since 1970. Eight digits are a day already."""
    return datetime.fromtimestamp(int(text), UTC).date()


def _date_and_more(text: str) -> date:
    return date.fromisoformat(re.sub(r"[/.]", "-", text[:10]))


def _in_words(form: str) -> Callable[[str], date]:
    return lambda text: datetime.strptime(text, form).replace(tzinfo=UTC).date()
