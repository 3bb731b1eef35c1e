"""Connections to PostgreSQL as they are taken from the pool.

Is one still good? It is looked at when it is taken, and asked only where that does not tell. SQLAlchemy's own
`pool_pre_ping` asks at every turn: a round trip before each request and each step of a run.
"""

from __future__ import annotations

import select
import time
from typing import Any, cast

from flask import Flask
from psycopg2 import Error
from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, InvalidatePoolError

from .extensions import db

IDLE = 30
"""Seconds after which something on the way may have forgotten the connection without a word to us."""


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


def say(message: str, values: dict[str, Any]) -> tuple[Any, ...] | None:
    """The first row of the answer to one message, which may be several statements: whatever transactions there are, it
    begins and commits them itself. Past SQLAlchemy, whose work for a statement is that of a statement; for what every
    call of a program does. Raises SQLAlchemyError as all else that asks the database, with its error as `orig`."""
    try:
        line = db.engine.raw_connection()
    except Error as error:
        raise _told(error) from error
    database: Any = line.driver_connection
    try:
        database.autocommit = True
        with database.cursor() as cursor:
            cursor.execute(message, values)
            row: tuple[Any, ...] | None = cursor.fetchone()
        database.autocommit = False
    except BaseException as error:
        if not _is_as_before(database):
            line.invalidate(error if isinstance(error, Exception) else None)
        if isinstance(error, Error):
            raise _told(error, is_gone=bool(database.closed)) from error
        raise
    finally:
        if line.dbapi_connection is not None:
            line.close()
    return row


def _is_as_before(database: Any) -> bool:
    """Out of what the message began, by a word of our own: psycopg2 knows of no transaction."""
    try:
        if database.info.transaction_status != TRANSACTION_STATUS_IDLE:
            with database.cursor() as cursor:
                cursor.execute("ROLLBACK")
        database.autocommit = False
    except Error:
        return False
    return True


def _told(error: Error, *, is_gone: bool = True) -> DBAPIError:
    """As SQLAlchemy tells it, without what was said: that may be a prompt, and an error is logged."""
    about: Any = {"hide_parameters": True, "connection_invalidated": is_gone, "dialect": db.engine.dialect}
    return cast(DBAPIError, DBAPIError.instance(None, None, error, Error, **about))
