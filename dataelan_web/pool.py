"""Connections to PostgreSQL as they are taken from the pool.

Is one still good? It is looked at when it is taken, and asked only where that does not tell. SQLAlchemy's own
`pool_pre_ping` asks at every turn: a round trip before each request and each step of a run.
"""

from __future__ import annotations

import select
import time
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, cast

from flask import Flask
from psycopg2 import Error
from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.exc import TimeoutError as Crowded

from .extensions import db, one_of_each

IDLE = 30
"""Seconds after which something on the way may have forgotten the connection without a word to us."""
KEPT_FOR, LOOKS_EVERY = 10.0, 1.0
"""… after which one that nobody needed is let go of: each is a process of PostgreSQL. And how often messages look for
such a one."""

AT_ONCE, PATIENCE = 8, 0.25
"""Messages of a process that are under way, and seconds that one more waits for a place: then they may be waiting for
somebody's limit, which is nobody else's trouble. More threads than processors add nothing but connections, which each
would hold while it waits for its turn to run."""
MOST, KEPT = 16, 4
"""Connections of a process for messages, and those that stay open; together with SQLAlchemy's pool 34. Who finds none
free waits TIMEOUT seconds, as there."""
TIMEOUT = 20.0


class Places:
    """A semaphore. That of `threading` is written in Python, and takes a lock four times for what a queue does in C."""

    def __init__(self, places: int):
        self._free = SimpleQueue[None]()
        for _ in range(places):
            self._free.put(None)

    def take(self, patience: float) -> bool:
        """False: none came free in so many seconds."""
        try:
            self._free.get(timeout=patience)
        except Empty:
            return False
        return True

    def give_back(self) -> None:
        self._free.put(None)


_places = Places(AT_ONCE)


def init_app(app: Flask) -> None:
    with app.app_context():
        event.listen(db.engine, "checkout", taken)
        event.listen(db.engine, "checkin", partial(given_back, db.engine))


def taken(connection: Any, record: Any, _: object) -> None:
    """Raises InvalidatePoolError for a connection that is gone: SQLAlchemy then makes a new one."""
    if connection.closed or ((_has_word(connection) or _has_rested(record) > IDLE) and not _answers(connection)):
        raise InvalidatePoolError


def given_back(engine: Engine, connection: Any, record: Any) -> None:
    record.info["idle_since"] = time.monotonic()
    let_go_of_idle(engine)


def let_go_of_idle(engine: Engine) -> None:
    """Of one of those that were needed at once and are not any more, which SQLAlchemy would keep for ever."""
    pool: Any = engine.pool
    with pool._pool.mutex:
        resting = pool._pool.queue  # the last given back is taken first, so the first rests longest
        if not resting or _has_rested(resting[0]) < KEPT_FOR:
            return
        record = resting.popleft()
    pool._dec_overflow()
    record.close()


def _has_word(connection: Any) -> bool:
    """Nobody was asked anything: what there is to read is the server's farewell, or the line's end."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


def _has_rested(record: Any) -> float:
    """Seconds."""
    idle_since: float = record.info.get("idle_since", time.monotonic())
    return time.monotonic() - idle_since


def _answers(connection: Any) -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        connection.rollback()
    except Error:
        return False
    return True


def say(message: str, values: dict[str, Any]) -> tuple[Any, ...] | None:
    """The first row of the answer to one message, which may be several statements: whatever transactions there are, it
    begins and commits them itself. Past SQLAlchemy, whose work for a statement is that of a statement; for what every
    call of a program does. Raises SQLAlchemyError as all else that asks the database, with its error as `orig`."""
    has_place = _places.take(PATIENCE)
    try:
        return lines().say(message, values)
    finally:
        if has_place:
            _places.give_back()


class Lines:
    """Connections that only messages go on, in autocommit, the last used first. Taken from SQLAlchemy's pool for good:
    what it does at each taking and giving back is a third of a message's work here, and each time it lets go of
    Python's lock, which where many threads run is two switches between them."""

    def __init__(self) -> None:
        self._resting: list[tuple[Any, float]] = []
        """… and since when. What is done to it, and to those in use, is one step of Python's and needs no lock."""
        self._in_use = set[Any]()
        self._places = Places(MOST)
        self._looked_at = 0.0

    def __len__(self) -> int:
        """How many are in use."""
        return len(self._in_use)

    def say(self, message: str, values: dict[str, Any]) -> tuple[Any, ...] | None:
        """Raises SQLAlchemyError."""
        if not self._places.take(TIMEOUT):
            raise Crowded("every connection for messages is in use")
        try:
            return self._said(message, values)
        finally:
            self._places.give_back()

    def _said(self, message: str, values: dict[str, Any]) -> tuple[Any, ...] | None:
        line = self._taken()
        self._in_use.add(line)
        try:
            with line.cursor() as cursor:
                cursor.execute(message, values)
                row: tuple[Any, ...] | None = cursor.fetchone()
        except BaseException as error:
            is_gone = bool(line.closed)
            if is_gone or not _is_as_before(line):
                line.close()
            if isinstance(error, Error):
                raise _told(error, is_gone=is_gone) from error
            raise
        finally:
            self._in_use.discard(line)
            if len(self._resting) >= KEPT:
                line.close()
            if not line.closed:
                self._resting.append((line, time.monotonic()))
        return row

    def close(self) -> None:
        while self._resting:
            self._resting.pop()[0].close()

    def _taken(self) -> Any:
        """Raises SQLAlchemyError where none can be made."""
        while self._resting:
            line, since = self._resting.pop()
            if line.closed or ((_has_word(line) or time.monotonic() - since > IDLE) and not _answers(line)):
                line.close()
                continue
            self._let_go_of_idle()
            return line
        try:
            taken = db.engine.raw_connection()
        except Error as error:
            raise _told(error) from error
        made: Any = taken.driver_connection
        taken.detach()
        made.autocommit = True
        return made

    def _let_go_of_idle(self) -> None:
        """Of those that were needed once; also of SQLAlchemy's, where nothing is given back while messages go."""
        now = time.monotonic()
        if now - self._looked_at < LOOKS_EVERY:
            return
        self._looked_at = now
        let_go_of_idle(db.engine)
        if self._resting and now - self._resting[0][1] > KEPT_FOR:
            with suppress(IndexError):
                self._resting.pop(0)[0].close()


@one_of_each("dataelan_lines")
def lines() -> Lines:
    """This application's."""
    return Lines()


def _is_as_before(line: Any) -> bool:
    """Out of what the message began, by a word of our own: psycopg2 knows of no transaction."""
    try:
        if line.info.transaction_status != TRANSACTION_STATUS_IDLE:
            with line.cursor() as cursor:
                cursor.execute("ROLLBACK")
    except Error:
        return False
    return True


def _told(error: Error, *, is_gone: bool = True) -> DBAPIError:
    """As SQLAlchemy tells it, without what was said: that may be a prompt, and an error is logged."""
    about: Any = {"hide_parameters": True, "connection_invalidated": is_gone, "dialect": db.engine.dialect}
    return cast(DBAPIError, DBAPIError.instance(None, None, error, Error, **about))
