"""What became of a batch's runs: each that has ended is written into its cell, or asked again, or stops the batch."""

from __future__ import annotations

import uuid
from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import contains_eager

from .. import notify
from ..extensions import db
from ..models import Batch, BatchCell, BatchScore, BatchState, Budget, CellState, Execution, State, now
from ..models.batches import give_key_back, turn, weigh
from ..models.executions import OPEN
from . import judging
from .rules import Wrong

AT_ONCE = 500
"""Ended runs that one round looks at."""
MOST_TRIES = 4
"""At a provider that says that it is asked too fast, and so has charged nothing."""
FIRST_REST = 5.0
FAILURES = 10
"""So many in a row, and it is not the rows that are wrong."""


def settle(batch: Batch) -> int:
    """Commits. Returns how many runs had ended."""
    cells = db.session.scalars(
        select(BatchCell)
        .join(BatchCell.execution)
        .where(
            BatchCell.batch_id == batch.id,
            BatchCell.state == CellState.RUNNING,
            Execution.state.not_in(OPEN),
        )
        .order_by(Execution.finished_at)
        .limit(AT_ONCE)
        .options(contains_eager(BatchCell.execution).joinedload(Execution.body))
        .execution_options(populate_existing=True)
    ).all()
    ended = [cell.execution_id for cell in cells]
    for cell in cells:
        if cell.execution:
            _settle(batch, cell, cell.execution)
    give_key_back(db.session, ended)
    _forget_lost(batch)
    verdicts = _verdicts(batch)
    weigh(db.session, verdicts)
    db.session.commit()
    return len(cells) + len(verdicts)


def _settle(batch: Batch, cell: BatchCell, run: Execution) -> None:
    cell.cost = run.cost if cell.cost is None else cell.cost + (run.cost or 0)
    if run.state is State.COMPLETED:
        cell.state, cell.seconds, cell.problem = CellState.DONE, _seconds(run), ""
        batch.failures_in_a_row = 0
    elif run.state is State.CANCELLED:
        cell.state, cell.problem = CellState.CANCELLED, "It was stopped."
    elif run.refused_by:
        _again(cell, is_unsent=True)
        pause(batch, run.body.error or "A limit refused it.", run.refused_by)
    elif run.error_kind == "rate_limit" and (rests := _rest(cell, run)) is not None:
        _again(cell, is_unsent=_was_held_back(run))
        _slow_down(batch, rests)
    else:
        cell.state, cell.problem = CellState.FAILED, run.body.error or "It failed without a reason."
        batch.failures_in_a_row += 1
        if batch.failures_in_a_row >= FAILURES:
            pause(batch, f"{FAILURES} runs in a row failed, the last with: {cell.problem[:500]}")


def _seconds(run: Execution) -> float | None:
    """The model's latency: a batch's waiting in the queue is its own affair."""
    return (run.finished_at - run.started_at).total_seconds() if run.finished_at and run.started_at else None


def _again(cell: BatchCell, *, is_unsent: bool) -> None:
    """It was never charged for, so it may be asked once more by itself."""
    cell.state, cell.execution_id = CellState.WAITING, None
    cell.tries -= is_unsent


def _was_held_back(run: Execution) -> bool:
    """By rates of our own alone: it was never sent."""
    attempts = run.body.receipt.get("attempts", [])
    return bool(attempts) and all("rate" in attempt for attempt in attempts)


def _rest(cell: BatchCell, run: Execution) -> float | None:
    """How long to wait before it is asked again, in seconds; None: it was asked often enough, or no waiting helps."""
    if _was_held_back(run):
        attempts = run.body.receipt["attempts"]
        return max((float(rest) for attempt in attempts if (rest := attempt.get("retry_after"))), default=None)
    return None if cell.tries >= MOST_TRIES else min(FIRST_REST * 3 ** (cell.tries - 1), 60.0)


def _slow_down(batch: Batch, seconds: float) -> None:
    batch.rests_until = now() + timedelta(seconds=max(seconds, 1.0))


def pause(batch: Batch, why: str, refused_by: uuid.UUID | None = None) -> None:
    """It stops by itself, and says so to whoever started it. Once, however many runs say the same."""
    known = select(Budget.id).where(Budget.id == refused_by).scalar_subquery()
    batch.failures_in_a_row = 0
    values = {"why": why, "refused_by": known}
    if turn(db.session, batch.id, (BatchState.RUNNING,), BatchState.PAUSED, **values):
        tell(batch, "batch.paused", f"{batch.name} has paused", why)


def tell(batch: Batch, kind: str, title: str, body: str) -> None:
    """Whoever started it. In the caller's transaction."""
    slug, people = batch.project.organization.slug, {batch.started_by} - {None}
    path, key = f"/o/{slug}/batches/{batch.id}", f"{kind}:{batch.id}:{now().isoformat()}"
    here, told = batch.project, [id for id in people if id]
    notify.tell(db.session, here.organization_id, told, key, kind, title, body, path, project_id=here.id)


def _forget_lost(batch: Batch) -> None:
    """A run whose row is gone says nothing any more."""
    query = update(BatchCell).where(
        BatchCell.batch_id == batch.id, BatchCell.state == CellState.RUNNING, BatchCell.execution_id.is_(None)
    )
    gone = query.values(state=CellState.FAILED, problem="Its run was deleted.")
    db.session.execute(gone.execution_options(synchronize_session=False))


def _verdicts(batch: Batch) -> list[uuid.UUID]:
    """What judges said; the cells it is about."""
    scores = db.session.scalars(
        select(BatchScore)
        .join(BatchScore.execution)
        .where(
            BatchScore.batch_id == batch.id,
            BatchScore.value.is_(None),
            BatchScore.problem == "",
            Execution.state.not_in(OPEN),
        )
        .limit(AT_ONCE)
        .options(contains_eager(BatchScore.execution).joinedload(Execution.body))
        .execution_options(populate_existing=True)
    ).all()
    for score in scores:
        if score.execution:
            _hear(batch, score, score.execution)
    return [score.cell_id for score in scores]


def _hear(batch: Batch, score: BatchScore, run: Execution) -> None:
    if run.refused_by:  # it is asked again when somebody goes on
        db.session.delete(score)
        pause(batch, run.body.error or "A limit refused it.", run.refused_by)
    elif run.state is not State.COMPLETED:
        score.problem = run.body.error or "The judge was stopped."
    else:
        try:
            score.value, score.reason = judging.verdict(run.body.text)
        except Wrong as wrong:
            score.problem = str(wrong)
