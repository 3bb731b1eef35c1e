"""Custom conditions: CEL (cel.dev) over documented facts of one prompt. Parsed and bounded when a rule is saved;
no access beyond VARIABLES, no loops, no functions but FUNCTIONS; regular expressions run in linear time.

The library is imported when it is first needed: it brings a command line, and that a terminal's toolkit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import cel

LONGEST = 500

# variable -> field -> (an example, what it says). The example's type is the field's type.
VARIABLES: Mapping[str, Mapping[str, tuple[Any, str]]] = {
    "prompt": {
        "tokens": (1200, "estimated size of the prompt, in tokens"),
        "max_tokens": (500, "the output limit asked for; 0: none"),
        "characters": (4800, "its length"),
        "text": ("Summarize this", "the words of its last message (the first 10,000 characters)"),
        "turns": (3, "how many messages it has"),
        "images": (0, "how many pictures come with it"),
        "files": (0, "how many documents, sounds or films come with it"),
        "tools": (0, "how many tools the model may call"),
        "wants_json": (False, "an answer by JSON schema is asked for"),
        "streams": (True, "the answer is read as it comes"),
    },
    "session": {
        "type": ("TEXT", "TEXT, CODE, IMAGE, VOICE or VIDEO"),
        "task": ("chat", "chat, image, speech, transcription, video or embedding"),
    },
    "project": {"name": ("Website", "the project's name"), "id": ("0192…", "its id")},
    "member": {
        "role": ("MEMBER", "OWNER, ADMIN, MEMBER, VIEWER, or GUEST of one project; empty for a program"),
        "email": ("ann@example.com", "who asks; empty for a program"),
    },
    "request": {
        "origin": ("playground", "playground, gateway, batch or judge"),
        "token": ("ci", "the gateway token's label; empty in the playground"),
        "tags": (",eu,nightly,", "what a program's `x-dataelan-tags` says, with a comma before and after each"),
        "session": ("chat-42", "what a program's `x-dataelan-session` says"),
    },
    "time": {
        "hour": (14, "0 to 23, in the organization's time zone"),
        "weekday": (1, "1 Monday to 7 Sunday"),
        "date": ("2026-11-23", "the day, in the organization's time zone"),
    },
    "budget": {
        "used_percent": (40, "how much of the tightest budget that applies is spent or held; 0: none applies"),
    },
}

EXAMPLES = {name: {field: example for field, (example, _) in fields.items()} for name, fields in VARIABLES.items()}
EMPTY = {name: {field: type(example)() for field, example in fields.items()} for name, fields in EXAMPLES.items()}

FUNCTIONS = ("size", "contains", "startsWith", "endsWith", "matches")
_OPERATORS = frozenset(
    "_&&_ _||_ !_ _==_ _!=_ _<_ _<=_ _>_ _>=_ _+_ _-_ _*_ _/_ _%_ -_ _?_:_ @in @not_strictly_false".split()
)
_STRINGS = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'")
_MACRO = re.compile(r"\.\s*(all|exists|exists_one|map|filter)\s*\(")
_FIELD = re.compile(rf"(?<![.\w])({'|'.join(VARIABLES)})\b\s*(?:\.\s*(\w+)|(\[))?")


class ExpressionError(ValueError):
    """The expression cannot be used; the message says why and what could be written instead."""


class Expression:
    """One that was checked: `holds` tells whether it is true of a prompt."""

    def __init__(self, source: str):
        self.source = source
        self._program = _checked(source)
        self.variables = frozenset(self._program.variables())

    def holds(self, facts: cel.Context) -> bool:
        """Raises ExpressionError for what cannot be computed, such as a division by zero."""
        try:
            return self._program.execute(facts) is True
        except Exception as error:  # whatever a foreign evaluator raises, a rule is not used for it
            raise ExpressionError(f"it cannot be computed: {_first_line(error)}") from error


@lru_cache(maxsize=1000)
def expression(source: str) -> Expression:
    """Checked and compiled once a process. Raises ExpressionError."""
    return Expression(source)


def context(facts: Mapping[str, Mapping[str, Any]]) -> cel.Context:
    """Facts in CEL's form. What is not given takes an empty value of its type."""
    import cel

    return cel.Context({name: {**empty, **facts.get(name, {})} for name, empty in EMPTY.items()})


def _checked(source: str) -> cel.Program:
    import cel

    if len(source) > LONGEST:
        raise ExpressionError(f"An expression has at most {LONGEST} characters.")
    bare = _STRINGS.sub('""', source)
    if macro := _MACRO.search(bare):
        raise ExpressionError(f"“{macro[1]}” is a loop, and loops cannot be used here.")
    try:
        program = cel.compile(source)
    except Exception as error:
        raise ExpressionError(f"This is not a CEL expression: {_first_line(error)}") from error
    _check_names(program, bare)
    _check_type(program)
    return program


def _check_names(program: cel.Program, bare: str) -> None:
    for name in sorted(set(program.variables()) - set(VARIABLES)):
        raise ExpressionError(f"There is no “{name}”. Known: {', '.join(VARIABLES)}.")
    for name in sorted(set(program.functions()) - _OPERATORS - set(FUNCTIONS)):
        raise ExpressionError(f"“{name}” cannot be used here. Functions: {', '.join(FUNCTIONS)}.")
    for variable, field, bracket in _FIELD.findall(bare):
        if bracket or field not in VARIABLES[variable]:
            known = ", ".join(f"{variable}.{name}" for name in VARIABLES[variable])
            said = f"{variable}.{field}" if field else variable
            raise ExpressionError(f"There is no “{said}”. Known: {known}.")


def _check_type(program: cel.Program) -> None:
    """Computed once on the examples: a wrong type shows itself, and so does an answer that is not yes or no."""
    import cel

    try:
        answer = program.execute(cel.Context(EXAMPLES))
    except ZeroDivisionError:
        return
    except Exception as error:
        raise ExpressionError(f"It cannot be computed: {_first_line(error)}") from error
    if not isinstance(answer, bool):
        raise ExpressionError("It must be true or false, such as: prompt.tokens > 1000")


def _first_line(error: Exception) -> str:
    words = str(error).partition("\n")[0].partition("<input>:")[2] or str(error).partition("\n")[0]
    return words[:200]
