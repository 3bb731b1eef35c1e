"""The pooled connections to the database: few, kept, and still good.

Is one still good? It is looked at when it is taken, and asked only where that does not tell. SQLAlchemy's own
`pool_pre_ping` asks at every turn: a round trip before each request and each step of a run.
"""

from __future__ import annotations

import logging
import select
import time
from typing import Any

from flask import Flask
from psycopg2 import Error
from sqlalchemy import event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool
from sqlalchemy.util.queue import Empty

from .extensions import db

IDLE = 30
"""Seconds after which something on the way may have forgotten the connection without a word to us."""


MOMENT = 0.5
"""Seconds in which none of the kept connections comes back, after which one more is made."""


class Patient(QueuePool):
    """Makes no more than it keeps as long as these come back: a step of a run holds one for milliseconds, and whoever
    waits is soon served. SQLAlchemy's own makes one at once where all are out, and closes it after its turn: under load
    that is one for every few calls, which doubles PostgreSQL's work."""

    logging.getLogger(f"{__name__}.Patient").setLevel(logging.WARNING)  # SQLAlchemy tells of its pools at INFO
    _came_back = 0.0

    def _do_get(self) -> ConnectionPoolEntry:
        until = time.monotonic() + self.timeout() / 2
        while self.checkedout() >= self.size():
            try:
                return self._pool.get(True, MOMENT)
            except Empty:
                now = time.monotonic()
                if now - self._came_back > MOMENT or now > until:
                    break
        return super()._do_get()

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        self._came_back = time.monotonic()
        super()._do_return_conn(record)


def init_app(app: Flask) -> None:
    with app.app_context():
        event.listen(db.engine, "checkout", taken)
        event.listen(db.engine, "checkin", given_back)


def taken(connection: Any, record: Any, _: object) -> None:
    """Raises InvalidatePoolError for a connection that is gone: SQLAlchemy then makes a new one."""
    if connection.closed or ((_has_word(connection) or _is_old(record)) and not _answers(connection)):
        raise InvalidatePoolError


def given_back(connection: Any, record: Any) -> None:
    record.info["idle_since"] = time.monotonic()


def _has_word(connection: Any) -> bool:
    """Nobody was asked anything: what there is to read is the server's farewell, or the line's end."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


def _is_old(record: Any) -> bool:
    idle_since: float = record.info.get("idle_since", time.monotonic())
    return time.monotonic() - idle_since > IDLE


def _answers(connection: Any) -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        connection.rollback()
    except Error:
        return False
    return True
