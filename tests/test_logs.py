"""The log: every line of a request and of the run it asked for says which, as JSON too, and none holds a secret."""

from __future__ import annotations

import io
import json
import logging
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import rq
from flask import Flask
from rq.serializers import JSONSerializer
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from dataelan_web import logs
from dataelan_web.extensions import db
from dataelan_web.jobs import queue
from dataelan_web.jobs.worker import NamedJob, PooledWorker

from . import people
from .test_playground import run_of

SECRET = "a-secret-of-the-settings"


@contextmanager
def written(monkeypatch: pytest.MonkeyPatch, form: str = "json") -> Iterator[list[Any]]:
    """What is written meanwhile: objects, or lines of text."""
    lines: list[Any] = []
    handler = logging.StreamHandler(there := io.StringIO())
    handler.setFormatter(logs.JsonLine([SECRET]) if form == "json" else logs.TextLine([SECRET]))
    monkeypatch.setattr(logs, "_structured", form == "json")
    root = logging.getLogger("dataelan_web")
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
        found = there.getvalue().splitlines()
        lines.extend(map(json.loads, found) if form == "json" else found)


@contextmanager
def messages_for_us(app: Flask) -> Iterator[rq.Queue]:
    """Messages go to a queue that no worker of other tests looks at."""
    kept = app.extensions["dataelan_queue"]
    ours = rq.Queue(f"test-{uuid.uuid4().hex}", connection=kept.connection, serializer=JSONSerializer)
    app.extensions["dataelan_queue"] = ours
    try:
        yield ours
    finally:
        app.extensions["dataelan_queue"] = kept


def work(app: Flask, ours: rq.Queue) -> None:
    """As a worker does one message, in this process. By a connection of its own: RQ makes those of its pool wait."""
    own = queue.connect(app.extensions["dataelan_settings"].redis_url)
    worker = PooledWorker(app, [rq.Queue(ours.name, connection=own, serializer=JSONSerializer)], 1)
    worker._perform(NamedJob(ours.job_ids[0], connection=queue.store(), serializer=JSONSerializer), ours)


def test_a_request_is_named_and_the_run_that_it_asked_for_is_found_by_that_name(
    app: Flask, acme: people.Cast, simulated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mia, form = people.browser(app, acme.mia), {"text": "Hello", "model": "simulated/simulated-instant"}
    with written(monkeypatch) as lines, messages_for_us(app) as ours:
        sent = {"submission": uuid.uuid4().hex, **form}
        answer = mia.submit(f"{acme.session_url}/executions", sent, headers={"X-Request-ID": "theirs-7"})
        assert answer.headers["X-Request-ID"] == "theirs-7"
        work(app, ours)
        other = mia.get("/login", headers={"X-Request-ID": "bad name\twith <tags>"}).headers["X-Request-ID"]
    run = str(run_of(answer.text))
    asked, done, last = [one for one in lines if one["message"] in ("request ended", "run ended")]
    assert (asked["request_id"], asked["execution_id"]) == ("theirs-7", run)
    assert asked["person"] == str(acme.mia.id)
    assert (asked["route"], asked["status"]) == ("/o/<slug>/sessions/<uuid:id>/executions", 201)
    assert (done["request_id"], done["execution_id"], done["state"]) == ("theirs-7", run, "completed")
    assert last["request_id"] == other
    assert len(other) == 32, "what could be no name is given a new one"
    assert "execution_id" not in last
    assert acme.organization.slug not in json.dumps(lines), "addresses may hold what is secret"


def test_no_line_holds_a_secret_and_each_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    log = logging.getLogger("dataelan_web.test")
    told = f"{SECRET} sk-live-CANARY1234 Bearer dlan_CANARY12345 postgresql://me:CANARY@db/x\nand a second line"
    for form in ("json", "text"):
        with written(monkeypatch, form) as lines:
            logs.begin("r-1")
            log.warning(told)
            try:
                raise ValueError(told)
            except ValueError:
                log.exception("it broke")
        said = json.dumps(lines)
        assert "CANARY" not in said
        assert SECRET not in said
        assert "postgresql://me:•••@db/x" in str(lines)
        if form == "json":
            assert [one["request_id"] for one in lines] == ["r-1", "r-1"]
            assert "ValueError" in lines[1]["error"]
        else:
            assert lines[0].endswith(r"\nand a second line [request_id=r-1]"), "what it quotes begins no other line"
            assert re.match(r"\d{4}-\d\d-\d\d [\d:]{8},\d{3}Z WARNING ", lines[0])
            assert "[request_id=r-1]" in lines[-1] or any("[request_id=r-1]" in line for line in lines)


def test_an_error_of_the_database_does_not_say_what_was_to_be_written(context: None) -> None:
    with pytest.raises(DBAPIError) as broken:
        db.session.execute(text("SELECT 1 / 0 WHERE :said <> ''"), {"said": "A CANARY sings"})
    assert "division by zero" in str(broken.value)
    assert "CANARY" not in str(broken.value)


def test_a_thread_that_does_many_things_names_none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    with logs.scope({"request_id": "r-2", "evil": "x\ny"}):
        logs.note(execution_id="e")
        assert logs.noted() == {"request_id": "r-2", "execution_id": "e"}
        assert logs.handed_on() == {"request_id": "r-2"}
    with logs.scope({"request_id": "not\nsafe"}):
        assert logs.noted() == {}
    token = logs._SCOPE.set(None)
    logs.note(execution_id="e")
    assert logs.noted() == {}
    logs._SCOPE.reset(token)
