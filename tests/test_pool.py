"""Connections that PostgreSQL has ended, or that lay idle for long, trouble nobody."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask, current_app
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from dataelan_web import pool
from dataelan_web.extensions import db

from .conftest import wait_until


@pytest.fixture
def bystander(environment: dict[str, str], context: None) -> Iterator[Connection]:
    """A connection of its own, outside the application's pool."""
    engine = create_engine(db.engine.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.fixture(autouse=True)
def _an_empty_pool(context: None) -> None:
    """So that one connection is given and taken, and none that other tests left."""
    db.engine.dispose()
    pool.lines().close()


def backend() -> int:
    """Which of PostgreSQL's processes serves us. Gives the connection back."""
    pid: int = db.session.scalar(text("SELECT pg_backend_pid()"))
    db.session.rollback()
    return pid


def test_a_connection_that_postgresql_ended_is_replaced_unnoticed(bystander: Connection) -> None:
    before = backend()
    assert backend() == before, "one that is well is used again"
    bystander.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": before})
    assert backend() != before


def test_one_that_lay_idle_is_asked_before_it_is_used(
    app: Flask, context: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, asked = backend(), list[str]()
    monkeypatch.setattr(pool, "_answers", lambda connection: asked.append("alive?") or True)
    backend()
    assert asked == []
    monkeypatch.setattr(pool, "IDLE", -1)
    assert backend() == before
    assert asked == ["alive?"]


def test_what_was_needed_at_once_is_let_go_of_when_nobody_needs_it(
    bystander: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = at_once(3)
    assert backend() in several
    assert there(bystander, several) == several, "kept for who comes soon"
    monkeypatch.setattr(pool, "KEPT_FOR", -1)
    assert backend() == backend()
    wait_until(lambda: len(there(bystander, several)) == 1, 5)
    assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    monkeypatch.undo()
    several = at_once(3)
    assert len(several) == 3, "made anew for who comes later"
    before = speaker()  # on a connection of the pool, from now on for messages
    monkeypatch.setattr(pool, "KEPT_FOR", -1)
    monkeypatch.setattr(pool, "LOOKS_EVERY", 0)
    assert speaker() == speaker() == before
    wait_until(lambda: there(bystander, several) == {before}, 5)


def at_once(number: int) -> set[int]:
    """Takes so many connections of the pool, and gives them back."""
    taken = [db.engine.connect() for _ in range(number)]
    found = {one.scalar(text("SELECT pg_backend_pid()")) for one in taken}
    for one in taken:
        one.close()
    return found


def there(bystander: Connection, pids: set[int]) -> set[int]:
    """Those that are still processes of PostgreSQL."""
    return pids & set(bystander.execute(text("SELECT pid FROM pg_stat_activity")).scalars())


def test_few_messages_are_under_way_at_once_but_none_waits_long(
    app: Flask, context: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def say(seconds: float) -> float:
        started = time.monotonic()
        with app.app_context():
            pool.say("SELECT pg_sleep(%(seconds)s)", {"seconds": seconds})
        return time.monotonic() - started

    with ThreadPoolExecutor(pool.AT_ONCE + 1) as threads:
        slow = [threads.submit(say, 1.0) for _ in range(pool.AT_ONCE)]
        wait_until(lambda: len(pool.lines()) == pool.AT_ONCE, 5)
        assert pool.PATIENCE <= threads.submit(say, 0.0).result() < 0.9, "whoever else is waited for"
        assert all(one.result() >= 1.0 for one in slow)
    assert len(pool.lines()) == 0


def test_no_more_connections_are_made_for_messages_than_there_may_be(
    app: Flask, context: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "MOST", 2)
    monkeypatch.setattr(pool, "KEPT", 1)
    monkeypatch.setattr(pool, "TIMEOUT", 0.2)
    own = pool.Lines()
    slow = "SELECT pg_sleep(0.6)::text"

    def say(message: str) -> object:
        with app.app_context():
            return own.say(message, {})

    with ThreadPoolExecutor(3) as threads:
        busy = [threads.submit(say, slow) for _ in range(2)]
        wait_until(lambda: len(own) == 2, 5)
        with pytest.raises(SQLAlchemyError, match="in use"):
            threads.submit(say, "SELECT 1").result()
        assert [one.result() for one in busy] == [("",), ("",)]
    assert len(own._resting) == 1
    assert say("SELECT 1") == (1,)
    own.close()


def speaker() -> int:
    """Which of PostgreSQL's processes hears our messages."""
    (pid,) = pool.say("SELECT pg_backend_pid()", {}) or (0,)
    return int(pid)


def test_a_message_goes_on_the_connection_of_the_last_until_that_is_gone(bystander: Connection) -> None:
    before = speaker()
    assert speaker() == before
    bystander.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": before})
    after = speaker()
    assert after != before
    assert speaker() == after


def test_connections_for_messages_that_rest_for_long_are_asked_or_let_go(
    bystander: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ThreadPoolExecutor(3) as threads:
        several = {
            one.result() for one in [threads.submit(within, current_app._get_current_object()) for _ in range(3)]
        }
    assert len(several) == 3
    monkeypatch.setattr(pool, "IDLE", -1)
    monkeypatch.setattr(pool, "KEPT_FOR", -1)
    monkeypatch.setattr(pool, "LOOKS_EVERY", 0)
    assert speaker() in several
    assert speaker() in several
    wait_until(lambda: len(there(bystander, several)) == 1, 5)


def within(app: Flask) -> int:
    with app.app_context():
        (pid, _) = pool.say("SELECT pg_backend_pid(), pg_sleep(0.3)::text", {}) or (0, "")
        return int(pid)
