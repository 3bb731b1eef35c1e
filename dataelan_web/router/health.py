"""How well each model answers with each key: what was measured, when it rests, and how good a choice it is now.

The rules are pure: `observed` turns a Vital and one call's end into the next Vital, whoever keeps them in between.
Times are unix seconds, durations seconds.

* A call that the provider refuses for its rate rests the pair at once; the key itself rests when it is refused or
  has no credit left; failures that may pass rest the pair after three in a row, or when most of the recent calls
  failed. Retry-After is kept to exactly; without it each further rest is twice as long as the one before.
* Calls that overlap fail together: what began before a rest says nothing new and does not lengthen it.
* After a rest the pair gets a tenth of its share, rising to all of it in as long as it rested. A failure meanwhile
  rests it anew; the memory of a rest goes only with a success after the return is complete.
* A prompt's own faults (too long, refused for what it says, stopped by its reader) say nothing about health.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import NamedTuple, Protocol, TypedDict
from uuid import UUID

from .types import Failure, Kind

ALPHA = 0.2
"""Weight of the newest call in the moving averages."""
USUAL_TOKENS = 400
"""Output tokens of one unit of work: an ordinary answer."""
LEAST_WORK = 0.25
"""A short answer is mostly waiting for its start; dividing by less would make that look slow."""
IDLE = 20.0
"""Seconds in which what is not called loses about two thirds of its disadvantage, so that it is tried again."""
LEAST_DISADVANTAGE = 0.02
"""What always stays of it: idleness alone never makes a slow model look as good as the best."""
LONG_IDLE = -IDLE * math.log(LEAST_DISADVANTAGE)
"""Seconds after which no more of it is lost."""
CALLS_AT_EASE = 8
PACE_ALPHA = 0.1
"""Weight of the newest interval between two ends of calls."""
WORST_BACKLOG = 10
"""How far a backlog raises the latency expected, as a multiple of the one measured."""
ERROR_WEIGHT = 10
BUSY_UNTRIED = 1e6
TOO_LITTLE_TO_TELL = 1e-9
"""Seconds by which scores are shuffled, so that equals take turns."""

TALLY = 600.0
"""Seconds in which a counted call loses about two thirds of its weight."""
ENOUGH_CALLS = 5
MOST_FAILED = 0.5
FAILURES_IN_A_ROW = 3

SHORTEST_REST, LONGEST_REST = 5.0, 300.0
SHORTEST_KEY_REST, LONGEST_KEY_REST = 60.0, 3600.0
LONGEST_WISH = 7 * 86400.0
"""A Retry-After beyond a week is taken for a week."""
FIRST_SHARE = 0.1
LONGEST_RETURN = 300.0

PROMPTS_OWN = frozenset({Kind.BAD_REQUEST, Kind.CONTEXT_TOO_LONG, Kind.CONTENT_POLICY, Kind.ABORTED})
KEYS_OWN = frozenset({Kind.CREDENTIAL, Kind.BILLING})
WORDS = {
    Kind.RATE_LIMIT: "rate limit",
    Kind.CREDENTIAL: "key refused",
    Kind.BILLING: "no credit left",
    Kind.TRANSIENT: "failing calls",
}

# OpenAI’s “Project … does not have access to model …”, Amazon’s “You don’t have access to the model with …”
_NOT_GIVEN = re.compile(r"\baccess to (?:the )?model\b", re.IGNORECASE)
_NOT_THERE = re.compile(r"\bmodels?\b", re.IGNORECASE)
"""Of 404: a voice or a file that is not there is the prompt’s own trouble."""
_ABOUT_THE_MODEL = {HTTPStatus.FORBIDDEN: _NOT_GIVEN, HTTPStatus.NOT_FOUND: _NOT_THERE}


def kind_for_health(failure: Failure) -> Kind:
    """What a refusal tells of a model and its key. A model that its provider does not have, or not for this key, is
    a trouble of both together: neither of the prompt, nor of the key with its other models. One that was asked for what
    it does not take is well."""
    if failure.refused:
        return failure.kind
    said = _ABOUT_THE_MODEL.get(failure.status or 0)  # type: ignore[call-overload]
    if said and (failure.code == "model_not_found" or said.search(failure.message[:5000])):
        return Kind.TRANSIENT
    return failure.kind


Pair = tuple[UUID, UUID | None]
"""(model, key); None where the provider asks for no key."""


@dataclass
class Observation:
    """How one call ended. `kind` None: well. `seconds`: from its start to its end, however it ended."""

    kind: Kind | None = None
    seconds: float = 0.0
    work: float = 1.0
    """See `work_of`."""
    first_token_seconds: float | None = None
    retry_after: float | None = None

    @property
    def ok(self) -> bool:
        return self.kind is None


@dataclass(frozen=True, slots=True)
class Rest:
    """A time in which something is not to be called, and the gentle return after it."""

    since: float = 0.0
    until: float = 0.0
    kind: Kind | None = None

    def share(self, now: float) -> float:
        """How much of its weight it gets: 0 while it rests, then rising to 1."""
        if now < self.until:
            return 0.0
        returning = min(self.until - self.since, LONGEST_RETURN)
        if now >= self.until + returning:
            return 1.0
        return FIRST_SHARE + (1 - FIRST_SHARE) * (now - self.until) / returning

    @property
    def why(self) -> str:
        """For people: “rate limit at 14:03 UTC”. Empty when there is nothing to tell."""
        if self.kind is None:
            return ""
        return f"{WORDS[self.kind]} at {datetime.fromtimestamp(self.since, UTC):%H:%M} UTC"


RESTED = Rest()


@dataclass(frozen=True, slots=True)
class Vital:
    """One model with one key. A Vital() is one that was never called."""

    latency: float | None = None
    """Seconds a unit of work, a moving average. None: never measured."""
    first_token_ms: float | None = None
    interval: float = 0.0
    """Seconds between two ends of calls while there are any, a moving average. 0: not known."""
    errors: float = 0.0
    """Share of failed calls, a moving average over the last few."""
    failures: int = 0
    """In a row."""
    calls: float = 0.0
    failed: float = 0.0
    """Of `calls`; both tallies are as of `seen_at` and fade after."""
    seen_at: float = 0.0
    """When a call last ended that said something about health; 0: never."""
    rest: Rest = RESTED
    key_rest: Rest = RESTED
    in_flight: int = 0

    def first_token_lately(self, now: float) -> float | None:
        """In ms. None: not measured, or so long ago that it tells nothing of now."""
        return self.first_token_ms if now - self.seen_at < TALLY else None

    @property
    def resting_until(self) -> float:
        """0: it never rested."""
        return max(self.rest.until, self.key_rest.until)

    @property
    def why(self) -> str:
        """Why it rests, or rested until lately."""
        return max(self.key_rest, self.rest, key=lambda rest: rest.until).why

    @property
    def never_rested(self) -> bool:
        """Nor has forgotten that it did."""
        return self.rest is RESTED and self.key_rest is RESTED

    def share(self, now: float) -> float:
        """See Rest; with two, the smaller."""
        if not (self.rest.until or self.key_rest.until):
            return 1.0
        return min(self.rest.share(now), self.key_rest.share(now))

    def success_rate(self, now: float) -> float | None:
        """Over the last minutes' calls; None: there were too few to say."""
        if round(self.calls * _left(self.seen_at, now, TALLY)) < ENOUGH_CALLS:
            return None
        return max(0.0, 1 - self.failed / self.calls)

    def score(self, now: float, best: float) -> float:
        """Lower is better. `best`: the lowest latency among those it is compared with (see `best_latency`).

        What was never tried comes first, but one call at a time. What is called much is expected to take at least
        as long as its backlog needs to clear (Little's law): that shows a sudden slowness before slow calls end."""
        busy, latency, errors = self.in_flight, self.latency, self.errors
        if latency is None:
            if not self.seen_at:
                return BUSY_UNTRIED + busy if busy else 0.0
            latency = best or 1.0
        if not busy:
            idle = now - self.seen_at
            disadvantage = LEAST_DISADVANTAGE if idle > LONG_IDLE else math.exp(-idle / IDLE) if idle > 0 else 1.0
            return (best + (latency - best) * disadvantage) * (1 + ERROR_WEIGHT * errors * disadvantage)
        if busy > CALLS_AT_EASE:
            latency = max(latency, min(busy * self.interval, WORST_BACKLOG * latency))
        return latency * (1 + busy / CALLS_AT_EASE) * (1 + ERROR_WEIGHT * errors)


class Health(Protocol):
    """Who keeps the Vitals of all pairs, for all workers. None of its methods raises or makes a prompt wait."""

    def read(self, pairs: Iterable[Pair]) -> Mapping[Pair, Vital]:
        """Those there is something to say about; for the others Vital() holds."""
        ...

    def begin(self, pair: Pair, call_id: UUID) -> None: ...

    def end(self, pair: Pair, call_id: UUID, observation: Observation) -> None: ...

    def rest_key(self, key_id: UUID, kind: Kind, retry_after: float | None = None) -> None:
        """A key was refused, or has no credit left, outside a prompt's call: when its models were listed, say."""
        ...

    def wake_key(self, key_id: UUID) -> None:
        """Forget that a key rests: somebody has replaced it, or paid."""
        ...


def work_of(output_tokens: int | None) -> float:
    """Units of work in an answer; 1 where output is not counted in tokens."""
    return 1.0 if output_tokens is None else output_tokens / USUAL_TOKENS


def best_latency(vitals: Iterable[Vital]) -> float:
    """Seconds a unit of work of the fastest; 0 when none was measured."""
    return min((vital.latency for vital in vitals if vital.latency is not None), default=0.0)


class Ranking(NamedTuple):
    places: list[int]
    """In what was ranked, best first."""
    held_back: Collection[int]
    """Places of those that return from a rest and whose chance did not come."""
    best: float
    """See `best_latency`."""


def ranked(vitals: Sequence[Vital], now: float, draw: random.Random) -> Ranking:
    """Who comes first.

    One that returns from a rest takes part with the chance of its share; else it comes after all that are well.
    Those that rest come last, the one that returns soonest before the others. Equals are shuffled."""
    best, chance = best_latency(vitals), draw.random
    scores = [vital.score(now, best) + chance() * TOO_LITTLE_TO_TELL for vital in vitals]
    at = scores.__getitem__
    returning = {place: vital.share(now) for place, vital in enumerate(vitals) if not vital.never_rested}
    if not returning:  # as nearly always
        return Ranking(sorted(range(len(scores)), key=at), frozenset(), best)
    held_back = {place for place, share in returning.items() if 0 < share < 1 and chance() >= share}
    resting = {place for place, share in returning.items() if not share}
    well = [place for place in range(len(scores)) if place not in held_back and place not in resting]
    last = sorted(resting, key=lambda place: vitals[place].resting_until)
    return Ranking([*sorted(well, key=at), *sorted(held_back, key=at), *last], held_back, best)


# -- what a call's end changes -------------------------------------------------------------------


class _Tallied(TypedDict):
    """What of a Vital each end of a call changes, however it ended."""

    interval: float
    errors: float
    calls: float
    failed: float
    seen_at: float


def observed(vital: Vital, observation: Observation, now: float) -> Vital:
    """After a call with this pair has ended. The same value when it says nothing about health."""
    kind = observation.kind
    if kind in PROMPTS_OWN:
        return vital
    if kind in KEYS_OWN:
        return replace(
            vital, key_rest=_rested(vital.key_rest, observation, now, SHORTEST_KEY_REST, LONGEST_KEY_REST)
        )  # fmt: skip
    left = _left(vital.seen_at, now, TALLY)
    failed = 0 if kind is None else 1
    tallied: _Tallied = {
        "interval": _interval(vital, observation, now),
        "errors": vital.errors + ALPHA * (failed - vital.errors),
        "calls": vital.calls * left + 1,
        "failed": vital.failed * left + failed,
        "seen_at": max(now, vital.seen_at),
    }
    return _failed(vital, tallied, observation, now) if failed else _succeeded(vital, tallied, observation, now)


def _succeeded(vital: Vital, tallied: _Tallied, observation: Observation, now: float) -> Vital:
    """Made anew rather than by `replace`, which takes five times as long: this is nearly every call's end."""
    first_token_ms = vital.first_token_ms
    if observation.first_token_seconds is not None:
        first_token_ms = _averaged(first_token_ms, max(observation.first_token_seconds, 0.0) * 1000)
    return Vital(
        latency=_averaged(vital.latency, max(observation.seconds, 0.0) / max(observation.work, LEAST_WORK)),
        first_token_ms=first_token_ms,
        failures=0,
        rest=RESTED if vital.rest.share(now) == 1 else vital.rest,
        key_rest=RESTED if vital.key_rest.share(now) == 1 else vital.key_rest,
        in_flight=vital.in_flight,
        **tallied,
    )


def _failed(vital: Vital, tallied: _Tallied, observation: Observation, now: float) -> Vital:
    vital = replace(vital, failures=vital.failures + 1, **tallied)
    is_to_rest = (
        observation.kind is Kind.RATE_LIMIT
        or observation.retry_after is not None
        or vital.rest != RESTED  # it had rested, and fails again
        or vital.failures >= FAILURES_IN_A_ROW
        or (round(vital.calls) >= ENOUGH_CALLS and vital.failed > MOST_FAILED * vital.calls)
    )
    if not is_to_rest:
        return vital
    return replace(vital, rest=_rested(vital.rest, observation, now, SHORTEST_REST, LONGEST_REST))


def _rested(rest: Rest, observation: Observation, now: float, shortest: float, longest: float) -> Rest:
    """The rest after this failure; the same one when the failure is no news."""
    kind, wish = observation.kind, observation.retry_after
    if wish is not None and not math.isnan(wish):
        until = now + min(max(wish, 0.0), LONGEST_WISH)
        return replace(rest, until=max(until, rest.until)) if now < rest.until else Rest(now, until, kind)
    if now < rest.until or now - observation.seconds < rest.since:
        return rest
    return Rest(now, now + max(shortest, min(2 * (rest.until - rest.since), longest)), kind)


def _interval(vital: Vital, observation: Observation, now: float) -> float:
    """Before its own start this call says nothing of how busy it was."""
    if not vital.seen_at:
        return 0.0
    latest = max(min(now - vital.seen_at, observation.seconds), 0.0)
    return vital.interval + PACE_ALPHA * (latest - vital.interval) if vital.interval else latest


def _averaged(average: float | None, value: float) -> float:
    return value if average is None else average + ALPHA * (value - average)


def _left(since: float, now: float, span: float) -> float:
    """What time has left of something that fades to 1/e in `span` seconds. Clocks may differ a little."""
    return math.exp(min(since - now, 0.0) / span)
