"""What moves batches on, in every worker: a few runs in flight at a time, and the next as one ends.

Everything it goes by is in PostgreSQL, so a worker that dies in the middle is simply followed by another: a batch is
one worker's for a turn (a lease), a cell's run has an idempotency key, and its end is read from its row. People's own
prompts go first: batches have half of a worker's places at most, and put nothing into a queue in which one waits.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid

import redis
from flask import Flask, current_app
from sqlalchemy import and_, exists, func, or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import joinedload

from .. import modes
from ..executions.keeper import cancel
from ..executions.submit import Request, record, wake
from ..extensions import db
from ..jobs import queue
from ..models import (
    Batch,
    BatchCell,
    BatchScore,
    BatchState,
    CellState,
    Execution,
    Mode,
    ModelType,
    Organization,
    Origin,
    Project,
    now,
)
from ..models.batches import begin_cell, end_turn, give_key_back, take_turn, turn
from ..prompts.refusals import Refused
from . import ending, scoring, settling
from .asked import Asker

log = logging.getLogger(__name__)

LOOKS_EVERY = 2.0
"""Seconds; sooner when a run of a batch ends."""
PAUSE = 0.25
"""Seconds between two looks at least."""
SHARE = 2
"""Batches have one of so many places of the workers."""


def pump_forever(app: Flask, stopping: threading.Event) -> None:
    while not stopping.is_set():
        try:
            with app.app_context():
                queue.await_stir(LOOKS_EVERY)
                pump()
        except redis.RedisError as error:
            log.warning("batches wait: Valkey is away (%s)", error)
            time.sleep(LOOKS_EVERY)
        except SQLAlchemyError:
            log.exception("batches wait for the database")
            time.sleep(LOOKS_EVERY)
        except Exception:
            log.exception("a batch met something unexpected; it is tried again")
            time.sleep(LOOKS_EVERY)
        time.sleep(PAUSE)


def pump() -> None:
    """One round: every batch that nobody else is at. Commits."""
    ids = db.session.scalars(_DUE).all()
    db.session.commit()
    places = current_app.extensions["dataelan_settings"].worker_concurrency * max(queue.workers(), 1) // SHARE
    for id in ids:
        if not take_turn(db.session, id):
            db.session.commit()
            continue
        db.session.commit()
        try:
            _move(id, max(places // len(ids), 1))
        except Exception:  # one batch must not keep the others waiting
            log.exception("batch %s could not be moved on", id)
            db.session.rollback()
        end_turn(db.session, id)
        db.session.commit()


_IN_FLIGHT = exists().where(BatchCell.batch_id == Batch.id, BatchCell.state == CellState.RUNNING)
_JUDGED = exists().where(BatchScore.batch_id == Batch.id, BatchScore.value.is_(None), BatchScore.problem == "")
_DUE = (
    select(Batch.id)
    .join(Project, Project.id == Batch.project_id)
    .join(Organization, Organization.id == Project.organization_id)
    .where(
        or_(
            and_(
                Batch.state == BatchState.RUNNING,
                Batch.deleted_at.is_(None),
                Project.deleted_at.is_(None),
                Organization.deleted_at.is_(None),
                Organization.suspended_at.is_(None),
                or_(Batch.rests_until.is_(None), Batch.rests_until < func.now(), _IN_FLIGHT),
            ),
            and_(Batch.state.in_((BatchState.PAUSED, BatchState.CANCELLED)), or_(_IN_FLIGHT, _JUDGED)),
        )
    )
    .order_by(Batch.turn_until.nulls_first(), Batch.id)
    .limit(100)
)


def _move(id: uuid.UUID, places: int) -> None:
    batch = _fresh(id)
    settling.settle(batch)
    scoring.by_rules(batch)
    batch = _fresh(id)
    if batch.state is BatchState.RUNNING and (batch.rests_until is None or batch.rests_until < now()):
        _fill(batch, min(batch.at_once, places) - in_flight(batch))
    ending.end_if_over(batch)


def _fresh(id: uuid.UUID) -> Batch:
    with_all = (joinedload(Batch.project), joinedload(Batch.template))
    return db.session.get_one(Batch, id, options=with_all, populate_existing=True)


def in_flight(batch: Batch) -> int:
    cells = select(func.count()).where(BatchCell.batch_id == batch.id, BatchCell.state == CellState.RUNNING)
    judged = select(func.count()).where(
        BatchScore.batch_id == batch.id, BatchScore.value.is_(None), BatchScore.problem == ""
    )
    return (db.session.scalar(cells) or 0) + (db.session.scalar(judged) or 0)


def _fill(batch: Batch, room: int) -> None:
    """Ask for the next cells, as long as no prompt of a person waits, and nothing is closed. Commits."""
    if room <= 0 or modes.current() is not Mode.OPEN or queue.waiting():
        return
    if batch.started_by is None or not ending.may_still_run(batch):
        turn(db.session, batch.id, (BatchState.RUNNING,), BatchState.PAUSED, why=ending.NOBODY)
        db.session.commit()
        return
    room -= scoring.by_judges(batch, room)
    waiting = (
        select(BatchCell)
        .where(BatchCell.batch_id == batch.id, BatchCell.state == CellState.WAITING)
        .order_by(BatchCell.position, BatchCell.model)
        .limit(max(room, 0))
        .options(joinedload(BatchCell.row))
    )
    asker = Asker(batch)
    for cell in db.session.scalars(waiting).all():
        _ask(batch, cell, asker)


def _ask(batch: Batch, cell: BatchCell, asker: Asker) -> None:
    """One run, committed before anybody is woken for it. Should we die in between, it is found by its key."""
    try:
        prompt, made_from = asker.prompt(cell.row)
    except Refused as refused:
        cell.state, cell.problem = CellState.UNFIT, str(refused)
        db.session.commit()
        return
    execution = record(
        Request(
            project=batch.project,
            prompt=prompt,
            origin=Origin.BATCH,
            requested=batch.models[cell.model],
            user_id=batch.started_by,
            model_type=ModelType(batch.content["model_type"]),
            idempotency_key=f"batch:{cell.id}",
            made_from=made_from,
            batch_id=batch.id,
        )
    )
    _send(cell.id, execution)


def _send(cell_id: uuid.UUID, execution: Execution) -> None:
    """Of two workers, one of which took the other for dead, one asks it, and neither stops what the other asks."""
    began = begin_cell(db.session, cell_id, execution.id)
    asked = db.session.scalar(select(BatchCell.execution_id).where(BatchCell.id == cell_id))
    db.session.commit()
    if began:
        wake(execution)
    elif asked != execution.id:  # it was cancelled at this very moment
        cancel(execution.id)
        give_key_back(db.session, [execution.id])
        db.session.commit()
