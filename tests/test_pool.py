"""Connections that PostgreSQL has ended, or that lay idle for long, trouble nobody."""

from __future__ import annotations

from collections.abc import Iterator

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
