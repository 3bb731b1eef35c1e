"""What to use instead of a model that ends, and why that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log2

from ...models import Price
from ..models.browse import Line
from ..models.purpose import CAPABILITIES, ability_words
from .days import End

AWAY = 4.0
"""How far apart two prices are taken to be when one is unknown: as 16 times the other."""


@dataclass(frozen=True)
class Replacement:
    """`line` None: the provider names a model that is not in the hub."""

    name: str
    why: str
    line: Line | None = None


def replacement_for(ending: Line, others: Iterable[Line]) -> Replacement | None:
    """The provider's word, or else the nearest of its models that lives longer and can do at least the same.

    `others` are the models of the same provider, among others. None: there is no such model.
    """
    same = [other for other in others if other.provider_id == ending.provider_id and other.id != ending.id]
    if ending.replacement:
        named = next((other for other in same if other.name == ending.replacement), None)
        return Replacement(ending.replacement, f"{ending.provider.name} says to use it instead.", named)
    fitting = [other for other in same if _fits(ending, other)]
    if not fitting:
        return None
    nearest = min(fitting, key=lambda other: (not other.is_usable, _distance(ending, other), other.name))
    return Replacement(nearest.name, _why(ending, nearest, len(fitting)), nearest)


def is_alike(ending: Line, other: Line) -> bool:
    """May it stand in the same place of a rule?"""
    return bool(other.model_type == ending.model_type and other.task == ending.task)


def _fits(ending: Line, other: Line) -> bool:
    lives = other.is_enabled and not other.is_gone and _outlives(ending.ends, other.ends)
    return lives and is_alike(ending, other) and _abilities(ending) <= _abilities(other)


def _outlives(ending: End | None, other: End | None) -> bool:
    if other is None:
        return True
    if other.day is None or other.is_over:
        return False
    return ending is None or ending.day is None or other.day > ending.day


def _abilities(line: Line) -> set[str]:
    return set(line.abilities)


def _distance(ending: Line, other: Line) -> float:
    """In doublings: of the price, and half as much of the context. Room that is lost counts for one more."""
    prices = _ratio(_sum(ending.price), _sum(other.price))
    context = _ratio(ending.context_window, other.context_window)
    is_smaller = bool(ending.context_window and (other.context_window or 0) < ending.context_window)
    return abs(log2(prices) if prices else AWAY) + 0.5 * abs(log2(context) if context else 1.0) + is_smaller


def _ratio(before: int | None, after: int | None) -> float | None:
    if before is not None and before == after:
        return 1.0
    return after / before if before and after else None


def _sum(price: Price | None) -> int | None:
    """What its classes come to; only to compare models of one task."""
    if price is None:
        return None
    units = (price.per_image, price.per_second, price.per_character, price.per_request)
    return price.input + price.output + sum(unit or 0 for unit in units)


def _why(ending: Line, other: Line, count: int) -> str:
    able = ", ".join(ability_words(name) for name in CAPABILITIES if name in _abilities(ending))
    same = f" and can do the same ({able})" if able else ""
    models = f"{ending.task} {'model' if count == 1 else 'models'} of {ending.provider.name}"
    among = (
        f"The only other {models} that stays{same}"
        if count == 1
        else f"Of {count} {models} that stay{same}, the nearest in price and context"
    )
    said = [_price_words(_sum(ending.price), _sum(other.price)), _context_words(ending, other)]
    return f"{among}: {', '.join(word for word in said if word)}."


def _price_words(before: int | None, after: int | None) -> str:
    if after is None or before is None:
        return "its price is unknown" if after is None else "what the old one costs is unknown"
    if after == before:
        return "free as well" if after == 0 else "the same price"
    if after == 0 or before == 0:
        return "it is free" if after == 0 else "it is not free"
    ratio = after / before
    if ratio >= 2:
        return f"{ratio:.1f} times the price".replace(".0 ", " ")
    return f"{abs(ratio - 1) * 100:.0f} % {'dearer' if ratio > 1 else 'cheaper'}"


def _context_words(ending: Line, other: Line) -> str:
    before, after = ending.context_window, other.context_window
    if not (before and after):
        return ""
    return "the same context" if before == after else f"a context of {after:,} tokens instead of {before:,}"


def names_of(lines: Sequence[Line]) -> set[str]:
    """How a session or a program may name these models: with the provider's slug or without."""
    return {name for line in lines for name in (line.name, line.full_name)}
