"""An organization's settings: when its days begin, and how long it keeps what was asked."""

from __future__ import annotations

import html
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from dataelan_web.executions import retention
from dataelan_web.executions.purge import purge
from dataelan_web.extensions import db
from dataelan_web.models import (
    ActionCall,
    AuditEvent,
    CallState,
    Execution,
    ExecutionBody,
    How,
    Organization,
    Prompt,
    SearchDocument,
    TemplateRun,
    now,
)
from dataelan_web.models.rollups import Grain
from dataelan_web.rollups.rebuilding import drift

from . import people
from .test_rollups import count_all, paid, sums


def runs_of(cast: people.Cast, *days: int) -> list[Execution]:
    """One that was asked so many days ago, each."""
    return [people.ended(cast, f"Asked {n} days ago", "A secret", created_at=now() - timedelta(days=n)) for n in days]


def body_of(run: Execution) -> ExecutionBody:
    return db.session.scalars(
        select(ExecutionBody).where(ExecutionBody.id == run.id).execution_options(populate_existing=True)
    ).one()


def test_what_was_said_goes_first_and_runs_later_and_the_books_stay(
    acme: people.Cast, rival: people.Cast, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    old, older, new = runs_of(acme, 40, 100, 1)
    theirs = runs_of(rival, 400)[0]
    cost = paid(acme, 70, created_at=now() - timedelta(days=200)).id
    old.body.vectors = new.body.vectors = b"of what was said"
    db.session.commit()
    count_all()
    acme.organization.words_kept_days, acme.organization.runs_kept_days = 30, 90
    db.session.commit()
    retention.keep_to_retention()

    assert (body_of(old).text, body_of(old).notice) == ("", retention.GONE)
    assert "Asked" not in str(body_of(old).request)
    assert db.session.get_one(Prompt, old.prompt_id).text == "(deleted)"
    assert not db.session.get(SearchDocument, old.id)
    assert (body_of(old).vectors, body_of(new).vectors) == (None, b"of what was said")
    assert (body_of(new).text, body_of(theirs).text) == ("A secret", "A secret")
    assert db.session.scalar(select(Execution.deleted_at).where(Execution.id == older.id)), "no page shows it any more"
    assert not db.session.scalar(select(func.count()).where(ExecutionBody.id.in_([older.id, cost])))
    assert sums(acme, grain=Grain.DAY) == (4, 70, 3)
    assert not drift(acme.organization)
    browser, home = people.browser(app, acme.mia), f"/o/{acme.organization.slug}"
    for page in (browser.get(f"{home}/executions/{old.id}"), browser.get(f"{home}/sessions/{acme.session.id}")):
        assert page.status_code == 200
        assert retention.GONE in html.unescape(page.text)
        assert "Asked 40" not in page.text

    assert retention.keep_to_retention() == 0, "each look begins where the last one ended"


def said_beside(cast: people.Cast, run: Execution) -> tuple[ActionCall, TemplateRun]:
    """A call of an action that it wrote, and what it was made from, which both say what was said in it."""
    call = ActionCall(
        organization_id=cast.organization.id, execution_id=run.id, position=0, name="mail", tool_call_id="1",
        how=How.TOOL, said='{"to": "A secret"}', arguments={"to": "A secret"}, state=CallState.ACCEPTED,
    )  # fmt: skip
    made = TemplateRun(id=run.id, template_id=people.template(cast, "{{ what }}").id, number=1, digest="1")
    made.values, made.said = {"what": "A secret"}, "A secret"
    db.session.add_all([call, made])
    db.session.commit()
    return call, made


@pytest.mark.parametrize("how", ["its organization keeps it no longer", "it was deleted for good"])
def test_what_was_said_goes_from_wherever_it_was_written(acme: people.Cast, how: str) -> None:
    """Its page shows no more of it; and what it was made from is still counted."""
    run, new = runs_of(acme, 40, 1)
    said_beside(acme, run)
    said_beside(acme, new)
    if how == "it was deleted for good":
        run.deleted_at = now() - timedelta(days=31)
    else:
        acme.organization.words_kept_days = 30
    db.session.commit()
    purge()
    retention.keep_to_retention()
    db.session.expire_all()
    kept = select(ActionCall.execution_id).where(ActionCall.execution_id.in_([run.id, new.id]))
    assert db.session.scalars(kept).all() == [new.id]
    made = db.session.get_one(TemplateRun, run.id)
    assert (made.number, made.values, made.said) == (1, {}, "")
    assert db.session.get_one(TemplateRun, new.id).said == "A secret"


def test_a_prompt_that_was_asked_again_keeps_its_words_and_files_until_its_last_run_is_too_old(
    acme: people.Cast,
) -> None:
    old, new = runs_of(acme, 40, 1)
    prompt, file = old.prompt, people.asset(acme, b"GIF89a", "image/gif", "dot.gif")
    file.prompt_id, new.prompt = prompt.id, prompt
    db.session.add(file)
    acme.organization.words_kept_days = 30
    db.session.commit()
    retention.keep_to_retention()
    assert (body_of(old).text, body_of(new).text) == ("", "A secret")
    db.session.expire_all()
    assert (prompt.text, [one.name for one in prompt.assets]) == ("Asked 40 days ago", ["dot.gif"])
    new.created_at = now() - timedelta(days=31)
    acme.organization.words_gone_until = now() - timedelta(days=32)
    db.session.commit()
    retention.keep_to_retention()
    db.session.expire_all()
    assert (prompt.text, prompt.assets) == ("(deleted)", [])


def test_settings_are_changed_with_a_word_of_what_is_lost(acme: people.Cast, app: Flask) -> None:
    runs_of(acme, 40, 1)
    browser, url = people.browser(app, acme.adam), f"/o/{acme.organization.slug}/settings"
    said = {"name": "Acme", "time_zone": "Asia/Kathmandu", "words_kept_days": "30", "runs_kept_days": ""}
    said["summaries"] = "both"
    asked = browser.submit(url, said)
    assert (asked.status_code, "what was said in 1 run" in asked.text) == (422, True)
    assert browser.submit(url, said | {"is_sure": "y"}).status_code == 200
    db.session.expire_all()
    home = db.session.get_one(Organization, acme.organization.id)
    assert (home.time_zone, home.words_kept_days, home.runs_kept_days) == ("Asia/Kathmandu", 30, None)
    assert browser.submit(url, said).status_code == 200, "what goes anyway is not asked about again"
    event = select(AuditEvent.detail).where(AuditEvent.action == "organization.settings_changed")
    assert db.session.scalars(event.where(AuditEvent.organization_id == home.id)).all() == [
        {
            "time_zone": "Asia/Kathmandu",
            "words_kept_days": 30,
            "summaries": "both",
            "before": {"time_zone": "UTC", "words_kept_days": None, "summaries": "none"},
        }
    ]


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({"time_zone": "Mars/Olympus"}, "Not a valid choice"),
        ({"words_kept_days": "0"}, "between 1 and"),
        ({"words_kept_days": "90", "runs_kept_days": "30"}, "at least as long"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_words(
    acme: people.Cast, app: Flask, said: dict[str, str], word: str
) -> None:
    answer = people.browser(app, acme.adam).submit(f"/o/{acme.organization.slug}/settings", {"time_zone": "UTC"} | said)
    assert (answer.status_code, word in answer.text) == (422, True)
