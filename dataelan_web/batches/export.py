"""A batch as CSV: every row as it came, and what each model answered beside it. Written as it is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import and_, select

from ..extensions import db
from ..formats import BYTE_ORDER_MARK, csv_line, exact_money
from ..models import Batch, BatchCell, BatchRow, BatchScore, CellState, CheckKind, Execution, ExecutionBody
from ..models.batches import ENOUGH
from . import scores
from .asked import answer_of
from .results import BAD

CHUNK = 200
"""Rows read at once."""
PER_MODEL = ("answer", "state", "problem", "cost_usd", "seconds", "score", "passed", "run")


def results(batch: Batch, *, only_failed: bool = False) -> Iterator[str]:
    """Line by line, with a byte order mark, which Excel wants to see."""
    checks = {check.id: f"{scores.NAMES[check.kind]}: {scores.words(check)}" for check in batch.checks}
    names = [f"{model}: {column}" for model in batch.models for column in (*PER_MODEL, *checks.values())]
    yield BYTE_ORDER_MARK + csv_line([*batch.columns, *names])
    for rows in _chunks(batch, only_failed=only_failed):
        cells = _cells(batch, rows)
        _let_go()
        for row in rows:
            values = list(row.values)
            for place in range(len(batch.models)):
                values += cells.get((row.id, place), [""] * (len(PER_MODEL) + len(checks)))
            yield csv_line(values)


def failed_rows(batch: Batch) -> Iterator[str]:
    """Only the sheet's own columns of the rows that lack an answer: to be mended, and run as another batch."""
    yield BYTE_ORDER_MARK + csv_line(batch.columns)
    for rows in _chunks(batch, only_failed=True):
        _let_go()
        for row in rows:
            yield csv_line(row.values)


def _chunks(batch: Batch, *, only_failed: bool) -> Iterator[Sequence[BatchRow]]:
    after = 0
    failed = select(BatchCell.id).where(BatchCell.row_id == BatchRow.id, BatchCell.state.in_(BAD))
    while True:
        query = select(BatchRow).where(BatchRow.batch_id == batch.id, BatchRow.position > after)
        if only_failed:
            query = query.where(failed.exists())
        rows = db.session.scalars(query.order_by(BatchRow.position).limit(CHUNK)).all()
        if not rows:
            return
        yield rows
        after = rows[-1].position


def _let_go() -> None:
    """No connection is held while somebody's line is slow. What was read stays as it is."""
    db.session.expunge_all()
    db.session.rollback()


def _cells(batch: Batch, rows: Sequence[BatchRow]) -> dict[tuple[object, int], list[object]]:
    ids = [row.id for row in rows]
    query = (
        select(BatchCell, ExecutionBody.text, ExecutionBody.tool_calls)
        .outerjoin(Execution, and_(Execution.id == BatchCell.execution_id, Execution.deleted_at.is_(None)))
        .outerjoin(ExecutionBody, ExecutionBody.id == Execution.id)
        .where(BatchCell.row_id.in_(ids))
    )
    found = db.session.execute(query).all()
    said = _said([cell.id for cell, *_ in found])
    return {
        (cell.row_id, cell.model): [
            answer_of(text or "", tools or []) if cell.state is CellState.DONE else "",
            cell.state.value,
            cell.problem,
            "" if cell.cost is None else exact_money(cell.cost).removeprefix("$"),
            "" if cell.seconds is None else f"{cell.seconds:.3f}",
            "" if cell.score is None else f"{cell.score:.3f}",
            "" if cell.passed is None else "yes" if cell.passed else "no",
            cell.execution_id or "",
            *(said.get((cell.id, check.id), "") for check in batch.checks),
        ]
        for cell, text, tools in found
    }


def _said(cells: Sequence[object]) -> dict[tuple[object, object], str]:
    """What checks said: `yes`, `no`, a judge's score and reason, or why there is none."""
    query = select(BatchScore).where(BatchScore.cell_id.in_(cells), BatchScore.check_id.is_not(None))
    return {(one.cell_id, one.check_id): _words(one) for one in db.session.scalars(query)}


def _words(score: BatchScore) -> str:
    if score.value is None:
        return score.problem
    is_judge = score.check is not None and score.check.kind is CheckKind.JUDGE
    value = f"{1 + score.value * (scores.BEST - 1):g}" if is_judge else "yes" if score.value >= ENOUGH else "no"
    return f"{value}: {score.reason}" if score.reason else value
