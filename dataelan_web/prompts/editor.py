"""What the editor shows beside what was typed: its variables, what is missing, what is odd."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from . import language
from .content import Content
from .drafts import Draft
from .variables import Variable, fill

MISSING = "is missing"


@dataclass(frozen=True)
class Row:
    """A variable with the value to try. `is_used`: does it still occur in the texts?"""

    variable: Variable
    value: str
    is_used: bool
    problem: str
    """What is wrong with the variable, or with its value."""


@dataclass(frozen=True)
class Editor:
    draft: Draft
    rows: tuple[Row, ...]
    missing: tuple[str, ...]
    """Variables that need a value before it can run."""
    odd: Mapping[str, list[str]]
    """What looks like a variable and is none, by the text it stands in: `system`, or a message's place."""

    @property
    def content(self) -> Content:
        return self.draft.content

    @property
    def fields(self) -> tuple[str, ...]:
        """What has a field for a value: variables, and "" for what a person says."""
        return (*(row.variable.name for row in self.rows), *(("",) if self.content.needs_word else ()))

    @property
    def problems(self) -> Mapping[str, str]:
        return self.content.problems


def of(draft: Draft, *, is_tried: bool = False) -> Editor:
    """`is_tried`: it was to be run as it is, so what is missing is wrong by now."""
    content = draft.content
    problems = fill(content.settled.variables, draft.values).problems
    missing = tuple(name for name, words in problems.items() if words == MISSING)
    wrong = {name: f"“{name}” {words}." for name, words in problems.items() if is_tried or words != MISSING}
    known = {variable.name: variable for variable in content.variables}
    variables = {name: known.get(name, Variable(name)) for name in content.names} | known
    rows = tuple(
        Row(
            variable,
            draft.values.get(name, ""),
            name in content.names,
            content.problems.get(f"variable-{name}") or wrong.get(name, ""),
        )
        for name, variable in variables.items()
    )
    texts = {"system": content.system} | {str(place): turn.text for place, turn in enumerate(content.messages)}
    return Editor(draft, rows, missing, {place: language.almost(text) for place, text in texts.items()})
