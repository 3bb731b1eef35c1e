"""Find what died and bring it to an end: every worker does this every few seconds, and several at once do no harm.

* The end of a run that its process had kept when it died is written.
* A queued row whose message got lost is put into the queue again.
* A running row whose lease ran out: nothing sent, or a job that the provider still works on → back into the queue;
  possibly sent → *interrupted*, with what was written and its estimated cost. The person decides whether to ask
  again; we never repeat a paid call.
* A hold that outlived its call is settled with its attempt, or given back.
* A prompt whose turn it is goes on its way, where nobody else let it go.
* More of a limit that was granted until now is over, and the audit log says so.
* Once a minute one worker looks whether the limits agree with the ledger.
* What was in the trash for long enough is purged.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import redis
from sqlalchemy import ColumnElement, Interval, Row, Select, bindparam, func, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.dml import ReturningUpdate

from .. import quota
from ..extensions import db
from ..jobs import queue
from ..models import Attempt, Execution, ExecutionBody, Origin, Reservation, ReservationState, State
from ..models.executions import OPEN, close, release
from ..models.locks import IMPATIENT
from ..models.records import RunRecord
from . import live
from .abandoned import close_attempts
from .behind import write_left
from .bookkeeping import check_books
from .expiries import note_expired
from .jobs import left_behind
from .outcomes import summary
from .purge import purge_if_due
from .waiting import release_forgotten

log = logging.getLogger(__name__)

EVERY = 2.0
"""Seconds between two rounds of a worker."""
UNHEARD = timedelta(seconds=10)
"""How long a message may wait behind others."""
NOBODY_BEFORE = timedelta(seconds=5)
"""… and how long where none waits: then some worker took it, and has stopped since or stands still."""
JUST_SENT = timedelta(seconds=1)
"""… and where every message is lost."""
BATCH = 100
QUEUED = (Origin.PLAYGROUND, Origin.BATCH, Origin.JUDGE)
"""What workers run; the gateway's caller waits at the other end of a line."""
MOST_STUCK = 5
"""Rows of one round that could not be closed, or holds that could not be ended; then the next round goes on."""
ANSWERS_WITHIN = 1.0
"""Seconds that Valkey has to say what a dead worker wrote."""
MOST_CLAIMS = 5
"""A prompt that so many workers died on is not given to another."""


def sweep(unheard: timedelta | None = UNHEARD) -> None:
    """One round. `unheard`: how long a prompt has waited whose message is taken for lost; None: no message can be sent
    now. Commits."""
    requeue(unheard)
    _do(write_left)
    if close_dead():
        requeue(unheard)  # what none of them had sent
    for part in (release_forgotten, end_stale_holds, note_expired, check_books, purge_if_due):
        _do(part)


def _do(part: Callable[[], object]) -> None:
    try:
        part()
    except Exception as error:  # one that cannot be done must not keep the others waiting
        _go_on(error, "a part of the sweep failed: %s", part.__name__)


def requeue(unheard: timedelta | None = UNHEARD) -> int:
    """Wake the queue again for rows that nobody took in this time. Returns how many."""
    if unheard is None:
        return 0
    rows = db.session.execute(_REQUEUED, {"unheard": unheard}).all()
    db.session.commit()
    for row in rows:
        if not queue.execute_later(row.id, row.fence):
            break  # it is away: the others would wait for that one after the other, and the dead for them
    return len(rows)


def _queued_anew() -> ReturningUpdate[uuid.UUID, int]:
    forgotten = (
        select(Execution.id)
        .where(
            Execution.state == State.QUEUED,
            Execution.origin.in_(QUEUED),
            Execution.waits_for_id.is_(None),
            func.coalesce(Execution.enqueued_at, Execution.created_at)
            < func.now() - bindparam("unheard", type_=Interval),
        )
        .order_by(Execution.id)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    return (
        update(Execution)
        .where(Execution.id.in_(forgotten))
        .values(enqueued_at=func.now())
        .returning(Execution.id, Execution.fence)
    )


_REQUEUED = _queued_anew()
"""Made once, as all that is asked every round: to make it takes longer than to ask it."""


def close_dead() -> int:
    """End or re-queue running rows with a dead lease, one transaction each. Returns how many."""
    closed, stuck, valkey = 0, set[uuid.UUID](), queue.within(ANSWERS_WITHIN, queue.store())
    while len(stuck) < MOST_STUCK and (row := _dead(stuck)):
        id = row.id
        try:
            if _may_run_again(row):
                release(db.session, id, row.fence)
            else:
                _interrupt(row, valkey)
            db.session.commit()
            closed += 1
        except Exception as error:  # one that cannot be closed must not keep the others waiting
            _go_on(error, "execution %s could not be closed", id)
            stuck.add(id)
    db.session.rollback()
    return closed


def _go_on(error: Exception, words: str, what: object) -> None:
    """Raises it again where the database is away, and so nothing else can be done either."""
    log.error(words, what, exc_info=error)
    db.session.rollback()
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        raise error


def end_stale_holds() -> int:
    """Settle or give back holds that outlived their execution, one transaction each. Returns how many."""
    ended, stuck = 0, set[uuid.UUID]()
    while ended < BATCH and len(stuck) < MOST_STUCK and (stale := _stale(stuck)):
        execution_id, attempt_id = stale.execution_id, stale.attempt_id
        try:
            execution = db.session.get_one(Execution, execution_id)
            said = execution.body.text + execution.body.reasoning
            close_attempts(RunRecord.of(execution), said)  # settled, if it was sent
            quota.void(db.session, attempt_id)  # given back, if it was not
            db.session.commit()
            ended += 1
        except Exception as error:
            _go_on(error, "what is held for attempt %s could not be given back", attempt_id)
            stuck.add(attempt_id)
    db.session.rollback()
    return ended


def _stale(but: set[uuid.UUID]) -> Row[Any, Any, Any] | None:
    return db.session.execute(_STALE, {"but": list(but)}).first()


_STALE = (
    select(Reservation.attempt_id, Reservation.execution_id, IMPATIENT)
    .join(Execution, Execution.id == Reservation.execution_id)
    .where(
        Reservation.state == ReservationState.HELD,
        Reservation.expires_at < func.now(),
        Execution.state.not_in(OPEN),
        Reservation.attempt_id.not_in(bindparam("but", expanding=True)),
    )
    .order_by(Reservation.expires_at)
    .limit(1)
    .with_for_update(of=Reservation, skip_locked=True)
)


def _dead(but: set[uuid.UUID]) -> Execution | None:
    return db.session.scalars(_DEAD, {"but": list(but)}).first()


def _one_dead(patience: ColumnElement[str] = IMPATIENT) -> Select[Execution, str]:
    return (
        select(Execution, patience)
        .where(
            Execution.state == State.RUNNING,
            Execution.lease_until < func.now(),
            Execution.id.not_in(bindparam("but", expanding=True)),
        )
        .order_by(Execution.lease_until)
        .limit(1)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)  # its fence as it is now, not as this session last saw it
    )


_DEAD = _one_dead()


def _may_run_again(row: Execution) -> bool:
    """Only what has nobody waiting at the other end of a line, and surely sent nothing and is still wanted, or left
    a job whose answer can still be asked for, or that is to be ended at its provider."""
    if row.fence >= MOST_CLAIMS or row.origin is Origin.GATEWAY:
        return False
    sent = select(Attempt.id).where(Attempt.execution_id == row.id).limit(1)  # it may have reached a provider
    is_unsent = db.session.scalar(sent) is None
    return (is_unsent and row.cancel_requested_at is None) or left_behind(db.session, row) is not None


def _interrupt(row: Execution, valkey: redis.Redis) -> None:
    written = _written(row, valkey)
    made = close_attempts(RunRecord.of(row), written.text + written.reasoning)
    state = State.CANCELLED if row.cancel_requested_at else State.INTERRUPTED
    sums = summary(made[-1] if made else None, [attempt.cost for attempt in made])
    close(db.session, row.id, row.fence, state, error_kind="interrupted", attempts_made=len(made), **sums)
    db.session.execute(
        update(ExecutionBody)
        .where(ExecutionBody.id == row.id)
        .values(
            text=written.text,
            reasoning=written.reasoning,
            error="The worker that ran this prompt stopped before the answer was whole. What had arrived is kept.",
        )
    )
    db.session.commit()  # whoever is told of the end reads the row
    live.Writer(queue.store(), row.id).end()
    log.warning("execution %s was interrupted: its lease ran out", row.id)


def _written(row: Execution, valkey: redis.Redis) -> live.Entry:
    try:
        return live.written(valkey, row.id)
    except redis.RedisError:
        return live.Entry("0")
