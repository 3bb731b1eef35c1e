"""What a row asks: its values put into the batch's prompt."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ..models import Batch, BatchRow, Template, TemplateRun
from ..prompts.content import LARGEST, Content
from ..prompts.refusals import Refused
from ..prompts.running import Source, made
from ..prompts.variables import fill
from ..router.types import Prompt
from .rules import EXPECTED


class Asker:
    """Of one batch: its content is read once for all rows."""

    def __init__(self, batch: Batch):
        self.batch, self.content = batch, Content.of(batch.content)
        self._places = {name: place for place, name in enumerate(batch.columns)}
        self._template = batch.template

    def prompt(self, row: BatchRow) -> tuple[Prompt, TemplateRun | None]:
        """(what is asked, of which version of which saved prompt). Raises Refused, with what is missing or wrong."""
        given = {name: self._cell(row, column) for name, column in self.batch.mapping.items()}
        said = self._cell(row, self.batch.said_column)
        if isinstance(self._template, Template):
            return made(self._template, Source(self.content, self.batch.number), given, said)
        return self._pasted(given, said), None

    def problem(self, row: BatchRow) -> str:
        """Why this row cannot be asked; empty: it can."""
        try:
            self.prompt(row)
        except Refused as refused:
            return str(refused)
        return ""

    def named(self, row: BatchRow) -> dict[str, str]:
        """A row by its columns' names, and what is expected as `expected`: for rules and judges."""
        cells = dict(zip(self.batch.columns, map(str, row.values), strict=False))
        expected = {EXPECTED: self._cell(row, self.batch.expected_column)} if self.batch.expected_column else {}
        return {EXPECTED: "", **cells, **expected}

    def _cell(self, row: BatchRow, column: str) -> str:
        place = self._places.get(column)
        return str(row.values[place]) if place is not None else ""

    def _pasted(self, given: Mapping[str, str], said: str) -> Prompt:
        filled = fill(self.content.settled.variables, given)
        if filled.problems:
            words = [f"“{name}” {problem}" for name, problem in filled.problems.items()]
            raise Refused(f"It cannot be asked: {'; '.join(words[:3])}.")
        if self.content.needs_word and not said.strip():
            raise Refused("The prompt ends without a message from the user, and this row has none.")
        prompt = self.content.prompt(filled.values, said if self.content.needs_word else "")
        if prompt.text_bytes > LARGEST:
            raise Refused(f"With these values it has {prompt.text_bytes / 1e6:.1f} MB; the most is 2 MB.")
        return prompt


def answer_of(text: str, tool_calls: list[object]) -> str:
    """An answer as rules, judges and exports read it: its words, or else the tools it called."""
    return text or (json.dumps(tool_calls, ensure_ascii=False) if tool_calls else "")
