"""Public links: what a stranger sees, what they never see, and every way in which a link ends."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, text

from dataelan_web.executions.prompts import to_json
from dataelan_web.extensions import db
from dataelan_web.jobs.queue import store
from dataelan_web.models import Asset, CopiedAnswer, Execution, Prompt, PublicLink, State, now
from dataelan_web.router.types import Message, TextPart, user
from dataelan_web.router.types import Prompt as RouterPrompt
from dataelan_web.sharing import guesses

from . import people

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40


@pytest.fixture(autouse=True)
def nobody_has_guessed(context: None) -> None:
    store().delete(guesses._key("127.0.0.1"))


@pytest.fixture
def run(acme: people.Cast) -> Execution:
    """A run with everything that is nobody else's business."""
    made = people.ended(
        acme, "What is <b>a fjord</b>?", "A **drowned** valley. <script>alert(1)</script>", cost=123_000
    )
    made.body.request = {
        "messages": [{"role": "system", "parts": [{"type": "text", "text": "SYSTEM-WORDS"}]}],
    }
    made.body.reasoning, made.body.receipt = "REASONING-WORDS", {"summary": "RECEIPT-WORDS"}
    made.assets = [people.asset(acme, PNG, name="made.png")]
    db.session.commit()
    return made


def link_to(app: Flask, cast: people.Cast, **form: Any) -> str:
    """The path of a new link, as Gina the guest made it."""
    gina = people.browser(app, cast.gina)
    made = gina.submit(f"{cast.home}/sessions/{cast.session.id}/links", {"lasts": "7", **form})
    assert made.status_code == 201
    page = made.get_data(as_text=True)
    assert "<html" not in page, "a part of the dialog"
    return re.search(r'value="http://[^/]+(/s/[\w-]+)"', page)[1]  # type: ignore[index]


def seen(app: Flask, path: str) -> str:
    answer = people.browser(app).get(path)
    assert answer.status_code == 200
    return answer.get_data(as_text=True)


def test_a_stranger_reads_the_session_and_nothing_that_is_not_theirs(
    app: Flask, acme: people.Cast, run: Execution
) -> None:
    run.body.error = "ERROR-WORDS"
    db.session.commit()
    page = seen(app, link_to(app, acme))
    assert "What is &lt;b&gt;a fjord&lt;/b&gt;?" in page
    assert "<strong>drowned</strong>" in page
    assert "<script>alert" not in page
    for secret in ("Mia", "Gina", "SYSTEM-WORDS", "REASONING-WORDS", "RECEIPT-WORDS", "ERROR-WORDS", "$0.0"):
        assert secret not in page, secret
    for ours in (acme.organization.name + "<", acme.organization.slug, str(acme.session.id), "csrf", "/o/"):
        assert ours not in page, ours


def test_names_and_cost_are_shown_where_that_was_chosen(app: Flask, acme: people.Cast, run: Execution) -> None:
    page = seen(app, link_to(app, acme, shows_names="y", shows_cost="y"))
    assert "<strong>Mia</strong>" in page
    assert "$0.000123" in page


def test_the_answer_tells_nobody_else_and_sets_no_cookie(app: Flask, acme: people.Cast, run: Execution) -> None:
    path = link_to(app, acme)
    for url in (path, f"{path}/files/{run.assets[0].id}", "/s/nothing"):
        headers = people.browser(app).get(url).headers
        assert headers["X-Robots-Tag"].startswith("noindex")
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"
        assert "Set-Cookie" not in headers
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_it_shows_what_there_was_when_it_was_made(app: Flask, acme: people.Cast, run: Execution) -> None:
    running = people.ended(acme, "Still running", "", state=State.RUNNING, finished_at=None)
    path = link_to(app, acme)
    later = people.ended(acme, "Asked later", "LATER-WORDS")
    running.state, running.finished_at, running.body.text = State.COMPLETED, now(), "ENDED-LATER"
    db.session.commit()
    page = seen(app, path)
    assert "LATER-WORDS" not in page
    assert "ENDED-LATER" not in page
    later.discard(acme.mia.id)
    run.discard(acme.mia.id)
    db.session.commit()
    assert "drowned" not in seen(app, path), "what is deleted is gone from there too"


def test_a_link_to_one_run_shows_that_run_alone(app: Flask, acme: people.Cast, run: Execution) -> None:
    other = people.ended(acme, "Another", "ANOTHER-ANSWER")
    other.assets = [people.asset(acme, PNG, name="other.png")]
    db.session.commit()
    path = link_to(app, acme, run=str(run.id))
    page = seen(app, path)
    assert "drowned" in page
    assert "ANOTHER-ANSWER" not in page
    visitor = people.browser(app)
    assert visitor.get(f"{path}/files/{run.assets[0].id}").data == PNG
    assert visitor.get(f"{path}/files/{other.assets[0].id}").status_code == 404
    run.discard(acme.mia.id)
    db.session.commit()
    assert visitor.get(path).status_code == 404


def test_files_are_had_through_the_link_alone_and_only_those_it_shows(
    app: Flask, acme: people.Cast, rival: people.Cast, run: Execution
) -> None:
    path, visitor = link_to(app, acme), people.browser(app)
    given = people.asset(acme, PNG, name="given.png", prompt_id=run.prompt_id)
    theirs = people.asset(rival, PNG, name="theirs.png")
    elsewhere = people.asset(acme, PNG, name="elsewhere.png")
    trashed = people.asset(acme, PNG, name="trashed.png", execution_id=run.id, deleted_at=now())
    db.session.add_all([given, theirs, elsewhere, trashed])
    db.session.commit()
    for asset in (run.assets[0], given):
        assert visitor.get(f"{path}/files/{asset.id}").data == PNG
    for asset in (theirs, elsewhere, trashed):
        assert visitor.get(f"{path}/files/{asset.id}").status_code == 404, asset.name
    assert visitor.get(f"{acme.home}/assets/{run.assets[0].id}").status_code == 303, "to sign in"
    saved = visitor.get(f"{path}/files/{given.id}?download").headers["Content-Disposition"]
    assert saved.startswith("attachment")


def _revoke(app: Flask, cast: people.Cast) -> None:
    link = db.session.scalars(select(PublicLink).where(PublicLink.session_id == cast.session.id)).one()
    to = f"{cast.home}/sessions/{cast.session.id}/links/{link.id}/revocation"
    assert people.browser(app, cast.mia).submit(to).status_code == 200


def _expire(app: Flask, cast: people.Cast) -> None:
    link = db.session.scalars(select(PublicLink).where(PublicLink.session_id == cast.session.id)).one()
    link.expires_at = now() - timedelta(seconds=1)


def _trash(app: Flask, cast: people.Cast) -> None:
    cast.session.discard(cast.mia.id)


def _trash_project(app: Flask, cast: people.Cast) -> None:
    cast.project.discard(cast.olivia.id)


def _forbid(app: Flask, cast: people.Cast) -> None:
    to = f"{cast.home}/public-links/allowance"
    assert people.browser(app, cast.adam).submit(to, {"is_allowed": "no"}).status_code == 204


def _suspend(app: Flask, cast: people.Cast) -> None:
    cast.organization.suspended_at = now()


@pytest.mark.parametrize("end", [_revoke, _expire, _trash, _trash_project, _forbid, _suspend])
def test_however_a_link_ends_it_is_as_if_it_had_never_been(
    app: Flask, acme: people.Cast, run: Execution, end: Callable[[Flask, people.Cast], None]
) -> None:
    path, visitor = link_to(app, acme), people.browser(app)
    assert visitor.get(path).status_code == 200
    end(app, acme)
    db.session.commit()
    never = visitor.get("/s/" + "x" * 32)
    for url in (path, f"{path}/files/{run.assets[0].id}"):
        ended = visitor.get(url)
        assert (ended.status_code, ended.data) == (404, never.data)


def test_an_organization_that_forbids_them_makes_none(app: Flask, acme: people.Cast) -> None:
    acme.organization.allows_public_links = False
    db.session.commit()
    refused = people.browser(app, acme.mia).submit(f"{acme.home}/sessions/{acme.session.id}/links", {"lasts": "7"})
    assert refused.status_code == 403
    assert "does not allow public links" in refused.get_data(as_text=True)
    assert db.session.scalars(select(PublicLink).where(PublicLink.session_id == acme.session.id)).all() == []


def test_the_secret_is_told_once_and_kept_as_a_hash(app: Flask, acme: people.Cast, run: Execution) -> None:
    path = link_to(app, acme)
    secret = path.rsplit("/", 1)[1]
    assert len(secret) == 32, "192 bits"
    row = db.session.execute(text("SELECT l::text FROM public_links l WHERE session_id = :id"), {"id": acme.session.id})
    audit = db.session.execute(text("SELECT a::text FROM audit_events a WHERE action = 'link.created'"))
    assert secret not in f"{row.all()}{audit.all()}"
    mia = people.browser(app, acme.mia)
    listed = mia.get(f"{acme.home}/sessions/{acme.session.id}/links").get_data(as_text=True)
    assert secret not in listed
    assert "not opened yet" in listed
    assert "Gina" in listed
    seen(app, path)
    listed = mia.get(f"{acme.home}/sessions/{acme.session.id}/links").get_data(as_text=True)
    assert "last opened just now" in listed
    assert "Acme session" in people.browser(app, acme.adam).get(f"{acme.home}/public-links").get_data(as_text=True)


def test_a_link_ends_after_the_days_that_were_chosen(app: Flask, acme: people.Cast) -> None:
    for days, expected in (("1", 1), ("30", 30), ("", None)):
        link_to(app, acme, lasts=days)
        link = db.session.scalars(select(PublicLink).order_by(PublicLink.id.desc())).first()
        assert link
        left = round((link.expires_at - now()).total_seconds() / 86_400) if link.expires_at else None
        assert left == expected
    mia = people.browser(app, acme.mia)
    assert mia.submit(f"{acme.home}/sessions/{acme.session.id}/links", {"lasts": "9999"}).status_code == 422


def test_a_run_of_another_session_cannot_be_shared_through_this_one(
    app: Flask, acme: people.Cast, rival: people.Cast
) -> None:
    theirs = people.ended(rival, "Theirs", "Theirs")
    to = f"{acme.home}/sessions/{acme.session.id}/links"
    gateway = people.ended(acme, "A program's", "Answer", via_gateway=True)
    for id in (theirs.id, gateway.id, "nonsense"):
        assert people.browser(app, acme.mia).submit(to, {"lasts": "7", "run": str(id)}).status_code == 404


def test_who_tries_many_addresses_is_made_to_wait(app: Flask, acme: people.Cast, run: Execution) -> None:
    visitor = people.browser(app)
    for number in range(guesses.MOST):
        assert visitor.get(f"/s/guess-{number}").status_code in (404, 429)
    stopped = visitor.get("/s/one-more")
    assert stopped.status_code == 429
    assert 0 < int(stopped.headers["Retry-After"]) <= guesses.WINDOW


def test_a_long_session_is_read_page_by_page(app: Flask, acme: people.Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataelan_web.sharing.shared.PAGE", 2)
    for number in range(5):
        people.ended(acme, f"Prompt-{number}", "Answer")
    path, found = link_to(app, acme), []
    while path:
        page = seen(app, path)
        found += re.findall(r"Prompt-\d", page)
        further = re.search(r'href="(/s/[^"]+after=[^"]+)"', page)
        path = further[1] if further else ""
    assert found == [f"Prompt-{number}" for number in range(5)]


def test_a_copy_that_a_fork_began_with_is_shown_too(app: Flask, acme: people.Cast) -> None:
    prompt = Prompt(session_id=acme.session.id, author_id=acme.mia.id, text="Copied prompt")
    asked = to_json(RouterPrompt((user("Copied prompt"), Message("assistant", (TextPart("x"),)))))["messages"][0]
    copy = CopiedAnswer(session_id=acme.session.id, prompt=prompt, asked=asked, text="COPIED-ANSWER")
    copy.assets = [people.asset(acme, PNG, name="copied.png")]
    db.session.add(copy)
    db.session.commit()
    path = link_to(app, acme)
    assert "COPIED-ANSWER" in seen(app, path)
    asset = db.session.scalars(select(Asset).where(Asset.copied_answer_id == copy.id)).one()
    assert people.browser(app).get(f"{path}/files/{asset.id}").data == PNG
