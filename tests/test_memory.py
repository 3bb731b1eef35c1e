"""A large answer through the gateway: its share of the process's memory is held until it has gone, and comes back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, select

from dataelan_web.executions import live
from dataelan_web.executions.answer import LOOSE, Words
from dataelan_web.extensions import db
from dataelan_web.models import Attempt, Execution, ExecutionBody, State, new_id
from dataelan_web.router import room as rooms
from dataelan_web.router.room import MEGABYTE, Room

from . import people
from .upstream import Upstream, upstream

SIZE = 3 * MEGABYTE
ASK = {"model": "mine", "messages": [{"role": "user", "content": "Tell me a long story."}]}


@pytest.fixture
def vendor() -> Iterator[Upstream]:
    with upstream() as vendor:
        message = {"content": "x" * SIZE}
        vendor.answers({"choices": [{"message": message, "finish_reason": "stop"}], "usage": {}})
        yield vendor


@pytest.fixture
def mine(acme: people.Cast, vendor: Upstream) -> dict[str, str]:
    people.own_model(acme, people.own_provider(acme, vendor.url, secret="sk-own"), "mine")
    return {"Authorization": f"Bearer {acme.secret}"}


def room(app: Flask) -> Room:
    found: Room = app.extensions["dataelan_http"].room
    return found


def test_a_large_answer_holds_its_memory_until_it_has_gone(app: Flask, mine: dict[str, str]) -> None:
    answer: Any = app.test_client().post("/v1/chat/completions", json=ASK, headers=mine, buffered=False)
    pieces = answer.iter_encoded()
    first = next(pieces)
    assert 0 < len(first) < MEGABYTE
    assert SIZE <= room(app).taken < 2 * SIZE, "as it is on its way, it lies here once"
    whole = first + b"".join(pieces)
    answer.close()
    assert room(app).taken == 0
    assert int(answer.headers["content-length"]) == len(whole)
    assert json.loads(whole)["choices"][0]["message"]["content"] == "x" * SIZE


def test_a_stream_gives_its_memory_back(app: Flask, mine: dict[str, str]) -> None:
    answer = app.test_client().post("/v1/chat/completions", json=ASK | {"stream": True}, headers=mine)
    assert len(answer.get_data()) > SIZE
    answer.close()
    assert room(app).taken == 0


def test_an_answer_without_room_is_told_and_blames_nobody(
    app: Flask, acme: people.Cast, mine: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "PATIENCE", 0.2)
    taken = room(app).size - MEGABYTE
    assert room(app).take(taken, 0, lambda: False)
    try:
        for _ in range(6):  # as many as would rest a model that failed so
            answer = app.test_client().post("/v1/chat/completions", json=ASK, headers=mine)
            assert (answer.status_code, answer.get_json()["error"]["code"]) == (504, "interrupted")
            assert "too little memory" in answer.get_json()["error"]["message"]
    finally:
        room(app).give_back(taken)
    assert room(app).taken == 0
    assert app.test_client().post("/v1/chat/completions", json=ASK, headers=mine).status_code == 200
    assert {attempt.outcome.value for attempt in db.session.scalars(select(Attempt))} >= {"interrupted", "completed"}


def test_the_end_of_a_large_answer_is_written_over_a_connection_of_its_own(
    app: Flask, acme: people.Cast, mine: dict[str, str]
) -> None:
    """libpq keeps room for the largest statement that a connection ever sent."""
    detached: list[Any] = []
    event.listen(db.engine, "detach", lambda *one: detached.append(one))
    assert app.test_client().post("/v1/chat/completions", json=ASK, headers=mine).status_code == 200
    run = db.session.scalars(select(Execution).where(Execution.project_id == acme.project.id)).one()
    assert run.state is State.COMPLETED
    assert len(db.session.scalars(select(ExecutionBody.text).where(ExecutionBody.id == run.id)).one()) == SIZE
    assert len(detached) == 1


def test_no_more_is_told_live_than_anybody_reads(app: Flask) -> None:
    writer = live.Writer(None, new_id())  # type: ignore[arg-type]
    writer._is_posted = writer._started = True
    for _ in range(10):
        writer.add(live.TEXT, "x" * MEGABYTE)
    assert sum(len(value) for _, value in writer._pending) == live.LARGEST


def test_words_are_joined_as_they_come() -> None:
    words = Words()
    for number in range(10_000):
        words.add(f"{number} ")
    assert len(words) < 10_000 / LOOSE + LOOSE
    assert "".join(words) == "".join(f"{number} " for number in range(10_000))
