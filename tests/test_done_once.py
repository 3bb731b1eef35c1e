# ruff: noqa: F811  (fixtures are arguments)
"""How a form is done once: at one moment, after a refusal, in other words, without Valkey, when something breaks."""

from __future__ import annotations

import contextvars
import io
import re
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, make_response
from sqlalchemy import func, select, update
from werkzeug.exceptions import Conflict
from werkzeug.test import TestResponse

from dataelan_web import once
from dataelan_web.dashboards import export_routes
from dataelan_web.executions import purge
from dataelan_web.extensions import db
from dataelan_web.jobs import queue
from dataelan_web.models import (
    Comment,
    Execution,
    GatewayToken,
    Import,
    Model,
    Project,
    Provider,
    RoutingRule,
    RunExport,
    SentForm,
    ServiceAccount,
    User,
    new_id,
)

from . import people
from .conftest import free_port
from .test_models import shared  # noqa: F401  (a fixture)
from .test_own_account import ada  # noqa: F401
from .test_two_factor import HERE, Clock, Shared, app_of_ada, clock  # noqa: F401

TOGETHER = 12
HTMX = {"HX-Request": "true"}
EXPORTED = Path(__file__).parent / "exports" / "chatgpt.json"
TEMPLATES = sorted((Path(__file__).parent.parent / "templates").rglob("*.html"))


def mark() -> str:
    return uuid.uuid4().hex


def count(what: type, **where: object) -> int:
    db.session.rollback()
    return int(db.session.scalar(select(func.count()).select_from(what).filter_by(**where)) or 0)


@pytest.fixture
def run(acme: people.Cast) -> Execution:
    return people.ended(acme, "What is a fjord?", "A drowned valley.")


@pytest.fixture
def comment(app: Flask, acme: people.Cast, run: Execution) -> Callable[..., TestResponse]:
    def send(text: str, once: str = "", who: User | None = None, **options: Any) -> TestResponse:
        client = people.browser(app, who or acme.mia)
        return client.submit(f"{acme.home}/executions/{run.id}/comments", {"text": text, "once": once}, **options)

    return send


def at_once(app: Flask, person: User, url: str, form: dict[str, str]) -> list[TestResponse]:
    """The answers of browsers that send the same at the same moment."""
    browsers = [people.browser(app, person) for _ in range(TOGETHER)]
    forms = [{"csrf_token": browser.csrf(), **form} for browser in browsers]
    gate = threading.Barrier(TOGETHER)

    def one(place: int) -> TestResponse:
        gate.wait()
        return browsers[place].post(url, data=forms[place], headers=HTMX)

    with ThreadPoolExecutor(TOGETHER) as pool:
        return list(pool.map(one, range(TOGETHER)))


def test_what_many_send_at_the_same_moment_is_done_once_and_all_are_answered(app: Flask, acme: people.Cast) -> None:
    answers = at_once(app, acme.mia, f"{acme.home}/projects", {"name": "At once", "once": mark()})
    assert len({(answer.status_code, answer.headers["HX-Redirect"]) for answer in answers}) == 1
    assert count(Project, organization_id=acme.organization.id, name="At once") == 1


def test_a_secret_is_told_to_one_of_many_and_kept_nowhere(app: Flask, acme: people.Cast) -> None:
    url, form = f"{acme.home}/projects/{acme.project.id}/tokens", {"label": "One", "expires_in": "", "once": mark()}
    answers = [answer.get_data(as_text=True) for answer in at_once(app, acme.mia, url, form)]
    assert sum("dlan_" in answer for answer in answers) == 1
    assert sum("done once" in answer for answer in answers) == TOGETHER - 1
    assert count(GatewayToken, project_id=acme.project.id) == 1
    valkey = queue.store()
    assert not any(b"dlan_" in (valkey.get(key) or b"") for key in valkey.scan_iter("dataelan:sent:*"))


def test_who_sends_a_secrets_form_twice_without_htmx_is_shown_the_list_and_told(app: Flask, acme: people.Cast) -> None:
    mia, url = people.browser(app, acme.mia), f"{acme.home}/projects/{acme.project.id}/tokens"
    form = {"csrf_token": mia.csrf(), "label": "One", "expires_in": "", "once": mark()}
    answers = [mia.post(url, data=form, headers={"Referer": f"http://localhost{url}"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 303]
    page = mia.get(answers[1].location).get_data(as_text=True)
    assert answers[1].location == url
    assert "done once" in page
    assert "One" in page


def test_the_same_words_are_another_comment_under_a_mark_of_their_own_and_other_words_under_the_same(
    acme: people.Cast, run: Execution, comment: Callable[..., TestResponse]
) -> None:
    one, two = mark(), mark()
    first = comment("Good", one)
    assert first.headers["Dataelan-Spent"] == one, "so that the page takes another"
    assert comment("Good", one).data == first.data
    assert count(Comment, execution_id=run.id) == 1
    comment("Good", two)
    comment("Better", one)
    comment("Good", one, who=acme.olivia)  # whose it is not
    assert count(Comment, execution_id=run.id) == 4
    comment("Good")
    comment("Good")
    assert count(Comment, execution_id=run.id) == 6, "a program's, which has no mark"


def test_what_was_refused_may_be_sent_again_as_it_was(app: Flask, acme: people.Cast) -> None:
    olivia, url = people.browser(app, acme.olivia), f"{acme.home}/service-accounts"
    form = {"name": "Nightly", "once": mark()}
    there = ServiceAccount(id=new_id(), organization_id=acme.organization.id, name="Nightly")
    db.session.add(there)
    db.session.commit()
    refused = olivia.submit(url, form)
    assert refused.status_code == 422
    assert "Dataelan-Spent" not in refused.headers
    db.session.delete(there)
    db.session.commit()
    assert olivia.submit(url, form).status_code == 204
    assert count(ServiceAccount, organization_id=acme.organization.id) == 1


def test_a_refusal_that_leads_elsewhere_is_one_too(app: Flask, acme: people.Cast) -> None:
    """It answers with a way back and a word; nothing was written."""
    mia, form, before = people.browser(app, acme.mia), {"name": " ", "once": mark()}, count(SentForm)
    for _ in range(2):
        mia.submit(f"{acme.home}/projects", form)
        assert "A project needs a name" in mia.get(f"{acme.home}/").get_data(as_text=True)
    assert count(SentForm) == before


def test_without_valkey_forms_are_done_and_a_second_is_told_that_it_was(
    app: Flask, run: Execution, comment: Callable[..., TestResponse], monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = queue.connect(f"redis://127.0.0.1:{free_port()}/0")
    monkeypatch.setitem(app.extensions, "dataelan_answers", queue.within(once.SLOWEST, nobody))
    sent = mark()
    assert comment("Good", sent).status_code == 201
    second = comment("Good", sent)
    assert "done once" in second.get_data(as_text=True)
    assert count(Comment, execution_id=run.id) == 1


def test_an_answer_that_valkey_lost_is_waited_for_a_moment_and_then_it_is_told(
    acme: people.Cast, run: Execution, comment: Callable[..., TestResponse], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(once, "WAITS", 0.2)
    sent = mark()
    comment("Good", sent)
    queue.store().delete(*queue.store().scan_iter("dataelan:sent:*"))
    second = comment("Good", sent, headers={"HX-Current-URL": f"http://localhost{acme.session_url}"})
    assert second.headers["HX-Reswap"] == "none"
    assert f'href="{acme.session_url}"' in second.get_data(as_text=True)
    assert count(Comment, execution_id=run.id) == 1


def test_who_asks_by_htmx_is_not_answered_with_what_a_page_was(
    app: Flask, acme: people.Cast, run: Execution, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(once, "WAITS", 0.2)
    mia, url = people.browser(app, acme.mia), f"{acme.home}/executions/{run.id}/comments"
    form = {"csrf_token": mia.csrf(), "text": "Good", "once": mark()}
    assert mia.post(url, data=form).status_code == 303
    assert "done once" in mia.post(url, data=form, headers=HTMX).get_data(as_text=True)
    assert count(Comment, execution_id=run.id) == 1


def test_what_is_no_mark_is_passed_over(run: Execution, comment: Callable[..., TestResponse]) -> None:
    for odd in ("a\r\nSet-Cookie: b=c", "x" * 5000, "é" * 20, " "):
        answer = comment("Good", odd)
        assert answer.status_code == 201
        assert "Dataelan-Spent" not in answer.headers
    assert count(Comment, execution_id=run.id) == 4


# -- what a view may do meanwhile ----------------------------------------------------------------------


@pytest.fixture
def act(app: Flask, acme: people.Cast) -> Callable[..., Any]:
    """Sends a form to a view that is given, under one mark."""
    form = {"once": mark()}

    def send(view: Callable[[], Any]) -> Any:
        with app.test_request_context("/somewhere", method="POST", data=form, headers=HTMX):
            return once.done_once()(view)()

    return lambda view: contextvars.Context().run(send, view)  # in a context of its own, as each request is


def named(cast: people.Cast, name: str) -> RoutingRule:
    return RoutingRule(id=new_id(), organization_id=cast.organization.id, name=name)


def test_what_rolls_back_and_goes_on_is_noted_all_the_same(acme: people.Cast, act: Callable[..., Any]) -> None:
    def view() -> Response:
        db.session.rollback()
        db.session.add(named(acme, "After a rollback"))
        db.session.commit()
        return make_response("made", 201)

    assert [act(view).status_code for _ in range(2)] == [201, 201]
    assert count(RoutingRule, name="After a rollback", organization_id=acme.organization.id) == 1


def test_a_savepoint_that_is_given_up_takes_no_note_with_it(acme: people.Cast, act: Callable[..., Any]) -> None:
    def view() -> Response:
        db.session.begin_nested().rollback()
        with db.session.begin_nested():
            db.session.add(named(acme, "After a savepoint"))
        db.session.commit()
        return make_response("made", 201)

    assert [act(view).status_code for _ in range(2)] == [201, 201]
    assert count(RoutingRule, name="After a savepoint", organization_id=acme.organization.id) == 1


def test_a_refusal_after_a_first_commit_frees_the_mark_and_writes_nothing_more(
    acme: people.Cast, act: Callable[..., Any]
) -> None:
    def view() -> Response:
        db.session.add(named(acme, "Tried"))
        db.session.commit()
        db.session.add(named(acme, "Never committed"))
        raise Conflict("Not now.")

    for _ in range(2):
        with pytest.raises(Conflict):
            act(view)
    assert count(RoutingRule, name="Tried", organization_id=acme.organization.id) == 2
    assert count(RoutingRule, name="Never committed", organization_id=acme.organization.id) == 0


def test_what_was_committed_before_an_error_is_not_done_twice(
    acme: people.Cast, act: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(once, "WAITS", 0.2)

    def view() -> Response:
        db.session.add(named(acme, "Then it broke"))
        db.session.commit()
        raise RuntimeError("its answer could not be written")

    with pytest.raises(RuntimeError):
        act(view)
    assert "done once" in act(view).get_data(as_text=True)
    assert count(RoutingRule, name="Then it broke", organization_id=acme.organization.id) == 1


def test_an_error_before_anything_was_committed_frees_the_mark(acme: people.Cast, act: Callable[..., Any]) -> None:
    def view() -> Response:
        db.session.add(named(acme, "Not yet"))
        db.session.flush()
        raise RuntimeError("a database that is away, say")

    for _ in range(2):
        with pytest.raises(RuntimeError):
            act(view)


def test_the_second_is_told_where_the_first_takes_too_long(app: Flask, act: Callable[..., Any]) -> None:
    """5 s: the note of the first is in a transaction that does not end."""
    is_there, may_end = threading.Event(), threading.Event()

    def slow() -> Response:
        is_there.set()
        may_end.wait(30)
        db.session.commit()
        return make_response("made", 201)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(act, slow)
        is_there.wait(10)
        second = act(lambda: pytest.fail("it is being done"))
        assert "still being worked on" in second.get_data(as_text=True)
        assert "Dataelan-Spent" not in second.headers
        may_end.set()
        assert first.result().status_code == 201


# -- forms with more than words ------------------------------------------------------------------------


def test_a_file_that_is_sent_twice_is_read_once_and_another_of_its_size_is_another(
    app: Flask, acme: people.Cast
) -> None:
    mia, sent = people.browser(app, acme.mia), mark()
    url, content = f"{acme.home}/projects/{acme.project.id}/imports", EXPORTED.read_bytes()
    other = content.replace(b"Paris", b"Turin") if b"Paris" in content else content[:-1] + b" "
    answers = []
    for bytes_ in (content, content, other):
        form = {"csrf_token": mia.csrf(), "once": sent, "file": (io.BytesIO(bytes_), "conversations.json")}
        answers.append(mia.post(url, data=form))
    assert [answer.status_code for answer in answers] == [201, 201, 201]
    ids = [re.search(r"/imports/([0-9a-f-]{36})", answer.get_data(as_text=True))[1] for answer in answers]  # type: ignore[index]
    assert ids[0] == ids[1] != ids[2]
    assert count(Import, project_id=acme.project.id) == 2


def test_models_of_everyones_catalogue_are_added_once(app: Flask, acme: people.Cast, shared: Provider) -> None:
    form = {"provider_id": str(shared.id), "name": "gpt-4o-mini", "once": mark()}
    olivia = people.browser(app, acme.olivia)
    answers = [olivia.submit(f"{acme.home}/hub/models/catalogue", form) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [204, 204], "the second would be refused: it is there"
    assert count(Model, provider_id=shared.id) == 1


def test_an_export_that_a_worker_writes_is_begun_once_and_a_file_is_sent_as_often_as_it_is_asked_for(
    app: Flask, acme: people.Cast, run: Execution, monkeypatch: pytest.MonkeyPatch
) -> None:
    olivia, form = people.browser(app, acme.olivia), {"form": "csv", "once": mark()}
    files = [olivia.submit(f"{acme.home}/dashboard/runs/export", form) for _ in range(2)]
    assert files[0].data == files[1].data != b""
    monkeypatch.setattr(export_routes, "AT_ONCE", -1)
    begun = [olivia.submit(f"{acme.home}/dashboard/runs/export", form) for _ in range(2)]
    assert begun[0].headers["HX-Redirect"] == begun[1].headers["HX-Redirect"]
    assert count(RunExport, organization_id=acme.organization.id) == 1


def test_recovery_codes_are_made_once_and_told_once(app: Flask, ada: User, clock: Clock, app_of_ada: Shared) -> None:
    totp, _, client = app_of_ada
    form = {"code": totp.at(clock.now), "once": mark()}
    shown = [client.submit(f"{HERE}/recovery-codes", form).get_data(as_text=True) for _ in range(2)]
    assert len(re.findall(r"\b[a-z2-7]{4}(?:-[a-z2-7]{4}){5}\b", shown[0])) == 10
    assert "done once" in shown[1], "not that its code is wrong, which is spent"


# -- marks ---------------------------------------------------------------------------------------------


def test_every_form_that_posts_carries_a_mark_that_no_reload_brings_back(app: Flask, acme: people.Cast) -> None:
    olivia = people.browser(app, acme.olivia)
    for url in (
        f"{acme.home}/",
        acme.session_url,
        f"{acme.home}/members",
        f"{acme.home}/webhooks",
        "/organizations/new",
    ):
        pages = [olivia.get(url).get_data(as_text=True) for _ in range(2)]
        forms = re.findall(r'<form[^>]*method="post".*?</form>', pages[0], re.S)
        assert forms
        for form in forms:
            assert re.search(r'<input type="hidden" name="once" value="[0-9a-f]{32}" autocomplete="off">', form), form
        marks = [set(re.findall(r'name="once" value="(\w+)"', page)) for page in pages]
        assert marks[0].isdisjoint(marks[1])


def test_every_template_that_posts_asks_for_a_mark() -> None:
    """By the one macro: a form with a token of its own making would have none."""
    without = {
        str(path): form
        for path in TEMPLATES
        for form in re.findall(r'<form[^>]*method="post".*?</form>', path.read_text(), re.S)
        if "csrf()" not in form and "hidden_tag" not in form
    }
    assert not without


def test_notes_of_forms_go_after_a_week(context: None) -> None:
    old, young = SentForm(id=uuid.uuid4()), SentForm(id=uuid.uuid4())
    db.session.add_all([old, young])
    db.session.flush()
    db.session.execute(
        update(SentForm).where(SentForm.id == old.id).values(created_at=func.now() - timedelta(days=7, minutes=1))
    )
    db.session.commit()
    purge._remove_remnants()
    assert count(SentForm, id=old.id) == 0
    assert count(SentForm, id=young.id) == 1
