"""Find what died and bring it to an end: every worker does this every few seconds, and several at once do no harm.

* A queued row whose message got lost is put into the queue again.
* A running row whose lease ran out: nothing sent, or a job that the provider still works on → back into the queue;
  possibly sent → *interrupted*, with what was written and its estimated cost. The person decides whether to ask
  again; we never repeat a paid call.
* A hold that outlived its call is settled with its attempt, or given back.
* A prompt whose turn it is goes on its way, where nobody else let it go.
* Once a minute one worker looks whether the limits agree with the ledger.
* What was in the trash for long enough is purged.
"""

from __future__ import annotations

import logging
import uuid
from datetime import timedelta

import redis
from sqlalchemy import func, select, update

from .. import quota
from ..extensions import db
from ..jobs import queue
from ..models import Attempt, Execution, ExecutionBody, Origin, Reservation, ReservationState, State
from ..models.executions import OPEN, close, release
from . import live
from .abandoned import close_attempts
from .bookkeeping import check_books
from .jobs import left_behind
from .purge import purge_if_due
from .record import summary
from .waiting import release_forgotten

log = logging.getLogger(__name__)

EVERY = 5.0
UNHEARD = timedelta(seconds=10)
JUST_SENT = timedelta(seconds=1)
BATCH = 100
QUEUED = (Origin.PLAYGROUND, Origin.BATCH, Origin.JUDGE)
"""What workers run; the gateway's caller waits at the other end of a line."""
MOST_CLAIMS = 5
"""A prompt that so many workers died on is not given to another."""


def sweep(*, all_lost: bool = False) -> None:
    """One round. `all_lost`: the queue has forgotten every message. Commits."""
    requeue(JUST_SENT if all_lost else UNHEARD)
    close_dead()
    release_forgotten()
    end_stale_holds()
    check_books()
    purge_if_due()


def requeue(unheard: timedelta = UNHEARD) -> int:
    """Wake the queue again for rows that nobody took in this time. Returns how many."""
    rows = db.session.execute(
        update(Execution)
        .where(
            Execution.id.in_(
                select(Execution.id)
                .where(
                    Execution.state == State.QUEUED,
                    Execution.origin.in_(QUEUED),
                    Execution.waits_for_id.is_(None),
                    func.coalesce(Execution.enqueued_at, Execution.created_at) < func.now() - unheard,
                )
                .order_by(Execution.id)
                .limit(BATCH)
                .with_for_update(skip_locked=True)
            )
        )
        .values(enqueued_at=func.now())
        .returning(Execution.id, Execution.fence)
    ).all()
    db.session.commit()
    for row in rows:
        queue.execute_later(row.id, row.fence)
    return len(rows)


def close_dead() -> int:
    """End or re-queue running rows with a dead lease, one transaction each. Returns how many."""
    closed, stuck = 0, set[uuid.UUID]()
    while row := _dead(stuck):
        id = row.id
        try:
            if _may_run_again(row):
                release(db.session, id, row.fence)
            else:
                _interrupt(row)
            db.session.commit()
            closed += 1
        except Exception:  # one that cannot be closed must not keep the others waiting
            log.exception("execution %s could not be closed", id)
            db.session.rollback()
            stuck.add(id)
    db.session.rollback()
    return closed


def end_stale_holds() -> int:
    """Settle or give back holds that outlived their execution, one transaction each. Returns how many."""
    ended = 0
    while ended < BATCH and (stale := db.session.execute(_STALE).first()):
        execution = db.session.get_one(Execution, stale.execution_id)
        close_attempts(execution, execution.body.text + execution.body.reasoning)  # settled, if it was sent
        quota.void(db.session, stale.attempt_id)  # given back, if it was not
        db.session.commit()
        ended += 1
    db.session.rollback()
    return ended


_STALE = (
    select(Reservation.attempt_id, Reservation.execution_id)
    .join(Execution, Execution.id == Reservation.execution_id)
    .where(
        Reservation.state == ReservationState.HELD,
        Reservation.expires_at < func.now(),
        Execution.state.not_in(OPEN),
    )
    .order_by(Reservation.expires_at)
    .limit(1)
    .with_for_update(of=Reservation, skip_locked=True)
)


def _dead(but: set[uuid.UUID]) -> Execution | None:
    return db.session.scalars(
        select(Execution)
        .where(Execution.state == State.RUNNING, Execution.lease_until < func.now(), Execution.id.not_in(but))
        .order_by(Execution.lease_until)
        .limit(1)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)  # its fence as it is now, not as this session last saw it
    ).first()


def _may_run_again(row: Execution) -> bool:
    """Only what has nobody waiting at the other end of a line, and surely sent nothing and is still wanted, or left
    a job whose answer can still be asked for, or that is to be ended at its provider."""
    if row.fence >= MOST_CLAIMS or row.origin is Origin.GATEWAY:
        return False
    sent = select(Attempt.id).where(Attempt.execution_id == row.id).limit(1)  # it may have reached a provider
    is_unsent = db.session.scalar(sent) is None
    return (is_unsent and row.cancel_requested_at is None) or left_behind(db.session, row) is not None


def _interrupt(row: Execution) -> None:
    written = _written(row)
    made = close_attempts(row, written.text + written.reasoning)
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


def _written(row: Execution) -> live.Entry:
    try:
        return live.written(queue.store(), row.id)
    except redis.RedisError:
        return live.Entry("0")
