"""What goes on, and what comes back, when Valkey or PostgreSQL were away. tests/faults breaks everything at once."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import OperationalError

from dataelan_web import quota
from dataelan_web.executions import live, sweep
from dataelan_web.executions import record as recording
from dataelan_web.executions.draining import Draining
from dataelan_web.executions.execute import PAUSES, execute, told
from dataelan_web.executions.health import CLOCK_KEPT, _Clock
from dataelan_web.executions.measures import estimated
from dataelan_web.extensions import db
from dataelan_web.jobs import queue, worker
from dataelan_web.models import (
    Attempt,
    Execution,
    Outcome,
    Payer,
    Reservation,
    Scope,
    State,
    Unit,
    Window,
    journal,
    new_id,
)
from dataelan_web.models.executions import LEASE, claim, close, renew
from dataelan_web.models.records import RunRecord
from dataelan_web.playground import stream
from dataelan_web.router.sizes import tokens_of
from dataelan_web.router.types import Failure, Prompt, Text, Usage, user

from . import people
from .conftest import wait_until
from .test_executions import USD, claimed, held, ledger, let_the_lease_run_out, priced, queued
from .test_playground import fresh

Make = Callable[[], uuid.UUID]
NOWHERE = "redis://127.0.0.1:9/0"


def pooled(app: Flask, url: str) -> worker.PooledWorker:
    return worker.PooledWorker(app, [queue.prompts(queue.connect(url))], 1)


def write(pen: live.Writer, piece: str) -> None:
    """… and wait until the post has taken it."""
    pen.add(live.TEXT, piece)
    wait_until(lambda: not pen._pending)
    time.sleep(0.05)


# -- live answers --------------------------------------------------------------------------------


def test_a_reader_waits_through_a_long_silence(context: None) -> None:
    entries = live.follow(queue.store(), uuid.uuid4())
    assert next(entries) is None
    assert live.WAIT_MS / 1000 < queue.ANSWERS_WITHIN - 1


def test_an_answer_is_told_from_the_start_when_valkey_has_forgotten_it(context: None) -> None:
    pen = live.Writer(queue.store(), uuid.uuid4())
    write(pen, "One, ")
    write(pen, "two, ")
    queue.store().delete(pen.key)
    pen.tell_anew()
    write(pen, "three")
    found = live.written(queue.store(), _id(pen))
    assert (found.text, found.is_anew) == ("One, two, three", True)
    assert "One, two, three" in "".join(
        entry.text for entry in live.follow(queue.store(), _id(pen), wait=False) if entry
    )


def test_an_answer_is_told_from_the_start_when_valkey_came_back_empty_unseen(context: None) -> None:
    pen = live.Writer(queue.store(), uuid.uuid4())
    write(pen, "One, ")
    write(pen, "two, ")
    queue.store().delete(pen.key)
    write(pen, "three")
    wait_until(lambda: live.written(queue.store(), _id(pen)).text == "One, two, three")
    queue.store().delete(pen.key)
    pen.end()
    wait_until(lambda: live.written(queue.store(), _id(pen)).ended)
    assert queue.store().ttl(pen.key) > 0


def test_what_was_heard_before_an_answer_began_anew_does_not_count_twice(context: None) -> None:
    pen = live.Writer(queue.store(), uuid.uuid4())
    write(pen, "One, ")
    pen.tell_anew()
    write(pen, "two")
    assert live.written(queue.store(), _id(pen)).text == "One, two"


def test_half_a_character_does_not_silence_the_answers_of_a_process(context: None) -> None:
    pen = live.Writer(queue.store(), uuid.uuid4())
    write(pen, "\ud800")
    write(pen, "and on")
    assert live.written(queue.store(), _id(pen)).text == "?and on"


def _id(pen: live.Writer) -> uuid.UUID:
    return uuid.UUID(pen.key.removeprefix("live:"))


def test_a_long_stream_of_the_gateway_is_kept_outside_its_process_and_a_short_one_is_not(
    acme: people.Cast, simulated: str
) -> None:
    for silent_for, kept in ((0.1, True), (60.0, False)):
        execution = claimed(acme, "!simulate tokens=30 rate=60\nHi")
        pen = live.Writer(queue.store(), execution.id, silent_for)
        words = "".join(
            event.delta for event in told(RunRecord.of(execution), execution.fence, pen) if isinstance(event, Text)
        )
        time.sleep(0.2)
        assert live.written(queue.store(), execution.id).text == (words if kept else "")
        assert live.written(queue.store(), execution.id).ended is kept


# -- leases --------------------------------------------------------------------------------------


@pytest.fixture
def mine(acme: people.Cast) -> Iterator[Make]:
    """Makes queued executions, which no worker runs later."""
    made: list[uuid.UUID] = []

    def make() -> uuid.UUID:
        made.append(queued(acme).id)
        return made[-1]

    yield make
    db.session.rollback()
    db.session.execute(update(Execution).where(Execution.id.in_(made)).values(state=State.CANCELLED))
    db.session.commit()


def test_a_claim_whose_commit_nobody_heard_can_be_made_again_by_its_name(mine: Make) -> None:
    id = mine()
    assert claim(db.session, id, "mine") == 1
    db.session.commit()
    assert claim(db.session, id, "mine") == 2
    assert claim(db.session, id, "another's") is None


def test_a_lease_is_lengthened_by_its_own_fence_only(mine: Make) -> None:
    id = mine()
    fence = claim(db.session, id, "mine") or 0
    db.session.commit()
    until = fresh(id).lease_until
    assert renew(db.session, {id: fence + 1}) == {}
    db.session.commit()
    assert fresh(id).lease_until == until
    assert renew(db.session, {id: fence}) == {id: False}
    db.session.commit()
    assert fresh(id).lease_until != until


def test_a_process_that_stands_still_while_it_ends_a_run_loses_the_run(mine: Make) -> None:
    id = mine()
    fence = claim(db.session, id, "mine") or 0
    db.session.commit()
    attempt = Attempt(
        id=new_id(), execution_id=id, number=1, model_name="m", provider_name="p", payer=Payer.ORGANIZATION
    )
    for locks in (
        lambda: journal.begin(db.session, attempt, fence),
        lambda: close(db.session, id, fence, State.FAILED),
    ):
        assert locks()
        assert db.session.scalar(text("SHOW idle_in_transaction_session_timeout")) == "10s"
        db.session.rollback()


def test_renewing_leases_waits_for_nobody(mine: Make) -> None:
    """It locks many rows at once: whoever waits for one of them may hold what it would wait for."""
    written, free = mine(), mine()
    held = {id: claim(db.session, id, "mine") or 0 for id in (written, free)}
    db.session.commit()
    until = fresh(free).lease_until
    with db.engine.begin() as other:
        other.execute(text("UPDATE executions SET attempts_made = 0 WHERE id = :id"), {"id": written})
        db.session.execute(text("SET LOCAL lock_timeout = '1s'"))
        assert renew(db.session, held) == {written: False, free: False}
        db.session.commit()
    assert fresh(free).lease_until != until


def test_an_end_is_tried_for_as_long_as_the_lease_lasts() -> None:
    assert timedelta(seconds=sum(PAUSES)) > LEASE - timedelta(seconds=2)


# -- money ---------------------------------------------------------------------------------------


def test_where_no_money_was_held_what_nobody_heard_is_not_charged_as_if_it_had_been(
    acme: people.Cast, simulated: str
) -> None:
    limit = (db.session, acme.organization.id, Scope.PROJECT, acme.project.id, Window.TOTAL)
    quota.set_limit(*limit, 10, Unit.REQUESTS)
    execution = claimed(acme, "!simulate tokens=8\nHi", requested=priced(acme, simulated))
    run = RunRecord.of(execution)
    events = execute(run, run.fence)
    next(events)
    held_for_it = quota.held(db.session, run.made[0].id)
    assert held_for_it is not None
    assert held_for_it.usd == 0
    let_the_lease_run_out(execution.id)
    assert (fresh(execution.id).cost or 0) < 1_000_000, "what 8,192 tokens would have cost is 80 times that"
    events.close()


def test_a_call_that_was_surely_not_made_costs_nothing_however_its_announcement_ended(
    acme: people.Cast, simulated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database goes away while it commits what is held, and comes back when the run is about to end."""
    quota.set_limit(db.session, acme.organization.id, Scope.PROJECT, acme.project.id, Window.TOTAL, USD)
    execution, gone = claimed(acme, "Hi", requested=priced(acme, simulated)), OperationalError("", {}, Exception())
    reserve, take_back, away = recording.reserve, recording.take_back, [True]

    def unheard(*asked: Any) -> None:
        reserve(*asked)
        raise gone

    def taken_back(id: uuid.UUID) -> None:
        if away and away.pop():
            raise gone
        take_back(id)

    monkeypatch.setattr(recording, "reserve", unheard)
    monkeypatch.setattr(recording, "take_back", taken_back)
    with pytest.raises(Failure, match="could not record this call"):
        list(execute(RunRecord.of(execution), execution.fence))
    ended = fresh(execution.id)
    (attempt,) = ended.attempts
    assert (ended.state, ended.cost, attempt.outcome, attempt.cost) == (State.FAILED, 0, Outcome.FAILED, 0)
    assert (ledger(execution.id), held(execution.id)) == ([], 0)


def test_a_call_of_which_nobody_heard_anything_is_charged_all_that_was_held(acme: people.Cast, simulated: str) -> None:
    quota.set_limit(db.session, acme.organization.id, Scope.PROJECT, acme.project.id, Window.TOTAL, USD)
    execution = claimed(acme, "!simulate tokens=8\nHi", requested=priced(acme, simulated))
    events = execute(RunRecord.of(execution), execution.fence)
    next(events)  # no live answer is written, as by a web process that dies at once
    held = db.session.scalar(select(Reservation.amount).where(Reservation.execution_id == execution.id))
    let_the_lease_run_out(execution.id)
    ended = fresh(execution.id)
    assert ended.cost == held == sum(ledger(execution.id)) > 0
    assert ended.attempts[0].usage_is_estimated
    events.close()


@pytest.mark.parametrize(("said", "tokens"), [("", 0), ("x" * 300, 100), ("x" * 3000, 200)])
def test_an_answer_that_no_bill_came_for_is_guessed_high_but_not_above_what_was_allowed(said: str, tokens: int) -> None:
    asked = Prompt((user("What is this? " * 30),), max_tokens=200)
    guessed = estimated(asked, Usage(), said)
    assert guessed.output == tokens
    assert (guessed.input or 0) > tokens_of(asked)
    assert estimated(asked, Usage(input=7, output=250), said).counters[:4] == (7, None, None, 250)


# -- workers -------------------------------------------------------------------------------------


def test_a_worker_does_not_make_the_rest_of_its_process_wait_for_valkey(
    app: Flask, environment: dict[str, str]
) -> None:
    pooled(app, environment["REDIS_URL"])
    assert app.extensions["dataelan_redis"].connection_pool.connection_kwargs["socket_timeout"] <= 5


def test_a_worker_stays_when_rq_cannot_keep_its_books(app: Flask, environment: dict[str, str]) -> None:
    lost = pooled(app, environment["REDIS_URL"])
    lost.connection = queue.connect(NOWHERE)
    lost.heartbeat()
    lost.check_for_suspension(burst=False)
    lost.set_state("busy")
    lost.run_maintenance_tasks()


def test_a_worker_sweeps_while_valkey_is_away_and_looks_closer_where_messages_are_missing(
    app: Flask, context: None, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    swept = []
    monkeypatch.setattr(worker, "sweep", swept.append)
    here = pooled(app, environment["REDIS_URL"])
    for waiting in (7, 0):
        monkeypatch.setattr(queue, "waiting", lambda waiting=waiting: waiting)
        memory = worker.look_around(here, "")
        assert memory == worker.look_around(here, memory)
    worker.look_around(here, "another's")
    monkeypatch.setitem(app.extensions, "dataelan_redis", queue.connect(NOWHERE))
    assert not worker.look_around(here, memory)
    assert swept == [*[sweep.UNHEARD] * 2, *[sweep.NOBODY_BEFORE] * 2, sweep.JUST_SENT, None]


def test_a_sweeper_goes_on_whatever_it_meets(app: Flask, context: None, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = iter((ValueError("odd"), SystemExit()))  # the second ends this test's sweeper

    def look_around(*_: object) -> str:
        raise next(rounds)

    monkeypatch.setattr(worker, "look_around", look_around)
    monkeypatch.setattr(worker, "ASK_AGAIN", 0)
    with pytest.raises(SystemExit):
        worker.sweep_forever(app, None)  # type: ignore[arg-type]


def test_messages_are_not_tried_one_after_the_other_while_valkey_is_away(
    context: None, mine: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        mine()
    asked = []
    monkeypatch.setattr(queue, "execute_later", lambda *message: asked.append(message))
    assert sweep.requeue(timedelta(0)) >= 3
    assert len(asked) == 1
    assert sweep.requeue(None) == 0


def test_a_page_goes_on_waiting_while_the_database_is_away(context: None, mine: Make) -> None:
    id = mine()
    assert not stream._is_over(id)
    pid = db.session.scalar(text("SELECT pg_backend_pid()"))
    with db.engine.connect() as another:
        another.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    assert not stream._is_over(id)
    assert stream._is_over(uuid.uuid4())


def test_prompts_whose_messages_valkey_forgot_are_found_at_once(app: Flask, worker: object, acme: people.Cast) -> None:
    execution = queued(acme, requested="simulated/simulated-instant")
    a_moment_ago = func.now() - text("interval '2 seconds'")
    db.session.execute(update(Execution).where(Execution.id == execution.id).values(created_at=a_moment_ago))
    db.session.commit()
    sweep.requeue(sweep.JUST_SENT)
    wait_until(lambda: fresh(execution.id).state is State.COMPLETED)


def test_a_worker_that_is_leaving_is_not_counted(
    app: Flask, context: None, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.extensions, "dataelan_draining", Draining(app))  # that of other tests stays
    here = pooled(app, environment["REDIS_URL"])
    worker.look_around(here, "")
    assert queue.store().zscore(queue.WORKERS, here.name) is not None
    here.teardown()
    assert queue.store().zscore(queue.WORKERS, here.name) is None
    worker.look_around(here, "")
    assert queue.store().zscore(queue.WORKERS, here.name) is None


# -- clocks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "is_known"), [(-30, True), (-3600, True), (-3 * 86400, False), (15 * 86400, False)]
)
def test_a_cookie_outlives_a_clock_that_is_set_back_but_not_its_time(
    seconds: int, is_known: bool, app: Flask, acme: people.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    mia = people.browser(app, acme.mia)
    assert mia.get(f"{acme.home}/").status_code == 200
    now = time.time()
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: now + seconds)
    assert mia.get(f"{acme.home}/").status_code == (200 if is_known else 303)


def test_a_run_is_dated_by_the_database_whatever_the_machines_clock_says(mine: Make) -> None:
    began = db.session.scalar(select(func.now()))
    assert fresh(mine()).created_at == began


def test_health_goes_by_the_clock_of_valkey() -> None:
    answers = iter([(1_000, 500_000), None])
    clock = _Clock(lambda: next(answers))
    assert 1_000 < clock() < 1_010
    clock._asked_at -= CLOCK_KEPT + 1
    assert 1_000 < clock() < 1_010  # away: it goes on from what it heard
