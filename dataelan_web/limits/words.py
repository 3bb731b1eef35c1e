"""Limits in plain words: what one says, how far it is used, when it resets, and where this pace leads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from .. import currencies, quota
from ..formats import count, money
from ..models import Budget, Measure, Pace, RateLimit, Scope, Unit, Window
from ..quota import Standing

A = {Window.DAY: "a day", Window.WEEK: "a week", Window.MONTH: "a month", Window.TOTAL: "in all"}
IN_A = {
    Window.DAY: "in a calendar day ({zone})",
    Window.WEEK: "in a week from Monday on ({zone})",
    Window.MONTH: "in a calendar month ({zone})",
    Window.TOTAL: "in all",
}
THIS = {Window.DAY: "today", Window.WEEK: "this week", Window.MONTH: "this month", Window.TOTAL: "so far"}
TOLD = {
    Scope.PROJECT: "its people",
    Scope.MEMBER: "them and the owners and admins",
    Scope.TOKEN: "who made it and the owners and admins",
}
"""Who is told when an alert is reached; the owners and admins alone, where it says nothing."""
TOLD_OF_OPERATORS = {Scope.ORGANIZATION: "the superusers and its owners and admins"}
"""The same of the operator's limits; the superusers alone, where it says nothing."""


def amount(number: int | None, unit: Measure) -> str:
    """As pages show it: $0.00412, 1.2M tokens, 40 requests a minute, 4 prompts at once."""
    if unit is Unit.USD or number is None:
        return money(number)
    return f"{count(number)} {counted_in(unit, number)}"


def counted_in(unit: Measure, number: int = 2) -> str:
    """What an amount is an amount of: USD, tokens, request; of a pace “requests a minute”, “prompts at once”."""
    if unit is Unit.USD:
        return "USD"
    noun = "prompts" if unit is Pace.PARALLEL else unit.value
    per = "" if isinstance(unit, Unit) else " at once" if unit is Pace.PARALLEL else " a minute"
    return (noun.removesuffix("s") if number == 1 else noun) + per


def stated(number: int | None, unit: Measure) -> str:
    """The same in dollars, beside what is entered in them, and to whoever is told without a page."""
    with currencies.shown_as(currencies.DOLLARS):
        return amount(number, unit)


def entered(number: int, unit: Measure) -> str:
    """A limit itself: in dollars to its last digit, as it was entered and as `size` and refusals say it."""
    return quota.said(unit, number) if unit is Unit.USD and currencies.here().is_dollars else amount(number, unit)


def size(number: int, unit: Unit, window: Window) -> str:
    """A limit's own words: $50.00 a month."""
    return f"{quota.said(unit, number)} {A[window]}"


def size_of(limit: Budget | RateLimit, unit: Measure) -> str:
    """What it allows of that, without what more was granted: $50.00 a month, 60 requests a minute."""
    if isinstance(limit, Budget):
        return size(limit.limit, limit.unit, limit.window)
    most = limit.most(unit) if isinstance(unit, Pace) else None
    return f"{most:,} {counted_in(unit, most)}" if most is not None else "not limited any more"


def sentence(
    prompts: str,
    scope: Scope,
    unit: Unit,
    window: Window,
    limit: int,
    is_hard: bool,
    alerts: Sequence[int],
    zone: str,
    *,
    is_operators: bool = False,
) -> str:
    """`prompts`: which ones, such as “prompts of project Alpha”."""
    reached, span, at = quota.said(unit, limit), IN_A[window].format(zone=zone), percents(alerts)
    told = TOLD.get(scope, "the owners and admins")
    told = TOLD_OF_OPERATORS.get(scope, "the superusers") if is_operators else told
    tells = f"; tell {told} at {at}." if alerts else ", and tell nobody before."
    if not is_hard:
        tells = f", and tell {told} at {at} of it." if alerts else "."
        used = {
            Unit.USD: f"what {prompts} cost",
            Unit.TOKENS: f"the tokens that {prompts} use",
            Unit.REQUESTS: f"{prompts}",
        }
        return f"Refuse nothing: count {used[unit]} {span} against {reached}{tells}"
    if limit == 0:
        nothing = {Unit.USD: f"{_up(prompts)} that cost anything", Unit.TOKENS: f"All {prompts}"}
        return f"{nothing.get(unit, f'All {prompts}')} are refused: nothing at all may be used."
    once = {
        Unit.USD: f"once they cost {reached}",
        Unit.TOKENS: f"once they have used {reached}",
        Unit.REQUESTS: f"once there were {limit:,} of them",
    }
    return f"Refuse {prompts} {once[unit]} {span}{tells}"


def rate_sentence(
    prompts: str, requests_per_minute: int | None, tokens_per_minute: int | None, parallel: int | None
) -> str:
    """Which are too fast: “Refuse prompts of … beyond 40 requests and 1,000 tokens a minute, or 4 at the same time.”"""
    said = rate(requests_per_minute, tokens_per_minute, parallel)
    return f"Refuse {prompts} beyond {said}; a moment later they may be sent again." if said else ""


def rate(requests_per_minute: int | None, tokens_per_minute: int | None, parallel: int | None) -> str:
    """40 requests and 1,000 tokens a minute, 4 at the same time."""
    named = ((Unit.REQUESTS, requests_per_minute), (Unit.TOKENS, tokens_per_minute))
    speed = " and ".join(quota.said(unit, number) for unit, number in named if number is not None)
    at_once = f"{parallel:,} at the same time" if parallel is not None else ""
    return ", ".join(filter(None, [f"{speed} a minute" if speed else "", at_once]))


def rate_of(limit: RateLimit) -> str:
    return rate(limit.requests_per_minute, limit.tokens_per_minute, limit.parallel)


def percents(alerts: Sequence[int]) -> str:
    """50, 80 and 100 %; nothing for none."""
    *most, last = [str(alert) for alert in sorted(alerts)] or [""]
    return f"{', '.join(most)} and {last} %" if most else f"{last} %" if last else ""


def span(seconds: float) -> str:
    """How long until something: 6 d, 5 h, 12 min."""
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return "less than a minute"


def exact_time(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%A, %-d %B %Y at %H:%M} {zone.key}"


def last_day(ends_at: datetime, zone: ZoneInfo) -> str:
    """Of a window that ends then: 30 November."""
    return f"{(ends_at - timedelta(microseconds=1)).astimezone(zone):%-d %B}"


@dataclass(frozen=True)
class Forecast:
    text: str
    tone: str
    """neutral, or warn where it leads over the limit."""


def forecast(standing: Standing, zone: ZoneInfo, now: datetime) -> Forecast | None:
    """Where this pace leads by the end of the window. None: it has no end, or nothing can be told yet."""
    total, ends_at, unit = standing.forecast, standing.ends_at, standing.budget.unit
    if standing.budget.is_hard and standing.spent >= standing.limit:
        return Forecast(f"It is used up: prompts are refused until it {'resets' if ends_at else 'is raised'}.", "warn")
    if total is None or ends_at is None:
        return None
    by = "midnight" if standing.budget.window is Window.DAY else last_day(ends_at, zone)
    leads = f"At this pace {amount(total, unit)} by {by}"
    over = total - standing.limit
    if over <= 0:
        return Forecast(f"{leads}, {amount(-over, unit)} under.", "neutral")
    when = _used_up(standing, now)
    early = f" It is used up {_around(when, zone, standing.budget.window)}." if when and standing.budget.is_hard else ""
    return Forecast(f"{leads}, {amount(over, unit)} over.{early}", "warn")


def _used_up(standing: Standing, now: datetime) -> datetime | None:
    """When what was spent reaches the limit, if it goes on like this."""
    if standing.ends_at is None or not standing.spent or standing.spent >= standing.limit:
        return None
    at: datetime = standing.starts_at + (now - standing.starts_at) * (standing.limit / standing.spent)
    return at if now < at < standing.ends_at else None


def _around(at: datetime, zone: ZoneInfo, window: Window) -> str:
    local = at.astimezone(zone)
    return f"around {local:%H:%M}" if window is Window.DAY else f"around {local:%-d %B}"


def _up(text: str) -> str:
    return text[:1].upper() + text[1:]


def last_whole_day(at: datetime, zone: ZoneInfo) -> str:
    """The last day before then, with its year: 30 November 2026."""
    return f"{(at - timedelta(microseconds=1)).astimezone(zone):%-d %B %Y}"


FILTERS = {
    "amount": amount,
    "counted_in": counted_in,
    "entered": entered,
    "stated": stated,
    "limit_size": size,
    "rate_said": rate_of,
    "percents": percents,
    "last_whole_day": last_whole_day,
}
