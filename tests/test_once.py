"""What is sent twice is done once: twenty posts of one form, at the same moment, are one run."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from dataelan_web.executions import waiting
from dataelan_web.extensions import db
from dataelan_web.models import Execution, Prompt, PromptSession

from . import people
from .test_playground import ask

TWENTY = 20


def at_once(app: Flask, person: object, act: Callable[[FlaskClient], TestResponse]) -> list[TestResponse]:
    """The answers of twenty browsers that do the same at the same moment."""
    browsers = [people.browser(app, person) for _ in range(TWENTY)]
    forms = [{"csrf_token": browser.csrf()} for browser in browsers]
    gate = threading.Barrier(TWENTY)

    def one(place: int) -> TestResponse:
        gate.wait()
        return act(lambda url, **form: browsers[place].post(url, data=forms[place] | form, headers=HTMX))

    with ThreadPoolExecutor(TWENTY) as pool:
        return list(pool.map(one, range(TWENTY)))


HTMX = {"HX-Request": "true"}


def count(what: type, **where: object) -> int:
    return int(db.session.scalar(select(func.count()).select_from(what).filter_by(**where)) or 0)


@pytest.fixture
def once() -> dict[str, str]:
    return {"submission": uuid.uuid4().hex}


def test_a_prompt_sent_twenty_times_at_once_is_one_run(app: Flask, acme: people.Cast, once: dict[str, str]) -> None:
    form = {"text": "Hi", "model": "simulated/simulated-instant", **once}
    url = f"{acme.session_url}/executions"
    answers = at_once(app, acme.mia, lambda post: post(url, **form))
    assert {answer.status_code for answer in answers} == {201}
    runs = {re.search(r'id="run-([0-9a-f-]{36})"', answer.get_data(as_text=True))[1] for answer in answers}
    assert len(runs) == 1
    assert (count(Execution, session_id=acme.session.id), count(Prompt, session_id=acme.session.id)) == (1, 1)


def test_a_retry_sent_twenty_times_at_once_is_one_run(
    app: Flask, worker: object, acme: people.Cast, once: dict[str, str]
) -> None:
    id = ask(app, acme, "Please")
    url = f"{acme.home}/executions/{id}/retry"
    answers = at_once(app, acme.mia, lambda post: post(url, **once))
    assert {answer.status_code for answer in answers} == {201}
    assert count(Execution, session_id=acme.session.id) == 2
    assert count(Prompt, session_id=acme.session.id) == 1
    page = people.browser(app, acme.mia).get(f"{acme.home}/executions/{id}").get_data(as_text=True)
    fresh = re.search(rf'id="retry-{id}" name="submission" value="(\w+)"', page)
    assert fresh
    assert fresh[1] != once["submission"]  # to retry it once more, on purpose, is another run
    again = people.browser(app, acme.mia).submit(url, {"submission": fresh[1]})
    assert again.status_code == 201
    assert count(Execution, session_id=acme.session.id) == 3


def test_a_first_prompt_sent_twenty_times_at_once_is_one_session_with_one_run(
    app: Flask, acme: people.Cast, once: dict[str, str]
) -> None:
    form = {"text": "Hi", "model": "simulated/simulated-instant", "model_type": "TEXT", **once}
    before, url = count(PromptSession, project_id=acme.project.id), f"{acme.home}/projects/{acme.project.id}/sessions"
    answers = at_once(app, acme.mia, lambda post: post(url, **form))
    assert len({answer.headers["HX-Redirect"] for answer in answers}) == 1
    assert count(PromptSession, project_id=acme.project.id) == before + 1
    assert count(Execution, project_id=acme.project.id) == 1


def test_a_form_that_is_sent_again_with_other_words_is_another_run(
    app: Flask, acme: people.Cast, once: dict[str, str]
) -> None:
    """Its answer was lost on the way, and the person changed what they ask."""
    mia, form = people.browser(app, acme.mia), {"model": "simulated/simulated-instant", **once}
    for words in ("Hi", "Hi, how are you?", "Hi"):
        assert mia.submit(f"{acme.session_url}/executions", form | {"text": words}).status_code == 201
    assert count(Execution, session_id=acme.session.id) == 2


def test_every_form_that_runs_a_prompt_can_be_sent_once_only(app: Flask, worker: object, acme: people.Cast) -> None:
    id = ask(app, acme, "Please")
    mia = people.browser(app, acme.mia)
    page, home = (mia.get(url).get_data(as_text=True) for url in (acme.session_url, f"{acme.home}/"))
    for place, url in ((page, f"executions/{id}/retry"), (page, f"{acme.session_url}/executions"), (home, "/sessions")):
        form = re.search(rf'<form[^>]*action="[^"]*{url}".*?</form>', place, re.S)
        assert form, url
        assert len(re.findall(r'name="submission" value="\w{32}"', form[0])) == 1, url


def test_a_prompt_that_is_sent_again_is_found_among_those_that_wait_though_no_more_may(
    app: Flask, acme: people.Cast
) -> None:
    """Its first answer was lost on the way, and meanwhile the session is full."""
    mia, slow = people.browser(app, acme.mia), "!simulate tokens=400 rate=10\nHi"
    forms = [
        {"text": slow, "model": "simulated/simulated-fast", "submission": uuid.uuid4().hex}
        for _ in range(waiting.MOST + 2)
    ]
    answers = [mia.submit(f"{acme.session_url}/executions", form) for form in (*forms, forms[-2])]
    assert [answer.status_code for answer in answers] == [201] * (waiting.MOST + 1) + [422, 201]
    assert "wait for their turn already" in answers[-2].get_data(as_text=True)
    assert count(Execution, session_id=acme.session.id) == waiting.MOST + 1
    for id in db.session.scalars(select(Execution.id).where(Execution.session_id == acme.session.id)):
        mia.submit(f"{acme.home}/executions/{id}/cancellation")
