"""What is asked before each page is asked before each, and before nothing else: programs' calls go past it."""

from __future__ import annotations

import logging

import pytest
from flask import Flask, Response

from dataelan_web.api_errors import PATHS
from dataelan_web.page_hooks import PROGRAMS

from . import people
from .test_access import ROUTES, TOKEN, Ids

FOR_ALL = {
    "before": {"flask_wtf.csrf", "dataelan_web.request_ids", "dataelan_web.traces.requests", "dataelan_web.page_hooks"},
    "after": {"dataelan_web.request_ids", "dataelan_web.traces.requests", "dataelan_web.page_hooks"},
}
"""Whose hooks run for programs too. Flask-WTF's does nothing (WTF_CSRF_CHECK_DEFAULT)."""
MEASURED = "dataelan_web.metrics.process"
FOR_PAGES = {
    "before": ["dataelan_web.page_hooks", "dataelan_web.accounts.impersonating", "dataelan_web.sso.gate",
               "dataelan_web.admin.modes"],
    "after": ["dataelan_web.accounts.impersonating"],
}  # fmt: skip


def test_each_page_is_asked_and_no_call_of_a_program(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks = app.extensions["dataelan_page_hooks"]
    monkeypatch.setattr(hooks, "before", [lambda: Response("asked", 418)])
    monkeypatch.setattr(hooks, "after", [lambda response: Response("noted", response.status_code)])
    client, nobody = app.test_client(), vars(Ids.of_nobody())
    for route in ROUTES:
        if route.endpoint == "static":
            continue  # sent before anything hears of it (static_files.py)
        answer = client.open(route.path.format(**nobody), method=route.method)
        is_asked = (answer.status_code, answer.get_data()) == (418, b"noted")
        assert is_asked is not route.endpoint.startswith(PROGRAMS), route
    assert client.get("/no/such/address").status_code == 418
    assert client.post("/v1/no/such/call").status_code == 418


def test_a_hook_is_of_pages_or_for_all_on_purpose(app: Flask) -> None:
    """A new one for all costs each call of a program: is it for pages alone (page_hooks.py)?"""
    hooks = app.extensions["dataelan_page_hooks"]
    for when, bound in (("before", app.before_request_funcs[None]), ("after", app.after_request_funcs[None])):
        assert {hook.__module__ for hook in bound} - {MEASURED} == FOR_ALL[when]
        assert [hook.__module__ for hook in getattr(hooks, when)] == FOR_PAGES[when]


def test_where_programs_call_there_is_no_page(app: Flask) -> None:
    """What says of an address whether its errors are a program's (api_errors.PATHS) and what says whether its call is
    (page_hooks.PROGRAMS) mean the same; and who calls there says a token, or is told nothing of anybody's."""
    for rule in app.url_map.iter_rules():
        assert rule.rule.startswith(PATHS) is rule.endpoint.startswith(PROGRAMS), rule
    for route in ROUTES:
        if route.endpoint.startswith(PROGRAMS):
            assert route.allowed is TOKEN or route.endpoint == "gateway.openapi_document", route


def test_a_refused_form_has_a_name_of_its_own(app: Flask, acme: people.Cast, caplog: pytest.LogCaptureFixture) -> None:
    """As every request: what a line says of it is found by that."""
    olivia = people.browser(app, acme.olivia)
    with caplog.at_level(logging.WARNING, "dataelan_web.request_ids"):
        answer = olivia.post("/o/acme/projects", data={"name": "forged"}, headers={"X-Request-ID": "forged-1"})
    assert answer.status_code == 403
    assert answer.headers["X-Request-ID"] == "forged-1"
    assert "refused with 403: POST" in caplog.text
