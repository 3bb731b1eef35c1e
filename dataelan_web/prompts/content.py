"""Everything that a prompt sends, as it was typed: what versions, drafts and proposals hold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any

from wtforms.validators import ValidationError

from ..models import ModelType
from ..playground.chat_form import EFFORTS, MOST_SEED, check_schema, read_json, stops_of, tools_of
from ..router.types import Message, Prompt, TextPart
from . import language
from .variables import Variable

MOST_TEXT = 400_000
MOST_LINES = 10_000
MOST_MESSAGES = 40
MOST_VARIABLES = 60
LARGEST = 2 * 1024 * 1024
"""Bytes of a prompt with its values put in, as in the playground."""
ROLES = ("user", "assistant")
TYPES = (ModelType.TEXT, ModelType.CODE)


@dataclass(frozen=True)
class Turn:
    role: str
    text: str


@dataclass(frozen=True)
class Content:
    """All of it is text, as typed, so that a draft keeps what is not right yet.

    `requested`: a model's name, a rule's name, or `auto`.
    """

    system: str = ""
    messages: tuple[Turn, ...] = (Turn("user", ""),)
    model_type: str = ModelType.TEXT.value
    requested: str = "auto"
    max_tokens: str = ""
    temperature: str = ""
    top_p: str = ""
    seed: str = ""
    stop: str = ""
    """As chat_form.stops_of reads it."""
    reasoning_effort: str = ""
    schema: str = ""
    tools: str = ""
    variables: tuple[Variable, ...] = ()

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Content:
        turns = tuple(Turn(turn["role"], turn["text"]) for turn in data["messages"])
        variables = tuple(Variable.of(one) for one in data["variables"])
        return cls(**{**data, "messages": turns, "variables": variables})

    def to_json(self) -> dict[str, Any]:
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in _LATER:  # so contents from before there was one keep their digest
            if not plain[name]:
                del plain[name]
        return plain | {
            "messages": [{"role": turn.role, "text": turn.text} for turn in self.messages],
            "variables": [variable.to_json() for variable in self.variables],
        }

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The variables that its texts use."""
        return language.names(self.system, *(turn.text for turn in self.messages))

    @cached_property
    def settled(self) -> Content:
        """As it is published: without empty messages, and with the variables that are used and no others."""
        known = {variable.name: variable for variable in self.variables}
        return replace(
            self,
            system=self.system if self.system.strip() else "",
            messages=tuple(turn for turn in self.messages if turn.text.strip()),
            variables=tuple(known.get(name, Variable(name)) for name in self.names),
        )

    @cached_property
    def digest(self) -> str:
        text = json.dumps(self.settled.to_json(), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:40]

    @property
    def needs_word(self) -> bool:
        """Does it wait for what a person says, after its own messages?"""
        messages = self.settled.messages
        return not messages or messages[-1].role != "user"

    @cached_property
    def too_much(self) -> str:
        """Why it is too large to be kept; empty: it is not."""
        texts = [self.system, *(turn.text for turn in self.messages)]
        for found, most, what in (
            (sum(map(len, texts)), MOST_TEXT, "Its texts have {} characters"),
            (sum(text.count("\n") for text in texts), MOST_LINES, "Its texts have {} lines"),
            (len(self.messages), MOST_MESSAGES, "These are {} messages"),
            (len(self.names), MOST_VARIABLES, "These are {} variables"),
        ):
            if found > most:
                return f"{what.format(f'{found:,}')}; the most is {most:,}."
        return ""

    @cached_property
    def problems(self) -> dict[str, str]:
        """What keeps it from being sent, by place: a field's name, `variable-<name>`, or `content` for the whole."""
        empty = "" if self.settled.system or self.settled.messages else "Write something first: it is empty."
        found = {"content": self.too_much or empty, "requested": "" if self.requested.strip() else "Choose a model."}
        for name, check in _CHECKS.items():
            try:
                check(getattr(self, name))
            except ValidationError as error:
                found[name] = str(error)
        found |= {f"variable-{variable.name}": variable.problem() for variable in self.settled.variables}
        return {place: words for place, words in found.items() if words}

    def prompt(self, values: Mapping[str, str], said: str = "") -> Prompt:
        """With these values put in. Only for content without problems."""
        settled = self.settled
        messages = [_message(turn.role, language.render(turn.text, values)) for turn in settled.messages]
        if settled.system:
            messages.insert(0, _message("system", language.render(self.system, values)))
        if said.strip():
            messages.append(_message("user", said))
        return Prompt(
            messages=tuple(messages),
            max_tokens=_tokens(self.max_tokens),
            temperature=_temperature(self.temperature),
            top_p=_top_p(self.top_p),
            seed=_seed(self.seed),
            stop=stops_of(self.stop),
            schema=_schema(self.schema),
            tools=tools_of(self.tools),
            reasoning_effort=_effort(self.reasoning_effort),
        )


_LATER = ("reasoning_effort", "top_p", "seed", "stop")


def _message(role: str, text: str) -> Message:
    return Message(role, (TextPart(text),))


def _tokens(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 7 and 1 <= int(text) <= 1_000_000):
        raise ValidationError("A number from 1 to 1,000,000, or leave it empty.")
    return int(text)


def _temperature(text: str) -> float | None:
    return _share(text, 2)


def _top_p(text: str) -> float | None:
    return _share(text, 1)


def _share(text: str, most: int) -> float | None:
    if not text:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal(-1)
    if not (number.is_finite() and 0 <= number <= most):
        raise ValidationError(f"A number from 0 to {most}, or leave it empty.")
    return float(number)


def _seed(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) <= MOST_SEED):
        raise ValidationError(f"A whole number from 0 to {MOST_SEED:,}, or leave it empty.")
    return int(text)


def _effort(text: str) -> str | None:
    if text not in EFFORTS:
        raise ValidationError(f"One of {', '.join(filter(None, EFFORTS))}, or leave it to the model.")
    return text or None


def _schema(text: str) -> Any:
    schema = read_json(text)
    if schema is not None:
        check_schema(schema)
    return schema


_CHECKS = {
    "max_tokens": _tokens,
    "temperature": _temperature,
    "top_p": _top_p,
    "seed": _seed,
    "stop": stops_of,
    "reasoning_effort": _effort,
    "schema": _schema,
    "tools": tools_of,
}
