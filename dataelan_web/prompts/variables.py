"""What a variable may hold, and the text that is put in for it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from wtforms.validators import ValidationError

from ..playground.chat_form import read_json

LONGEST_VALUE = 1_000_000
MOST_OPTIONS = 50
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_WORDS = {"yes": "yes", "true": "yes", "1": "yes", "no": "no", "false": "no", "0": "no"}


class Kind(StrEnum):
    TEXT = "text"
    NUMBER = "number"
    YES_NO = "yes/no"
    CHOICE = "choice"
    JSON = "JSON"


class Wrong(ValueError):
    """A value that this variable does not take; the message is fit to show."""


@dataclass(frozen=True)
class Variable:
    name: str
    kind: Kind = Kind.TEXT
    default: str = ""
    description: str = ""
    required: bool = True
    options: tuple[str, ...] = ()
    """What one can choose from."""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Variable:
        return cls(**{**data, "kind": Kind(data["kind"]), "options": tuple(data["options"])})

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind.value,
            "default": self.default,
            "description": self.description,
            "required": self.required,
            "options": list(self.options) if self.kind is Kind.CHOICE else [],
        }

    @property
    def must_be_given(self) -> bool:
        return self.required and not self.default

    @property
    def choices(self) -> tuple[str, ...]:
        """What one chooses from; nothing where one writes."""
        return {Kind.YES_NO: ("yes", "no"), Kind.CHOICE: self.options}.get(self.kind, ())

    def read(self, given: object) -> str:
        """The text to put in; empty when nothing was given. Raises Wrong."""
        text = _as_text(given, self.kind)
        if len(text) > LONGEST_VALUE:
            raise Wrong(f"has {len(text):,} characters; the most is {LONGEST_VALUE:,}")
        return _READ[self.kind](text, self) if text else ""

    def problem(self) -> str:
        """What is wrong with the variable itself, as a sentence."""
        if self.kind is Kind.CHOICE and not self.options:
            return "Write what one can choose from, one a line."
        try:
            self.read(self.default)
        except Wrong as wrong:
            return f"The default {wrong}."
        return ""


@dataclass(frozen=True)
class Filled:
    """Values for all variables, and what is wrong with those given, by name."""

    values: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


def fill(variables: Iterable[Variable], given: Mapping[str, object]) -> Filled:
    """An empty value is none: the default takes its place. What is given beyond the variables is passed over, so that
    a program may go on sending what a newer version no longer uses."""
    filled = Filled()
    for variable in variables:
        try:
            value = variable.read(given.get(variable.name)) or variable.read(variable.default) or variable.default
        except Wrong as wrong:
            filled.problems[variable.name] = str(wrong)
            continue
        if not value and variable.required:
            filled.problems[variable.name] = "is missing"
        filled.values[variable.name] = value
    return filled


def _as_text(given: object, kind: Kind) -> str:
    if given is None:
        return ""
    if isinstance(given, dict) and given.get("type") == "input_text":  # OpenAI's long form of a text
        given = given.get("text", "")
    if isinstance(given, str):
        return given if given.strip() else ""
    if isinstance(given, bool):
        return json.dumps(given) if kind is Kind.JSON else "yes" if given else "no"
    if isinstance(given, int) or (isinstance(given, float) and math.isfinite(given)):
        return str(given)
    if kind is Kind.JSON:
        return json.dumps(given, ensure_ascii=False)
    raise Wrong(f"must be {_A[kind]}")


def _number(text: str, variable: Variable) -> str:
    number = text.strip()
    if not _NUMBER.fullmatch(number) or len(number) > 100:
        raise Wrong("must be a number, such as 12 or 3.5")
    return number


def _yes_no(text: str, variable: Variable) -> str:
    word = _WORDS.get(text.strip().lower())
    if word is None:
        raise Wrong("must be yes or no")
    return word


def _choice(text: str, variable: Variable) -> str:
    chosen = text.strip()
    if chosen not in variable.options:
        raise Wrong(f"must be one of: {', '.join(variable.options)}")
    return chosen


def _json(text: str, variable: Variable) -> str:
    try:
        read_json(text)
    except ValidationError as error:
        raise Wrong(f"must be JSON: {str(error).removeprefix('This is not JSON: ').rstrip('.')}") from None
    return text.strip()


_A = {Kind.TEXT: "text", Kind.NUMBER: "a number", Kind.YES_NO: "yes or no", Kind.CHOICE: "text"}
_READ = {
    Kind.TEXT: lambda text, variable: text,
    Kind.NUMBER: _number,
    Kind.YES_NO: _yes_no,
    Kind.CHOICE: _choice,
    Kind.JSON: _json,
}
