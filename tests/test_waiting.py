"""Prompts that wait their turn: in order, with the conversation up to them, never sent into the void."""

from __future__ import annotations

import uuid

from flask import Flask
from sqlalchemy import select

from dataelan_web.executions import sweep, waiting
from dataelan_web.executions.keeper import cancel
from dataelan_web.executions.prompts import from_json
from dataelan_web.extensions import db
from dataelan_web.models import Execution, ModelType, PromptSession, State, new_id
from dataelan_web.models.executions import claim

from . import people
from .conftest import wait_until
from .test_playground import fresh, run_of


def send(app: Flask, cast: people.Cast, text: str, status: int = 201, **fields: object) -> uuid.UUID:
    """As a person presses Run. The run's id."""
    form = {"text": text, "model": "simulated/simulated-instant", "submission": uuid.uuid4().hex, **fields}
    answer = people.browser(app, cast.mia).submit(f"{cast.session_url}/executions", form)
    assert answer.status_code == status, answer.get_data(as_text=True)
    return run_of(answer.get_data(as_text=True)) if status == 201 else uuid.UUID(int=0)


def open_run(cast: people.Cast, state: State = State.RUNNING) -> uuid.UUID:
    return people.ended(cast, "First", state=state, finished_at=None).id


def ends(id: uuid.UUID, state: State = State.COMPLETED, text: str = "One") -> None:
    run = fresh(id)
    run.state, run.body.text = state, text
    db.session.commit()
    waiting.release(id)


def said(id: uuid.UUID) -> list[tuple[str, str]]:
    """What its model is told: (role, text) a message."""
    messages = from_json(fresh(id).body.request).messages
    return [(message.role, "".join(getattr(part, "text", "") for part in message.parts)) for message in messages]


def test_prompts_are_answered_in_order_each_with_what_came_before(
    app: Flask, worker: object, acme: people.Cast
) -> None:
    first = send(app, acme, "!simulate tokens=60 rate=100\nFirst", model="simulated/simulated-fast", system="Be brief")
    second, third = send(app, acme, "Second"), send(app, acme, "Third")
    assert fresh(second).waits_for_id == first or not fresh(first).is_open
    wait_until(lambda: not fresh(third).is_open)
    assert [fresh(id).state for id in (first, second, third)] == [State.COMPLETED] * 3
    assert fresh(first).finished_at <= fresh(second).started_at <= fresh(third).started_at  # type: ignore[operator]
    assert [role for role, _ in said(third)][-5:] == ["user", "assistant", "user", "assistant", "user"]
    assert [text for role, text in said(third) if role == "user"][1:] == ["Second", "Third"]
    assert fresh(second).seconds < 5, "it measures its own time, not that of the one before"  # type: ignore[operator]


def test_a_waiting_prompt_is_shown_as_such_and_no_worker_takes_it(app: Flask, acme: people.Cast) -> None:
    first = open_run(acme)
    second = send(app, acme, "Second")
    assert fresh(second).waits_for_id == first
    assert claim(db.session, second, "somebody") is None
    sweep.requeue()
    assert fresh(second).enqueued_at is None
    page = people.browser(app, acme.victor).get(acme.session_url).get_data(as_text=True)
    card = page.split(f'id="run-{second}"')[1]
    assert "Waiting" in card
    assert f"/executions/{second}/events" not in card, "a stream for it would only cost"
    assert "Do not send" not in card, "a viewer cannot"
    ends(first)
    assert fresh(second).waits_for_id is None
    assert said(second) == [("user", "First"), ("assistant", "One"), ("user", "Second")]


def test_instructions_stay_before_the_conversation(app: Flask, acme: people.Cast) -> None:
    first = open_run(acme)
    second = send(app, acme, "Second", system="Be brief")
    ends(first)
    assert [role for role, _ in said(second)] == ["system", "user", "assistant", "user"]


def test_what_waits_for_a_failure_is_not_sent_and_says_why(app: Flask, acme: people.Cast) -> None:
    first = open_run(acme)
    second, third = send(app, acme, "Second"), send(app, acme, "Third")
    ends(first, State.FAILED)
    for id in (second, third):
        assert fresh(id).state is State.CANCELLED
        assert "not sent" in fresh(id).body.notice
    page = people.browser(app, acme.mia).get(acme.session_url).get_data(as_text=True)
    assert page.count("came to no answer") == 2
    assert "This run was stopped" not in page


def test_one_in_the_middle_steps_out(app: Flask, acme: people.Cast) -> None:
    first = open_run(acme)
    second, third = send(app, acme, "Second"), send(app, acme, "Third")
    assert fresh(third).waits_for_id == second
    answer = people.browser(app, acme.mia).submit(f"{acme.home}/executions/{second}/cancellation")
    assert f'hx-target="#run-{second}" hx-swap="outerHTML"' in answer.get_data(as_text=True)
    assert fresh(second).state is State.CANCELLED
    assert fresh(third).waits_for_id == first
    ends(first)
    assert [text for _, text in said(third)] == ["First", "One", "Third"]


def test_the_first_cancelled_before_it_began_takes_the_others_along(app: Flask, acme: people.Cast) -> None:
    first = open_run(acme, State.QUEUED)
    second = send(app, acme, "Second")
    cancel(first)
    assert fresh(second).state is State.CANCELLED


def press(app: Flask, cast: people.Cast, id: uuid.UUID, what: str, **form: str) -> uuid.UUID:
    """A button of a run's card. The newest run afterwards."""
    answer = people.browser(app, cast.mia).submit(f"{cast.home}/executions/{id}/{what}", form)
    assert answer.status_code in (200, 201), answer.get_data(as_text=True)
    db.session.rollback()
    latest = select(Execution.id).where(Execution.session_id == cast.session.id).order_by(Execution.id.desc())
    return db.session.scalars(latest.limit(1)).one()


def test_what_was_not_sent_is_asked_later_with_what_came_before(app: Flask, acme: people.Cast) -> None:
    people.ended(acme, "Zero", "Nothing")
    first = open_run(acme)
    second = send(app, acme, "Second")
    ends(first, State.FAILED)
    before = [("user", "Zero"), ("assistant", "Nothing")]
    assert said(press(app, acme, second, "retry", submission="a")) == [*before, ("user", "Second")]
    assert said(press(app, acme, second, "rewording", submission="b", text="Else")) == [*before, ("user", "Else")]


def test_after_one_that_was_taken_back_the_next_still_waits(app: Flask, acme: people.Cast) -> None:
    first = open_run(acme)
    second = send(app, acme, "Second")
    press(app, acme, second, "cancellation")
    third = send(app, acme, "Third")
    again = press(app, acme, second, "retry", submission="a")
    other = press(app, acme, second, "rewording", submission="b", text="Else")
    assert {fresh(id).waits_for_id for id in (third, again, other)} == {first}
    ends(first)
    before = [("user", "First"), ("assistant", "One")]
    for id, text in ((third, "Third"), (again, "Second"), (other, "Else")):
        assert said(id) == [*before, ("user", text)]
        assert fresh(id).waits_for_id is None


def test_the_sweeper_lets_go_what_was_forgotten(app: Flask, acme: people.Cast) -> None:
    first = open_run(acme)
    second = send(app, acme, "Second")
    fresh(first).state = State.COMPLETED
    db.session.commit()  # its worker died before it could tell
    sweep.release_forgotten()  # or a worker's sweeper, which came before
    wait_until(lambda: fresh(second).waits_for_id is None)


def test_a_run_that_ended_while_the_form_was_read_is_waited_for_by_nobody(app: Flask, acme: people.Cast) -> None:
    first = open_run(acme)
    fresh(first).state = State.COMPLETED
    db.session.commit()
    row = people.ended(acme, "Second", state=State.QUEUED, finished_at=None, waits_for_id=first)
    waiting.release(first)  # or a worker's sweeper, which came before
    wait_until(lambda: fresh(row.id).waits_for_id is None)


def test_only_so_many_may_wait(app: Flask, acme: people.Cast) -> None:
    open_run(acme)
    for number in range(waiting.MOST):
        send(app, acme, f"Number {number}")
    send(app, acme, "One too many", status=422)
    count = select(Execution.id).where(Execution.session_id == acme.session.id)
    assert len(db.session.scalars(count).all()) == waiting.MOST + 1


def test_pictures_do_not_wait_for_each_other(app: Flask, acme: people.Cast) -> None:
    session = PromptSession(id=new_id(), project=acme.project, title="Pictures", model_type=ModelType.IMAGE)
    db.session.add(session)
    db.session.commit()
    acme.session = session
    open_run(acme)
    assert fresh(send(app, acme, "A harbour", model="auto")).waits_for_id is None


def test_deleting_a_session_sends_nothing_that_waits(app: Flask, acme: people.Cast) -> None:
    open_run(acme, State.QUEUED)
    second, third = send(app, acme, "Second"), send(app, acme, "Third")
    people.browser(app, acme.mia).submit(f"{acme.session_url}/deletion")
    assert {fresh(id).state for id in (second, third)} == {State.CANCELLED}
