"""With which keys a model is asked, in which order; and what a receipt tells of those, and of the keys left out."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

from .candidates import Candidate, Key, Question, UnusedKey

MOST_TOLD = 8
"""Keys of one model; of those beyond, only how many."""
DAY = 86400.0

Orders = Mapping[UUID, Sequence[Key]]
"""Model → its keys as they are tried."""


Known = dict[tuple[UUID, tuple[UnusedKey, ...]], Candidate]
"""Provider and keys of it that were left out → the model of whose row they are told."""


class _Step(Protocol):
    @property
    def candidate(self) -> Candidate: ...
    @property
    def key(self) -> Key: ...


def spread(candidate: Candidate, question: Question, draw: random.Random) -> Iterator[Key]:
    """Payers in the order given (own before platform); within one payer the one that goes first, then a weighted draw.
    Who rests is left out; where all do, the one that wakes first is waited for."""
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
            key = _next(candidate, group, question, draw)
            group.remove(key)
            yield key


def _next(candidate: Candidate, group: Sequence[Key], question: Question, draw: random.Random) -> Key:
    """Who goes first and returns from a rest does so with the chance of its share."""
    first = next((key for key in group if key.goes_first), None)
    if first and (not question.has_rested or draw.random() < question.vital(candidate, first).share(question.now)):
        return first
    weights = [_weight(candidate, key, question) for key in group]
    return draw.choices(group, weights)[0] if sum(weights) else group[0]


def _weight(candidate: Candidate, key: Key, question: Question) -> float:
    """In the draw: a key that returns from a rest has a part of its own."""
    weight = max(key.weight, 0)
    return weight * question.vital(candidate, key).share(question.now) if question.has_rested else weight


def orders(steps: Iterable[_Step]) -> Orders:
    """Of those models that have more than one."""
    found: dict[UUID, list[Key]] = {}
    for step in steps:
        if len(step.candidate.keys) > 1:
            found.setdefault(step.candidate.model_id, []).append(step.key)
    return found


def told(candidate: Candidate, question: Question, known: Known, order: Sequence[Key] = ()) -> dict[str, Any]:
    """For its row of a receipt: {keys: [{key, weight?, first?, why?}], more_keys?, unused_as_of?}, or nothing where one
    key is all there is.

    First those in the `order` drawn, each with its weight in the draw; then those that were left out, and why, unless
    that was told of another model already (`known`, which this adds to). Keys that are called the same, as the
    platform's are, are told once."""
    if len(candidate.keys) < 2 and not candidate.unused_keys:
        return {}
    said, found = dict[str, Any](), _in_order(candidate, question, order)
    if candidate.unused_keys:
        told_of = known.setdefault((candidate.provider_id, candidate.unused_keys), candidate)
        if told_of is candidate:
            found.update({(key.label, key.why): {"key": key.label, "why": key.why} for key in candidate.unused_keys})
        else:
            said["unused_as_of"] = told_of.model
            found = found if len(candidate.keys) > 1 else {}
    if rows := list(found.values()):
        said["keys"] = rows[:MOST_TOLD]
    return said | ({"more_keys": len(rows) - MOST_TOLD} if len(rows) > MOST_TOLD else {})


def _in_order(candidate: Candidate, question: Question, order: Sequence[Key]) -> dict[tuple[str, str], dict[str, Any]]:
    """Those that may be used, by label and why they were not for this prompt; where others had a chance, with a weight,
    or that it goes first."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    drawn_from: dict[str, set[str]] = {}
    for key in order:
        drawn_from.setdefault(key.payer, set()).add(key.label)
    resting = [key for key in candidate.keys if key not in order] if question.has_rested or not order else ()
    for key in (*order, *resting):
        why = _rest(candidate, key, question)
        row = found.setdefault((key.label, why), {"key": key.label} | ({"why": why} if why else {}))
        if not why and len(drawn_from.get(key.payer, ())) > 1:
            said = {"first": True} if key.goes_first else {"weight": round(_weight(candidate, key, question), 4)}
            row.update(said)
    return found


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
