"""Why a call is refused, in words fit for the person who made it."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

from ..models import Pace, Scope, Unit, Window
from .amounts import said
from .limits import UTC, Limit, Rate

FEWER = {
    Unit.USD: ", less than this prompt may cost",
    Unit.TOKENS: ", fewer than this prompt may use",
    Unit.REQUESTS: "",
}


class OverLimit(Exception):
    """A hard limit has less left than was asked for. Amounts are in its unit. `because`: a sentence on why so much
    was asked for, where that may astonish."""

    def __init__(self, budget: Limit, zone: ZoneInfo = UTC, because: str = ""):
        super().__init__(budget)
        self.budget, self.zone, self.because = budget, zone, because

    @property
    def limit(self) -> int:
        """With the increases in force."""
        return self.budget.limit

    @property
    def left(self) -> int:
        return self.budget.left

    @property
    def ends_at(self) -> datetime | None:
        """When it resets; None: never."""
        return self.budget.ends_at

    @property
    def message(self) -> str:
        budget = self.budget
        per = "in all" if budget.window is Window.TOTAL else f"per {budget.window.value}"
        whose = whose_limit(budget.scope, budget.organization_id)
        why = f" {self.because}" if self.because and budget.unit is not Unit.REQUESTS else ""
        return (
            f"{whose} of {said(budget.unit, budget.limit)} {per} has {said(budget.unit, budget.left)} left"
            f"{FEWER[budget.unit]}.{why}{self._resets}"
        )

    @property
    def _resets(self) -> str:
        if self.ends_at is None:
            return ""
        place = "UTC" if self.zone == UTC else f"({self.zone.key})"
        return f" It resets on {self.ends_at.astimezone(self.zone):%-d %B %Y at %H:%M} {place}."

    def __str__(self) -> str:
        return self.message


def tightest(limits: Iterable[Limit]) -> Limit:
    """Of several that refuse, the one to tell of: that which lasts longest, for waiting out another is no help."""
    return max(limits, key=lambda limit: (limit.ends_at is None, limit.ends_at or limit.starts_at))


class RateExceeded(Exception):
    """A subject asks faster than it may."""

    def __init__(self, rate: Rate, pace: Pace, retry_after: float | None):
        super().__init__(rate, pace)
        self.rate, self.pace = rate, pace
        self.retry_after = retry_after
        """Seconds after which it may be let through; None: never, for it alone is more than the rate allows."""

    @property
    def scope(self) -> Scope:
        return self.rate.scope

    @property
    def limit(self) -> int:
        """With the increases in force."""
        per = {Pace.REQUESTS: self.rate.requests_per_minute, Pace.TOKENS: self.rate.tokens_per_minute}
        return per.get(self.pace, self.rate.parallel) or 0

    @property
    def message(self) -> str:
        whose = whose_limit(self.rate.scope, self.rate.organization_id)
        if self.pace is Pace.PARALLEL:
            most = "one prompt" if self.limit == 1 else f"{self.limit:,} prompts"
            return f"{whose} of {most} at once is reached. Try again when one has ended."
        most = said(Unit(self.pace), self.limit)
        if self.retry_after is None:
            return f"{whose} of {most} per minute is less than this prompt may use. Shorten it, or ask for less."
        seconds = max(1, math.ceil(self.retry_after))
        return f"{whose} of {most} per minute is reached. Try again in {seconds} second{'s' if seconds > 1 else ''}."

    def __str__(self) -> str:
        return self.message


class RatesUnknown(Exception):
    """Where a rate applies, nothing is let through that cannot be counted."""

    retry_after = 5.0
    message = (
        "A rate limit applies, and whether it is reached cannot be told: Dataelan's Valkey does not answer."
        " The prompt was not sent. Try again in a few seconds."
    )

    def __str__(self) -> str:
        return self.message


def whose_limit(scope: Scope, owner: uuid.UUID | None) -> str:
    """“The project's limit”; the operator's own says that it is."""
    name = {Scope.KEY: "API key", Scope.TOKEN: "gateway token"}.get(scope, scope.value)
    if owner is None and scope is not Scope.PLATFORM:
        return f"The operator's limit for this {name}"
    return f"The {name}'s limit"
