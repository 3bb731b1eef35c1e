"""Pages of declared actions: declared by a form, chosen in the composer, decided on cards, taken out of the trash."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import select

from dataelan_web.acting.offering import TAKEN
from dataelan_web.extensions import db
from dataelan_web.models import (
    ActionAttempt,
    ActionCall,
    Approval,
    CallState,
    DeclaredAction,
    Execution,
    OfferedAction,
)

from . import acting, people
from .receiver import Receiver, receiver


@pytest.fixture
def program() -> Iterator[Receiver]:
    with receiver() as there:
        yield there


def form(url: str = "", **values: str) -> dict[str, object]:
    return {
        "name": "create_ticket",
        "description": "Opens a ticket.",
        "schema": json.dumps(acting.SCHEMA),
        "sample": json.dumps(acting.SAMPLE),
        "delivery": "webhook" if url else "none",
        "url": url,
        "approval": "editors",
        "repairs": "1",
        **values,
    }


def actions(cast: people.Cast) -> list[DeclaredAction]:
    db.session.rollback()
    return list(db.session.scalars(select(DeclaredAction).where(DeclaredAction.project_id == cast.project.id)))


def test_an_action_is_declared_changed_tried_switched_and_deleted(
    app: Flask, acme: people.Cast, program: Receiver
) -> None:
    adam, here = people.browser(app, acme.adam), f"{acme.home}/projects/{acme.project.id}/actions"
    assert "No actions yet" in adam.get(here).get_data(as_text=True)
    made = adam.submit(here, form(program.url))
    assert made.status_code == 201
    secret = re.search(r"whsec_[\w+/=]+", made.get_data(as_text=True))
    assert secret
    (action,) = actions(acme)
    page = f"{acme.home}/actions/{action.id}"
    assert secret[0] not in adam.get(page).get_data(as_text=True), "it is shown once"
    assert "The test was delivered" in adam.submit(f"{page}/test").get_data(as_text=True)
    assert program.got[0].verified(secret[0])["data"]["arguments"] == acting.SAMPLE
    attempt = db.session.scalars(select(ActionAttempt).where(ActionAttempt.action_id == action.id)).one()
    assert (attempt.message_id, attempt.status, attempt.user_id) == (program.got[0].id, 204, acme.adam.id)
    for word in ("Saved as version 2", "Nothing was changed"):
        changed = {"csrf_token": adam.csrf(), **form(program.url, description="Opens one")}
        assert word in adam.post(page, data=changed).get_data(as_text=True)
    adam.submit(f"{page}/state", {"is_enabled": "no"})
    assert not actions(acme)[0].is_enabled
    adam.submit(f"{page}/deletion")
    assert adam.get(page).status_code == 410
    adam.submit(f"{acme.home}/trash/action/{action.id}/restoration")
    assert adam.get(page).status_code == 200
    mia = people.browser(app, acme.mia)
    assert mia.submit(f"{page}/deletion").status_code == 403
    assert program.url not in mia.get(page).get_data(as_text=True), "an address can hold a secret"


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("name", "create ticket", "A letter, then letters"),
        ("schema", "{", "This is not JSON"),
        ("schema", '{"type": "object", "properties": {"title": {"type": "strin"}}}', "It is no JSON Schema"),
        ("schema", '{"type": "object", "$ref": "https://example.com/x"}', "A $ref must stay"),
        ("sample", '{"title": 1, "priority": "high"}', "It does not fit the schema. $.title"),
        (
            "schema",
            '{"type": "object", "x": {"type": "nope"}, "properties": {"title": {"$ref": "#/x"}}}',
            "A reference of the schema leads nowhere",
        ),
        ("url", "", "Enter the address"),
        ("url", "https://user@example.com/", "without a user name"),
    ],
)
def test_a_form_says_what_is_wrong_and_keeps_what_was_typed(
    app: Flask, acme: people.Cast, field: str, typed: str, said: str
) -> None:
    adam, here = people.browser(app, acme.adam), f"{acme.home}/projects/{acme.project.id}/actions"
    sent = {**form("http://127.0.0.1:9/"), "delivery": "webhook", field: typed}
    answer = adam.submit(here, sent)
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert said in page.replace("&#34;", '"').replace("&#39;", "'")
    assert actions(acme) == []
    if field != "name" and field != "url":
        checked = adam.submit(f"{here}/check", sent).get_data(as_text=True)
        assert said in checked.replace("&#34;", '"').replace("&#39;", "'")


def test_the_composer_offers_what_is_ticked_and_remembers_what_is_not(
    app: Flask, acme: people.Cast, simulated: str
) -> None:
    one, two = acting.declared(acme, name="one"), acting.declared(acme, name="two")
    mia = people.browser(app, acme.mia)
    page = mia.get(acme.session_url).get_data(as_text=True)
    assert page.count('name="actions"') == page.count(" checked><span><code>") == 2
    ids = [str(one.id), str(two.id)]
    sent = {"text": "Hello", "model": "simulated/simulated-instant", "listed": ids, "actions": [str(two.id)]}
    assert mia.submit(f"{acme.session_url}/executions", {**sent, "submission": "a"}).status_code == 201
    db.session.rollback()
    run = db.session.scalars(select(Execution).where(Execution.session_id == acme.session.id)).one()
    offered = db.session.scalars(select(OfferedAction).where(OfferedAction.execution_id == run.id)).all()
    assert [row.version_id for row in offered] == [two.version.id]
    page = mia.get(acme.session_url).get_data(as_text=True)
    assert page.count(" checked><span><code>") == 1
    mia.submit(f"{acme.session_url}/executions", {**sent, "tools": '[{"name": "two"}]', "submission": "b"})
    db.session.rollback()
    assert list(db.session.scalars(select(OfferedAction.why).order_by(OfferedAction.id.desc()).limit(1))) == [TAKEN]


def waiting(cast: people.Cast, approval: Approval = Approval.EDITORS) -> ActionCall:
    action = acting.declared(cast, "http://127.0.0.1:9/secret-path", approval)
    call = acting.written(cast, action, json.dumps({"title": "<script>alert(1)</script>", "priority": "low"}))
    acting.looked_at(call)
    assert call.state is CallState.WAITING
    return call


def test_who_may_approve_is_as_declared_and_an_approver_reads_the_arguments_first(
    app: Flask, acme: people.Cast
) -> None:
    call = waiting(acme, Approval.ADMINS)
    url = f"{acme.home}/calls/{call.id}"
    for who in ("mia", "gina", "victor"):
        client = people.browser(app, acme.people[who])
        page = client.get(url).get_data(as_text=True)
        assert "An owner or admin" in page
        assert "Approve</span>" not in page
        assert client.submit(f"{url}/approval").status_code == 403
    adam = people.browser(app, acme.adam)
    page = adam.get(f"{acme.home}/projects/{acme.project.id}/approvals").get_data(as_text=True)
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
    assert "secret-path" not in page
    tabs = adam.get(f"{acme.home}/projects/{acme.project.id}").get_data(as_text=True)
    assert '<span class="tab-count">1<' in tabs
    answer = adam.submit(f"{url}/refusal", {"reason": "Not today"}).get_data(as_text=True)
    assert "Declined by Adam" in answer
    assert "Not today" in answer
    late = people.browser(app, acme.olivia).submit(f"{url}/approval").get_data(as_text=True)
    assert "Somebody was quicker" in late
    assert "Declined by Adam" in late


def test_a_card_asks_for_news_and_hears_nothing_while_there_is_none(app: Flask, acme: people.Cast) -> None:
    call = waiting(acme)
    mia, url = people.browser(app, acme.mia), f"{acme.home}/calls/{call.id}"
    htmx = {"HX-Request": "true"}
    card = mia.get(url, headers=htmx).get_data(as_text=True)
    stamp = re.search(r"seen=([\w-]+)", card)
    assert stamp
    assert mia.get(f"{url}?seen={stamp[1]}", headers=htmx).status_code == 204
    assert mia.get(f"{url}?seen=other", headers=htmx).status_code == 200
    log = mia.get(f"{url}?seen=other&part=log", headers=htmx).get_data(as_text=True)
    assert 'id="call-log"' in log
    assert "<article" not in log


def test_what_a_receiver_answered_is_offered_to_the_model_where_nothing_was_written_yet(
    app: Flask, acme: people.Cast
) -> None:
    call = waiting(acme)
    mia, url = people.browser(app, acme.mia), f"{acme.home}/calls/{call.id}"
    htmx = {"HX-Request": "true"}
    assert "hx-partial" not in mia.get(url, headers=htmx).get_data(as_text=True)
    assert call.version
    tried = ActionAttempt(
        action_id=call.version.action_id, call_id=call.id, message_id="m", number=1, url="https://a.b"
    )
    tried.answer, call.state, call.status = '{"ticket": <42>}', CallState.DELIVERED, 200
    db.session.add(tried)
    db.session.commit()
    card = mia.get(url, headers=htmx).get_data(as_text=True)
    assert f'hx-target="#result-{call.id}:placeholder-shown"' in card
    assert "{&#34;ticket&#34;: &lt;42&gt;}</textarea>" in card
    assert "hx-partial" not in mia.get(url).get_data(as_text=True), "a page of its own has no such field"


def test_a_session_shows_the_cards_of_its_calls(app: Flask, acme: people.Cast) -> None:
    call = waiting(acme)
    page = people.browser(app, acme.mia).get(acme.session_url).get_data(as_text=True)
    assert f'id="call-{call.id}"' in page
    assert "Approve</span>" in page
    run = people.browser(app, acme.victor).get(f"{acme.home}/executions/{call.execution_id}").get_data(as_text=True)
    assert f'id="call-{call.id}"' in run
    assert "Approve</span>" not in run


def test_what_is_said_otherwise_is_offered_the_same(app: Flask, acme: people.Cast) -> None:
    acting.declared(acme)
    first = acting.asked(acme)
    words = {"text": "Create another ticket", "submission": "s"}
    assert (
        people.browser(app, acme.mia).submit(f"{acme.home}/executions/{first.id}/rewording", words).status_code == 201
    )
    latest = select(Execution).where(Execution.session_id == acme.session.id).order_by(Execution.id.desc()).limit(1)
    run = db.session.scalars(latest).one()
    offered = select(OfferedAction.version_id).where(OfferedAction.execution_id == run.id)
    assert run.id != first.id
    assert [tool["name"] for tool in run.body.request["tools"]] == ["create_ticket"]
    assert db.session.scalars(offered).all() == [actions(acme)[0].version.id]
