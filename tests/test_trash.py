"""The trash: what is deleted vanishes everywhere and comes back whole; what is purged is gone, the books are not."""

from __future__ import annotations

import re
import threading
import uuid
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, inspect, select, update

from dataelan_web.accounts.sign_up import create_project
from dataelan_web.executions import assets, purge
from dataelan_web.executions.branches import newest
from dataelan_web.executions.conversation import so_far
from dataelan_web.executions.prompts import to_json
from dataelan_web.extensions import db
from dataelan_web.models import (
    IN_TRASH,
    Action,
    Asset,
    Attempt,
    AuditEvent,
    Collaborator,
    CopiedAnswer,
    Execution,
    ExecutionBody,
    GatewayToken,
    Import,
    ImportedSession,
    LabelProtection,
    LedgerEntry,
    Leftover,
    Outcome,
    Payer,
    Project,
    Prompt,
    PromptSession,
    RoutingRule,
    SearchDocument,
    State,
    Trashable,
    new_id,
    now,
)
from dataelan_web.router.types import ImagePart, Message, TextPart
from dataelan_web.router.types import Prompt as RouterPrompt
from dataelan_web.storage import Unavailable, storage

from . import people
from .test_search import found


def get(app: Flask, cast: people.Cast, path: str, who: str = "mia"):  # type: ignore[no-untyped-def]
    return people.browser(app, cast.people[who]).get(f"{cast.home}{path}")


def trash(app: Flask, cast: people.Cast, who: str = "mia", query: str = "") -> str:
    return get(app, cast, f"/trash{query}", who).get_data(as_text=True)


def act(app: Flask, cast: people.Cast, path: str, who: str = "mia", **form: object):  # type: ignore[no-untyped-def]
    return people.browser(app, cast.people[who]).submit(f"{cast.home}{path}", form)


def run_purge() -> None:
    db.session.rollback()
    purge.purge()
    db.session.expire_all()


def is_there(thing: PromptSession) -> bool:
    """By the key it had: the worker of other tests may have purged it first, and then it can no longer be asked."""
    return db.session.get(PromptSession, inspect(thing).identity) is not None


def paid(cast: people.Cast, **values: object) -> Execution:
    """A run with a call that was paid for, and what was found in its answer."""
    run = people.ended(cast, "What is secret?", "Everything that is secret.", cost=5, **values)
    attempt = Attempt(
        execution_id=run.id, number=1, model_name="m", provider_name="p", payer=Payer.ORGANIZATION, error="secret words"
    )
    attempt.outcome, attempt.cost = Outcome.COMPLETED, 5
    db.session.add_all(
        [attempt, Action(execution_id=run.id, position=0, kind="json", title="secret", payload={"value": 1})]
    )
    db.session.flush()
    db.session.add(
        LedgerEntry(organization_id=cast.organization.id, attempt_id=attempt.id, payer=attempt.payer, amount=5)
    )
    db.session.commit()
    return run


def over(row: Trashable) -> None:
    """As if it had been in the trash for 30 days."""
    row.deleted_at = now() - IN_TRASH - timedelta(minutes=1)
    db.session.commit()


# -- there and back --------------------------------------------------------------------------------


def test_a_deleted_session_vanishes_everywhere_and_comes_back_by_undo(app: Flask, acme: people.Cast) -> None:
    run = people.ended(acme, "An ocelot")
    home = f"/projects/{acme.project.id}"
    answer = act(app, acme, f"/sessions/{acme.session.id}/deletion")
    assert answer.headers["HX-Redirect"] == f"{acme.home}{home}"
    for path in ("/", home, "/palette?q=acme", "/search?q=acme"):
        assert f"/sessions/{acme.session.id}" not in get(app, acme, path).get_data(as_text=True).replace(
            "trash/", ""
        ), path
    assert found(app, acme, "ocelot") == []
    for path in (f"/sessions/{acme.session.id}", f"/executions/{run.id}", f"/executions/{run.id}/events"):
        gone = get(app, acme, path)
        assert gone.status_code == 410, path
        assert "Acme session" in gone.get_data(as_text=True), "it says what is in the trash"
        assert get(app, acme, path, "victor").status_code == 404, "who may not restore it is told nothing"
    assert "Acme session" in trash(app, acme)
    back = act(app, acme, f"/trash/session/{acme.session.id}/restoration", kind="")
    assert "is back" in back.get_data(as_text=True)
    assert f'href="{acme.session_url}">Look</a>' in back.get_data(as_text=True)
    assert get(app, acme, f"/sessions/{acme.session.id}").status_code == 200
    assert found(app, acme, "ocelot") == [run.id]
    actions = db.session.scalars(
        select(AuditEvent.action).where(AuditEvent.subject_id == acme.session.id).order_by(AuditEvent.id)
    ).all()
    assert actions == ["session.deleted", "session.restored"]


def test_right_after_a_delete_there_is_a_way_back(app: Flask, acme: people.Cast) -> None:
    run = people.ended(acme, "Hello")
    answer = act(app, acme, f"/executions/{run.id}/deletion").get_data(as_text=True)
    undo = f"{acme.home}/trash/run/{run.id}/restoration"
    assert f'action="{undo}"' in answer
    assert f'hx-target="#run-{run.id}" hx-swap="delete"' in answer
    mia = people.browser(app, acme.mia)
    back = mia.post(undo, data={"csrf_token": mia.csrf()})
    assert back.status_code == 303
    assert back.location == f"{acme.session_url}?run={run.id}#run-{run.id}"
    assert mia.get(back.location).status_code == 200


def test_a_deleted_project_takes_all_in_it_along_and_refuses_its_tokens(app: Flask, acme: people.Cast) -> None:
    run, secret = people.ended(acme, "An ocelot", via_gateway=True), acme.token()
    headers = {"Authorization": f"Bearer {secret}"}
    assert app.test_client().get("/v1/models", headers=headers).status_code == 200
    assert act(app, acme, f"/projects/{acme.project.id}/deletion").status_code == 403, "a member may not"
    rule = RoutingRule(organization_id=acme.organization.id, project_id=acme.project.id, name="Only here")
    db.session.add(rule)
    db.session.commit()
    act(app, acme, f"/projects/{acme.project.id}/deletion", "adam")
    assert app.test_client().get("/v1/models", headers=headers).status_code == 401
    assert get(app, acme, "/", "gina").status_code == 404, "it was all that the guest could see"
    for path in (f"/projects/{acme.project.id}", f"/sessions/{acme.session.id}", f"/executions/{run.id}"):
        assert get(app, acme, path, "adam").status_code == 410, path
        assert get(app, acme, path, "mia").status_code == 404, "only an admin may restore a project"
    assert found(app, acme, "ocelot", "adam") == []
    for path in ("/", "/hub/rules", "/search", "/palette?q="):
        assert get(app, acme, path, "adam").status_code == 200
        assert f"/projects/{acme.project.id}" not in get(app, acme, path, "adam").get_data(as_text=True)
    assert act(app, acme, f"/trash/project/{acme.project.id}/restoration").status_code == 403
    act(app, acme, f"/trash/project/{acme.project.id}/restoration", "adam")
    assert app.test_client().get("/v1/models", headers=headers).status_code == 200
    assert found(app, acme, "ocelot", "adam") == [run.id]


def test_what_is_inside_something_deleted_is_listed_with_it_and_not_beside_it(app: Flask, acme: people.Cast) -> None:
    run = people.ended(acme, "Inner thing")
    act(app, acme, f"/executions/{run.id}/deletion")
    assert "Inner thing" in trash(app, acme)
    act(app, acme, f"/sessions/{acme.session.id}/deletion")
    assert "Inner thing" not in trash(app, acme)
    assert act(app, acme, f"/trash/run/{run.id}/restoration").status_code == 404
    act(app, acme, f"/trash/session/{acme.session.id}/restoration")
    assert "Inner thing" in trash(app, acme)


def test_a_deleted_run_is_no_part_of_the_conversation_but_of_the_sum(app: Flask, acme: people.Cast) -> None:
    people.ended(acme, "First", "One")
    second = people.ended(acme, "Second", "Two", cost=7)
    act(app, acme, f"/executions/{second.id}/deletion")
    told = [part.text for message in so_far(acme.session, newest(acme.session)) for part in message.parts]  # type: ignore[union-attr]
    assert told == ["First", "One"]
    page = get(app, acme, f"/sessions/{acme.session.id}").get_data(as_text=True)
    assert "Second" not in page
    assert "$0.000000007" in page, "what it cost was spent"


def test_a_running_run_is_not_deleted_and_a_deleted_session_stops_its_runs(app: Flask, acme: people.Cast) -> None:
    run = people.ended(acme, "Hello", state=State.QUEUED, finished_at=None)
    assert act(app, acme, f"/executions/{run.id}/deletion").status_code == 409
    act(app, acme, f"/sessions/{acme.session.id}/deletion")
    db.session.expire_all()
    assert db.session.get_one(Execution, run.id).state is State.CANCELLED


def test_a_deleted_file_leaves_its_card_and_the_prompts_that_follow(app: Flask, acme: people.Cast) -> None:
    given = people.asset(acme, b"GIF89a", "image/gif", "dot.gif")
    run = people.ended(acme, "What is this?", "A dot")
    run.prompt.assets = [given]  # type: ignore[union-attr]
    message = Message("user", (ImagePart("image/gif", asset=str(given.id)), TextPart("What is this?")))
    run.body.request = to_json(RouterPrompt(messages=(message,)))
    db.session.commit()
    answer = act(app, acme, f"/assets/{given.id}/deletion", run=str(run.id)).get_data(as_text=True)
    assert f"/trash/file/{given.id}/restoration" in answer
    assert f'src="{acme.home}/assets/{given.id}"' not in answer
    assert get(app, acme, f"/assets/{given.id}").status_code == 410
    db.session.expire_all()
    assert [len(message.parts) for message in so_far(acme.session, newest(acme.session))] == [1, 1], (
        "a model is told of it no more"
    )
    with pytest.raises(Unavailable, match="deleted"):
        assets.read(str(given.id))
    act(app, acme, f"/trash/file/{given.id}/restoration")
    db.session.expire_all()
    assert get(app, acme, f"/assets/{given.id}").status_code == 200
    assert [len(message.parts) for message in so_far(acme.session, newest(acme.session))] == [2, 1]
    act(app, acme, f"/executions/{run.id}/deletion")
    assert get(app, acme, f"/assets/{given.id}").status_code == 404, "with its prompt's last run it is not seen either"


def test_the_trash_has_pages_and_kinds_and_each_sees_what_is_theirs(app: Flask, acme: people.Cast) -> None:
    other = create_project(acme.organization, acme.olivia, "Other")
    secret = PromptSession(id=new_id(), project=other, title="A secret session")
    db.session.add_all([other, secret])
    runs = [people.ended(acme, f"Prompt number {number}.") for number in range(53)]
    for place, row in enumerate([secret, *runs]):
        row.discard(acme.mia.id)
        row.deleted_at -= timedelta(seconds=place)  # type: ignore[operator]
    db.session.commit()
    first = trash(app, acme)
    assert "A secret session" in first
    assert first.count("/restoration") == 50 * 2  # a form says it twice: action and hx-post
    further = first.split('rel="next"')[0].rsplit('href="', 1)[1].split('"')[0].replace("&amp;", "&")
    rest = people.browser(app, acme.mia).get(further).get_data(as_text=True)
    assert rest.count("/restoration") == 4 * 2
    assert "Prompt number 0." not in rest
    assert "A secret session" not in trash(app, acme, query="?kind=run")
    assert "A secret session" not in trash(app, acme, "gina"), "a guest's trash is their projects'"
    assert "Prompt number 1." in trash(app, acme, "gina")
    assert get(app, acme, "/trash", "victor").status_code == 403
    assert trash(app, acme, query="?before=nonsense&kind=nonsense").count("/restoration") == 100


# -- races -----------------------------------------------------------------------------------------


def test_the_trash_offers_the_kinds_of_which_it_has_something_and_the_one_that_is_listed(
    app: Flask, acme: people.Cast
) -> None:
    def offered(query: str = "") -> list[str]:
        return re.findall(r'/trash\?kind=(\w+)"', trash(app, acme, query=query))

    assert "What to list" not in trash(app, acme)
    assert offered("?kind=rule") == [], "which a member does not see"
    assert offered("?kind=prompt") == ["prompt"]
    act(app, acme, f"/executions/{people.ended(acme, 'One').id}/deletion")
    assert offered() == ["run"]
    assert offered("?kind=prompt") == ["prompt", "run"]
    act(app, acme, f"/sessions/{acme.session.id}/deletion")
    assert offered() == ["session"], "the run is in it"


def test_a_restore_and_a_purge_at_once_are_one_or_the_other(app: Flask, acme: people.Cast) -> None:
    people.ended(acme, "Hello", "World")
    acme.session.discard(acme.mia.id)
    db.session.commit()
    act(app, acme, f"/trash/session/{acme.session.id}/erasure", "olivia")
    assert act(app, acme, f"/trash/session/{acme.session.id}/restoration").status_code == 404, "for ever is for ever"

    session = PromptSession(id=new_id(), project=acme.project, title="Raced")
    session.discard(acme.mia.id)
    db.session.add(session)
    db.session.commit()
    locked, go_on = threading.Event(), threading.Event()

    def restore_slowly() -> None:
        with app.app_context():
            row = db.session.get_one(PromptSession, session.id, with_for_update=True)
            locked.set()
            go_on.wait(10)
            row.restore()
            db.session.commit()

    thread = threading.Thread(target=restore_slowly)
    thread.start()
    locked.wait(10)
    # Its 30 days end while somebody is restoring it: the purge passes it by.
    with app.app_context():
        purge.purge()
    go_on.set()
    thread.join()
    run_purge()
    assert is_there(session)


def test_erasing_is_for_admins_and_hides_it_at_once(app: Flask, acme: people.Cast) -> None:
    acme.session.discard(acme.mia.id)
    db.session.commit()
    assert act(app, acme, f"/trash/session/{acme.session.id}/erasure").status_code == 403
    act(app, acme, f"/trash/session/{acme.session.id}/erasure", "adam")
    assert "Acme session" not in trash(app, acme)
    assert get(app, acme, f"/sessions/{acme.session.id}").status_code == 404
    run_purge()
    assert not is_there(acme.session)


def test_something_whose_time_is_not_over_is_not_purged(app: Flask, acme: people.Cast) -> None:
    acme.session.discard(acme.mia.id)
    acme.session.deleted_at = now() - IN_TRASH + timedelta(hours=1)
    db.session.commit()
    run_purge()
    assert is_there(acme.session)


# -- for ever --------------------------------------------------------------------------------------


def test_purging_a_session_removes_every_word_and_keeps_the_books(app: Flask, acme: people.Cast) -> None:
    made, given = people.asset(acme, b"made"), people.asset(acme, b"given")
    run = paid(acme)
    run.assets, run.prompt.assets = [made], [given]  # type: ignore[union-attr]
    db.session.commit()
    made_id, key = made.id, made.storage_key
    act(app, acme, f"/sessions/{acme.session.id}/forks")
    fork = db.session.scalars(select(PromptSession).where(PromptSession.forked_from_id == acme.session.id)).one()
    spent = select(func.sum(LedgerEntry.amount)).where(LedgerEntry.organization_id == acme.organization.id)
    before = db.session.scalar(spent)
    over(acme.session)
    run_purge()
    assert not is_there(acme.session)
    row = db.session.get_one(Execution, run.id)
    assert (row.cost, row.state, row.session_id, row.prompt_id) == (5, State.COMPLETED, None, None)
    assert row.deleted_at is not None, "and is seen nowhere"
    assert db.session.scalar(spent) == before == 5
    attempt = db.session.scalars(select(Attempt).where(Attempt.execution_id == run.id)).one()
    assert (attempt.cost, attempt.error) == (5, "")
    for model, column in ((ExecutionBody, ExecutionBody.id), (SearchDocument, SearchDocument.id)):
        assert db.session.scalars(select(model).where(column == run.id)).first() is None
    assert db.session.scalars(select(Action).where(Action.execution_id == run.id)).first() is None
    assert db.session.scalars(select(Prompt).where(Prompt.session_id == acme.session.id)).first() is None
    assert db.session.get(Asset, made_id) is None
    (copy,) = db.session.scalars(select(CopiedAnswer).where(CopiedAnswer.session_id == fork.id))
    assert copy.text == "Everything that is secret.", "a fork is its own"
    assert [asset.name for asset in copy.assets] == ["picture.png"]
    assert storage().get(key) == b"made", "and so are its files, which are the same bytes"
    for path in (f"/executions/{run.id}", f"/sessions/{acme.session.id}"):
        assert get(app, acme, path).status_code == 404
    assert get(app, acme, f"/projects/{acme.project.id}").status_code == 200


def test_bytes_go_when_nothing_names_them_any_more_and_not_before(
    app: Flask, acme: people.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = uuid.uuid4().bytes
    first, second = people.asset(acme, content), people.asset(acme, content)
    second.storage_key = first.storage_key  # used once more
    db.session.add_all([first, second])
    db.session.commit()
    first_id, key = first.id, first.storage_key
    monkeypatch.setattr(purge, "SETTLED", timedelta(0))
    over(first)
    run_purge()
    assert db.session.get(Asset, first_id) is None
    assert storage().get(key) == content, "another row names the same bytes"
    over(second)
    monkeypatch.setattr(purge, "SETTLED", timedelta(days=1))
    run_purge()
    assert storage().get(key) == content, "somebody may be putting the same file just now"
    assert db.session.scalars(select(Leftover).where(Leftover.storage_key == key)).one()
    monkeypatch.setattr(purge, "SETTLED", timedelta(0))
    run_purge()
    with pytest.raises(Unavailable):
        storage().get(key)
    assert not db.session.scalars(select(Leftover).where(Leftover.storage_key == key)).first()


def test_the_title_of_a_conversation_from_elsewhere_goes_with_its_session(acme: people.Cast) -> None:
    brought = Import(project_id=acme.project.id, user_id=acme.mia.id, source="claude", file_name="all.json")
    db.session.add(brought)
    db.session.flush()
    line = {"import_id": brought.id, "position": 0, "source_id": "1", "runs_count": 1, "session_id": acme.session.id}
    db.session.add(ImportedSession(**line, title="Secret plans"))
    over(acme.session)
    run_purge()
    assert db.session.scalars(select(ImportedSession.title).where(ImportedSession.import_id == brought.id)).all() == []


def test_purging_a_project_leaves_its_row_and_what_was_moved_away(app: Flask, acme: people.Cast) -> None:
    other = create_project(acme.organization, acme.olivia, "Other")
    moved = PromptSession(id=new_id(), project=other, title="Moved away")
    db.session.add_all([other, moved])
    db.session.commit()
    run, gone, through = paid(acme), paid(acme), people.ended(acme, "Gateway words", "x", via_gateway=True)
    run.session_id = run.prompt.session_id = moved.id  # type: ignore[union-attr]  (paid here, and seen there)
    acme.project.description = acme.project.instructions = "Secret plans"
    brought = Import(project_id=acme.project.id, user_id=acme.mia.id, source="claude", file_name="secret plans.json")
    protected = LabelProtection(project_id=acme.project.id, name="secret-plans", is_protected=True)
    db.session.add_all([brought, protected])
    secret = acme.token()
    over(acme.project)
    run_purge()
    project = db.session.get_one(Project, acme.project.id)
    assert project.purged_at is not None
    assert (project.description, project.instructions) == ("", "")
    assert db.session.get(ExecutionBody, run.id) is not None, "its session lives on"
    assert db.session.get(ExecutionBody, gone.id) is None
    assert db.session.get(ExecutionBody, through.id) is None
    assert db.session.scalars(select(PromptSession).where(PromptSession.project_id == project.id)).first() is None
    for model in (Collaborator, Import, LabelProtection):
        assert db.session.scalars(select(model).where(model.project_id == project.id)).first() is None
    token = db.session.scalars(select(GatewayToken).where(GatewayToken.token_hash == GatewayToken.digest(secret))).one()
    assert token.revoked_at is not None
    assert get(app, acme, f"/executions/{run.id}").status_code == 200
    purged_at = project.purged_at
    run_purge()
    assert db.session.get_one(Project, project.id).purged_at == purged_at, "once"


def test_a_purge_waits_for_what_still_runs_and_goes_past_what_it_cannot(
    app: Flask, acme: people.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = people.ended(acme, "Hello", state=State.RUNNING, finished_at=None)
    over(acme.session)
    other = PromptSession(id=new_id(), project=acme.project, title="Other")
    over(other)
    db.session.add(other)
    db.session.commit()
    run_purge()
    assert is_there(acme.session)
    assert not is_there(other)
    db.session.execute(update(Execution).where(Execution.id == run.id).values(state=State.COMPLETED))
    db.session.commit()
    run_purge()
    assert not is_there(acme.session)
    assert db.session.get_one(Execution, run.id).session_id is None


def test_a_prompt_lives_as_long_as_one_of_its_runs(app: Flask, acme: people.Cast) -> None:
    first = people.ended(acme, "Twice", "Once")
    second = people.ended(acme, "-", "Again", prompt=first.prompt)
    over(first)
    run_purge()
    assert db.session.get_one(Execution, second.id).prompt.text == "Twice"  # type: ignore[union-attr]
    over(db.session.get_one(Execution, second.id))
    prompt_id = second.prompt_id
    run_purge()
    assert db.session.get(Prompt, prompt_id) is None


def test_workers_look_into_the_trash_once_an_hour(app: Flask, acme: people.Cast) -> None:
    from dataelan_web.jobs.queue import store

    store().delete(purge.DUE)
    over(acme.session)
    purge.purge_if_due()
    db.session.expire_all()
    assert not is_there(acme.session)
    other = PromptSession(id=new_id(), project=acme.project, title="Other")
    over(other)
    db.session.add(other)
    db.session.commit()
    purge.purge_if_due()
    assert is_there(other)
    purge.purge_soon()
    purge.purge_if_due()
    db.session.expire_all()
    assert not is_there(other)
