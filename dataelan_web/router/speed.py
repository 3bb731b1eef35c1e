"""Ordering a rule's models by what was lately measured of them: the strategies `fastest` and `balanced`.

A plan has at most a dozen models, and a rule may have hundreds: so each is weighed once, and only the best are put in
order.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from heapq import nsmallest
from itertools import islice
from math import inf

from .candidates import UNMEASURED, Choice, Question
from .health import TOO_LITTLE_TO_TELL, Vital, best_latency, ranked
from .receipt import Timed


def soonest(
    choices: Sequence[Choice], question: Question, draw: random.Random, most: int
) -> tuple[list[Choice], Timed]:
    """The best of these, at most so many, by the wait that is expected. A model comes where the best of its keys does;
    equals are shuffled."""
    if question.has_rested:
        return _soonest_of_rested(choices, question, draw, most)
    waits, _ = _waits(choices, question)
    chance = draw.random
    shuffled = [wait + chance() * TOO_LITTLE_TO_TELL for wait in waits]
    places = nsmallest(most, range(len(choices)), key=shuffled.__getitem__)
    return [choices[place] for place in places], Timed({id(choices[place]): waits[place] for place in places}, {})


def _soonest_of_rested(
    choices: Sequence[Choice], question: Question, draw: random.Random, most: int
) -> tuple[list[Choice], Timed]:
    """Where some rest, or return from a rest and may have no chance yet (health.ranked)."""
    owners = [choice for choice in choices for _ in choice.candidate.pairs]
    vitals, now = _vitals(choices, question), question.now
    ranking = ranked(vitals, now, draw)
    waits, chances, ordered = dict[int, float](), dict[int, tuple[float, bool]](), list[Choice]()
    for place in ranking.places:
        choice, vital = owners[place], vitals[place]
        if id(choice) in waits:
            continue
        if len(ordered) == most:
            break
        ordered.append(choice)
        waits[id(choice)] = vital.score(now, ranking.best)
        if not vital.never_rested and (share := vital.share(now)) < 1:
            chances[id(choice)] = share, place not in ranking.held_back
    return ordered, Timed(waits, chances)


def balanced(choices: Sequence[Choice], question: Question, most: int) -> tuple[list[Choice], Timed]:
    """The best of these, at most so many, by wait × price, each as a multiple of the best: half the price makes up for
    twice the wait. An unknown price counts as the dearest; what was never measured as the fastest, so that it is tried.
    Of several keys the best that is awake counts."""
    waits, best = _waits(choices, question)
    prices = [choice.candidate.price for choice in choices]
    known = [price for is_unknown, price in prices if not is_unknown]
    cheapest, dearest = max(min(known, default=1), 1), max(max(known, default=1), 1)
    products = [
        (wait if wait > best else best) * (dearest if is_unknown else price if price > cheapest else cheapest)
        for wait, (is_unknown, price) in zip(waits, prices, strict=True)
    ]
    places = nsmallest(most, range(len(choices)), key=products.__getitem__)
    told = {id(choices[place]): waits[place] for place in places if waits[place] < inf}
    return [choices[place] for place in places], Timed(told, {})


def _waits(choices: Sequence[Choice], question: Question) -> tuple[list[float], float]:
    """(what is expected of each choice with the best of its keys that are awake; the lowest latency of these). Without
    end where all keys of a choice rest, unless all of all choices do."""
    vitals, now = _vitals(choices, question), question.now
    awake = [bool(vital.share(now)) for vital in vitals] if question.has_rested else []
    if not any(awake) or all(awake):
        best = best_latency(vitals) or 1.0
        scores = [vital.score(now, best) for vital in vitals]
    else:
        counted = list(zip(vitals, awake, strict=True))
        best = best_latency(vital for vital, is_awake in counted if is_awake) or 1.0
        scores = [vital.score(now, best) if is_awake else inf for vital, is_awake in counted]
    if len(scores) == len(choices):  # a key each
        return scores, best
    counts, taken = [len(choice.candidate.pairs) for choice in choices], iter(scores)
    return [next(taken) if count == 1 else min(islice(taken, count)) for count in counts], best


def _vitals(choices: Sequence[Choice], question: Question) -> list[Vital]:
    """What was measured of each choice, with each of its keys in turn."""
    known = question.vitals.get
    return [known(pair, UNMEASURED) for choice in choices for pair in choice.candidate.pairs]
