"""Conditions of a routing rule: one small class each, that can test, say why not, and say itself in plain words.

To add one: write a class, add it to CONDITIONS. A name that is not there is refused, never ignored: a rule
that says something we do not understand must not route.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from itertools import islice
from math import ceil
from typing import Any, ClassVar, Protocol

from . import contradictions
from .candidates import Choice, Question
from .comparisons import Domain
from .expressions import Expression, ExpressionError, expression
from .said import cut, dollars, joined, per_million, percent
from .types import Task

NANO = 1_000_000_000
MOST_USD = 1_000_000
MOST_WARNINGS = 3


class ConditionError(ValueError):
    """A condition's value is wrong; the message says which and why."""


class Condition(Protocol):
    name: ClassVar[str]

    def reason_against(self, choice: Choice, question: Question) -> str | None:
        """Why this choice breaks the condition, or None when it holds."""
        ...

    def is_settled(self, choice: Choice) -> bool:
        """Is that the same for every prompt that fits its context window?"""
        ...

    @property
    def words(self) -> str:
        """Itself, as a part of “prompts go to models …”."""
        ...


@dataclass(frozen=True)
class MaxCost:
    """USD per 1,000 tokens, of the dearer of input and output. An unknown price does not pass."""

    name: ClassVar[str] = "max_cost"
    limit: int

    @classmethod
    def read(cls, value: Any) -> MaxCost:
        try:
            usd = Decimal(str(value))
        except InvalidOperation as error:
            raise ConditionError(f"max_cost must be a number of USD per 1K tokens, not {value!r}") from error
        if isinstance(value, bool) or not usd.is_finite() or usd < 0:
            raise ConditionError("max_cost must not be negative")
        if usd > MOST_USD:  # an exponent of nine digits would be a number of as many
            raise ConditionError(f"max_cost must be ${MOST_USD:,} at most")
        return cls(int(usd * NANO))

    def reason_against(self, choice: Choice, question: Question) -> str | None:
        rates = choice.candidate.rates
        if rates is None:
            return "its price is unknown, and this rule limits the price"
        asked = rates.at(question.input_tokens).dearest_per_thousand
        if asked > self.limit:
            return f"{per_million(asked)} is over the rule's ${dollars(self.limit * 1000)}"
        return None

    def is_settled(self, choice: Choice) -> bool:
        return choice.candidate.rates is None or not choice.candidate.rates.tiers

    @property
    def words(self) -> str:
        return f"at most {per_million(self.limit)}"


@dataclass(frozen=True)
class MinContextWindow:
    """At least so many tokens. That this prompt and its output limit fit is asked of every model anyway."""

    name: ClassVar[str] = "min_context_window"
    tokens: int

    @classmethod
    def read(cls, value: Any) -> MinContextWindow:
        return cls(_whole(cls.name, value, "tokens"))

    def reason_against(self, choice: Choice, question: Question) -> str | None:
        window = choice.candidate.context_window
        if window is None:
            return "its context window is unknown, and this rule asks for one"
        needed = max(self.tokens, question.tokens_needed)
        return f"its context window of {window:,} is under {needed:,} tokens" if window < needed else None

    def is_settled(self, choice: Choice) -> bool:
        return True

    @property
    def words(self) -> str:
        return f"at least {self.tokens:,} tokens of context"


@dataclass(frozen=True)
class Capabilities:
    name: ClassVar[str] = "capabilities"
    needed: frozenset[str]

    @classmethod
    def read(cls, value: Any) -> Capabilities:
        return cls(frozenset(_names(cls.name, value)))

    def reason_against(self, choice: Choice, question: Question) -> str | None:
        missing = choice.candidate.lacks(self.needed)
        if not missing:
            return None
        is_told = choice.candidate.capabilities is not None or choice.candidate.task is not Task.CHAT
        said = "it lacks" if is_told else "nobody says that it has"
        return f"{said} {', '.join(sorted(missing))}"

    def is_settled(self, choice: Choice) -> bool:
        return True

    @property
    def words(self) -> str:
        return f"able to do {joined(name.replace('_', ' ') for name in sorted(self.needed))}"


@dataclass(frozen=True)
class MaxLatency:
    """Milliseconds to the first token, as lately measured. What was not, passes, or it never would be again."""

    name: ClassVar[str] = "max_latency_ms"
    limit: int

    @classmethod
    def read(cls, value: Any) -> MaxLatency:
        return cls(_whole(cls.name, value, "milliseconds"))

    def reason_against(self, choice: Choice, question: Question) -> str | None:
        vitals = question.vitals_of(choice.candidate)
        measured = [lately for vital in vitals if (lately := vital.first_token_lately(question.now))]
        if not measured or min(measured) <= self.limit:
            return None
        return f"its first token lately took {ceil(min(measured)):,} ms, over the rule's {self.limit:,}"

    def is_settled(self, choice: Choice) -> bool:
        return False

    @property
    def words(self) -> str:
        return f"answering within {self.limit:,} ms"


@dataclass(frozen=True)
class MinSuccessRate:
    """A share from 0 to 1 of lately made calls that did not fail. Too few calls to tell: it passes."""

    name: ClassVar[str] = "min_success_rate"
    share: Decimal

    @classmethod
    def read(cls, value: Any) -> MinSuccessRate:
        return cls(_share(cls.name, value))

    def reason_against(self, choice: Choice, question: Question) -> str | None:
        rates = [vital.success_rate(question.now) for vital in question.vitals_of(choice.candidate)]
        known = [rate for rate in rates if rate is not None]
        if not known or len(known) < len(rates) or max(known) >= self.share:
            return None
        return f"only {cut(max(known))} of its calls lately succeeded, under the rule's {percent(self.share)}%"

    def is_settled(self, choice: Choice) -> bool:
        return False

    @property
    def words(self) -> str:
        return f"succeeding {percent(self.share)} % of the time"


FEWEST_VOTES = 5
"""Fewer tell little of a model."""


@dataclass(frozen=True)
class MinWinRate:
    """A share from 0 to 1 of the blind comparisons it was in, of prompts of this type. Too few to tell: it passes."""

    name: ClassVar[str] = "min_win_rate"
    share: Decimal

    @classmethod
    def read(cls, value: Any) -> MinWinRate:
        return cls(_share(cls.name, value))

    def reason_against(self, choice: Choice, question: Question) -> str | None:
        votes = choice.candidate.votes.get(question.model_type)
        if votes is None or votes.of < FEWEST_VOTES or votes.won >= self.share * votes.of:
            return None
        return f"it won {votes.won} of {votes.of} blind comparisons, under the rule's {percent(self.share)}%"

    def is_settled(self, choice: Choice) -> bool:
        return not choice.candidate.votes

    @property
    def words(self) -> str:
        return f"winning {percent(self.share)} % of blind comparisons"


@dataclass(frozen=True)
class Providers:
    name: ClassVar[str] = "providers"
    allowed: frozenset[str]

    @classmethod
    def read(cls, value: Any) -> Providers:
        return cls(frozenset(name.lower() for name in _names(cls.name, value)))

    def reason_against(self, choice: Choice, question: Question) -> str | None:
        provider = choice.candidate.provider
        return None if provider.lower() in self.allowed else f"{provider} is not among the rule's providers"

    def is_settled(self, choice: Choice) -> bool:
        return True

    @property
    def words(self) -> str:
        return f"of {joined(sorted(self.allowed), 'or')}"


@dataclass(frozen=True)
class Tags:
    name: ClassVar[str] = "tags"
    needed: frozenset[str]

    @classmethod
    def read(cls, value: Any) -> Tags:
        return cls(frozenset(_names(cls.name, value)))

    def reason_against(self, choice: Choice, question: Question) -> str | None:
        missing = self.needed - choice.tags
        return f"it is not tagged {', '.join(sorted(missing))}" if missing else None

    def is_settled(self, choice: Choice) -> bool:
        return True

    @property
    def words(self) -> str:
        return f"tagged {joined(sorted(self.needed))}"


@dataclass(frozen=True)
class Custom:
    """A CEL expression about the prompt; it says whether the rule applies, and nothing of its models."""

    name: ClassVar[str] = "expression"
    expression: Expression

    @classmethod
    def read(cls, value: Any) -> Custom:
        if not isinstance(value, str) or not value.strip():
            raise ConditionError("expression must be text in CEL, such as: prompt.tokens > 1000")
        try:
            return cls(expression(value.strip()))
        except ExpressionError as error:
            raise ConditionError(str(error)) from error

    def reason_against(self, choice: Choice, question: Question) -> str | None:
        return self.unmet(question)

    def unmet(self, question: Question) -> str | None:
        try:
            met = self.expression.holds(question.context)
        except ExpressionError as error:
            return str(error)
        return None if met else f"{self.expression.source} is not true of this prompt"

    def contradiction(self, domains: Mapping[str, Domain]) -> str | None:
        """Why it is true of no prompt, or of none that comes to all of its parts; or None."""
        if self.expression.mistake:
            return str(self.expression.mistake)
        return contradictions.contradiction(self.expression.tree, self.expression.source, domains)

    def warnings(self, domains: Mapping[str, Domain]) -> list[str]:
        """What of it says nothing."""
        return list(
            islice(contradictions.warnings(self.expression.tree, self.expression.source, domains), MOST_WARNINGS)
        )

    def is_settled(self, choice: Choice) -> bool:
        return False

    @property
    def words(self) -> str:
        return f"when {self.expression.source}"


CONDITIONS: dict[str, type[Any]] = {
    condition.name: condition
    for condition in (
        MaxCost,
        MinContextWindow,
        Capabilities,
        MaxLatency,
        MinSuccessRate,
        MinWinRate,
        Providers,
        Tags,
        Custom,
    )
}


@dataclass(frozen=True)
class Conditions:
    """A rule's conditions: what must be true of the prompt, and of each model."""

    of_prompt: tuple[Custom, ...] = ()
    of_model: tuple[Condition, ...] = ()

    def unmet(self, question: Question) -> str | None:
        """Why the rule does not apply to this prompt at all, or None."""
        return next((reason for test in self.of_prompt if (reason := test.unmet(question))), None)

    def reason_against(self, choice: Choice, question: Question) -> str | None:
        return first_reason(self.of_model, choice, question)

    @property
    def all(self) -> tuple[Condition, ...]:
        return (*self.of_prompt, *self.of_model)


def first_reason(tests: Iterable[Condition], choice: Choice, question: Question) -> str | None:
    for test in tests:
        if (reason := test.reason_against(choice, question)) is not None:
            return reason
    return None


def read(conditions: Mapping[str, Any]) -> Conditions:
    """Conditions as stored → conditions that test. Raises ConditionError."""
    return _read(json.dumps(conditions, sort_keys=True, default=str)) if conditions else Conditions()


@lru_cache(maxsize=2000)
def _read(text: str) -> Conditions:
    conditions: dict[str, Any] = json.loads(text)
    unknown = sorted(set(conditions) - set(CONDITIONS))
    if unknown:
        raise ConditionError(f"{', '.join(unknown)}: not a condition this version can test")
    tests = [CONDITIONS[name].read(value) for name, value in conditions.items()]
    return Conditions(
        tuple(test for test in tests if isinstance(test, Custom)),
        tuple(test for test in tests if not isinstance(test, Custom)),
    )


def _names(field: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ConditionError(f"{field} must be a list of names, not {value!r}")
    return value


def _whole(field: str, value: Any, unit: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConditionError(f"{field} must be a whole number of {unit}, not {value!r}")
    return value


def _share(field: str, value: Any) -> Decimal:
    try:
        share = Decimal(str(value))
    except InvalidOperation as error:
        raise ConditionError(f"{field} must be a number from 0 to 1, not {value!r}") from error
    if isinstance(value, bool) or not share.is_finite() or not 0 <= share <= 1:
        raise ConditionError(f"{field} must be from 0 to 1, such as 0.95")
    return share
