"""Rules and candidates → an ordered plan, with a reason for every choice and every rejection (receipt.py)."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import inf
from typing import Any

from . import conditions, keys, receipt
from .candidates import (
    CONTEXT_FALLBACK,
    FALLBACK,
    NOT_LISTED,
    POLICY_FALLBACK,
    Candidate,
    Choice,
    Key,
    Question,
)
from .health import Pair
from .receipt import Drawn, Rejected, Timed
from .rules import Rule
from .speed import balanced, soonest
from .types import Kind

NO_SUCH_MODEL = "model_not_found"
MOST_MODELS = 12
"""Models in one plan: nobody waits for a thirteenth."""
LONGEST_REST = 20.0
"""Seconds that a plan waits for a resting model, where all rest. Beyond that it is tried at once."""

KEPT_FOR: dict[str, Kind] = {
    CONTEXT_FALLBACK: Kind.CONTEXT_TOO_LONG,
    POLICY_FALLBACK: Kind.CONTENT_POLICY,
}
NEVER: frozenset[Kind] = frozenset()
"""After a failure of no kind in particular."""


@dataclass
class Step:
    """One call that may be made: this model with this key."""

    candidate: Candidate
    key: Key
    only_after: Kind | None = None
    """Kept for after a failure of this kind: a prompt too long for the others, or one they would not answer."""
    wait: float = 0.0
    """Seconds until it has rested enough, where all others rest too."""
    also_after: frozenset[Kind] = NEVER
    """A fallback like any other, and the next one after a failure of these kinds."""

    @property
    def pair(self) -> Pair:
        """Whose health it tells of; no two steps of a plan have the same."""
        return self.candidate.model_id, self.key.id


@dataclass
class Plan:
    steps: tuple[Step, ...]
    receipt: dict[str, Any] = field(default_factory=dict)
    rule: Rule | None = None
    rejected: tuple[Rejected, ...] = ()

    @property
    def problem(self) -> str:
        """Why nothing can be called; empty when something can."""
        return str(self.receipt.get("problem", ""))

    @property
    def waits(self) -> bool:
        """Until a model has rested, before anything is called."""
        return bool(self.steps and self.steps[0].wait)

    @property
    def goes_on_unheard(self) -> bool:
        """Is another model asked when one took the prompt and fell silent, though both may be paid?"""
        return self.rule is not None and self.rule.goes_on_unheard

    @property
    def problem_kind(self) -> Kind:
        return Kind.CONTEXT_TOO_LONG if self.receipt.get("too_long") else Kind.BAD_REQUEST

    @property
    def problem_code(self) -> str:
        """What is switched off is as good as not there to whoever asks for it by its name."""
        is_there = any(not dropped.choice.candidate.why_not for dropped in self.rejected)
        return "" if is_there or self.receipt.get("requested") == "auto" else NO_SUCH_MODEL


def plan(question: Question, rules: Iterable[Rule], draw: random.Random, requested: str = "auto") -> Plan:
    """The first rule, in the order given, that applies and leaves at least one candidate decides."""
    said, dropped = receipt.opened(requested, question), list[Rejected]()
    for rule in rules:
        passed, rejected, unmet = _sift(rule, question)
        said["rules"].append(receipt.considered(rule, passed, rejected, unmet))
        if not passed:
            dropped += rejected
            continue
        steps, ordered, how = _arrange(rule, passed, question, draw)
        resting = _resting(passed, ordered, question, rule) if question.has_rested else []
        dropped = [*resting, *rejected, *dropped]  # those of the rule that decides before those of others
        spare = len(passed) - len(ordered) - len(resting)
        decided = receipt.Decided(rule, ordered, keys.orders(steps), how, spare)
        receipt.decide(said, decided, dropped, question)
        return Plan(tuple(steps), said, rule, tuple(dropped))
    receipt.give_up(said, requested, dropped, question)
    return Plan((), said, None, tuple(dropped))


# -- who may answer --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sieve:
    """What of a rule's choices is decided for all prompts of one kind. Made once: rules are kept from prompt to
    prompt (executions.hub_view), and most of their conditions ask nothing of a prompt but its kind."""

    choices: tuple[Choice, ...]
    """Those that a prompt may still shut out, and for each of them …"""
    tests: tuple[tuple[conditions.Condition, ...], ...]
    """… the conditions that ask about the prompt, or about what was lately measured."""
    rejected: tuple[Rejected, ...]
    smallest_window: float
    asks_nothing: bool
    """Has none of them such a condition?"""


def _sift(rule: Rule, question: Question) -> tuple[Sequence[Choice], Sequence[Rejected], str | None]:
    """(who passes, who does not and why, why the rule as a whole does not apply)"""
    try:
        unmet = rule.tests.unmet(question)
    except conditions.ConditionError as error:
        unusable = f"the rule cannot be used: {error}"
        return [], [Rejected(choice, rule, unusable) for choice in rule.choices], unusable
    if unmet:
        return [], [], unmet
    kind, needed = (question.task, question.model_type, question.needs), question.tokens_needed
    if (sieve := rule.sieves.get(kind)) is None:
        sieve = rule.sieves[kind] = _sieve(rule, question)
    if sieve.asks_nothing and needed <= sieve.smallest_window:
        return sieve.choices, sieve.rejected, None
    passed, rejected = [], [*sieve.rejected]
    for choice, tests in zip(sieve.choices, sieve.tests, strict=True):
        window = choice.candidate.context_window
        if window is not None and window < needed:
            too_long = f"about {needed:,} tokens do not fit its context window of {window:,}"
            rejected.append(Rejected(choice, rule, too_long, too_long=True))
        elif tests and (reason := conditions.first_reason(tests, choice, question)):
            rejected.append(Rejected(choice, rule, reason))
        else:
            passed.append(choice)
    return passed, rejected, None


def _sieve(rule: Rule, question: Question) -> Sieve:
    """What holds of this rule for every prompt of the question's task, type and needs. Raises ConditionError."""
    anything, types = Question(question.model_type), compatible(question.model_type)
    left: list[tuple[Choice, tuple[conditions.Condition, ...]]] = []
    rejected = []
    for choice in rule.choices:
        settled = [test for test in rule.tests.of_model if test.is_settled(choice)]
        reason = _unfit(choice.candidate, question, types) or conditions.first_reason(settled, choice, anything)
        if reason:
            rejected.append(Rejected(choice, rule, reason))
        else:
            left.append((choice, tuple(test for test in rule.tests.of_model if not test.is_settled(choice))))
    windows = [choice.candidate.context_window for choice, _ in left]
    return Sieve(
        choices=tuple(choice for choice, _ in left),
        tests=tuple(tests for _, tests in left),
        rejected=tuple(rejected),
        smallest_window=min((window for window in windows if window is not None), default=inf),
        asks_nothing=not any(tests for _, tests in left),
    )


def _unfit(candidate: Candidate, question: Question, types: Sequence[str]) -> str | None:
    """What no rule can overlook: whether it is in use, task, type, key, capabilities the prompt itself needs."""
    if candidate.why_not:
        return candidate.why_not
    if candidate.task is not question.task:
        return f"it does {candidate.task.value}, and the prompt asks for {question.task.value}"
    if candidate.model_type not in types:
        return f"its type is {candidate.model_type.lower()}, and the prompt’s is {question.model_type.lower()}"
    if not candidate.keys:
        unlisted = candidate.unused_keys and all(key.why == NOT_LISTED for key in candidate.unused_keys)
        return (
            f"{candidate.provider} does not list it" if unlisted else f"there is no usable key for {candidate.provider}"
        )
    if question.needs and candidate.capabilities is not None and (missing := question.needs - candidate.capabilities):
        return f"the prompt needs {', '.join(sorted(missing))}"
    return None


def compatible(model_type: str) -> tuple[str, ...]:
    """Which types of models and rules serve a session of this type: text models write code too."""
    return ("TEXT", "CODE") if model_type in ("TEXT", "CODE") else (model_type,)


# -- in which order ----------------------------------------------------------------------------------


def _arrange(
    rule: Rule, passed: Sequence[Choice], question: Question, draw: random.Random
) -> tuple[list[Step], list[Choice], Drawn | Timed | None]:
    """The steps, the models they stand for in order, and the draw that was made or what was measured."""
    kept: dict[str, list[Choice]] = {}
    if rule.tags:
        kept = {tag: found for tag in KEPT_FOR if tag in rule.tags and (found := [c for c in passed if tag in c.tags])}
    ready = [choice for choice in passed if choice.is_for_all] if kept else passed
    if not ready:  # such as a prompt that only the models for long ones can take
        ready, kept = passed, {}
    awake = ready
    if question.has_rested:
        awake = [choice for choice in ready if not _rest(choice.candidate, question)]
    ordered, how = _order(rule, awake, question, draw)
    wait = 0.0
    if not ordered:
        ordered = sorted(ready, key=lambda choice: _rest(choice.candidate, question))
        wait = _rest(ordered[0].candidate, question)
        wait = wait if wait <= LONGEST_REST else 0.0
    ordered = ordered[:MOST_MODELS]
    steps, first = _steps(ordered, question, draw, wait=wait), set(map(id, ordered))
    for tag, choices in kept.items():
        others = [choice for choice in choices if id(choice) not in first]
        steps += _steps(others[:MOST_MODELS], question, draw, only_after=KEPT_FOR[tag])
        planned = set(map(id, ordered))
        ordered = [*ordered, *(choice for choice in others if id(choice) not in planned)]
    return steps, ordered, how


def _order(
    rule: Rule, ready: Sequence[Choice], question: Question, draw: random.Random
) -> tuple[list[Choice], Drawn | Timed | None]:
    """Primaries by the rule's strategy, then what is tagged `fallback`, then what its provider no longer lists, each in
    the rule's own order. It may still work: where nothing else is left, the strategy holds among those."""
    gone = [choice for choice in ready if choice.candidate.is_gone] if rule.has_gone else []
    if gone and len(gone) < len(ready):
        listed = [choice for choice in ready if not choice.candidate.is_gone]
        ordered, how = _by_strategy(rule, listed, question, draw)
        return [*ordered, *gone], how
    return _by_strategy(rule, ready, question, draw)


def _by_strategy(
    rule: Rule, ready: Sequence[Choice], question: Question, draw: random.Random
) -> tuple[list[Choice], Drawn | Timed | None]:
    fallbacks = [choice for choice in ready if FALLBACK in choice.tags] if FALLBACK in rule.tags else []
    primaries = [choice for choice in ready if FALLBACK not in choice.tags] if fallbacks else ready
    if not primaries:
        primaries, fallbacks = fallbacks, []
    how: Drawn | Timed | None = None
    match rule.strategy:
        case "weighted":
            primaries, how = _draw(primaries, question, draw)
        case "cheapest":
            primaries = sorted(primaries, key=lambda choice: choice.candidate.price)
        case "fastest":
            primaries, how = soonest(primaries, question, draw, MOST_MODELS)
        case "balanced":
            primaries, how = balanced(primaries, question, MOST_MODELS)
    return [*primaries, *fallbacks], how


def _draw(choices: Sequence[Choice], question: Question, draw: random.Random) -> tuple[list[Choice], Drawn | None]:
    """Weighted, without putting back; weight 0 is never drawn, only kept as a last resort. A model that comes back
    from a rest gets its weight back little by little."""
    weights: list[float] = [choice.weight for choice in choices]
    if question.has_rested:
        weights = [choice.weight * _share(choice.candidate, question) for choice in choices]
    reached, taken, number = list(accumulate(weights)), list[int](), draw.random()
    count = sum(1 for weight in weights if weight > 0)
    for drawing in range(min(count, MOST_MODELS)):
        taken.append(_place(weights, reached, taken, draw.random() if drawing else number))
    ordered = [choices[place] for place in taken]
    last = (
        [choice for choice, weight in zip(choices, weights, strict=True) if weight <= 0] if count < len(weights) else []
    )
    shares = {id(choices[place]): weights[place] for place in taken}
    return [*ordered, *last], Drawn(choices, weights, number, reached[-1], count, shares) if count > 1 else None


def _place(weights: Sequence[float], reached: Sequence[float], taken: Sequence[int], number: float) -> int:
    """Where a number from 0 to 1 falls among what is left: in the row of all weights, past those that are taken.
    `reached` are their running sums."""
    at = number * (reached[-1] - sum(weights[place] for place in taken))
    for place in sorted(taken):
        if at >= reached[place] - weights[place]:
            at += weights[place]
    fits = (place for place in range(bisect_right(reached, at), len(weights)) if weights[place] > 0)
    found = next((place for place in fits if place not in taken), None)
    if found is None:  # a number just under 1 may round up to the sum
        return max(place for place, weight in enumerate(weights) if weight > 0 and place not in taken)
    return found


# -- rest --------------------------------------------------------------------------------------------


def _rest(candidate: Candidate, question: Question) -> float:
    """Seconds until one of its keys may be used again; 0: now."""
    until = min(vital.resting_until for vital in question.vitals_of(candidate))
    return max(0.0, until - question.now)


def _share(candidate: Candidate, question: Question) -> float:
    return max(vital.share(question.now) for vital in question.vitals_of(candidate))


def _resting(passed: Sequence[Choice], ordered: Sequence[Choice], question: Question, rule: Rule) -> list[Rejected]:
    """Those that could answer if they did not rest, and are not in the plan."""
    planned = set(map(id, ordered))
    waits = [(choice, _rest(choice.candidate, question)) for choice in passed if id(choice) not in planned]
    return [
        Rejected(choice, rule, _why_it_rests(choice.candidate, question, wait), rests=True)
        for choice, wait in waits
        if wait
    ]


def _why_it_rests(candidate: Candidate, question: Question, seconds: float) -> str:
    """Of several keys the one that may be used again first says it: so long the model rests."""
    first = min(question.vitals_of(candidate), key=lambda vital: vital.resting_until)
    return f"it rests for {seconds:,.0f} s more ({first.why or 'failures'})"


# -- with which key ----------------------------------------------------------------------------------


def _steps(
    ordered: Sequence[Choice],
    question: Question,
    draw: random.Random,
    *,
    wait: float = 0.0,
    only_after: Kind | None = None,
) -> list[Step]:
    """All keys of a model before the next model."""
    steps = list[Step]()
    for choice in ordered:
        candidate, also = choice.candidate, NEVER
        if choice.tags and not only_after:
            also = frozenset(KEPT_FOR[tag] for tag in choice.tags & KEPT_FOR.keys())
        for key in keys.spread(candidate, question, draw):
            steps.append(Step(candidate.paid_by(key), key, only_after, wait, also))
        wait = 0.0
    return steps
