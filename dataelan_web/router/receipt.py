"""The answer to “why this model?”: plain JSON, kept with the execution, read by a person.

{requested, prompt: {type, task, input_tokens_estimated, max_tokens, needs}, summary, rule, strategy,
 rules: [{name, id, priority, matched, reason}],
 candidates: [{model, provider, rule, chosen, kept, reason, share, keys?, more_keys?, unused_as_of?, wait?, chance?}],
 omitted: {reason: number of further candidates}, draw: {weights, number}, too_long, problem?, attempts: […]}

`keys` (keys.told): in the order drawn, then those left out and why, unless the row of `unused_as_of` tells them.
`wait`: seconds, by which a rule for speed ordered. `chance`: {share, came} of one that returns from a rest. Of each
rule that was considered, each model is a candidate or counted in `omitted`, but for a rule that is not for this prompt:
its own `reason` is that of all its models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from . import keys
from .candidates import CONTEXT_FALLBACK, FALLBACK, POLICY_FALLBACK, Choice, Question
from .health import BUSY_UNTRIED
from .rules import Rule

MOST_ROWS = 60
"""Candidates told one by one; of those beyond, only how many fell for which reason."""
MOST_REASONS = 20
"""Of those beyond: the most frequent, and how many fell for others."""
ENOUGH_OTHERS = "enough others come before it"
OTHER_REASONS = "other reasons"
KEPT_FOR: Mapping[str, str] = {
    CONTEXT_FALLBACK: "prompts too long for the others",
    POLICY_FALLBACK: "prompts the others refuse",
}
LAST_LISTED = "its provider no longer lists it"

Receipt = dict[str, Any]


class Rejected(NamedTuple):
    choice: Choice
    rule: Rule
    reason: str
    too_long: bool = False
    rests: bool = False


@dataclass(frozen=True)
class Drawn:
    """A weighted draw, kept with the receipt: who could be drawn, with which weight, and the number."""

    choices: Sequence[Choice]
    weights: Sequence[float]
    number: float
    total: float
    """Of all weights."""
    count: int
    """How many could be drawn: those whose weight is more than 0."""
    shares: Mapping[int, float]
    """The weights of those in the plan, by the id of their Choice."""


@dataclass(frozen=True)
class Timed:
    """What was measured of those that a rule for speed put in order, by the id of their Choice."""

    waits: Mapping[int, float]
    """Seconds that an ordinary answer is expected to take (Vital.score)."""
    chances: Mapping[int, tuple[float, bool]]
    """Of those that return from a rest: the share they had, and whether their chance came."""


class Decided(NamedTuple):
    """What the first rule that applied came to."""

    rule: Rule
    ordered: Sequence[Choice]
    """Those in the plan."""
    keys: keys.Orders
    how: Drawn | Timed | None
    spare: int = 0
    """How many more could have answered, and are not in the plan."""

    @property
    def drawn(self) -> Drawn | None:
        return self.how if isinstance(self.how, Drawn) else None


def opened(requested: str, question: Question) -> Receipt:
    return {
        "requested": requested,
        "prompt": {
            "type": question.model_type,
            "task": question.task.value,
            "input_tokens_estimated": question.input_tokens,
            "max_tokens": question.output_tokens,
            "needs": sorted(question.needs),
        },
        "summary": "",
        "rules": [],
        "candidates": [],
        "too_long": False,
    }


def considered(rule: Rule, passed: Sequence[Choice], rejected: Sequence[Rejected], unmet: str | None) -> Receipt:
    if passed:
        reason = "it applies"
    elif unmet:
        reason = unmet
    elif rejected:
        reason = f"none of its {len(rejected)} models can be used" if len(rejected) > 1 else rejected[0].reason
    else:
        reason = "it names no model that can be seen here"
    return {
        "name": rule.name,
        "id": str(rule.id) if rule.id else None,
        "priority": rule.priority,
        "matched": bool(passed),
        "reason": reason,
    }


def decide(receipt: Receipt, decided: Decided, rejected: Sequence[Rejected], question: Question) -> None:
    rule, drawn = decided.rule, decided.drawn
    known: keys.Known = {}
    receipt["candidates"] = _chosen(decided, question, known)
    if rejected:
        _add_rejected(receipt, rejected, question, known)
    if decided.spare > 0:
        receipt["omitted"] = {ENOUGH_OTHERS: decided.spare} | receipt.get("omitted", {})
    draw = _draw(drawn, decided.ordered) if drawn else None
    receipt |= {"rule": rule.name, "strategy": rule.strategy, "draw": draw}
    receipt["summary"] = _summary(rule, decided.ordered, drawn)


def give_up(receipt: Receipt, requested: str, rejected: Sequence[Rejected], question: Question) -> None:
    _add_rejected(receipt, rejected, question, {})
    receipt["problem"] = receipt["summary"] = _problem(requested, rejected)


def _add_rejected(receipt: Receipt, rejected: Sequence[Rejected], question: Question, known: keys.Known) -> None:
    receipt["too_long"] = any(dropped.too_long for dropped in rejected)
    room = max(MOST_ROWS - len(receipt["candidates"]), 10)
    receipt["candidates"] += [_dropped(one, question, known) for one in rejected[:room]]
    if others := Counter(dropped.reason for dropped in rejected[room:]):
        most = dict(others.most_common(MOST_REASONS))
        left = others.total() - sum(most.values())
        receipt["omitted"] = most | ({OTHER_REASONS: left} if left else {})


def _dropped(one: Rejected, question: Question, known: keys.Known) -> Receipt:
    """With its keys, where they are why."""
    candidate = one.choice.candidate
    is_for_keys = one.rests or not candidate.keys
    return _row(one.choice, one.rule, one.reason) | (keys.told(candidate, question, known) if is_for_keys else {})


def _draw(drawn: Drawn, ordered: Sequence[Choice]) -> Receipt:
    """All weights, or of very many those of the models in the plan, with the sum of the others."""
    is_all = drawn.count <= MOST_ROWS
    if is_all:
        told = [(choice, weight) for choice, weight in zip(drawn.choices, drawn.weights, strict=True) if weight > 0]
    else:
        told = [(choice, drawn.shares[id(choice)]) for choice in ordered if id(choice) in drawn.shares]
    weights: Counter[str] = Counter()
    for choice, weight in told:
        weights[choice.candidate.label] += weight  # type: ignore[assignment]
    rounded = {label: round(weight, 4) for label, weight in weights.items()}
    said = {"weights": rounded, "number": round(drawn.number, 6)}
    return said | ({} if is_all else {"others": round(drawn.total - sum(weights.values()), 4)})


def _chosen(decided: Decided, question: Question, known: keys.Known) -> list[Receipt]:
    rows, drawn = [], decided.drawn
    timed = decided.how if isinstance(decided.how, Timed) else None
    for place, choice in enumerate(decided.ordered):
        share, candidate = "", choice.candidate
        if drawn and (weight := drawn.shares.get(id(choice), 0.0)):
            share = f"{100 * weight / drawn.total:.0f} %"
        row = _row(choice, decided.rule, _place(choice, place), chosen=place == 0, kept=True, share=share)
        if len(candidate.keys) > 1 or candidate.unused_keys:
            row |= keys.told(candidate, question, known, decided.keys.get(candidate.model_id, ()))
        if timed:
            row |= _measured(timed, id(choice))
        rows.append(row)
    return rows


def _measured(timed: Timed, choice_id: int) -> Receipt:
    """What was never tried has nothing to tell."""
    wait, said = timed.waits.get(choice_id, 0.0), Receipt()
    if 0 < wait < BUSY_UNTRIED:
        said["wait"] = round(wait, 3)
    if choice_id in timed.chances:
        share, came = timed.chances[choice_id]
        said["chance"] = {"share": round(share, 4), "came": came}
    return said


def _place(choice: Choice, place: int) -> str:
    if choice.candidate.is_gone:
        return f"first choice, though {LAST_LISTED}" if place == 0 else f"last, for {LAST_LISTED}"
    if place == 0:
        return "first choice"
    kept = " and ".join(words for tag, words in KEPT_FOR.items() if tag in choice.tags)
    if FALLBACK in choice.tags:
        return "fallback, should all before it fail" + (f", and next for {kept}" if kept else "")
    return f"kept for {kept}" if kept else "next, should those before it fail"


def _row(
    choice: Choice, rule: Rule, reason: str, *, chosen: bool = False, kept: bool = False, share: str = ""
) -> Receipt:
    return {
        "model": choice.candidate.model,
        "provider": choice.candidate.provider,
        "rule": rule.name,
        "chosen": chosen,
        "kept": kept,
        "reason": reason,
        "share": share,
    }


def _summary(rule: Rule, ordered: Sequence[Choice], drawn: Drawn | None) -> str:
    first = ordered[0].candidate.label
    if drawn:
        return f"{first} was drawn among {drawn.count} models of the rule “{rule.name}”, by weight."
    if len(ordered) > 1:
        return f"{first} is the first of {len(ordered)} models of “{rule.name}” ({rule.strategy})."
    return f"{first}: {rule.name}."


def _problem(requested: str, rejected: Sequence[Rejected]) -> str:
    if not rejected:
        if requested == "auto":
            return "No model can be used yet. Add a provider key or connect a local server in the Model Hub."
        return f"No model or rule named “{requested}” can be used here. See the Model Hub for those that can."
    first = rejected[0].choice.candidate.label
    if len(rejected) == 1:
        return f"{first} cannot be used: {rejected[0].reason}."
    return f"None of {len(rejected)} candidates can be used; the first: {first}: {rejected[0].reason}."
