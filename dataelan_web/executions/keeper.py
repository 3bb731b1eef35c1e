"""Keeps what this process is running: renews its leases and hears that somebody wants a run to stop. What memory runs
left free, it gives back.

One thread a process, started with the first run. The wish to stop is a column in PostgreSQL; the Valkey
message only makes it quick, and the next renewal finds the wish should the message get lost.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid
from collections.abc import Iterable

import redis
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from ..extensions import db, kept_as
from ..jobs.queue import store
from ..models import State
from ..models.executions import renew, request_cancel
from ..router.room import give_back_what_is_free
from ..router.stop import Stop
from . import live, waiting

log = logging.getLogger(__name__)

CHANNEL = "dataelan:cancel"
RENEW_EVERY = 8.0


class _Held:
    """A run, and while inside it is kept: its lease is renewed, and the Stop fires on a cancel or a lost lease."""

    def __init__(self, keeper: Keeper, id: uuid.UUID, fence: int):
        self._keeper, self._id = keeper, id
        self.fence, self.stop, self.since = fence, Stop(), time.monotonic()

    def __enter__(self) -> Stop:
        self._keeper.take(self._id, self)
        return self.stop

    def __exit__(self, *error: object) -> None:
        self._keeper.let_go(self._id)


class _Going:
    """A run that goes on, or has an end that is yet to be written: that is after the last of an answer came, when
    nobody needs to keep it any more. To join a set and to leave it is one step each, for which no thread waits."""

    def __init__(self, all: set[_Going]):
        self._all = all

    def __enter__(self) -> None:
        self._all.add(self)

    def __exit__(self, *error: object) -> None:
        self._all.discard(self)


class Keeper:
    def __init__(self, app: Flask):
        self._app = app
        self._held: dict[uuid.UUID, _Held] = {}
        self._lock = threading.Lock()
        self._started = self._has_run = False
        self._going = set[_Going]()

    def going(self) -> _Going:
        """Around all of a run: `with keeper().going():`"""
        return _Going(self._going)

    @property
    def unended(self) -> int:
        """How many runs go on in this process, to the writing of their ends."""
        return len(self._going)

    def hold(self, execution_id: uuid.UUID, fence: int) -> _Held:
        return _Held(self, execution_id, fence)

    def take(self, execution_id: uuid.UUID, held: _Held) -> None:
        with self._lock:
            self._held[execution_id] = held
            self._has_run = True
            self._start()

    def let_go(self, execution_id: uuid.UUID) -> None:
        with self._lock:
            self._held.pop(execution_id, None)

    @property
    def running(self) -> int:
        """How many runs this process runs now."""
        return len(self._held)

    def held(self) -> dict[uuid.UUID, int]:
        """What this process runs now: {id: fence}."""
        with self._lock:
            return {id: entry.fence for id, entry in self._held.items()}

    def lose(self, ids: Iterable[uuid.UUID]) -> None:
        """They are another's to run."""
        with self._lock:
            for id in ids:
                if held := self._held.get(id):
                    held.stop.lose()

    def cut(self) -> None:
        """End what runs now, as a process does that waits no longer."""
        with self._lock:
            for held in self._held.values():
                held.stop.cut()

    def _start(self) -> None:
        if not self._started:
            self._started = True
            for target in (self._renew_forever, self._listen_forever):
                threading.Thread(target=target, name=f"keeper{target.__name__}", daemon=True).start()

    def _renew_forever(self) -> None:
        while True:
            time.sleep(RENEW_EVERY)
            begun = time.monotonic() - RENEW_EVERY  # what is younger has a lease of its own, and perhaps no row yet
            with self._lock:
                held = {id: entry for id, entry in self._held.items() if entry.since <= begun}
            try:
                self._renew(held)
            except SQLAlchemyError:
                log.exception("leases could not be renewed; they run out unless the database comes back")
            except Exception:  # this thread must not end: every run of the process depends on it
                log.exception("leases could not be renewed")
            if self._has_run and not self._held:  # else those that run might wait for it
                self._has_run = False
                give_back_what_is_free()

    def _renew(self, held: dict[uuid.UUID, _Held]) -> None:
        if not held:
            return
        with self._app.app_context():
            kept = renew(db.session, {id: entry.fence for id, entry in held.items()})
            db.session.commit()
        for id, entry in held.items():
            if id not in kept:
                entry.stop.lose()
            elif kept[id]:
                entry.stop.request()

    def _listen_forever(self) -> None:
        while True:
            try:
                with self._app.app_context():
                    pubsub = store().pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
                    pubsub.subscribe(CHANNEL)
                    for message in pubsub.listen():
                        self._stop(message["data"].decode(errors="replace"))
            except redis.RedisError:
                time.sleep(1)

    def _stop(self, id: str) -> None:
        with contextlib.suppress(ValueError), self._lock:  # whatever else is published must not end this thread
            if held := self._held.get(uuid.UUID(id)):
                held.stop.request()


def keeper() -> Keeper:
    found: Keeper = kept_as("dataelan_keeper")
    return found


def cancel(execution_id: uuid.UUID) -> State | None:
    """Ask an execution to stop, in whatever phase it is. Commits. None: it had already ended."""
    state = request_cancel(db.session, execution_id)
    db.session.commit()
    if state is State.CANCELLED:  # it waited in the queue: nobody else will tell those who watch, or wait
        live.Writer(store(), execution_id).end()
        waiting.step_out(execution_id)
    if state is State.RUNNING:
        with contextlib.suppress(redis.RedisError):
            store().publish(CHANNEL, str(execution_id))
    return state
