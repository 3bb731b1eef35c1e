"""Connections that PostgreSQL has ended, or that lay idle for long, trouble nobody."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from flask import Flask
from sqlalchemy import Connection, create_engine, text

from dataelan_web import pool
from dataelan_web.extensions import db


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


def test_no_more_are_made_than_are_kept_where_these_come_back_soon(
    context: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = db.engine.pool
    assert isinstance(kept, pool.Patient)
    with ExitStack() as all_out:
        taken = [all_out.enter_context(db.engine.connect()) for _ in range(kept.size())]
        pid = taken[0].scalar(text("SELECT pg_backend_pid()"))
        back = threading.Timer(0.1, taken[0].close)
        back.start()
        with db.engine.connect() as next_one:
            assert next_one.scalar(text("SELECT pg_backend_pid()")) == pid
            monkeypatch.setattr(pool, "MOMENT", 0.05)
            with db.engine.connect() as one_more:  # nobody gives one back
                assert one_more.scalar(text("SELECT 1")) == 1
                assert kept.checkedout() == kept.size() + 1
        back.join()
