"""Proposals, saved cases and their answers: what one person would change, tried and decided by another."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm.attributes import set_committed_value
from werkzeug.test import TestResponse

from dataelan_web.executions import purge
from dataelan_web.extensions import db
from dataelan_web.models import (
    IN_TRASH,
    AuditEvent,
    Collaborator,
    Execution,
    Membership,
    Notice,
    Project,
    Proposal,
    ProposalState,
    Template,
    TemplateCase,
    TemplateRun,
    User,
    new_id,
    now,
)
from dataelan_web.prompts import proposals

from . import people
from .conftest import wait_until
from .test_prompts import at_once, labels_of, page, publish, url, versions_of, written


def propose(client: FlaskClient, cast: people.Cast, template: Template, **fields: Any) -> TestResponse:
    form = {"source": "draft", "seen": str(template.newest), "message": "It is better", **fields}
    return client.submit(url(cast, template, "/proposals"), form)  # type: ignore[attr-defined, no-any-return]


def decide(client: FlaskClient, cast: people.Cast, template: Template, decision: str, **fields: Any) -> TestResponse:
    number = fields.pop("number", 1)
    form = {"decision": decision, "seen": str(template.newest), "seen_label": "", "note": "", **fields}
    return client.submit(url(cast, template, f"/proposals/{number}/decision"), form)  # type: ignore[attr-defined, no-any-return]


def proposed(app: Flask, cast: people.Cast, who: User, *texts: str, **fields: Any) -> Template:
    """A prompt whose versions say these texts but the last, which is proposed."""
    template = people.template(cast, *texts[:-1])
    client = people.browser(app, who)
    client.submit(url(cast, template, "/draft"), written(texts[-1]))
    assert propose(client, cast, template, **fields).status_code == 204
    return template


def state_of(template: Template, number: int = 1) -> Proposal:
    db.session.rollback()
    db.session.expire_all()
    return db.session.query(Proposal).filter_by(template_id=template.id, number=number).one()


def told(kind: str, template: Template) -> set[str]:
    """Who was told, by name."""
    names = select(User.name).join(Notice, Notice.user_id == User.id)
    return set(db.session.scalars(names.where(Notice.kind == kind, Notice.path.contains(str(template.id)))))


# -- proposed and decided --------------------------------------------------------------------------


def test_a_proposal_is_read_talked_about_and_approved_by_another_person(app: Flask, acme: people.Cast) -> None:
    template = proposed(app, acme, acme.mia, "Hello {{name}}", "Goodbye {{name}}", label="production")
    mia, adam, gina = (people.browser(app, person) for person in (acme.mia, acme.adam, acme.gina))
    assert told("proposal.asked", template) == {"Olivia", "Adam"}, "whoever may move the label, but for its author"
    seen = page(adam.get(url(acme, template, "/proposals/1")))
    assert "<del>Hello</del>" in seen
    assert "<ins>Goodbye</ins>" in seen
    assert "Approve and publish v2" in seen
    for client in (mia, gina, people.browser(app, acme.victor)):
        assert decide(client, acme, template, "approve").status_code == 403
        assert decide(client, acme, template, "decline", note="No").status_code == 403
    adam.submit(url(acme, template, "/proposals/1/comments"), {"text": "Why?"})
    mia.submit(url(acme, template, "/proposals/1/comments"), {"text": "It is <b>kinder</b>"})
    assert told("proposal.comment", template) == {"Mia", "Adam"}
    assert mia.submit(url(acme, template, "/proposals/1/comments"), {"text": " "}).status_code == 422
    assert "It is &lt;b&gt;kinder&lt;/b&gt;" in page(gina.get(url(acme, template, "/proposals/1")))
    assert decide(adam, acme, template, "approve").status_code == 204
    *_, version = versions_of(template)
    assert (version.number, version.message, version.author_id) == (2, "It is better", acme.mia.id)
    assert labels_of(template) == {"production": 2}
    found = state_of(template)
    assert (found.state, found.target, found.decided_by) == (ProposalState.APPROVED, 2, acme.adam.id)
    assert told("proposal.decided", template) == {"Mia"}
    assert "proposal 1" in page(mia.get(url(acme, template, "/labels/production")))
    assert "As it is published" in page(mia.get(url(acme, template)))
    actions = db.session.scalars(select(AuditEvent.action).where(AuditEvent.subject_id == template.id)).all()
    assert {"proposal.made", "proposal.approved", "prompt.published", "label.moved"} <= set(actions)
    assert decide(adam, acme, template, "decline", note="No").status_code == 409


def test_of_two_who_comment_at_once_each_is_heard(
    app: Flask, acme: people.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    template, numbered = proposed(app, acme, acme.mia, "One", "Two"), proposals.numbered

    def before_any(of: Template, number: int) -> Proposal:
        found = numbered(of, number)
        set_committed_value(found, "comments", [])
        return found

    monkeypatch.setattr(proposals, "numbered", before_any)
    for person in (acme.adam, acme.olivia):
        people.browser(app, person).submit(url(acme, template, "/proposals/1/comments"), {"text": "Why?"})
    heard = select(Notice.title).where(Notice.kind == "proposal.comment", Notice.user_id == acme.mia.id)
    assert len(db.session.scalars(heard).all()) == 2


def test_a_proposal_is_declined_with_a_word_or_withdrawn_by_its_author(app: Flask, acme: people.Cast) -> None:
    template = proposed(app, acme, acme.gina, "One", "Two")
    gina, mia = people.browser(app, acme.gina), people.browser(app, acme.mia)
    assert told("proposal.asked", template) == {"Olivia", "Adam", "Mia"}
    assert decide(mia, acme, template, "withdraw").status_code == 403
    assert decide(mia, acme, template, "decline").status_code == 422
    assert decide(mia, acme, template, "decline", note="Too short").status_code == 204
    assert "“Too short”" in page(gina.get(url(acme, template, "/proposals/1")))
    assert propose(gina, acme, template, message="Again").status_code == 204
    assert decide(gina, acme, template, "withdraw", number=2).status_code == 204
    assert state_of(template, 2).state is ProposalState.WITHDRAWN
    assert len(versions_of(template)) == 1
    assert propose(gina, acme, template, message=" ").status_code == 422


def test_a_label_can_be_proposed_for_a_version_that_is_there(app: Flask, acme: people.Cast) -> None:
    template = people.template(acme, "One", "Two")
    mia, olivia = people.browser(app, acme.mia), people.browser(app, acme.olivia)
    form = {"source": "1", "label": "production", "moves": "yes"}
    assert propose(mia, acme, template, **form).status_code == 204
    assert "Approve and move production" in page(olivia.get(url(acme, template, "/proposals/1")))
    assert decide(olivia, acme, template, "approve").status_code == 204
    assert labels_of(template) == {"production": 1}
    assert [version.number for version in versions_of(template)] == [1, 2], "nothing new was published"
    propose(mia, acme, template, **form)
    assert db.session.query(Proposal).filter_by(template_id=template.id).count() == 1, "it stands for it already"
    propose(mia, acme, template, **{**form, "source": "2"})
    stale = decide(olivia, acme, template, "approve", number=2, seen_label="2")
    assert stale.status_code == 409
    assert "version 2</a> instead of 1" in page(stale)
    assert decide(olivia, acme, template, "approve", number=2, seen_label="1").status_code == 204


def test_a_proposal_that_was_overtaken_says_so_and_shows_what_would_change_now(app: Flask, acme: people.Cast) -> None:
    template = proposed(app, acme, acme.mia, "One", "Mine")
    adam = people.browser(app, acme.adam)
    adam.submit(url(acme, template, "/draft"), written("Theirs"))
    publish(adam, acme, template)
    db.session.refresh(template)
    seen = page(adam.get(url(acme, template, "/proposals/1")))
    assert "It was based on version 1, and version 2 is newest now" in seen
    assert "<del>Theirs</del>" in seen
    assert decide(adam, acme, template, "approve", seen="1").status_code == 409
    assert state_of(template).is_open, "what was refused has changed nothing"
    assert decide(adam, acme, template, "approve", seen="2").status_code == 204
    assert [version.message for version in versions_of(template)] == ["Version 1", "Better", "It is better"]


def test_of_two_reviewers_at_once_one_wins(app: Flask, acme: people.Cast) -> None:
    template = proposed(app, acme, acme.mia, "One", "Two")
    acts = [
        lambda client: decide(client, acme, template, "approve"),
        lambda client: decide(client, acme, template, "decline", note="No"),
        lambda client: decide(client, acme, template, "approve"),
    ]
    assert at_once(app, acme.adam, *acts) == [204, 409, 409]
    found = state_of(template)
    assert len(versions_of(template)) == (2 if found.state is ProposalState.APPROVED else 1)


def test_whoever_is_alone_may_approve_what_they_proposed(app: Flask, acme: people.Cast) -> None:
    template = proposed(app, acme, acme.olivia, "One", "Two", label="production")
    olivia = people.browser(app, acme.olivia)
    assert decide(olivia, acme, template, "approve").status_code == 403, "Adam could"
    db.session.query(Membership).filter_by(user_id=acme.adam.id).delete()
    db.session.commit()
    assert "Nobody else here could decide it, so you may." in page(olivia.get(url(acme, template, "/proposals/1")))
    assert decide(olivia, acme, template, "approve").status_code == 204
    other = proposed(app, acme, acme.olivia, "One", "Two")
    assert decide(olivia, acme, other, "approve").status_code == 403, "Mia could: no label is protected here"


def test_a_guest_who_was_let_out_hears_no_more_though_they_are_in_another_project(
    app: Flask, acme: people.Cast
) -> None:
    template = proposed(app, acme, acme.mia, "One", "Two")
    gina, adam = people.browser(app, acme.gina), people.browser(app, acme.adam)
    comments = url(acme, template, "/proposals/1/comments")
    assert gina.submit(comments, {"text": "Why?"}).status_code == 204
    other = Project(id=new_id(), organization=acme.organization, name="Other", created_by=acme.olivia.id)
    db.session.add(other)
    db.session.flush()
    db.session.query(Collaborator).filter_by(user_id=acme.gina.id).update({"project_id": other.id})
    db.session.commit()
    assert adam.submit(comments, {"text": "Because it is secret"}).status_code == 204
    assert told("proposal.comment", template) == {"Mia"}


@pytest.mark.parametrize("how", ["disabled_at", "deleted_at"])
def test_who_was_switched_off_or_has_left_is_nobody_who_could_decide(app: Flask, acme: people.Cast, how: str) -> None:
    template = proposed(app, acme, acme.olivia, "One", "Two", label="production")
    setattr(acme.adam, how, now())
    db.session.commit()
    assert decide(people.browser(app, acme.olivia), acme, template, "approve").status_code == 204
    setattr(acme.mia, how, now())
    db.session.commit()
    other = proposed(app, acme, acme.gina, "One", "Two")
    assert told("proposal.asked", other) == {"Olivia"}


def test_what_was_published_by_itself_meanwhile_moves_the_label_only(app: Flask, acme: people.Cast) -> None:
    template = proposed(app, acme, acme.mia, "One", "Two", label="production")
    publish(people.browser(app, acme.mia), acme, template)
    db.session.refresh(template)
    assert decide(people.browser(app, acme.adam), acme, template, "approve").status_code == 204
    assert len(versions_of(template)) == 2
    assert labels_of(template) == {"production": 2}


# -- cases -----------------------------------------------------------------------------------------


def add_case(client: FlaskClient, cast: people.Cast, template: Template, name: str, **fields: Any) -> TestResponse:
    form = {"name": name, "variable": [key.removeprefix("value:") for key in fields if key.startswith("value:")]}
    return client.submit(url(cast, template, "/cases"), form | fields)  # type: ignore[attr-defined, no-any-return]


def cases_of(template: Template) -> list[TemplateCase]:
    db.session.rollback()
    db.session.expire_all()
    query = select(TemplateCase).filter_by(template_id=template.id, deleted_at=None).order_by(TemplateCase.id)
    return list(db.session.scalars(query))


def answered(client: FlaskClient, cast: people.Cast, template: Template, *sources: str) -> str:
    """Ask for what is missing, and wait for it."""
    answer = client.submit(url(cast, template, "/cases/answers"), {"source": list(sources)})  # type: ignore[attr-defined]
    assert answer.status_code == 200
    runs = select(Execution).join(TemplateRun, TemplateRun.id == Execution.id)
    runs = runs.where(TemplateRun.template_id == template.id, Execution.finished_at.is_(None))

    def are_over() -> bool:
        db.session.rollback()
        return not db.session.scalars(runs).all()

    wait_until(are_over)
    query = "&".join(f"source={source}" for source in sources)
    return page(client.get(url(cast, template, f"/cases?{query}")))


def test_cases_are_added_changed_and_deleted(app: Flask, acme: people.Cast) -> None:
    template = people.template(acme, "Hello {{name}} of {{city}}")
    mia = people.browser(app, acme.mia)
    assert add_case(mia, acme, template, "Ada", **{"value:name": "Ada", "expected": " Hi "}).status_code == 204
    assert add_case(mia, acme, template, "Ada", **{"value:name": "Other"}).status_code == 422
    assert add_case(mia, acme, template, " ").status_code == 422
    (case,) = cases_of(template)
    assert (case.values, case.expected) == ({"name": "Ada"}, "Hi")
    form = page(mia.get(url(acme, template, f"/cases/{case.id}")))
    assert ">Ada</textarea>" in form
    changed = {"name": "Bea", "variable": ["name", "gone"], "value:name": "Bea", "value:gone": "kept"}
    assert mia.submit(url(acme, template, f"/cases/{case.id}"), changed).status_code == 204
    (case,) = cases_of(template)
    assert (case.name, case.values) == ("Bea", {"name": "Bea", "gone": "kept"})
    other = people.template(acme, "Other")
    for path in ("", "/deletion"):
        assert mia.submit(url(acme, other, f"/cases/{case.id}{path}"), changed).status_code == 404
    assert mia.submit(url(acme, template, f"/cases/{case.id}/deletion")).status_code == 204
    assert cases_of(template) == []
    assert mia.get(url(acme, template, f"/cases/{case.id}")).status_code == 410


def test_a_deleted_case_is_in_the_trash_and_comes_back_beside_one_of_its_name(app: Flask, acme: people.Cast) -> None:
    template = people.template(acme, "Hello {{name}}")
    mia = people.browser(app, acme.mia)
    add_case(mia, acme, template, "Ada", **{"value:name": "Ada"})
    (case,) = cases_of(template)
    mia.submit(url(acme, template, f"/cases/{case.id}/deletion"))
    assert "Undo" in page(mia.get(url(acme, template, "/cases")))
    assert add_case(mia, acme, template, "Ada", **{"value:name": "Another"}).status_code == 204, "its name is free"
    listed = page(mia.get(f"{acme.home}/trash?kind=case"))
    assert "Ada" in listed
    assert "by Mia" in listed
    assert people.browser(app, acme.victor).submit(f"{acme.home}/trash/case/{case.id}/restoration").status_code == 403
    assert mia.submit(f"{acme.home}/trash/case/{case.id}/restoration").status_code == 200
    assert {one.name: one.values for one in cases_of(template)} == {
        "Ada": {"name": "Another"},
        "Ada (2)": {"name": "Ada"},
    }
    db.session.get_one(TemplateCase, case.id).deleted_at = now() - IN_TRASH - timedelta(minutes=1)
    db.session.commit()
    purge.purge()
    assert [one.name for one in cases_of(template)] == ["Ada"]


def test_a_run_is_saved_as_a_case(app: Flask, worker: object, acme: people.Cast) -> None:
    template = people.template(acme, "Hello {{name}}")
    mia = people.browser(app, acme.mia)
    form = written("Hello {{name}}", variable="name", **{"value:name": "Ada"})
    id = re.search(r'id="run-([0-9a-f-]{36})"', page(mia.submit(url(acme, template, "/runs"), form)))[1]  # type: ignore[index]
    wait_until(lambda: db.session.rollback() or not db.session.get_one(Execution, id, populate_existing=True).is_open)
    text = db.session.get_one(Execution, id).body.text
    shown = page(mia.get(url(acme, template, f"/cases/new?run={id}")))
    assert ">Ada</textarea>" in shown
    assert text.splitlines()[0].replace("*", "")[:20] in shown.replace("*", "")


def test_answers_of_two_contents_stand_side_by_side_and_are_asked_for_once(
    app: Flask, worker: object, acme: people.Cast
) -> None:
    template = proposed(app, acme, acme.mia, "Hello {{name}}", "Goodbye {{name}} of {{city}}")
    mia, adam = people.browser(app, acme.mia), people.browser(app, acme.adam)
    add_case(mia, acme, template, "Whole", **{"value:name": "Ada", "value:city": "Bonn"})
    add_case(mia, acme, template, "Half", **{"value:name": "Bea", "expected": "Never this"})
    seen = page(adam.get(url(acme, template, "/proposals/1")))
    assert "Ask for 3 missing answers" in seen
    assert "What it costs is not known: nothing was run yet." in seen
    assert "Proposal" in seen
    assert "“city” is missing" in seen
    shown = answered(adam, acme, template, "1", "p1")
    runs = db.session.query(TemplateRun).filter_by(template_id=template.id).all()
    assert sorted((run.number or 0, run.values["name"]) for run in runs) == [(0, "Ada"), (1, "Ada"), (1, "Bea")]
    assert "Not as expected" in shown
    assert "0 of 1" in shown
    assert "Ask for" not in shown
    answered(mia, acme, template, "1", "p1")
    assert db.session.query(TemplateRun).filter_by(template_id=template.id).count() == 3, "they were there"
    assert decide(adam, acme, template, "approve").status_code == 204
    assert "Ask for" not in page(adam.get(url(acme, template, "/cases?source=2"))), "answers go with the words"
    case = next(case for case in cases_of(template) if case.name == "Half")
    text = db.session.query(Execution).join(TemplateRun).filter(TemplateRun.case_id == case.id).one().body.text
    changed = {"name": "Half", "variable": "name", "value:name": "Bea", "expected": f"\n{text}  "}
    mia.submit(url(acme, template, f"/cases/{case.id}"), changed)
    shown = page(mia.get(url(acme, template, "/cases?source=1")))
    assert "As expected" in shown
    mia.submit(url(acme, template, f"/cases/{case.id}"), changed | {"value:name": "Cleo"})
    assert "Ask for 1 missing answer<" in page(mia.get(url(acme, template, "/cases?source=1"))), (
        "other values, no answer"
    )
    assert people.browser(app, acme.victor).submit(url(acme, template, "/cases/answers"), {}).status_code == 403


def test_a_failed_answer_is_missing_and_asked_again(app: Flask, worker: object, acme: people.Cast) -> None:
    template = people.template(acme, "!simulate fail={{how}}\nHello", requested="simulated/simulated-fast")
    mia = people.browser(app, acme.mia)
    add_case(mia, acme, template, "Bad", **{"value:how": "bad_request"})
    shown = answered(mia, acme, template, "1")
    assert "Failed" in shown
    assert "Ask for 1 missing answer" in shown
    assert shown.count("data-state=") >= 1


@pytest.mark.parametrize("source", ["2", "p2", "none", "p", "-1", "9" * 40, "²"])
def test_what_there_is_not_has_no_answers_and_no_differences(source: str, app: Flask, acme: people.Cast) -> None:
    template = people.template(acme, "One")
    mia = people.browser(app, acme.mia)
    for path in ("/cases?source=", "/differences?before=", "/publication?source="):
        assert mia.get(url(acme, template, f"{path}{source}")).status_code == 404
