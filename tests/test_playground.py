"""The way of a prompt, through a browser's requests: form → execution → queue → worker → stream → page."""

from __future__ import annotations

import gzip
import re
import time
import uuid
from threading import Timer
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete, select, update

from dataelan_web.extensions import db
from dataelan_web.models import AuditEvent, Execution, Membership, Prompt, SignIn, State, User, now
from dataelan_web.playground import still_seen

from . import people
from .conftest import wait_until


def run_of(html: str) -> uuid.UUID:
    """The last card's."""
    return uuid.UUID(re.findall(r'id="run-([0-9a-f-]{36})"', html)[-1])


def ask(app: Flask, cast: people.Cast, text: str, **fields: object) -> uuid.UUID:
    """Send a prompt as Mia and wait for its end. The execution's id."""
    mia = people.browser(app, cast.mia)
    form = {"text": text, "model": "simulated/simulated-instant", "submission": uuid.uuid4().hex, **fields}
    answer = mia.submit(f"{cast.session_url}/executions", form)
    assert answer.status_code == 201, answer.get_data(as_text=True)
    id = run_of(answer.get_data(as_text=True))
    wait_until(lambda: not fresh(id).is_open)
    return id


def fresh(id: uuid.UUID) -> Execution:
    db.session.rollback()
    return db.session.get_one(Execution, id, populate_existing=True)


def test_a_prompt_is_answered_recorded_and_explained(app: Flask, worker: object, acme: people.Cast) -> None:
    execution = fresh(ask(app, acme, "What is a token?"))
    assert execution.state is State.COMPLETED
    assert "token" in execution.body.text
    assert execution.cost == 0
    assert execution.tokens_in
    assert execution.tokens_out
    assert execution.first_token_seconds is not None
    assert execution.seconds is not None
    assert execution.body.receipt["summary"]
    assert [attempt.outcome for attempt in execution.attempts] == ["completed"]


def test_the_page_says_what_each_answer_and_the_whole_session_cost(app: Flask, acme: people.Cast) -> None:
    people.ended(acme, "One", "1", cost=1_230_000, tokens_input=100, tokens_output=20)
    people.ended(acme, "Two", "2", cost=20_000_000, tokens_input=300, tokens_output=60)
    page = people.browser(app, acme.victor).get(acme.session_url).get_data(as_text=True)
    runs, totals = page[page.index('id="runs"') :], page[page.index('id="totals"') : page.index('id="runs"')]
    assert "$0.00123" in runs
    assert "$0.02" in runs
    assert "$0.0212" in totals
    assert "480" in totals, "tokens"
    assert "<rect" not in totals, "two are no trend"
    people.ended(acme, "Three", "3", cost=None)
    people.ended(acme, "Four", "4", cost=40_000_000)
    page = people.browser(app, acme.victor).get(acme.session_url).get_data(as_text=True)
    heights = re.findall(r'<rect [^>]*height="([\d.]+)"', page)
    assert heights == ["1", "8.0", "16.0"], "what is unknown is not drawn"


def test_the_page_shows_the_answer_as_sanitized_markdown(app: Flask, worker: object, acme: people.Cast) -> None:
    ask(app, acme, "Write a Python function, <script>alert(1)</script>")
    page = people.browser(app, acme.victor).get(acme.session_url).get_data(as_text=True)
    assert 'class="answer markdown"' in page
    assert "<script>alert(1)" not in page


def test_the_stream_ends_with_the_finished_card_and_resumes_after_the_last_id(
    app: Flask, worker: object, acme: people.Cast
) -> None:
    id = ask(app, acme, "Say something", model="simulated/simulated-fast")
    mia = people.browser(app, acme.mia)
    url = f"{acme.home}/executions/{id}/events"
    whole = mia.get(url).get_data(as_text=True)
    assert whole.rstrip().endswith("event: done\ndata:")
    assert f'hx-target="#run-{id}"' in whole
    ids = re.findall(r"^id: (\S+)$", whole, re.M)
    rest = mia.get(url, headers={"Last-Event-ID": ids[-1]}).get_data(as_text=True)
    assert "id: " not in rest
    assert "event: done" in rest
    packed = mia.get(url, headers={"Accept-Encoding": "gzip"})
    assert (packed.content_encoding, packed.vary.find("Accept-Encoding") >= 0) == ("gzip", True)
    assert gzip.decompress(packed.data).decode().count("\n") == whole.count("\n")


@pytest.mark.parametrize("how", ["signed out", "switched off", "removed", "nothing"])
def test_who_may_not_see_an_answer_any_more_reads_on_no_longer(
    app: Flask, worker: object, acme: people.Cast, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(still_seen, "EVERY", 0.1)
    mia, her, url = people.browser(app, acme.mia), acme.mia.id, f"{acme.session_url}/executions"
    story = {"text": "!simulate tokens=30 rate=10 reasoning=0\nA story", "model": "simulated/simulated-instant"}
    id = run_of(mia.submit(url, {**story, "submission": "1"}).get_data(as_text=True))
    ends: dict[str, Any] = {
        "signed out": delete(SignIn).where(SignIn.user_id == her),
        "switched off": update(User).where(User.id == her).values(disabled_at=now()),
        "removed": delete(Membership).where(Membership.user_id == her),
        "nothing": select(User.id).where(User.id == her),
    }

    def end() -> None:
        with app.app_context(), db.engine.begin() as connection:
            connection.execute(ends[how])

    soon = Timer(0.8, end)
    soon.start()
    said = mia.get(f"{acme.home}/executions/{id}/events").get_data(as_text=True)
    soon.join()
    assert ("event: done" in said) is (how == "nothing")
    again = mia.get(f"{acme.home}/executions/{id}/events").status_code
    assert again == {"removed": 404, "nothing": 200}.get(how, 303)


def test_a_second_post_of_the_same_form_runs_nothing_twice(app: Flask, worker: object, acme: people.Cast) -> None:
    submission = uuid.uuid4().hex
    first = ask(app, acme, "Once only", submission=submission)
    assert ask(app, acme, "Once only", submission=submission) == first
    assert db.session.query(Prompt).filter_by(session_id=acme.session.id).count() == 1


def test_to_stop_what_has_ended_changes_nothing(app: Flask, acme: people.Cast) -> None:
    run = people.ended(acme, "Hello")
    answer = people.browser(app, acme.mia).submit(f"{acme.home}/executions/{run.id}/cancellation")
    assert "It had already ended" in answer.get_data(as_text=True)
    assert not db.session.scalars(select(AuditEvent).where(AuditEvent.subject_id == run.id)).all()


def test_stop_ends_a_running_prompt_and_keeps_what_had_come(app: Flask, worker: object, acme: people.Cast) -> None:
    mia = people.browser(app, acme.mia)
    form = {"text": "!simulate tokens=400 rate=20\nA long story", "model": "simulated/simulated-fast"}
    answer = mia.submit(f"{acme.session_url}/executions", form | {"submission": uuid.uuid4().hex})
    id = run_of(answer.get_data(as_text=True))
    wait_until(lambda: fresh(id).state is State.RUNNING)
    time.sleep(0.5)
    asked = time.monotonic()
    mia.submit(f"{acme.home}/executions/{id}/cancellation")
    wait_until(lambda: not fresh(id).is_open)
    assert time.monotonic() - asked < 2
    execution = fresh(id)
    assert execution.state is State.CANCELLED
    assert execution.body.text
    assert execution.attempts[0].usage_is_estimated


def test_retry_asks_the_same_prompt_again(app: Flask, worker: object, acme: people.Cast) -> None:
    id = ask(app, acme, "!simulate fail=500\nPlease")
    assert fresh(id).state is State.FAILED
    assert fresh(id).body.error
    mia = people.browser(app, acme.mia)
    again = run_of(mia.submit(f"{acme.home}/executions/{id}/retry").get_data(as_text=True))
    assert again != id
    assert fresh(again).prompt_id == fresh(id).prompt_id


def test_an_answer_that_broke_off_keeps_its_text_and_says_what_happened(
    app: Flask, worker: object, acme: people.Cast
) -> None:
    id = ask(app, acme, "!simulate tokens=60 fail=cut after=20\nA story", model="simulated/simulated-fast")
    assert fresh(id).state is State.INTERRUPTED
    page = people.browser(app, acme.mia).get(acme.session_url).get_data(as_text=True)
    assert fresh(id).body.text
    assert fresh(id).body.error in page
    assert "Retry" in page


def test_a_conversation_carries_what_was_said(app: Flask, worker: object, acme: people.Cast) -> None:
    ask(app, acme, "My name is Mia.")
    second = fresh(ask(app, acme, "What is my name?"))
    roles = [message["role"] for message in second.body.request["messages"]]
    assert roles == ["user", "assistant", "user"]


def test_an_empty_prompt_is_refused_with_a_word_and_nothing_is_stored(app: Flask, acme: people.Cast) -> None:
    answer = people.browser(app, acme.mia).submit(f"{acme.session_url}/executions", {"text": "  \n", "model": "auto"})
    assert answer.status_code == 422
    assert "Write a prompt first" in answer.get_data(as_text=True)
    assert db.session.query(Execution).filter_by(session_id=acme.session.id).count() == 0


def test_a_prompt_of_5_mb_is_refused_with_its_text_kept(app: Flask, acme: people.Cast) -> None:
    text = "long " * 1_048_576
    answer = people.browser(app, acme.mia).submit(f"{acme.session_url}/executions", {"text": text, "model": "auto"})
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert "the most is 2 MB" in page
    assert text[:1000] in page


def test_a_first_prompt_that_is_refused_is_kept_in_its_new_session(app: Flask, acme: people.Cast) -> None:
    text = "long " * 1_048_576
    url = f"{acme.home}/projects/{acme.project.id}/sessions"
    mia = people.browser(app, acme.mia)
    answer = mia.post(url, data={"text": text, "model": "auto", "csrf_token": mia.csrf()})
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert "the most is 2 MB" in page
    assert text[:1000] in page


def test_new_conversations_of_a_project_begin_with_its_instructions(app: Flask, acme: people.Cast) -> None:
    mia, project = people.browser(app, acme.mia), f"{acme.home}/projects/{acme.project.id}"
    mia.submit(f"{project}/name", {"name": "Legal", "instructions": "Cite the law. {{ nothing }}"})
    begun = mia.submit(f"{project}/sessions", {"text": "May I?", "model": "simulated/simulated-instant"})
    run = db.session.scalars(select(Execution).order_by(Execution.id.desc())).first()
    assert run
    assert [(one["role"], one["parts"][0]["text"]) for one in run.body.request["messages"]] == [
        ("system", "Cite the law. {{ nothing }}"), ("user", "May I?"),
    ]  # fmt: skip
    assert "Cite the law. {{ nothing }}</textarea>" in mia.get(begun.headers["HX-Redirect"]).get_data(as_text=True), (
        "seen and changed"
    )
    model = people.simulated_model()
    tried = mia.submit(f"{acme.home}/hub/models/{model.id}/sessions", {"project_id": str(acme.project.id)})
    assert "Cite the law." in mia.get(tried.headers["HX-Redirect"]).get_data(as_text=True)
    drawn = mia.submit(f"{project}/sessions", {"title": "Picture", "model_type": "IMAGE"})
    assert "Cite the law." not in mia.get(drawn.headers["HX-Redirect"]).get_data(as_text=True), (
        "pictures have no system prompt"
    )
    assert "Cite the law." not in mia.get(acme.session_url).get_data(as_text=True), "what there is stays as it is"


def test_a_viewer_cannot_run_a_prompt(app: Flask, acme: people.Cast) -> None:
    answer = people.browser(app, acme.victor).submit(f"{acme.session_url}/executions", {"text": "Hi", "model": "auto"})
    assert answer.status_code == 403
