"""Conditions of a routing rule: one small class each, that can test a candidate and explain itself.

To add one: write a class, add it to CONDITIONS. A name that is not there is refused, never ignored: a rule
that says something we do not understand must not route.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol

from .candidates import Choice, Question

NANO = 1_000_000_000


class ConditionError(ValueError):
    """A condition's value is wrong; the message says which and why."""


class Condition(Protocol):
    def reason_against(self, choice: Choice, question: Question) -> str | None:
        """Why this choice breaks the condition, or None when it holds."""
        ...


@dataclass(frozen=True)
class MaxCost:
    """USD per 1,000 tokens, of the dearer of input and output. An unknown price does not pass."""

    limit: int

    @classmethod
    def read(cls, value: Any) -> MaxCost:
        try:
            usd = Decimal(str(value))
        except InvalidOperation as error:
            raise ConditionError(f"max_cost must be a number of USD per 1K tokens, not {value!r}") from error
        if not usd.is_finite() or usd < 0:
            raise ConditionError("max_cost must not be negative")
        return cls(int(usd * NANO))

    def reason_against(self, choice: Choice, question: Question) -> str | None:
        rates = choice.candidate.rates
        if rates is None:
            return "its price is unknown, and this rule limits the price"
        asked = rates.at(question.input_tokens).dearest_per_thousand
        if asked > self.limit:
            dearest, limit = Decimal(asked) / NANO, Decimal(self.limit) / NANO
            return f"${dearest.normalize():f} per 1K tokens is over the rule's ${limit.normalize():f}"
        return None


@dataclass(frozen=True)
class MinContextWindow:
    tokens: int

    @classmethod
    def read(cls, value: Any) -> MinContextWindow:
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ConditionError(f"min_context_window must be a whole number of tokens, not {value!r}")
        return cls(value)

    def reason_against(self, choice: Choice, question: Question) -> str | None:
        window = choice.candidate.context_window
        if window is None:
            return "its context window is unknown, and this rule asks for one"
        return f"its context window of {window:,} is under {self.tokens:,} tokens" if window < self.tokens else None


@dataclass(frozen=True)
class Capabilities:
    needed: frozenset[str]

    @classmethod
    def read(cls, value: Any) -> Capabilities:
        return cls(frozenset(_names("capabilities", value)))

    def reason_against(self, choice: Choice, question: Question) -> str | None:
        missing = self.needed - (choice.candidate.capabilities or frozenset())
        return f"it lacks {', '.join(sorted(missing))}" if missing else None


@dataclass(frozen=True)
class Providers:
    allowed: frozenset[str]

    @classmethod
    def read(cls, value: Any) -> Providers:
        return cls(frozenset(name.lower() for name in _names("providers", value)))

    def reason_against(self, choice: Choice, question: Question) -> str | None:
        provider = choice.candidate.provider
        return None if provider.lower() in self.allowed else f"{provider} is not among the rule's providers"


@dataclass(frozen=True)
class Tags:
    needed: frozenset[str]

    @classmethod
    def read(cls, value: Any) -> Tags:
        return cls(frozenset(_names("tags", value)))

    def reason_against(self, choice: Choice, question: Question) -> str | None:
        missing = self.needed - choice.tags
        return f"it is not tagged {', '.join(sorted(missing))}" if missing else None


CONDITIONS: dict[str, type[MaxCost | MinContextWindow | Capabilities | Providers | Tags]] = {
    "max_cost": MaxCost,
    "min_context_window": MinContextWindow,
    "capabilities": Capabilities,
    "providers": Providers,
    "tags": Tags,
}


def read(conditions: Mapping[str, Any]) -> tuple[Condition, ...]:
    """Conditions as stored → conditions that test. Raises ConditionError."""
    unknown = sorted(set(conditions) - set(CONDITIONS))
    if unknown:
        raise ConditionError(f"{', '.join(unknown)}: not a condition this version can test")
    return tuple(CONDITIONS[name].read(value) for name, value in conditions.items())


def _names(field: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ConditionError(f"{field} must be a list of names, not {value!r}")
    return value
