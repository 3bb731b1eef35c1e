"""What a model writes acts on one way only: offered, checked, repaired, approved, delivered once it may be."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from dataelan_web.acting import deciding, declaring, delivering, offering, path, repairing
from dataelan_web.acting.schemas import BadSchema, check, problem
from dataelan_web.executions.calls import LARGEST
from dataelan_web.executions.prompts import from_json
from dataelan_web.extensions import db
from dataelan_web.models import (
    ActionAttempt,
    ActionCall,
    ActionRepair,
    Approval,
    AuditEvent,
    CallState,
    Collaborator,
    DeclaredAction,
    Execution,
    How,
    Notice,
    OfferedAction,
    Price,
    Project,
    ProjectRole,
    new_id,
    now,
)
from dataelan_web.notify.posting import AddressRefused
from dataelan_web.router.types import Prompt, Tool, user

from . import acting, people
from .conftest import wait_until
from .receiver import Receiver, receiver

GOOD = json.dumps(acting.SAMPLE)


@pytest.fixture
def program() -> Iterator[Receiver]:
    with receiver() as there:
        yield there


def attempts(call: ActionCall) -> list[ActionAttempt]:
    db.session.rollback()
    query = select(ActionAttempt).where(ActionAttempt.call_id == call.id).order_by(ActionAttempt.id)
    return list(db.session.scalars(query.execution_options(populate_existing=True)))


def fresh(call: ActionCall) -> ActionCall:
    db.session.rollback()
    return db.session.get_one(ActionCall, call.id, populate_existing=True)


def notices(cast: people.Cast, kind: str) -> set[Any]:
    query = select(Notice.user_id).where(Notice.organization_id == cast.organization.id, Notice.kind == kind)
    return set(db.session.scalars(query))


# -- from a prompt to a receiver -------------------------------------------------------------------


def test_a_call_is_approved_and_delivered_signed_with_its_own_id(
    app: Flask, acme: people.Cast, worker: object, program: Receiver
) -> None:
    action, secret = declaring.create(acme.project, acting.draft(program.url), acme.olivia.id)
    run = acting.asked(acme)
    call = acting.settled(app, run, CallState.WAITING)
    assert program.got == [], "nothing leaves before somebody agrees"
    assert call.arguments == {"title": "Create", "priority": "high"} or call.arguments
    members = {acme.olivia.id, acme.adam.id, acme.mia.id, acme.gina.id}
    assert notices(acme, "action.waiting") == members
    assert deciding.approve(call, acme.adam)
    call = acting.settled(app, run, CallState.DELIVERED)
    (got,) = program.got
    assert got.id == str(call.id)
    payload = got.verified(str(secret))
    assert payload["type"] == "action.called"
    assert payload["data"]["arguments"] == call.arguments
    assert payload["data"]["approved_by"]["name"] == "Adam"
    assert payload["data"]["asked_by"]["name"] == "Mia"
    assert payload["data"]["action"] == {"id": str(action.id), "name": "create_ticket", "version": 1}
    assert [(one.number, one.status, one.error) for one in attempts(call)] == [(1, 204, "")]
    assert notices(acme, "action.decided") == {acme.mia.id}
    told = db.session.scalars(select(AuditEvent.action).where(AuditEvent.subject_id == call.id)).all()
    assert list(told) == ["action.approved"]


def test_broken_arguments_are_repaired_by_runs_of_their_own_at_their_own_cost(
    app: Flask, acme: people.Cast, worker: object
) -> None:
    model = people.simulated_model()
    model.prices.append(Price(source="own", input=1_000_000, output=2_000_000, organization_id=acme.organization.id))
    db.session.commit()
    acting.declared(acme, approval=Approval.NOBODY)
    run = acting.asked(acme, "!simulate broken=2\nCreate a ticket")
    call = acting.settled(app, run, CallState.ACCEPTED)
    assert call.repairs_made == 2
    assert call.problem == ""
    repairs = list(db.session.scalars(select(ActionRepair).where(ActionRepair.call_id == call.id)))
    costs = [one.execution.cost for one in repairs]
    assert all(costs)
    assert {one.execution.repairs_id for one in repairs} == {run.id}
    assert {one.execution.user_id for one in repairs} == {acme.mia.id}
    page = people.browser(app, acme.mia).get(acme.session_url).get_data(as_text=True)
    assert page.count('<article class="run"') == 1, "a repair is no card of its own"


def test_no_more_repairs_than_declared(app: Flask, acme: people.Cast, worker: object) -> None:
    acting.declared(acme, most_repairs=1)
    call = acting.settled(app, acting.asked(acme, "!simulate broken=9\nCreate a ticket"), CallState.INVALID)
    assert call.repairs_made == 1
    assert call.problem.startswith("$.title:")
    assert notices(acme, "action.waiting") == set()


def test_a_model_without_tools_asks_by_the_schema_of_its_answer(app: Flask, acme: people.Cast, worker: object) -> None:
    model = people.simulated_model("simulated-fast")
    before, model.capabilities = model.capabilities, ["chat", "json_schema"]
    db.session.commit()
    try:
        acting.declared(acme, approval=Approval.NOBODY)
        run = acting.asked(acme, requested="simulated/simulated-fast")
        call = acting.settled(app, run, CallState.ACCEPTED)
        assert call.how is How.SCHEMA
        shown = people.browser(app, acme.mia).get(acme.session_url).get_data(as_text=True)
        assert "The answer as JSON" in shown
        assert f'id="call-{call.id}"' in shown
        assert '"reply"' not in shown.split('id="composer"')[0].split("The answer as JSON")[0].split('id="runs"')[-1]
        model.capabilities = ["chat"]
        db.session.commit()
        _, offers = offering.offer(
            Prompt(messages=(user("x"),)), acme.project, "simulated/simulated-fast", acme.session.model_type
        )
        assert [(one.how, one.why) for one in offers] == [(How.NOT, offering.UNABLE)]
    finally:
        model.capabilities = before
        db.session.commit()


def test_what_is_switched_off_unwanted_or_named_like_a_tool_is_not_offered(acme: people.Cast) -> None:
    one, two, three = (acting.declared(acme, name=name) for name in ("one", "two", "three"))
    declaring.set_enabled(one, False)
    prompt = Prompt(messages=(user("x"),), tools=(Tool("three"),))
    prompt, offers = offering.offer(prompt, acme.project, "auto", acme.session.model_type, [])
    assert [tool.name for tool in prompt.tools] == ["three", "two"]
    assert {(offer.version_id, offer.how) for offer in offers} == {(two.version.id, "tool"), (three.version.id, "not")}
    assert offering.on_offer(acme.project.id, [str(two.id), str(three.id)]) == []


def test_the_gateway_offers_nothing(app: Flask, acme: people.Cast, simulated: str) -> None:
    acting.declared(acme)
    body = {"model": "simulated/simulated-instant", "messages": [{"role": "user", "content": "Create a ticket"}]}
    answer = app.test_client().post(
        "/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {acme.secret}"}
    )
    assert answer.status_code == 200
    assert not answer.json["choices"][0]["message"].get("tool_calls")  # type: ignore[index]
    run = db.session.scalars(select(Execution).where(Execution.organization_id == acme.organization.id)).one()
    assert from_json(run.body.request).tools == ()


def test_the_same_prompt_once_more_is_offered_the_same(app: Flask, acme: people.Cast, worker: object) -> None:
    acting.declared(acme, approval=Approval.NOBODY)
    first = acting.asked(acme)
    acting.settled(app, first, CallState.ACCEPTED)
    people.browser(app, acme.mia).submit(f"{acme.home}/executions/{first.id}/retry", {"submission": "1"})
    second = db.session.scalars(
        select(Execution).where(Execution.session_id == acme.session.id).order_by(Execution.id.desc()).limit(1)
    ).one()
    assert second.id != first.id
    assert acting.settled(app, second, CallState.ACCEPTED).version_id is not None


def test_who_asks_the_same_where_its_session_was_moved_to_asks_no_action_of_the_other_project(
    app: Flask, acme: people.Cast
) -> None:
    action, first = acting.declared(acme, approval=Approval.NOBODY), people.ended(acme, "Create a ticket")
    target = Project(id=new_id(), organization=acme.organization, name="Target", created_by=acme.mia.id)
    db.session.add_all([target, OfferedAction(execution_id=first.id, version_id=action.version.id, how=How.TOOL)])
    db.session.flush()
    greta = people.user("greta")
    db.session.flush()
    db.session.add(Collaborator(project_id=target.id, user_id=greta.id, role=ProjectRole.EDITOR))
    db.session.commit()
    there = {"project_id": str(target.id)}
    assert people.browser(app, acme.mia).submit(f"{acme.session_url}/project", there).status_code == 204
    retried = people.browser(app, greta).submit(f"{acme.home}/executions/{first.id}/retry", {"submission": "1"})
    assert retried.status_code == 201
    second = select(Execution.id).where(Execution.session_id == acme.session.id, Execution.user_id == greta.id)
    offered = select(OfferedAction).where(OfferedAction.execution_id == db.session.scalars(second).one())
    assert db.session.scalars(offered).all() == []


# -- arguments -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"title": NaN}', "not JSON"),
        ('{"title": 1e999, "priority": "low"}', "too large"),
        ("[" * 5000, "not JSON"),
        ('{"title": "x"}', "'priority' is a required property"),
        ('{"title": "x", "priority": "low", "admin": true}', "Additional properties"),
        ('{"title": "%s", "priority": "low"}' % ("x" * LARGEST), "256 KB"),
        ('{"title": "\\ud800", "priority": "low"}', "no character"),
    ],
)
def test_nothing_but_what_the_schema_asks_for_goes_on(acme: people.Cast, said: str, word: str) -> None:
    call = acting.written(acme, acting.declared(acme, most_repairs=0), said[: LARGEST + 1])
    acting.looked_at(call)
    assert fresh(call).state is CallState.INVALID
    assert word in fresh(call).problem


def test_numbers_are_multiples_by_their_digits_however_large() -> None:
    cents = {"type": "object", "properties": {"price": {"type": "number", "multipleOf": 0.01}}}
    check(cents)
    assert not problem(cents, {"price": 19.99})
    assert not problem(cents, {"price": 10**400})
    assert "not a multiple" in problem(cents, {"price": 19.995})
    assert "not a multiple" in problem(cents, {"price": float("nan")})


def test_a_schema_that_could_harm_is_not_taken() -> None:
    for bad in (
        {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/x"}}},
        {"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}},
        {"type": "object", "properties": {"a": {"$schema": "http://json-schema.org/draft-07/schema#"}}},
        {"type": "object", "patternProperties": {"(a+)+$": {}}},
        {"type": "object", "properties": {"a": {"pattern": "(?=x)"}}},
        {"type": "object", "$ref": "#"},
        {"type": "array"},
        {"type": "object", "properties": {"a": {"maxLength": 70_000 * "9"}}},
        {"type": "object", "$schema": {}},
        {"type": "object", "$id": "http://[", "$ref": "#x"},
    ):
        with pytest.raises(BadSchema):
            check(bad)
    for broken in ("#/type/x", "#/x"):
        with pytest.raises(BadSchema):
            problem({"type": "object", "x": {"type": "nope"}, "properties": {"a": {"$ref": broken}}}, {"a": 1})
    doubling = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(40)} | {"a40": {}}
    assert "too long" in problem({"type": "object", "$ref": "#/$defs/a0", "$defs": doubling}, {})
    slow = {"type": "object", "properties": {"a": {"pattern": "^(a+)+$"}}}
    check(slow)
    assert "does not match" in problem(slow, {"a": "a" * 5000 + "b"})


# -- decisions -------------------------------------------------------------------------------------


def waiting(cast: people.Cast, url: str = "", **values: Any) -> ActionCall:
    call = acting.written(cast, acting.declared(cast, url, **values), GOOD)
    call = acting.looked_at(call)
    assert call.state is CallState.WAITING
    return call


def test_of_two_who_decide_at_once_one_wins(app: Flask, acme: people.Cast) -> None:
    call = waiting(acme)
    ids, gate, won = (call.id, acme.olivia.id, acme.adam.id), threading.Barrier(2), []

    def decide(user_id: Any, approves: bool) -> None:
        with app.app_context():
            mine, person = db.session.get_one(ActionCall, ids[0]), db.session.get_one(type(acme.olivia), user_id)
            gate.wait(10)
            won.append(deciding.approve(mine, person) if approves else deciding.decline(mine, person, "No"))

    threads = [threading.Thread(target=decide, args=one) for one in ((ids[1], True), (ids[2], False))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(won) == [False, True]
    assert fresh(call).state in (CallState.ACCEPTED, CallState.DECLINED)


def test_a_call_acts_as_it_was_declared_when_the_model_was_asked(
    app: Flask, acme: people.Cast, program: Receiver
) -> None:
    call = waiting(acme, program.url, approval=Approval.ADMINS)
    action = call.declared.action
    declaring.change(action, replace(declaring.draft_of(action.version), url="http://127.0.0.1:9/else"), acme.adam.id)
    assert path.why_stale(call) == path.CHANGED
    action.discard(acme.adam.id)
    db.session.commit()
    assert path.why_stale(fresh(call)) == path.DELETED
    assert deciding.approve(call, acme.olivia)
    delivering.due(app)
    wait_until(lambda: fresh(call).state is CallState.DELIVERED)
    assert [got.id for got in program.got] == [str(call.id)]


def test_what_needs_nobody_waits_for_somebody_once_it_was_changed(acme: people.Cast) -> None:
    action = acting.declared(acme, "http://127.0.0.1:9/", Approval.NOBODY)
    declaring.set_enabled(action, False)
    call = acting.looked_at(acting.written(acme, action, GOOD))
    assert (fresh(call).state, fresh(call).problem) == (CallState.WAITING, path.SWITCHED_OFF)
    assert notices(acme, "action.waiting") == {acme.olivia.id, acme.adam.id}, "whoever runs the organization"


def test_a_call_of_a_run_that_was_deleted_does_not_act(acme: people.Cast) -> None:
    run = people.ended(acme, "Create a ticket", deleted_at=now())
    call = acting.written(acme, acting.declared(acme, "http://127.0.0.1:9/", Approval.NOBODY), GOOD, run)
    acting.looked_at(call)
    assert (fresh(call).state, fresh(call).reason) == (CallState.DECLINED, path.RUN_DELETED)


# -- delivery --------------------------------------------------------------------------------------


def due_now(call: ActionCall) -> None:
    at_once = update(ActionCall).where(ActionCall.id == call.id).values(next_at=now() - timedelta(seconds=1))
    db.session.execute(at_once)
    db.session.commit()


def test_a_receiver_that_fails_is_asked_again_and_each_try_is_logged(
    app: Flask, acme: people.Cast, program: Receiver
) -> None:
    program.answers, program.body = [500, 204], b"<b>no</b>"
    call = waiting(acme, program.url)
    deciding.approve(call, acme.adam)
    wait_until(lambda: delivering.due(app) + len(program.got) > 0 and bool(fresh(call).error))
    due_now(call)
    wait_until(lambda: delivering.due(app) >= 0 and fresh(call).state is CallState.DELIVERED)
    assert [got.id for got in program.got] == [str(call.id)] * 2
    first, second = attempts(call)
    assert (first.status, first.answer, second.status) == (500, "<b>no</b>", 204)
    assert first.ended_at is not None


def test_a_worker_that_dies_while_it_sends_lets_another_go_on_and_writes_nothing_late(
    app: Flask, acme: people.Cast, program: Receiver
) -> None:
    call = waiting(acme, program.url)
    deciding.approve(call, acme.adam)
    db.session.execute(update(ActionCall).where(ActionCall.id == call.id).values(next_at=now() + timedelta(minutes=3)))
    db.session.execute(update(ActionCall).where(ActionCall.id == call.id).values(tries=1))
    db.session.commit()
    assert delivering.claim() == [] or fresh(call).tries == 1, "its lease holds"
    due_now(call)
    wait_until(lambda: delivering.due(app) >= 0 and fresh(call).state is CallState.DELIVERED)
    assert delivering.attempt(call.id, 1) is None, "the first claim is over"
    assert len(program.got) == 1


def test_what_was_given_up_is_told_and_can_be_tried_again(app: Flask, acme: people.Cast, program: Receiver) -> None:
    program.answers = [410, 410]
    call = waiting(acme, program.url)
    deciding.approve(call, acme.adam)
    wait_until(lambda: delivering.due(app) >= 0 and fresh(call).state is CallState.FAILED)
    assert notices(acme, "action.failed") == {acme.olivia.id, acme.adam.id, acme.mia.id}
    assert deciding.deliver_again(call)
    wait_until(lambda: delivering.due(app) >= 0 and fresh(call).state is CallState.FAILED)
    mine = select(Notice.id).where(Notice.kind == "action.failed", Notice.user_id == acme.mia.id)
    assert len(db.session.scalars(mine).all()) == 2, "each time"
    assert deciding.deliver_again(call)
    assert not deciding.deliver_again(call), "once"
    wait_until(lambda: delivering.due(app) >= 0 and fresh(call).state is CallState.DELIVERED)


def test_no_action_reaches_into_the_own_network_unless_the_operator_allows_it(app: Flask, acme: people.Cast) -> None:
    settings = app.extensions["dataelan_settings"]
    app.extensions["dataelan_settings"] = replace(settings, private_addresses=False)
    try:
        with pytest.raises(AddressRefused):
            acting.declared(acme, "http://127.0.0.1:9/")
    finally:
        app.extensions["dataelan_settings"] = settings


def test_another_origin_gets_a_secret_of_its_own_and_the_first_keeps_its(acme: people.Cast) -> None:
    action, secret = declaring.create(acme.project, acting.draft("http://127.0.0.1:9/a"), acme.olivia.id)
    first = action.version.receiver
    assert first is not None
    draft = declaring.draft_of(action.version)
    assert declaring.change(action, draft, acme.olivia.id) is None
    assert action.number == 1, "nothing was changed"
    assert declaring.change(action, replace(draft, url="http://127.0.0.1:9/b"), acme.olivia.id) is None
    assert action.version.receiver_id == first.id
    other = declaring.change(action, replace(draft, url="http://127.0.0.1:8/b"), acme.olivia.id)
    assert other
    assert action.version.receiver_id != first.id
    assert declaring.secrets_of(first) == [secret]
    rotated = declaring.rotate(action)
    assert declaring.secrets_of(action.version.receiver) == [rotated, other]  # type: ignore[arg-type]


def test_of_two_who_write_at_once_the_second_sees_what_the_first_wrote(
    app: Flask, acme: people.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    action, project, check = acting.declared(acme).id, acme.project.id, declaring._check_name
    met = threading.Barrier(2)

    def late(*of: Any) -> None:
        check(*of)
        with suppress(threading.BrokenBarrierError):
            met.wait(1)

    def change(word: str) -> str:
        row = db.session.get_one(DeclaredAction, action)
        declaring.change(row, acting.draft(description=word), None)
        return f"version {row.number}"

    def create(_: str) -> str:
        try:
            declaring.create(db.session.get_one(Project, project), acting.draft(name="another"), None)
        except declaring.Refused:
            return "refused"
        return "created"

    def within(act: Callable[[str], str], word: str) -> str:
        with app.app_context():
            return act(word)

    monkeypatch.setattr(declaring, "_check_name", late)
    for act, outcome in ((change, ["version 2", "version 3"]), (create, ["created", "refused"])):
        met.reset()
        with ThreadPoolExecutor(2) as both:
            assert sorted(both.map(partial(within, act), ("One", "Two"))) == outcome


def test_a_name_is_taken_once_also_by_what_is_in_the_trash(acme: people.Cast) -> None:
    action = acting.declared(acme)
    with pytest.raises(declaring.Refused, match="declared already"):
        acting.declared(acme)
    action.discard(acme.adam.id)
    db.session.commit()
    with pytest.raises(declaring.Refused, match="in the trash"):
        acting.declared(acme)


def test_a_repair_that_comes_to_nothing_says_why(app: Flask, acme: people.Cast, worker: object) -> None:
    run = people.ended(acme, "Create a ticket", requested="no-such-model")
    acting.written(acme, acting.declared(acme), "{}", run)
    call = acting.settled(app, run, CallState.INVALID)
    assert call.problem.startswith("The repair came to nothing: ")
    assert call.repairs_made == 1
    repair = repairing.last_repair(call)
    assert repair is not None
    assert not db.session.scalars(select(OfferedAction).where(OfferedAction.execution_id == repair.id)).all()
