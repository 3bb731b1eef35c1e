"""A routing rule as a plain value, and what it says in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID

from . import domains
from .candidates import CONTEXT_FALLBACK, FALLBACK, POLICY_FALLBACK, Choice, Question
from .comparisons import Domain
from .conditions import ConditionError, Conditions, first_reason, read
from .health import Pair
from .said import joined

STRATEGIES: Mapping[str, str] = {
    "weighted": "a weighted draw",
    "cheapest": "the cheapest first",
    "fastest": "the one that lately answered soonest",
    "balanced": "price and speed weighed against each other",
    "ordered": "in this order",
}


@dataclass(frozen=True)
class Rule:
    name: str
    choices: tuple[Choice, ...]
    id: UUID | None = None
    model_type: str = "TEXT"
    priority: int = 100
    strategy: str = "weighted"
    conditions: Mapping[str, Any] = field(default_factory=dict)
    goes_on_unheard: bool = False
    """After a model that took a prompt and fell silent, the next is asked, though both may be paid (run.py)."""

    @cached_property
    def tests(self) -> Conditions:
        """Its conditions, ready to test. Raises ConditionError."""
        return read(self.conditions)

    @cached_property
    def tags(self) -> frozenset[str]:
        """Of any of its choices."""
        return frozenset(tag for choice in self.choices for tag in choice.tags)

    @cached_property
    def pairs(self) -> frozenset[Pair]:
        """Of its choices: whose health tells of them."""
        return frozenset(pair for choice in self.choices for pair in choice.candidate.pairs)

    @cached_property
    def variables(self) -> frozenset[str]:
        """That its expression names. Raises ConditionError."""
        return frozenset[str]().union(*(test.expression.variables for test in self.tests.of_prompt))

    @cached_property
    def has_gone(self) -> bool:
        """Does it name a model that its provider no longer lists?"""
        return any(choice.candidate.is_gone for choice in self.choices)

    @cached_property
    def sieves(self) -> dict[Any, Any]:
        """Kind of prompt → what is decided of its choices for all of that kind (plan.Sieve)."""
        return {}

    @property
    def words(self) -> str:
        """Such as: Text prompts go 70 % to gpt-4, 30 % to claude-2, of models at most $50 per 1M tokens with …"""
        try:
            conditions = self.tests
        except ConditionError as error:
            return f"It cannot be used: {error}."
        when = "".join(f" {test.words}" for test in conditions.of_prompt)
        which = joined([test.words for test in conditions.of_model])
        models = f", of models {which}" if which else ""
        unheard = " If one falls silent, the next is asked: both may charge." if self.goes_on_unheard else ""
        return f"{self.model_type.capitalize()} prompts{when} go {self._destination()}{models}.{unheard}"

    @cached_property
    def primaries(self) -> list[Choice]:
        """Those that the strategy is asked of first, as in a plan (plan._arrange): where the others are gone, or
        switched off, that is a fallback."""
        ready = [choice for choice in self.choices if choice.is_for_all] or list(self.choices)
        listed = [choice for choice in ready if not choice.candidate.is_gone] or ready
        return [choice for choice in listed if FALLBACK not in choice.tags] or listed

    def _destination(self) -> str:
        listed = [choice for choice in self.choices if not choice.candidate.is_gone] or list(self.choices)
        primaries = self.primaries
        names = [choice.candidate.model for choice in primaries]
        if not names:
            return "nowhere yet"
        if len(names) == 1:
            words = f"to {names[0]}"
        elif self.strategy == "weighted" and (total := sum(choice.weight for choice in primaries)):
            words = joined([f"{100 * choice.weight / total:.0f} % to {choice.candidate.model}" for choice in primaries])
        else:
            strategy = "ordered" if self.strategy == "weighted" else self.strategy  # none of them is ever drawn
            words = f"to {joined(names, 'or')}: {STRATEGIES.get(strategy, strategy)}"
        for tag, when in ((FALLBACK, "when they fail"), (CONTEXT_FALLBACK, "when the prompt is too long for them"),
                          (POLICY_FALLBACK, "when they refuse its content")):  # fmt: skip
            if kept := [c.candidate.model for c in listed if tag in c.tags and c not in primaries]:
                words += f", then {joined(kept, 'or')} {when}"
        if gone := [c.candidate.model for c in self.choices if c not in listed and c not in primaries]:
            words += f", last {joined(gone, 'or')}, no longer listed"
        return words

    def contradiction(self) -> str | None:
        """Why this rule could never decide: no model of it passes its conditions, or its expression is true of no
        prompt that one of those that do could answer. None: it may. Raises ConditionError."""
        question = Question(self.model_type)
        reasons = [self.tests.reason_against(choice, question) for choice in self.choices]
        if not reasons or not all(reasons):
            return next((why for test in self.tests.of_prompt if (why := test.contradiction(self._domains))), None)
        first = self.choices[0].candidate.model
        more = len(reasons) - 1
        others = f", and the {f'{more} others are' if more > 1 else 'other is'} out too" if more else ""
        return f"These conditions shut out every model of the rule: {first} is out because {reasons[0]}{others}."

    def warnings(self) -> list[str]:
        """Of its expression: what is always true, and parts that change nothing. Raises ConditionError."""
        return [words for test in self.tests.of_prompt for words in test.warnings(domains.DOMAINS)]

    @property
    def _domains(self) -> Mapping[str, Domain]:
        """What prompts can be that some model of the rule could answer."""
        from .plan import compatible  # which reads rules

        question = Question(self.model_type)
        settled = [[test for test in self.tests.of_model if test.is_settled(choice)] for choice in self.choices]
        passed = [
            choice
            for choice, tests in zip(self.choices, settled, strict=True)
            if not first_reason(tests, choice, question)
        ]
        return domains.of_rule(compatible(self.model_type), self.model_type, passed)
