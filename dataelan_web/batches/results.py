"""What a batch has come to: its progress, the sums of each model, and its answers a page at a time."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from flask import url_for
from sqlalchemy import ColumnElement, Select, and_, exists, func, select
from sqlalchemy.orm import joinedload

from .. import access, markdown
from ..extensions import db
from ..models import (
    Batch,
    BatchCell,
    BatchRow,
    BatchScore,
    CellState,
    Execution,
    ExecutionBody,
    Origin,
    Project,
)
from ..models.batches import counts

PAGE = 25
"""Rows."""
SHOWN = 600
"""Characters of an answer in the table."""
FILTERS = {
    "": "All rows",
    "failed": "Failed",
    "low": "Not passed",
    "passed": "Passed",
    "unscored": "Not scored",
    "open": "Still to come",
}
BAD = (CellState.FAILED, CellState.UNFIT, CellState.CANCELLED)
LEFT = (CellState.WAITING, CellState.RUNNING)


def where(shown: str) -> ColumnElement[bool] | None:
    """Which cells a filter means; None: all."""
    return {
        "failed": BatchCell.state.in_(BAD),
        "low": and_(BatchCell.state == CellState.DONE, BatchCell.passed.is_(False)),
        "passed": BatchCell.passed.is_(True),
        "unscored": and_(BatchCell.state == CellState.DONE, BatchCell.score.is_(None)),
        "open": BatchCell.state.in_(LEFT),
    }.get(shown)


@dataclass(frozen=True)
class Sums:
    """Of one model's cells, or of all. Nano-USD; None: nothing known yet."""

    cells: int = 0
    done: int = 0
    failed: int = 0
    unfit: int = 0
    """Rows whose values cannot be asked."""
    cancelled: int = 0
    running: int = 0
    unpriced: int = 0
    """Answers whose cost is not known."""
    cost: int | None = None
    seconds: float | None = None
    """The median latency."""
    score: float | None = None
    scored: int = 0
    passed: int = 0

    @property
    def ended(self) -> int:
        return self.done + self.failed + self.unfit + self.cancelled

    @property
    def share(self) -> int:
        """Per cent, 100 only when all has ended."""
        return self.ended * 100 // self.cells if self.cells else 0

    @property
    def per_row(self) -> int | None:
        priced = self.done - self.unpriced
        return self.cost // priced if self.cost is not None and priced > 0 else None

    @property
    def pass_rate(self) -> int | None:
        return round(self.passed * 100 / self.scored) if self.scored else None


def sums(batch: Batch) -> tuple[Sums, list[Sums]]:
    """(of all, of each model in order). Two queries."""

    def count(*which: ColumnElement[bool]) -> ColumnElement[int]:
        return func.count().filter(*which)

    done = BatchCell.state == CellState.DONE
    columns = (
        func.count(),
        count(done),
        count(BatchCell.state == CellState.FAILED),
        count(BatchCell.state == CellState.UNFIT),
        count(BatchCell.state == CellState.CANCELLED),
        count(BatchCell.state == CellState.RUNNING),
        count(done, BatchCell.cost.is_(None)),
        func.sum(BatchCell.cost),
        func.percentile_cont(0.5).within_group(BatchCell.seconds).filter(done),
        func.avg(BatchCell.score),
        count(BatchCell.score.is_not(None)),
        count(BatchCell.passed.is_(True)),
    )
    mine = select(BatchCell.model, *columns).where(BatchCell.batch_id == batch.id)
    rows = db.session.execute(mine.group_by(func.rollup(BatchCell.model))).all()
    found = {row[0]: _sums(row[1:]) for row in rows}
    return found.get(None, Sums()), [found.get(place, Sums()) for place in range(len(batch.models))]


def _sums(row: Sequence[Any]) -> Sums:
    names = [field.name for field in fields(Sums)]
    values = dict(zip(names, row, strict=True))
    return Sums(**values | {"cost": None if values["cost"] is None else int(values["cost"])})


@dataclass(frozen=True)
class Spent:
    """What it came to with every try, and the judges. Nano-USD."""

    answers: int = 0
    judges: int = 0
    unknown: int = 0
    """Runs that cost something nobody knows."""

    @property
    def total(self) -> int:
        return self.answers + self.judges


def spent(batch: Batch) -> Spent:
    unknown = func.count().filter(
        Execution.cost.is_(None), Execution.attempts_made > 0, Execution.finished_at.is_not(None)
    )
    query = select(Execution.origin, func.coalesce(func.sum(Execution.cost), 0), unknown)
    rows = db.session.execute(query.where(Execution.batch_id == batch.id).group_by(Execution.origin)).all()
    cost = {origin: int(amount or 0) for origin, amount, _ in rows}
    return Spent(cost.get(Origin.BATCH, 0), cost.get(Origin.JUDGE, 0), sum(count for *_, count in rows))


# -- the table -----------------------------------------------------------------------------------


@dataclass
class Shown:
    cell: BatchCell
    text: str
    is_whole: bool
    scores: list[BatchScore] = field(default_factory=list)

    @property
    def words(self) -> str:
        """For the table, where Markdown is not drawn."""
        return markdown.words(self.text)


@dataclass(frozen=True)
class Line:
    row: BatchRow
    cells: tuple[Shown | None, ...]
    """By model."""


def lines(batch: Batch, shown: str, page: int) -> tuple[list[Line], bool]:
    """A page of rows with all their answers: those of which a cell is meant; and are there more? Three queries."""
    rows = select(BatchRow).where(BatchRow.batch_id == batch.id).order_by(BatchRow.position)
    if (which := where(shown)) is not None:
        rows = rows.where(exists().where(BatchCell.row_id == BatchRow.id, which))
    found = list(db.session.scalars(rows.limit(PAGE + 1).offset((page - 1) * PAGE)))
    cells = _cells(BatchCell.row_id.in_([row.id for row in found[:PAGE]]), SHOWN)
    by_place = {(one.cell.row_id, one.cell.model): one for one in cells}
    models = range(len(batch.models))
    made = [Line(row, tuple(by_place.get((row.id, place)) for place in models)) for row in found[:PAGE]]
    return made, len(found) > PAGE


def _cells(which: ColumnElement[bool], most: int) -> list[Shown]:
    query = (
        select(BatchCell, func.left(ExecutionBody.text, most), func.length(ExecutionBody.text) <= most)
        .outerjoin(Execution, and_(Execution.id == BatchCell.execution_id, Execution.deleted_at.is_(None)))
        .outerjoin(ExecutionBody, ExecutionBody.id == Execution.id)
        .where(which)
        .execution_options(populate_existing=True)
    )
    found = {
        cell.id: Shown(cell, text or "", is_whole is not False) for cell, text, is_whole in db.session.execute(query)
    }
    scores = select(BatchScore).where(BatchScore.cell_id.in_(found), counts()).order_by(BatchScore.id)
    with_all = (joinedload(BatchScore.check), joinedload(BatchScore.user))
    for score in db.session.scalars(scores.options(*with_all)) if found else ():
        found[score.cell_id].scores.append(score)
    return list(found.values())


def cell_at(batch: Batch, position: int, model: int) -> Shown | None:
    """One answer, whole."""
    at = and_(BatchCell.batch_id == batch.id, BatchCell.position == position, BatchCell.model == model)
    return next(iter(_cells(at, 1_000_000)), None)


def neighbours(batch: Batch, cell: BatchCell, shown: str) -> tuple[BatchCell | None, BatchCell | None]:
    """(the one before, the one after) among what the filter shows, for looking through them one by one."""
    mine = select(BatchCell).where(BatchCell.batch_id == batch.id)
    if (which := where(shown)) is not None:
        mine = mine.where(which)
    place, here = func.row(BatchCell.position, BatchCell.model), func.row(cell.position, cell.model)
    before = mine.where(place < here).order_by(BatchCell.position.desc(), BatchCell.model.desc())
    after = mine.where(place > here).order_by(BatchCell.position, BatchCell.model)
    return db.session.scalars(before.limit(1)).first(), db.session.scalars(after.limit(1)).first()


# -- all batches of a project --------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    batch: Batch
    ended: int
    cells: int
    failed: int
    cost: int | None


def of(project: Project, page: int, size: int) -> tuple[list[Entry], bool]:
    """The latest first, and are there more? Two queries."""
    query = access.scoped(Batch).where(Batch.project_id == project.id).order_by(Batch.id.desc())
    query = query.options(joinedload(Batch.template), joinedload(Batch.creator))
    batches = list(db.session.scalars(query.limit(size + 1).offset((page - 1) * size)))
    rows = db.session.execute(_counts([batch.id for batch in batches[:size]])).all()
    counts: dict[uuid.UUID, Sequence[Any]] = {row[0]: row[1:] for row in rows}
    return [Entry(one, *counts.get(one.id, (0, 0, 0, None))) for one in batches[:size]], len(batches) > size


def _counts(ids: Sequence[uuid.UUID]) -> Select[uuid.UUID, int, int, int, int | None]:
    return (
        select(
            BatchCell.batch_id,
            func.count().filter(BatchCell.state.not_in(LEFT)),
            func.count(),
            func.count().filter(BatchCell.state.in_((CellState.FAILED, CellState.UNFIT))),
            func.sum(BatchCell.cost),
        )
        .where(BatchCell.batch_id.in_(ids))
        .group_by(BatchCell.batch_id)
    )


def address(batch: Batch, cell: BatchCell, shown: str) -> str:
    """Of one answer, among what a filter shows."""
    shown = shown if shown in FILTERS else ""
    return url_for("batches.answer", id=batch.id, position=cell.position, model=cell.model, show=shown or None)
