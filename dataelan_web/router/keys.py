"""With which keys a model is asked, in which order; and what a receipt tells of those, and of the keys left out."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

from .candidates import Candidate, Key, Question

MOST_TOLD = 8
"""Keys of one model; of those beyond, only how many."""
DAY = 86400.0

Orders = Mapping[UUID, Sequence[Key]]
"""Model → its keys as they are tried."""


class _Step(Protocol):
    @property
    def candidate(self) -> Candidate: ...
    @property
    def key(self) -> Key: ...


def spread(candidate: Candidate, question: Question, draw: random.Random) -> Iterator[Key]:
    """Payers in the order given (own before platform); within one payer a weighted draw. Who rests is left out; where
    all do, the one that wakes first is waited for."""
    if len(candidate.keys) == 1:
        yield candidate.keys[0]
        return
    wakes = {key: question.vital(candidate, key).resting_until for key in candidate.keys}
    awake = [key for key in candidate.keys if wakes[key] <= question.now]
    if not awake:
        yield from sorted(candidate.keys, key=wakes.__getitem__)
    for payer in dict.fromkeys(key.payer for key in awake):
        group = [key for key in awake if key.payer == payer]
        while group:
            weights = [_weight(candidate, key, question) for key in group]
            key = draw.choices(group, weights)[0] if sum(weights) else group[0]
            group.remove(key)
            yield key


def _weight(candidate: Candidate, key: Key, question: Question) -> float:
    """In the draw: a key that returns from a rest has a part of its own."""
    return max(key.weight, 0) * question.vital(candidate, key).share(question.now)


def orders(steps: Iterable[_Step]) -> Orders:
    """Of those models that have more than one."""
    found: dict[UUID, list[Key]] = {}
    for step in steps:
        if len(step.candidate.keys) > 1:
            found.setdefault(step.candidate.model_id, []).append(step.key)
    return found


def told(candidate: Candidate, question: Question, order: Sequence[Key] = ()) -> dict[str, Any]:
    """For its row of a receipt: {keys: [{key, weight?, why?}], more_keys?}, or nothing where one key is all there is.

    First those in the `order` drawn, each with its weight in the draw; then those that were left out, and why. Keys
    that are called the same, as the platform's are, are told once."""
    if len(candidate.keys) < 2 and not candidate.unused_keys:
        return {}
    found: dict[tuple[str, str], dict[str, Any]] = {}
    drawn_from: dict[str, set[str]] = {}
    for key in order:
        drawn_from.setdefault(key.payer, set()).add(key.label)
    for key in order or candidate.keys:
        why = _rest(candidate, key, question)
        row = found.setdefault((key.label, why), {"key": key.label} | ({"why": why} if why else {}))
        if not why and len(drawn_from.get(key.payer, ())) > 1:
            row["weight"] = round(_weight(candidate, key, question), 4)
    if order:
        for key in candidate.keys:
            if key not in order and (why := _rest(candidate, key, question)):
                found.setdefault((key.label, why), {"key": key.label, "why": why})
    for label, why in candidate.unused_keys:
        found.setdefault((label, why), {"key": label, "why": why})
    rows = list(found.values())
    left_out = len(rows) - MOST_TOLD
    return {"keys": rows[:MOST_TOLD]} | ({"more_keys": left_out} if left_out > 0 else {})


def _rest(candidate: Candidate, key: Key, question: Question) -> str:
    """Until when, and after what; empty: it is awake."""
    if not question.has_rested:
        return ""
    vital = question.vital(candidate, key)
    until = vital.resting_until
    if until <= question.now:
        return ""
    form = "%H:%M:%S UTC" if until - question.now < DAY else "%-d %B, %H:%M UTC"
    return f"it rests until {datetime.fromtimestamp(until, UTC):{form}} ({vital.why or 'failures'})"
