"""Custom conditions: CEL (cel.dev) over documented facts of one prompt. Parsed (expression_tree.py) and bounded
(expression_checks.py) when a rule is saved: no access beyond VARIABLES, no loops, no functions but FUNCTIONS.

The library is imported when it is first needed: it brings a command line, and that a terminal's toolkit.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from .expression_checks import FUNCTIONS, NO_ANSWER, check, mistake
from .expression_tree import LONGEST, ExpressionError, Node, parse
from .expression_tree import error as wrong

if TYPE_CHECKING:
    import cel

__all__ = ["EXAMPLES", "FUNCTIONS", "LONGEST", "VARIABLES", "Expression", "ExpressionError", "context", "expression"]

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
        "task": ("chat", "chat, image, speech, transcription, video, embedding, rerank or moderation"),
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

_OPERATORS = frozenset(
    "_&&_ _||_ !_ _==_ _!=_ _<_ _<=_ _>_ _>=_ _+_ _-_ _*_ _/_ _%_ -_ _?_:_ @in @not_strictly_false".split()
)


class Expression:
    """One that was checked: `holds` tells whether it is true of a prompt."""

    def __init__(self, source: str):
        self.source = source
        self.tree = parse(source)
        self._program, self.mistake = _checked(source, self.tree)
        """And what is wrong with a part of it that some prompts never come to; None: nothing."""
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


def _checked(source: str, tree: Node) -> tuple[cel.Program, ExpressionError | None]:
    """What our own reading allows, compiled; what the library sees otherwise than we do is refused as well."""
    import cel

    check(tree, source, VARIABLES)
    try:
        program = cel.compile(source)
    except Exception as error:
        raise ExpressionError("This is not a CEL expression that can be used here.") from error
    if set(program.variables()) - set(VARIABLES) or set(program.functions()) - _OPERATORS - set(FUNCTIONS):
        raise ExpressionError("It names what cannot be used here.")
    for node in tree.walk():
        if node.kind == "call" and node.said == "matches":
            _check_pattern(node.parts[1], source)
    wrong_type = mistake(tree, source, VARIABLES)
    try:
        _try_once(program)
    except ExpressionError as error:
        raise wrong_type or error from error
    return program, wrong_type


def _check_pattern(pattern: Node, source: str) -> None:
    import cel

    written = source[pattern.start : pattern.end]
    try:
        cel.compile(f'"".matches({written})').execute(cel.Context({}))
    except Exception as error:
        why = str(error).rpartition("error: ")[2].partition(". Check")[0].strip().rstrip(".")
        raise wrong(source, pattern.start, f"{written[:60]} is no regular expression: {why[:100]}.") from error


def _try_once(program: cel.Program) -> None:
    """Computed once on the examples, so that what can only fail shows itself."""
    import cel

    try:
        answer = program.execute(cel.Context(EXAMPLES))
    except ZeroDivisionError:
        return
    except Exception as error:
        raise ExpressionError(f"It cannot be computed: {_first_line(error)}") from error
    if not isinstance(answer, bool):
        raise ExpressionError(NO_ANSWER)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
