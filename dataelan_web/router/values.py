"""Values that nobody changes: one that differs is another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

Made = TypeVar("Made")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(made: type[Made]) -> type[Made]:
    """A dataclass that mypy takes for frozen, and Python does not: to make a frozen one takes three times as long, and
    of these each call makes many."""
    return dataclass(made)
