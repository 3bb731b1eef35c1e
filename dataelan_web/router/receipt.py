"""The answer to “why this model?”: plain JSON, kept with the execution, read by a person.

{requested, prompt: {type, task, input_tokens_estimated, max_tokens, needs}, summary, rule, strategy,
 rules: [{name, id, priority, matched, reason}], candidates: [{model, provider, rule, chosen, kept, reason, share}],
 omitted: {reason: number of further candidates}, draw: {weights, number}, too_long, problem?, attempts: […]}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .candidates import CONTEXT_FALLBACK, FALLBACK, POLICY_FALLBACK, Choice, Question
from .rules import Rule

MOST_ROWS = 60
"""Candidates told one by one; of those beyond, only how many fell for which reason."""

Receipt = dict[str, Any]


class Rejected(NamedTuple):
    choice: Choice
    rule: Rule
    reason: str
    too_long: bool = False


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


def decide(
    receipt: Receipt,
    rule: Rule,
    ordered: Sequence[Choice],
    rejected: Sequence[Rejected],
    drawn: Drawn | None,
    spare: dict[str, int],
) -> None:
    """`spare`: how many more could have answered, by why they are not in the plan."""
    receipt["candidates"] = _chosen(rule, ordered, drawn)
    _add_rejected(receipt, rejected)
    if spare:
        receipt["omitted"] = receipt.get("omitted", {}) | spare
    receipt |= {"rule": rule.name, "strategy": rule.strategy, "draw": _draw(drawn, ordered) if drawn else None}
    receipt["summary"] = _summary(rule, ordered, drawn)


def give_up(receipt: Receipt, requested: str, rejected: Sequence[Rejected]) -> None:
    _add_rejected(receipt, rejected)
    receipt["problem"] = receipt["summary"] = _problem(requested, rejected)


def _add_rejected(receipt: Receipt, rejected: Sequence[Rejected]) -> None:
    receipt["too_long"] = any(dropped.too_long for dropped in rejected)
    room = max(MOST_ROWS - len(receipt["candidates"]), 10)
    receipt["candidates"] += [_row(dropped.choice, dropped.rule, dropped.reason) for dropped in rejected[:room]]
    if others := Counter(dropped.reason for dropped in rejected[room:]):
        receipt["omitted"] = dict(others)


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


def _chosen(rule: Rule, ordered: Sequence[Choice], drawn: Drawn | None) -> list[Receipt]:
    rows = []
    for place, choice in enumerate(ordered):
        weight = drawn.shares.get(id(choice), 0.0) if drawn else 0.0
        share = f"{100 * weight / drawn.total:.0f} %" if drawn and weight else ""
        rows.append(_row(choice, rule, _place(choice, place), chosen=place == 0, kept=True, share=share))
    return rows


def _place(choice: Choice, place: int) -> str:
    if place == 0:
        return "first choice"
    if CONTEXT_FALLBACK in choice.tags:
        return "kept for prompts too long for the others"
    if POLICY_FALLBACK in choice.tags:
        return "kept for prompts the others refuse"
    return "fallback, should all before it fail" if FALLBACK in choice.tags else "next, should those before it fail"


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
