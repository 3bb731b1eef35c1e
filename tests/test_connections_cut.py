"""Connections that the database cuts in the middle of a request: whoever asked gets an answer with words, always."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from flask import Flask, Response, abort, request
from sqlalchemy import text

from dataelan_web import create_app
from dataelan_web.config import load
from dataelan_web.extensions import db

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
