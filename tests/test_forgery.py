"""No other site can act for a person who is signed in here. That looking changes nothing is said in test_access.py."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest
from flask import Flask
from itsdangerous import URLSafeTimedSerializer

from dataelan_web.extensions import db

from . import people
from .test_access import ROUTES, TOKEN, Ids, Route, by_feature, rows_of

FORMS = [route for route in ROUTES if route.method == "POST" and route.allowed is not TOKEN]


@pytest.mark.sweep
@by_feature(FORMS)
def test_a_form_without_this_sessions_token_is_refused_and_changes_nothing(
    app: Flask, routes: list[Route], acme: people.Cast, subtests: pytest.Subtests
) -> None:
    ids = Ids.of(acme, routes)
    olivia, adams_token = people.browser(app, acme.olivia), people.browser(app, acme.adam).csrf()
    olivia.csrf()
    before, session_key = rows_of(acme), acme.olivia.session_key
    for route in routes:
        with subtests.test(str(route)):
            form = {name: value.format(**vars(ids)) for name, value in route.form.items()}
            for attack in attacks(form, adams_token):
                answer = olivia.post(route.path.format(**vars(ids)), **attack)
                assert answer.status_code == 403, attack
                assert "That form has expired" in answer.get_data(as_text=True)
    assert rows_of(acme) == before
    db.session.refresh(acme.olivia)
    assert acme.olivia.session_key == session_key


def attacks(form: dict[str, str], anothers_token: str) -> tuple[dict[str, Any], ...]:
    return (
        {"data": form},
        {"data": form | {"csrf_token": ""}},
        {"data": form | {"csrf_token": anothers_token}},
        {"data": form, "headers": {"X-CSRFToken": anothers_token}},
        {"data": form, "query_string": {"csrf_token": anothers_token}},
        {"data": form, "headers": {"HX-Request": "true"}},
        {"data": form, "headers": {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}},
        {"data": form, "headers": {"Origin": "null"}},
        {"data": '{"name": "x"}', "content_type": "text/plain"},
        {"json": form},
    )


def test_a_token_is_the_sessions_secret_and_one_in_a_form_of_before_is_taken_by_that(
    app: Flask, acme: people.Cast
) -> None:
    """Random, and by no SHA-1; forms that Flask-WTF made, with drafts in them, can still be sent."""
    olivia = people.browser(app, acme.olivia)
    with olivia.session_transaction() as session:
        session.pop("csrf_token", None)
    token = re.findall(r'name="csrf_token" value="([^"]+)"', olivia.get("/account").get_data(as_text=True))[0]
    with olivia.session_transaction() as session:
        assert token == session["csrf_token"]
    assert len(base64.urlsafe_b64decode(f"{token}=")) == 32

    before = URLSafeTimedSerializer("any other secret", salt="wtf-csrf-token")
    forged = before.dumps(token[:-1]), "[" * 100_000, "é.x", "."
    for said, status in ((before.dumps(token), 200), *((one, 403) for one in forged)):
        sent = olivia.post("/account/name", data={"name": "Olivia", "csrf_token": said}, follow_redirects=True)
        assert sent.status_code == status, said[:50]
