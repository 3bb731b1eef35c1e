"""Answers to the saved cases: which there are, of which content, and those still to be asked for.

An answer is of a content and of values, whatever the version was called: what a proposal was tried with is not asked
again when it is published.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import contains_eager

from ..extensions import db
from ..models import Execution, ExecutionBody, State, Template, TemplateCase, TemplateRun
from . import running
from .refusals import Refused
from .running import Source

SHOWN = 1_500
"""Characters of an answer beside another; its own page has all of it."""
WHITE = " \t\r\n"


@dataclass(frozen=True)
class Answer:
    execution: Execution
    text: str
    is_whole: bool
    is_expected: bool | None
    """None: nobody said what is expected."""


@dataclass(frozen=True)
class Cell:
    """One content on one case. `problem`: why it cannot be asked, such as a value that is missing."""

    answer: Answer | None = None
    problem: str = ""

    @property
    def is_missing(self) -> bool:
        failed = self.answer and self.answer.execution.state in (State.FAILED, State.CANCELLED, State.INTERRUPTED)
        return not self.problem and (self.answer is None or bool(failed))


@dataclass(frozen=True)
class Column:
    title: str
    source: Source
    cells: tuple[Cell, ...]

    @property
    def answers(self) -> list[Answer]:
        return [cell.answer for cell in self.cells if cell.answer]

    @property
    def cost(self) -> int | None:
        """Of the answers shown; None when one of them has no known cost."""
        costs = [answer.execution.cost for answer in self.answers if not answer.execution.is_open]
        return None if None in costs else sum(cost for cost in costs if cost is not None)

    @property
    def seconds(self) -> float | None:
        """On average."""
        waited = [seconds for answer in self.answers if (seconds := answer.execution.seconds) is not None]
        return sum(waited) / len(waited) if waited else None

    @property
    def expected(self) -> tuple[int, int]:
        """(As expected, of how many that say what they expect.)"""
        judged = [answer.is_expected for answer in self.answers if answer.is_expected is not None]
        return sum(judged), len(judged)


@dataclass(frozen=True)
class Table:
    """Cases down, contents across."""

    cases: tuple[TemplateCase, ...]
    columns: tuple[Column, ...]

    @property
    def missing(self) -> int:
        return sum(cell.is_missing for column in self.columns for cell in column.cells)

    @property
    def has_problems(self) -> bool:
        """Can one of them not be asked?"""
        return any(cell.problem for column in self.columns for cell in column.cells)

    @property
    def is_running(self) -> bool:
        return any(answer.execution.is_open for column in self.columns for answer in column.answers)


def table(template: Template, cases: Sequence[TemplateCase], sources: Sequence[tuple[str, Source]]) -> Table:
    """`sources`: (title, content). One query, for any number of cases."""
    known = _known(template, cases, [source.content.digest for _, source in sources])
    columns = [
        Column(title, source, tuple(_cell(template, case, source, known) for case in cases))
        for title, source in sources
    ]
    return Table(tuple(cases), tuple(columns))


def ask_missing(template: Template, table: Table, submission: str) -> int:
    """Ask for what is missing. How many were asked. Commits."""
    asked = 0
    for column in table.columns:
        for case, cell in zip(table.cases, column.cells, strict=True):
            if cell.is_missing:
                running.ask_all(template, [column.source], case.values, case.said, case=case, submission=submission)
                asked += 1
    return asked


_Key = tuple[uuid.UUID | None, str, str, str]


def _key(case_id: uuid.UUID | None, digest: str, values: Mapping[str, str], said: str) -> _Key:
    return case_id, digest, json.dumps(values, sort_keys=True), said


def _known(template: Template, cases: Sequence[TemplateCase], digests: Sequence[str]) -> dict[_Key, Answer]:
    """The latest answer to each prompt that these contents made of these cases."""
    expected = func.nullif(func.btrim(TemplateCase.expected, WHITE), "")
    same = (TemplateRun.case_id, TemplateRun.digest, TemplateRun.values, TemplateRun.said)
    query = (
        select(
            TemplateRun,
            func.left(ExecutionBody.text, SHOWN),
            func.length(ExecutionBody.text) <= SHOWN,
            func.btrim(ExecutionBody.text, WHITE) == expected,
        )
        .ext(distinct_on(*same))
        .join(Execution, Execution.id == TemplateRun.id)
        .join(ExecutionBody, ExecutionBody.id == TemplateRun.id)
        .join(TemplateCase, TemplateCase.id == TemplateRun.case_id)
        .where(
            TemplateRun.template_id == template.id,
            TemplateRun.digest.in_(digests),
            TemplateRun.case_id.in_([case.id for case in cases]),
            Execution.deleted_at.is_(None),
        )
        .order_by(*same, TemplateRun.id.desc())
        .options(contains_eager(TemplateRun.execution).joinedload(Execution.model))
    )
    return {
        _key(run.case_id, run.digest, run.values, run.said): Answer(run.execution, text, is_whole, is_expected)
        for run, text, is_whole, is_expected in db.session.execute(query)
    }


def _cell(template: Template, case: TemplateCase, source: Source, known: Mapping[_Key, Answer]) -> Cell:
    try:
        _, run = running.made(template, source, case.values, case.said)
    except Refused as refused:
        return Cell(problem=str(refused))
    return Cell(known.get(_key(case.id, run.digest, run.values, run.said)))
