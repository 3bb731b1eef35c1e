"""A run that a limit stops is over a moment after it was asked: its first card may be made of it when it is."""

from __future__ import annotations

import re
import uuid

import pytest
from flask import Flask

from dataelan_web.extensions import db
from dataelan_web.models import Budget, Execution, Scope, State
from tests import people, used

from .conftest import wait_until
from .test_limits import page, text_of

INSTANT = "simulated/simulated-instant"


def stopped(id: uuid.UUID, budget: Budget) -> None:
    """As if this limit had stopped the run before its card was made; the mark of its form still finds it."""

    def run() -> Execution:
        db.session.rollback()
        return db.session.get_one(Execution, id, populate_existing=True)

    wait_until(lambda: not run().is_open)
    over = run()
    over.state, over.error_kind, over.refused_by = State.FAILED, "billing", budget.id
    over.body.error = "The limit has less left than this prompt may cost."
    db.session.commit()


@pytest.mark.parametrize("place", ["session", "prompt"])
def test_the_first_card_of_a_run_that_was_refused_at_once_says_which_limit_it_was(
    place: str, app: Flask, worker: object, acme: people.Cast
) -> None:
    budget, mia = used.limit(acme, Scope.PROJECT, acme.project.id), people.browser(app, acme.mia)
    shown = acme.session_url if place == "session" else f"{acme.home}/prompts/{people.template(acme, 'Hello').id}"
    asked = {"text": "Hello", "message_role": "user", "message_text": "Hello", "model": INSTANT, "submission": "1"}
    url = f"{shown}/{'executions' if place == 'session' else 'runs'}"
    first = mia.submit(url, dict(asked)).get_data(as_text=True)
    (id,) = set(re.findall(r'id="run-([0-9a-f-]{36})"', first))
    stopped(uuid.UUID(id), budget)
    again = mia.submit(url, dict(asked))
    assert again.status_code == 201
    for html in (again.get_data(as_text=True), page(app, acme.mia, shown)):
        assert f'id="run-{id}"' in html
        assert f"The limit on Project {acme.project.name} stopped this" in text_of(html)
        assert "Ask for more" in html
