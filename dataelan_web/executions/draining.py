"""What a process that is asked to leave does with the runs that it has: nothing is lost, and as little as can be cut.

It goes on with an answer to its end. A job that its provider works on, such as a film, is put back into the queue, from
where another worker goes on asking. A process in a hurry (asked a second time, or its grace is over) puts back what it
has not sent as well, and ends the rest: *interrupted*, with what had arrived, its cost and a word of why, written by
who knows them. What is killed before that is found by a sweeper, when its lease has run out.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping

from flask import Flask, current_app
from sqlalchemy import exists, or_, select, tuple_
from sqlalchemy.exc import SQLAlchemyError

from ..extensions import db
from ..jobs import queue
from ..models import Attempt, Execution, Outcome, State
from ..models.executions import release
from . import behind
from .keeper import Keeper
from .sweep import QUEUED

log = logging.getLogger(__name__)

EVERY = 0.5
"""Seconds between two looks at what still runs."""
ENDS_WITHIN = 15.0
"""Seconds that the ends of runs that were cut have to be written."""


class Draining:
    """How one process leaves. It begins with `leave`; signals may call that, and `hurry`, at any moment."""

    def __init__(self, app: Flask):
        self._app = app
        self.is_leaving = threading.Event()
        """It takes nothing new, and its pages' streams end, so that browsers come back to another process."""
        self.is_hurried = threading.Event()

    def leave(self) -> None:
        self.is_leaving.set()

    def hurry(self) -> None:
        self.is_leaving.set()
        self.is_hurried.set()

    @property
    def has_runs(self) -> bool:
        """… or ends that are not written."""
        keeper: Keeper = self._app.extensions["dataelan_keeper"]
        ends = behind.of(self._app)
        return keeper.unended > 0 or (ends is not None and ends.unwritten > 0)

    def drain(self, has_ended: Callable[[float], bool], grace: float) -> bool:
        """Until nothing runs any more; `has_ended` waits for that for so many seconds. False: it gave up waiting."""
        ends_at, gives_up_at = time.monotonic() + grace, float("inf")
        while not has_ended(EVERY):
            if not self.is_hurried.is_set() and time.monotonic() >= ends_at:
                log.warning("the time to leave is over: what still runs is ended")
                self.hurry()
            if self.is_hurried.is_set():
                gives_up_at = min(gives_up_at, time.monotonic() + ENDS_WITHIN)
            if time.monotonic() >= gives_up_at:
                return False
            self.turn()
        return True

    def turn(self) -> None:
        """What can be done for those that still run. Never raises: what cannot be done now is tried again."""
        keeper: Keeper = self._app.extensions["dataelan_keeper"]
        is_hurried = self.is_hurried.is_set()
        try:
            with self._app.app_context():
                given = hand_over(keeper.held(), and_unsent=is_hurried)
                keeper.lose(given)
                for id, fence in given.items():
                    queue.execute_later(id, fence)
        except SQLAlchemyError:
            log.exception("what others could go on with could not be handed over")
        if is_hurried:
            keeper.cut()


def hand_over(held: Mapping[uuid.UUID, int], *, and_unsent: bool = False) -> dict[uuid.UUID, int]:
    """Put back into the queue those of these runs {id: fence} whose jobs their providers work on; and those that sent
    nothing yet; returns which. Not what a caller at the other end of a line waits for, nor what somebody wants to end.
    Commits."""
    if not held:
        return {}
    made = exists().where(Attempt.execution_id == Execution.id)
    has_job = made.where(Attempt.outcome == Outcome.SENT, Attempt.job.is_not(None))
    rows = db.session.execute(
        select(Execution.id, Execution.fence)
        .where(
            tuple_(Execution.id, Execution.fence).in_(list(held.items())),
            Execution.state == State.RUNNING,
            Execution.origin.in_(QUEUED),
            Execution.cancel_requested_at.is_(None),
            or_(has_job, ~made) if and_unsent else has_job,
        )
        .order_by(Execution.id)
        .with_for_update(of=Execution, skip_locked=True)
    ).all()
    given = {row.id: row.fence for row in rows if release(db.session, row.id, row.fence)}
    db.session.commit()
    return given


def draining() -> Draining:
    """This process's."""
    found: Draining = current_app.extensions["dataelan_draining"]
    return found
