"""Rules and candidates → an ordered plan, with a reason for every choice and every rejection.

The receipt is the answer to “why this model?”: plain JSON, kept with the execution, read by a person.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import conditions
from .candidates import Candidate, Choice, Key, Question, Rule
from .types import Kind

FALLBACK = "fallback"
NO_SUCH_MODEL = "model_not_found"


@dataclass(frozen=True)
class Step:
    """One call that may be made: this model with this key."""

    candidate: Candidate
    key: Key
    only_after: Kind | None = None
    """Kept for after a failure of this kind: a prompt too long for the others, or one they would not answer."""
    wait: float = 0.0
    """Seconds until it has rested enough, where all others rest too."""


@dataclass(frozen=True)
class Plan:
    steps: tuple[Step, ...]
    receipt: dict[str, Any] = field(default_factory=dict)
    rule: Rule | None = None

    @property
    def problem(self) -> str:
        """Why nothing can be called; empty when something can."""
        return str(self.receipt.get("problem", ""))

    @property
    def problem_kind(self) -> Kind:
        return Kind.CONTEXT_TOO_LONG if self.receipt.get("too_long") else Kind.BAD_REQUEST

    @property
    def problem_code(self) -> str:
        return "" if self.receipt.get("candidates") or self.receipt.get("requested") == "auto" else NO_SUCH_MODEL


def plan(question: Question, rules: Iterable[Rule], draw: random.Random, requested: str = "auto") -> Plan:
    """The first rule, in the order given, that leaves at least one candidate decides."""
    receipt = _receipt(requested, question)
    for rule in rules:
        passed, rejected, too_long = _sift(rule, question)
        receipt["too_long"] = receipt["too_long"] or too_long
        receipt["candidates"] += [_candidate(choice, rule, reason=reason) for choice, reason in rejected]
        receipt["rules"].append(_considered(rule, passed, rejected))
        if passed:
            ordered, drawn = _order(rule, passed, draw)
            receipt["candidates"] = _chosen(rule, ordered) + receipt["candidates"]
            receipt |= {"rule": rule.name, "strategy": rule.strategy, "draw": drawn}
            receipt["summary"] = _summary(rule, ordered, drawn)
            return Plan(tuple(_steps(ordered, draw)), receipt, rule)
    receipt["problem"] = receipt["summary"] = _problem(requested, receipt["candidates"])
    return Plan((), receipt)


def _sift(rule: Rule, question: Question) -> tuple[list[Choice], list[tuple[Choice, str]], bool]:
    try:
        tests = conditions.read(rule.conditions)
    except conditions.ConditionError as error:
        return [], [(choice, f"the rule cannot be used: {error}") for choice in rule.choices], False
    passed, rejected, too_long = [], [], False
    for choice in rule.choices:
        reason = _unfit(choice.candidate, question) or next(
            (against for test in tests if (against := test.reason_against(choice, question))), None
        )
        too_long = too_long or _does_not_fit(choice.candidate, question) is not None
        if reason:
            rejected.append((choice, reason))
        else:
            passed.append(choice)
    return passed, rejected, too_long


def _unfit(candidate: Candidate, question: Question) -> str | None:
    """What no rule can overlook: type, key, context window, capabilities the prompt itself needs."""
    if candidate.model_type not in _compatible(question.model_type):
        return f"it is a {candidate.model_type} model, and the prompt is {question.model_type}"
    if not candidate.keys:
        return f"there is no usable key for {candidate.provider}"
    if candidate.capabilities is not None and (missing := question.needs - candidate.capabilities):
        return f"the prompt needs {', '.join(sorted(missing))}"
    return _does_not_fit(candidate, question)


def _does_not_fit(candidate: Candidate, question: Question) -> str | None:
    window = candidate.context_window
    needed = question.input_tokens + (question.output_tokens or 0)
    if window is None or needed <= window:
        return None
    return f"about {needed:,} tokens do not fit its context window of {window:,}"


def _compatible(model_type: str) -> tuple[str, ...]:
    """Text models write code too."""
    return ("TEXT", "CODE") if model_type in ("TEXT", "CODE") else (model_type,)


def _order(rule: Rule, passed: Sequence[Choice], draw: random.Random) -> tuple[list[Choice], dict[str, Any] | None]:
    """Primaries by the rule's strategy, then what is tagged `fallback`, in the rule's own order."""
    primaries = [choice for choice in passed if FALLBACK not in choice.tags] or list(passed)
    fallbacks = [choice for choice in passed if choice not in primaries]
    if rule.strategy == "cheapest":
        return [*sorted(primaries, key=_price), *fallbacks], None
    if rule.strategy == "weighted":
        ordered, drawn = _draw(primaries, draw)
        return [*ordered, *fallbacks], drawn
    return [*primaries, *fallbacks], None


def _price(choice: Choice) -> tuple[bool, int]:
    rates = choice.candidate.rates
    return (rates is None, rates.input + rates.output if rates else 0)


def _draw(choices: Sequence[Choice], draw: random.Random) -> tuple[list[Choice], dict[str, Any] | None]:
    """Weighted, without putting back; weight 0 is never drawn first, only kept as a last resort."""
    drawable = [choice for choice in choices if choice.weight > 0]
    ordered: list[Choice] = []
    number = draw.random()
    weights = {choice.candidate.label: choice.weight for choice in drawable}
    first = number
    while drawable:
        chosen = _pick(drawable, number)
        drawable.remove(chosen)
        ordered.append(chosen)
        number = draw.random()
    recorded = {"weights": weights, "number": round(first, 6)} if len(weights) > 1 else None
    return [*ordered, *(choice for choice in choices if choice.weight <= 0)], recorded


def _pick(choices: Sequence[Choice], number: float) -> Choice:
    point = number * sum(choice.weight for choice in choices)
    for choice in choices:
        point -= choice.weight
        if point < 0:
            return choice
    return choices[-1]


def _steps(ordered: Sequence[Choice], draw: random.Random) -> Iterable[Step]:
    """All keys of a model before the next model; among equals of a payer, spread by weight."""
    for choice in ordered:
        for key in _spread(choice.candidate.keys, draw):
            yield Step(choice.candidate, key)


def _spread(keys: Sequence[Key], draw: random.Random) -> Iterable[Key]:
    """Payers in the order given (own before platform); within one payer a weighted draw."""
    payers = list(dict.fromkeys(key.payer for key in keys))
    for payer in payers:
        group = [key for key in keys if key.payer == payer]
        while group:
            weights = [max(key.weight, 0) for key in group]
            key = draw.choices(group, weights)[0] if sum(weights) else group[0]
            group.remove(key)
            yield key


# -- the receipt ---------------------------------------------------------------------------------


def _receipt(requested: str, question: Question) -> dict[str, Any]:
    return {
        "requested": requested,
        "prompt": {
            "type": question.model_type,
            "input_tokens_estimated": question.input_tokens,
            "max_tokens": question.output_tokens,
            "needs": sorted(question.needs),
        },
        "summary": "",
        "rules": [],
        "candidates": [],
        "too_long": False,
    }


def _considered(rule: Rule, passed: Sequence[Choice], rejected: Sequence[tuple[Choice, str]]) -> dict[str, Any]:
    if passed:
        reason = "it applies"
    elif rejected:
        reason = f"none of its {len(rejected)} models can be used" if len(rejected) > 1 else rejected[0][1]
    else:
        reason = "it names no model that can be seen here"
    return {
        "name": rule.name,
        "id": str(rule.id) if rule.id else None,
        "priority": rule.priority,
        "matched": bool(passed),
        "reason": reason,
    }


def _chosen(rule: Rule, ordered: Sequence[Choice]) -> list[dict[str, Any]]:
    weights = sum(choice.weight for choice in ordered if choice.weight > 0 and FALLBACK not in choice.tags)
    rows = []
    for place, choice in enumerate(ordered):
        is_drawn = rule.strategy == "weighted" and FALLBACK not in choice.tags and len(ordered) > 1 and weights
        share = f"{choice.weight * 100 // weights} %" if is_drawn else ""
        reason = "first choice" if place == 0 else "next, should those before it fail"
        rows.append(_candidate(choice, rule, chosen=place == 0, kept=True, reason=reason, share=share))
    return rows


def _candidate(
    choice: Choice, rule: Rule, *, reason: str, chosen: bool = False, kept: bool = False, share: str = ""
) -> dict[str, Any]:
    return {
        "model": choice.candidate.model,
        "provider": choice.candidate.provider,
        "rule": rule.name,
        "chosen": chosen,
        "kept": kept,
        "reason": reason,
        "share": share,
    }


def _summary(rule: Rule, ordered: Sequence[Choice], drawn: dict[str, Any] | None) -> str:
    first = ordered[0].candidate.label
    if drawn:
        return f"{first} was drawn among {len(drawn['weights'])} models of the rule “{rule.name}”, by weight."
    if len(ordered) > 1:
        return f"{first} is the first of {len(ordered)} models of “{rule.name}” ({rule.strategy})."
    return f"{first}: {rule.name}."


def _problem(requested: str, rejected: Sequence[dict[str, Any]]) -> str:
    if not rejected:
        if requested == "auto":
            return "No model can be used yet. Add a provider key or connect a local server in the Model Hub."
        return f"No model or rule named “{requested}” can be used here. See the Model Hub for those that can."
    first = f"{rejected[0]['provider']} / {rejected[0]['model']}"
    if len(rejected) == 1:
        return f"{first} cannot be used: {rejected[0]['reason']}."
    return f"None of {len(rejected)} candidates can be used; the first: {first}: {rejected[0]['reason']}."
