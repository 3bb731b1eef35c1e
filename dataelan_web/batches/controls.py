"""Start, pause, go on, cancel, retry: each is one change of the batch's state; workers do the rest."""

from __future__ import annotations

from flask import g
from flask_login import current_user
from sqlalchemy import delete, func, insert, select, update

from .. import audit
from ..executions.keeper import cancel as cancel_run
from ..extensions import db
from ..jobs import queue
from ..models import (
    Batch,
    BatchCell,
    BatchRow,
    BatchScore,
    BatchState,
    CellState,
    Execution,
    new_id,
    now,
)
from ..models.batches import lock, turn
from ..models.executions import OPEN
from ..prompts.refusals import Refused
from . import drafting, estimate
from .asked import Asker

CHUNK = 2_000
OVERTAKEN = "It is in another state by now. Look at it again."
TO_RETRY = {
    "failed": (CellState.FAILED,),
    "stopped": (CellState.CANCELLED,),
}


def start(batch: Batch) -> None:
    """A cell for every row and model, then the first runs. Raises Refused. Commits."""
    lock(db.session, batch)
    if missing := drafting.unmapped(batch):
        names = ", ".join(f"“{name}”" for name in missing)
        raise Refused(f"Say which column holds {names}: without it no row can be asked.")
    told = estimate.of(batch)
    if problem := next((line for line in told.lines if line.problem), None):
        raise Refused(f"{problem.requested}: {problem.problem}")
    if not told.rows:
        raise Refused("No row can be asked. Look at what is said about the first ones.")
    values = {
        "started_by": current_user.id,
        "started_at": func.now(),
        "estimate": {
            "low": None if told.unknown else told.low,
            "high": None if told.unknown else told.high,
        },
    }
    if not turn(db.session, batch.id, (BatchState.DRAFT,), BatchState.RUNNING, **values):
        raise Refused(OVERTAKEN)
    _make_cells(batch)
    audit.record("batch.started", batch, g.organization.id, rows=batch.rows_count, models=batch.models)
    db.session.commit()
    queue.stir()


def _make_cells(batch: Batch) -> None:
    asker, cells = Asker(batch), []
    rows = select(BatchRow).where(BatchRow.batch_id == batch.id).order_by(BatchRow.position)
    for row in db.session.scalars(rows).all():
        problem = asker.problem(row)
        state = CellState.UNFIT if problem else CellState.WAITING
        common = {"batch_id": batch.id, "row_id": row.id, "position": row.position, "tries": 0}
        common |= {"state": state, "problem": problem}
        cells += [{"id": new_id(), "created_at": now(), "model": place, **common} for place in range(len(batch.models))]
    for begin in range(0, len(cells), CHUNK):
        db.session.execute(insert(BatchCell), cells[begin : begin + CHUNK])


def pause(batch: Batch) -> None:
    """What is in flight ends; nothing new begins. Raises Refused. Commits."""
    _turn(batch, (BatchState.RUNNING,), BatchState.PAUSED, "paused", why="", refused_by=None)


def resume(batch: Batch) -> None:
    """From then on its runs are of whoever lets it go on. Raises Refused. Commits."""
    values = {"why": "", "refused_by": None, "rests_until": None, "failures_in_a_row": 0}
    _turn(batch, (BatchState.PAUSED,), BatchState.RUNNING, "resumed", started_by=current_user.id, **values)
    queue.stir()


def cancel(batch: Batch) -> None:
    """What waits is not asked any more, what runs is stopped; what is there stays. Raises Refused. Commits."""
    waiting = BatchCell.batch_id == batch.id, BatchCell.state == CellState.WAITING
    stopped = update(BatchCell).where(*waiting).values(state=CellState.CANCELLED, problem="The batch was cancelled.")
    _turn(batch, (BatchState.RUNNING, BatchState.PAUSED), BatchState.CANCELLED, "cancelled", finished_at=func.now())
    db.session.execute(stopped.execution_options(synchronize_session=False))
    db.session.commit()
    for id in db.session.scalars(select(Execution.id).where(Execution.batch_id == batch.id, Execution.state.in_(OPEN))):
        cancel_run(id)
    queue.stir()


def retry(batch: Batch, which: str) -> int:
    """`which`: what failed, or what was stopped. How many are asked again. Raises Refused. Commits."""
    lock(db.session, batch)
    states = TO_RETRY.get(which)
    if states is None or batch.state is BatchState.DRAFT:
        raise Refused("Say what is to be asked again.")
    again = BatchCell.batch_id == batch.id, BatchCell.state.in_(states)
    scored = select(BatchCell.id).where(*again)
    db.session.execute(delete(BatchScore).where(BatchScore.cell_id.in_(scored)))
    anew = {"state": CellState.WAITING, "problem": "", "tries": 0, "score": None, "passed": None}
    query = update(BatchCell).where(*again).values(**anew)
    ids = db.session.scalars(query.returning(BatchCell.id).execution_options(synchronize_session=False)).all()
    if not ids:
        db.session.rollback()
        raise Refused("There is nothing of that kind any more.")
    states_now = (BatchState.DONE, BatchState.CANCELLED, BatchState.PAUSED)
    values = {"why": "", "refused_by": None, "rests_until": None, "failures_in_a_row": 0, "finished_at": None}
    turn(db.session, batch.id, states_now, BatchState.RUNNING, started_by=current_user.id, **values)
    audit.record("batch.retried", batch, g.organization.id, cells=len(ids))
    db.session.commit()
    queue.stir()
    return len(ids)


def _turn(batch: Batch, before: tuple[BatchState, ...], after: BatchState, word: str, **values: object) -> None:
    if not turn(db.session, batch.id, before, after, **values):
        raise Refused(OVERTAKEN)
    audit.record(f"batch.{word}", batch, g.organization.id)
    db.session.commit()
