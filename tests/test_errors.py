"""Errors as a page, a fragment or JSON: each with what to do next, none with more than that."""

from __future__ import annotations

import json
import logging
import re

import pytest
from flask import Flask, abort

from dataelan_web import create_app
from dataelan_web.config import load

from . import people
from .conftest import free_port

HTMX = {"HX-Request": "true"}
SECRET = "sk-CANARY-in-a-traceback"


def fail() -> str:
    raise RuntimeError(f"no key {SECRET} for you")


@pytest.fixture
def broken(environment: dict[str, str], context: None) -> Flask:
    """A Dataelan in which some views raise."""
    app = create_app(load(environment))
    for rule in ("/boom", "/v1/boom"):
        app.add_url_rule(rule, rule, fail)
    app.add_url_rule("/v1/forbidden", "forbidden", lambda: abort(403))
    app.view_functions["organizations.home"] = fail
    return app


def test_a_500_has_an_id_that_is_in_the_log_and_no_traceback(
    broken: Flask, acme: people.Cast, caplog: pytest.LogCaptureFixture
) -> None:
    olivia = people.browser(broken, acme.olivia)
    for path in ("/boom", f"{acme.home}/"):
        for headers in ({}, HTMX):
            caplog.clear()
            with caplog.at_level(logging.ERROR, "dataelan_web.errors"):
                answer = olivia.get(path, headers=headers)
            page = answer.get_data(as_text=True)
            assert answer.status_code == 500
            error_id = re.search(r'id="error-id">(\w{12})<', page)[1]  # type: ignore[index]
            assert error_id in caplog.text
            assert "RuntimeError" in caplog.text
            assert not any(word in page for word in ("Traceback", "RuntimeError", SECRET, "test_errors"))
            assert page.lstrip().startswith("<!doctype html>") is not bool(headers)


def test_a_500_of_the_gateway_is_json_with_the_id(
    broken: Flask, acme: people.Cast, caplog: pytest.LogCaptureFixture
) -> None:
    answer = people.browser(broken).get("/v1/boom")
    error = answer.json["error"]  # type: ignore[index]
    assert answer.status_code == 500
    assert error["type"] == "server_error"
    assert error["code"] in caplog.text
    assert SECRET not in answer.get_data(as_text=True)


def test_without_its_database_it_still_says_so_with_an_id(environment: dict[str, str], acme: people.Cast) -> None:
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/gone"
    app = create_app(load(environment | {"DATABASE_URL": url}))
    olivia = people.browser(app, acme.olivia)
    for path in (f"{acme.home}/", acme.session_url, "/"):
        for headers in ({}, HTMX):
            answer = olivia.get(path, headers=headers)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
            assert 'id="error-id"' in answer.get_data(as_text=True)
            assert "The database does not answer" in answer.get_data(as_text=True)
            assert "psycopg2" not in answer.get_data(as_text=True)
    gateway = people.browser(app).get("/v1/models", headers={"Authorization": "Bearer dlan_x"})
    assert (gateway.status_code, gateway.headers["Retry-After"]) == (503, "5")
    assert gateway.json["error"]["code"]  # type: ignore[index]
    ready = people.browser(app).get("/readyz")
    assert ready.status_code == 503
    assert ready.json["database"] == "does not answer"  # type: ignore[index]


def test_a_404_is_a_page_a_fragment_or_json(app: Flask, acme: people.Cast) -> None:
    olivia = people.browser(app, acme.olivia)
    for path in ("/no-such-page", f"{acme.home}/projects/{acme.session.id}"):
        page, fragment = olivia.get(path), olivia.get(path, headers=HTMX)
        assert page.status_code == fragment.status_code == 404
        for answer in (page, fragment):
            assert "There is nothing here" in answer.get_data(as_text=True)
        assert b"<!doctype html>" in page.data
        assert b"<!doctype html>" not in fragment.data
    gateway = olivia.get("/v1/no-such-page")
    assert gateway.status_code == 404
    assert gateway.json == {
        "error": {"message": "No such address.", "type": "not_found_error", "param": None, "code": None}
    }


def test_a_403_says_who_can_help_as_page_fragment_and_json_and_is_in_the_log(
    broken: Flask, app: Flask, acme: people.Cast, caplog: pytest.LogCaptureFixture
) -> None:
    victor = people.browser(app, acme.victor)
    form = {"csrf_token": victor.csrf(), "name": "Mine"}
    for headers in ({}, HTMX):
        answer = victor.post(f"{acme.home}/projects", data=form, headers=headers)
        assert answer.status_code == 403
        assert "An owner or admin of the organization can do it" in answer.get_data(as_text=True)
        assert (b"<!doctype html>" in answer.data) is not bool(headers)
    assert "refused with 403: POST /o/<slug>/projects" in caplog.text
    answer = people.browser(broken).get("/v1/forbidden")
    assert answer.status_code == 403
    assert answer.json["error"]["type"] == "permission_error"  # type: ignore[index]


def test_an_error_inside_the_organization_keeps_its_navigation(app: Flask, acme: people.Cast) -> None:
    page = people.browser(app, acme.olivia).get(f"{acme.home}/sessions/{acme.project.id}").get_data(as_text=True)
    assert acme.organization.name in page
    assert "Providers and keys" in page
    stranger = people.browser(app, acme.ned).get(acme.home + "/").get_data(as_text=True)
    assert acme.organization.name not in stranger


def test_a_wrong_method_and_a_body_too_large_have_words_of_their_own(app: Flask, acme: people.Cast) -> None:
    olivia = people.browser(app, acme.olivia)
    assert "That does not work here" in olivia.put("/login").get_data(as_text=True)
    assert olivia.open("/login", method="TRACE").status_code == 405
    gateway = olivia.get("/v1/chat/completions")
    assert gateway.status_code == 405
    assert gateway.json["error"]["message"]  # type: ignore[index]
    form = {"content_type": "application/x-www-form-urlencoded", "environ_overrides": {"CONTENT_LENGTH": "30000000"}}
    answer = olivia.post("/login", data=b"email=x", **form)
    assert answer.status_code == 413
    assert "That was too large" in answer.get_data(as_text=True)


NUL = "a\x00b"
BOTTOMLESS = "[" * 100_000


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/o/%00/", {}),
        ("/login", {"next": "//["}),
        ("/login", {"next": "http://["}),
        ("/login", {"next": NUL}),
        ("{home}/hub/models", {"q": NUL, "provider": NUL, "capability": NUL}),
        ("{home}/hub/models", {"q": "%" * 5000}),
        ("{home}/hub/models", {"page": "9" * 30}),
        ("{home}/hub/models", {"page": "-1"}),
        ("{home}/projects/{project}", {"page": "9" * 5000}),
        ("{session}", {"before": NUL}),
        ("{session}", {"before": "ffffffff-ffff-ffff-ffff-ffffffffffff"}),
    ],
)
def test_no_address_is_so_odd_that_it_ends_in_a_500(
    app: Flask, acme: people.Cast, path: str, query: dict[str, str]
) -> None:
    path = path.format(home=acme.home, project=acme.project.id, session=acme.session_url)
    assert people.browser(app, acme.olivia).get(path, query_string=query).status_code < 500


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/signup", {"name": NUL, "email": "nul@example.com", "password": "short"}),
        ("/login", {"email": "a\x00@example.com", "password": NUL}),
        ("{home}/projects", {"name": NUL, "description": NUL}),
        ("{home}/projects/{project}/tokens", {"label": NUL, "expires_in": ""}),
        ("{home}/projects/{project}/tokens", {"label": "x", "expires_in": "9999999999"}),
        ("{home}/projects/{project}/sessions", {"title": NUL}),
        ("{home}/projects/{project}/sessions", {"title": "x", "model_type": "VIDEO"}),
        ("{session}/title", {"title": NUL}),
        ("{session}/executions", {"text": NUL, "model": NUL, "system": NUL, "submission": NUL}),
        ("{session}/executions", {"text": "x", "model": "m", "submission": "s" * 5000}),
        ("{session}/executions", {"text": "x", "max_tokens": "9" * 400, "temperature": "NaN"}),
        ("{session}/executions", {"text": "x", "max_tokens": "-1", "temperature": "sNaN"}),
        ("{session}/executions", {"text": "x", "temperature": "1e999999"}),
        ("{session}/executions", {"text": "x", "top_p": "NaN", "seed": "9" * 400, "stop": "\\\n" * 9000}),
        ("{session}/executions", {"text": "x", "top_p": "1e999999", "seed": "-1"}),
        ("{session}/executions", {"text": "x", "stop": NUL + "\\\nEND"}),
        ("{home}/hub/servers", {"name": "x", "base_url": "http://[::1"}),
        ("{home}/hub/servers", {"name": "x", "base_url": "http://h:99999/v1"}),
        ("{home}/hub/servers", {"name": "x", "base_url": "http://a\x00b/v1"}),
        ("{home}/hub/servers", {"name": "x", "base_url": "http://127.0.0.1:9/v1", "key": "k\u20ac"}),
        ("{home}/hub/servers", {"name": "x", "base_url": "http://127.0.0.1:9/v1", "key": "k\r\nX-Evil: 1"}),
        ("{home}/hub/keys", {"provider_id": NUL, "key": "k"}),
    ],
)
def test_no_form_is_so_odd_that_it_ends_in_a_500(
    app: Flask, acme: people.Cast, path: str, form: dict[str, object]
) -> None:
    path = path.format(home=acme.home, project=acme.project.id, session=acme.session_url)
    assert people.browser(app, acme.olivia).submit(path, form).status_code < 500


@pytest.mark.parametrize(
    "body", ["", "null", "[]", "{", BOTTOMLESS, '{"messages": ' + BOTTOMLESS, json.dumps({"model": NUL})]
)
def test_no_body_is_so_odd_that_the_gateway_answers_500(app: Flask, acme: people.Cast, body: str) -> None:
    headers = {"Authorization": f"Bearer {acme.token()}"}
    answer = people.browser(app).post("/v1/chat/completions", data=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json["error"]["message"]  # type: ignore[index]
