"""A database that cuts connections in the middle of a request, or is full: whoever asked gets an answer with words."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from flask import Flask, Response, abort, request
from sqlalchemy import func, select, text

from dataelan_web import create_app
from dataelan_web.config import load
from dataelan_web.executions import execute
from dataelan_web.extensions import db
from dataelan_web.models import Execution

from . import people

HTMX = {"HX-Request": "true"}


def cut() -> None:
    """This request's own connection, in the middle of its transaction. Back when its server process is gone."""
    pid = db.session.scalar(text("SELECT pg_backend_pid()"))
    with db.engine.connect() as another:
        assert another.scalar(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})


def cut_then(what: Callable[[], str]) -> Callable[..., str]:
    def view(**_: object) -> str:
        cut()
        return what()

    return view


def nothing_here() -> str:
    abort(404)


@pytest.fixture
def product(environment: dict[str, str], context: None) -> Flask:
    """A Dataelan in which some views lose their connection, and every answer to X-Cut after it was made."""
    app = create_app(load(environment))
    app.add_url_rule("/fine", "fine", cut_then(lambda: "all is well"))
    app.add_url_rule("/v1/fine", "v1_fine", cut_then(lambda: "all is well"))
    app.view_functions["organizations.home"] = cut_then(nothing_here)

    @app.after_request
    def cut_late(response: Response) -> Response:
        if "X-Cut" in request.headers:
            cut()
        if "X-Fail" in request.headers and response.status_code == 200:
            raise RuntimeError("no header was made")
        return response

    return app


def test_an_answer_that_was_made_is_given_though_its_connection_breaks_at_the_end(
    product: Flask, acme: people.Cast
) -> None:
    olivia, sessions = people.browser(product, acme.olivia), set(db.session.registry.registry)
    for path in ("/fine", "/v1/fine"):
        assert olivia.get(path).get_data(as_text=True) == "all is well"
    page = olivia.get(acme.session_url, headers={"X-Cut": "1"})
    assert page.status_code == 200
    assert acme.session.title in page.get_data(as_text=True)
    form = {"csrf_token": olivia.csrf(), "name": "Kept"}
    made = olivia.post(f"{acme.home}/projects", data=form, headers={"X-Cut": "1"})
    assert made.status_code == 303
    assert olivia.get(made.location).status_code == 200
    assert set(db.session.registry.registry) == sessions, "a session was left for the next request at its address"


def test_an_error_page_that_cannot_read_what_surrounds_it_is_bare(
    product: Flask, acme: people.Cast, caplog: pytest.LogCaptureFixture
) -> None:
    olivia = people.browser(product, acme.olivia)
    answer = olivia.get(f"{acme.home}/")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert error_id(answer) in caplog.text
    assert "Traceback" not in caplog.text
    fragment = olivia.get(f"{acme.home}/", headers=HTMX)
    assert fragment.status_code == 404, "a fragment has no surroundings to read"
    assert "Providers and keys" not in fragment.get_data(as_text=True)


def test_what_breaks_after_the_view_is_an_error_with_a_number_too(
    product: Flask, acme: people.Cast, caplog: pytest.LogCaptureFixture
) -> None:
    olivia = people.browser(product, acme.olivia)
    answer = olivia.get("/login", headers={"X-Fail": "1"})
    assert answer.status_code == 500
    assert error_id(answer) in caplog.text
    assert caplog.text.count("Traceback") == 1


def error_id(answer: Response) -> str:
    found = re.search(r'id="error-id">(\w{12})<', answer.get_data(as_text=True))
    assert found, answer.get_data(as_text=True)
    return found[1]


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_a_full_disk_leaves_no_trace_of_is_not_told_as_its_providers_failure(
    app: Flask, acme: people.Cast, simulated: str, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    """Whoever asks again under the same key, as they are told, has one run in the end."""
    monkeypatch.setattr(execute, "PAUSES", (0.01,))
    headers = {"Authorization": f"Bearer {acme.token()}", "Idempotency-Key": uuid.uuid4().hex}
    body = {"model": "simulated/simulated-instant", "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
    client = people.browser(app)
    with full_disk(acme):
        answer = client.post("/v1/chat/completions", json=body, headers=headers)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert "provider_" not in answer.get_data(as_text=True)
        assert runs_of(acme) == 0
    assert client.post("/v1/chat/completions", json=body, headers=headers).status_code == 200
    assert runs_of(acme) == 1


def runs_of(acme: people.Cast) -> int:
    db.session.rollback()
    runs = select(func.count()).where(Execution.organization_id == acme.organization.id)
    return db.session.scalar(runs) or 0


@contextmanager
def full_disk(acme: people.Cast) -> Iterator[None]:
    """As PostgreSQL says it: from the first call of this organization on, which finds no room beside its run's row."""
    name, mine = f"full_{acme.organization.id.hex}", f"organization_id = '{acme.organization.id}'"
    full = "RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full'"
    made = f"""
        CREATE SEQUENCE {name}_is;
        GRANT ALL ON SEQUENCE {name}_is TO PUBLIC;
        CREATE FUNCTION {name}_calls() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF EXISTS (SELECT FROM executions WHERE id = NEW.execution_id AND {mine}) THEN
                PERFORM nextval('{name}_is');
                {full};
            END IF;
            RETURN NEW; END $$;
        CREATE FUNCTION {name}_runs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF (SELECT is_called FROM {name}_is) THEN {full}; END IF;
            RETURN NEW; END $$;
        CREATE TRIGGER {name} BEFORE INSERT ON attempts FOR EACH ROW EXECUTE FUNCTION {name}_calls();
        CREATE TRIGGER {name} BEFORE INSERT ON executions FOR EACH ROW
            WHEN (NEW.{mine}) EXECUTE FUNCTION {name}_runs()"""
    db.session.execute(text(made))
    db.session.commit()
    try:
        yield
    finally:
        db.session.rollback()
        db.session.execute(text(f"DROP FUNCTION {name}_calls, {name}_runs CASCADE; DROP SEQUENCE {name}_is"))
        db.session.commit()
