"""What must hold when something dies: claims, fences, leases, the sweeper, and money that is counted once."""

from __future__ import annotations

import json
import pickle
import signal
import subprocess
import threading
import time
import uuid
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
import rq
from flask import Flask
from sqlalchemy import event, func, select, text, update
from sqlalchemy.exc import IntegrityError
from werkzeug.exceptions import Conflict

from dataelan_web import create_app, quota
from dataelan_web.config import load
from dataelan_web.executions import live, sweep
from dataelan_web.executions.answer import Answer
from dataelan_web.executions.candidates import rules_for
from dataelan_web.executions.execute import choose, execute
from dataelan_web.executions.health import health
from dataelan_web.executions.record import Record
from dataelan_web.executions.submit import Request, record, submit
from dataelan_web.extensions import db
from dataelan_web.jobs import queue
from dataelan_web.models import (
    Attempt,
    BudgetPeriod,
    Execution,
    ExecutionBody,
    Hold,
    LedgerEntry,
    Model,
    ModelType,
    Origin,
    Outcome,
    Project,
    PromptSession,
    Provider,
    Reservation,
    ReservationState,
    RoutingRule,
    RoutingRuleModel,
    Scope,
    State,
    Window,
    new_id,
)
from dataelan_web.models.executions import claim, close
from dataelan_web.models.records import RunRecord
from dataelan_web.router import run
from dataelan_web.router.candidates import Candidate, Key
from dataelan_web.router.health import Vital
from dataelan_web.router.plan import Step
from dataelan_web.router.types import Failure, Kind, Prompt, Text, user
from dataelan_web.router.wire import Deadlines

from . import people
from .conftest import process, wait_until
from .test_playground import ask, fresh, run_of
from .upstream import Reply, upstream

USD = 1_000_000_000


def request(cast: people.Cast, words: str, requested: str = "simulated/simulated-fast", **values: Any) -> Request:
    return Request(
        project=db.session.get_one(Project, cast.project.id),
        prompt=Prompt((user(words),)),
        origin=Origin.PLAYGROUND,
        requested=requested,
        user_id=cast.mia.id,
        session=db.session.get_one(PromptSession, cast.session.id),
        **values,
    )


def queued(cast: people.Cast, words: str = "Hi", **values: Any) -> Execution:
    """An execution whose message never reached the queue. No sweeper hears of it for ten seconds."""
    return record(request(cast, words, **values))


def claimed(cast: people.Cast, words: str, **values: Any) -> Execution:
    return record(request(cast, words, **values), claimed_by="test")


def priced(cast: people.Cast, simulated: str, name: str = "simulated-fast") -> str:
    model = people.own_model(cast, people.own_provider(cast, simulated), name, input=USD, output=10 * USD)
    return f"{model.provider.slug}/{name}"


def let_the_lease_run_out(id: uuid.UUID) -> None:
    """… and sweep, in one transaction: the worker of this test run has a sweeper too."""
    db.session.execute(
        update(Execution).where(Execution.id == id).values(lease_until=func.now() - text("interval '1 second'"))
    )
    assert sweep.close_dead() >= 1


LONELY = "simulated-thoughtful"
"""A model that no other test here asks: rows that others leave behind may be run at any time."""


def calls(simulated: str) -> int:
    """How many calls of that model the provider has accepted so far."""
    answer = httpx2.get(simulated.removesuffix("/v1") + "/_requests", trust_env=False)
    return sum(call["model"] == LONELY for call in answer.json()["requests"])


def ledger(id: uuid.UUID) -> list[int]:
    lines = select(LedgerEntry.amount).join(Attempt, Attempt.id == LedgerEntry.attempt_id)
    return list(db.session.scalars(lines.where(Attempt.execution_id == id)))


def held(id: uuid.UUID) -> int:
    mine = (Reservation.execution_id == id, Reservation.state == ReservationState.HELD)
    return int(db.session.scalar(select(func.count()).select_from(Reservation).where(*mine)) or 0)


# -- claim and fence -----------------------------------------------------------------------------


def test_a_claim_is_taken_once_by_20_threads(app: Flask, acme: people.Cast) -> None:
    id = queued(acme).id
    gate, taken = threading.Barrier(20), list[int | None]()

    def take() -> None:
        with app.app_context():
            gate.wait()
            taken.append(claim(db.session, id, f"thread {threading.get_ident()}"))
            db.session.commit()

    threads = [threading.Thread(target=take) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken, key=str) == [1] + [None] * 19
    assert fresh(id).fence == 1


def test_a_writer_whose_fence_has_moved_on_writes_nothing(acme: people.Cast) -> None:
    id = queued(acme).id
    first = claim(db.session, id, "first")
    assert first == 1
    db.session.commit()
    let_the_lease_run_out(id)
    assert fresh(id).state is State.QUEUED
    second = claim(db.session, id, "second")
    assert second == 2
    assert not close(db.session, id, first, State.COMPLETED, cost=99)
    assert (fresh(id).state, fresh(id).cost) == (State.QUEUED, None)


def test_a_worker_that_lost_its_execution_makes_no_further_call(acme: people.Cast) -> None:
    execution = claimed(acme, "Hi")
    candidate = Candidate(uuid.uuid4(), "m", uuid.uuid4(), "P", "openai", "http://127.0.0.1:9/v1", ())
    step = Step(candidate, Key(None, "none", "nobody"))
    with pytest.raises(Failure) as refusal:
        Record(RunRecord.of(execution), execution.fence - 1, Answer()).begin(step, 1, Prompt((user("Hi"),)))
    assert (refusal.value.kind, refusal.value.sent) == (Kind.ABORTED, False)
    assert fresh(execution.id).attempts == []


def test_a_call_that_cannot_be_recorded_is_not_made(acme: people.Cast) -> None:
    """A model that was deleted between plan and call."""
    execution = claimed(acme, "Hi")
    candidate = Candidate(uuid.uuid4(), "m", uuid.uuid4(), "P", "openai", "http://127.0.0.1:9/v1", ())
    book = Record(RunRecord.of(execution), execution.fence, Answer())
    with pytest.raises(Failure, match="was not made") as refusal:
        book.begin(Step(candidate, Key(None, "none", "nobody")), 1, Prompt((user("Hi"),)))
    assert not refusal.value.sent
    assert (fresh(execution.id).attempts, held(execution.id)) == ([], 0)


def test_an_execution_that_cannot_even_be_planned_ends_with_a_word(acme: people.Cast) -> None:
    execution = claimed(acme, "Hi")
    execution.body.request = {"messages": "nonsense"}
    db.session.commit()
    with pytest.raises(Failure):
        list(execute(RunRecord.of(execution), execution.fence))
    ended = fresh(execution.id)
    assert (ended.state, ended.cost) == (State.FAILED, 0)
    assert "Dataelan itself failed" in ended.body.error


# -- leases and the sweeper ----------------------------------------------------------------------


def test_a_dead_execution_that_sent_nothing_goes_back_into_the_queue(acme: people.Cast) -> None:
    execution = claimed(acme, "Hi")
    let_the_lease_run_out(execution.id)
    again = fresh(execution.id)
    assert (again.state, again.lease_owner, again.attempts) == (State.QUEUED, None, [])


def test_an_execution_that_many_workers_died_on_is_not_given_to_another(acme: people.Cast) -> None:
    execution = claimed(acme, "Hi")
    for _ in range(sweep.MOST_CLAIMS):
        let_the_lease_run_out(execution.id)
        claim(db.session, execution.id, "another")
        db.session.commit()
    ended = fresh(execution.id)
    assert (ended.state, ended.fence, ended.attempts) == (State.INTERRUPTED, sweep.MOST_CLAIMS, [])


def test_a_dead_execution_that_was_to_be_stopped_is_cancelled(acme: people.Cast) -> None:
    execution = claimed(acme, "Hi")
    execution.cancel_requested_at = func.now()
    db.session.commit()
    let_the_lease_run_out(execution.id)
    assert (fresh(execution.id).state, fresh(execution.id).cost) == (State.CANCELLED, 0)


def test_a_dead_execution_that_sent_is_interrupted_and_its_stale_writer_changes_nothing(
    acme: people.Cast, simulated: str
) -> None:
    quota.set_limit(db.session, acme.organization.id, Scope.PROJECT, acme.project.id, Window.TOTAL, USD)
    before = calls(simulated)
    model = priced(acme, simulated, LONELY)
    execution = claimed(acme, f"!simulate tokens=8 reasoning=0\n{'A long question. ' * 100}", requested=model)
    writer = live.Writer(queue.store(), execution.id)
    events = execute(RunRecord.of(execution), execution.fence)
    first = next(event for event in events if isinstance(event, Text))
    writer.add(live.TEXT, first.delta)
    wait_until(lambda: live.written(queue.store(), execution.id).text)
    let_the_lease_run_out(execution.id)
    ended = fresh(execution.id)
    assert (ended.state, ended.body.text) == (State.INTERRUPTED, first.delta)
    assert "What had arrived is kept" in ended.body.error
    (attempt,) = ended.attempts
    assert (attempt.outcome, attempt.usage_is_estimated) == (Outcome.INTERRUPTED, True)
    assert (attempt.tokens_input or 0) > 400  # the question is not free because nobody heard the bill
    assert attempt.cost == ended.cost == sum(ledger(execution.id)) > 400 * 1000
    assert (ended.model_id, ended.tokens_out) == (attempt.model_id, attempt.tokens_output)
    assert held(execution.id) == 0
    with suppress(Failure):  # its keeper may have told it to stop
        list(events)  # the stale writer wakes up and goes on to its end
    unchanged = fresh(execution.id)
    assert (unchanged.state, unchanged.cost, unchanged.body.text) == (State.INTERRUPTED, ended.cost, first.delta)
    assert [made.outcome for made in unchanged.attempts] == [Outcome.INTERRUPTED]
    assert len(ledger(execution.id)) == 1
    assert calls(simulated) == before + 1


def test_one_execution_that_cannot_be_closed_does_not_keep_others_waiting(acme: people.Cast, simulated: str) -> None:
    broken, fine = claimed(acme, "!simulate tokens=3\nHi"), claimed(acme, "Hi")
    events = execute(RunRecord.of(broken), broken.fence)
    next(events)
    db.session.execute(update(ExecutionBody).where(ExecutionBody.id == broken.id).values(request={"messages": 1}))
    past = func.now() - text("interval '1 hour'")
    db.session.execute(update(Execution).where(Execution.id == broken.id).values(lease_until=past))
    almost_past = func.now() - text("interval '1 minute'")
    db.session.execute(update(Execution).where(Execution.id == fine.id).values(lease_until=almost_past))
    db.session.commit()
    sweep.close_dead()
    assert fresh(broken.id).state is State.RUNNING
    wait_until(lambda: fresh(fine.id).lease_owner != "test")  # a worker's sweeper may be just about it
    assert fresh(fine.id).state is State.QUEUED or fresh(fine.id).fence > 1  # or a worker has it by now
    events.close()
    assert fresh(broken.id).state is State.CANCELLED


def test_a_row_of_a_limit_that_somebody_keeps_locked_does_not_keep_the_other_dead_waiting(
    acme: people.Cast, rival: people.Cast, simulated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "_DEAD", sweep._one_dead(func.set_config("lock_timeout", "50ms", True)))
    made = []
    for who in (acme, rival):
        quota.set_limit(db.session, who.organization.id, Scope.PROJECT, who.project.id, Window.TOTAL, USD)
        execution = claimed(who, "!simulate tokens=8\nHi", requested=priced(who, simulated))
        events = execute(RunRecord.of(execution), execution.fence)
        next(events)
        db.session.commit()
        made.append((execution, events))
    (locked, _), (free, _) = made
    period = select(Hold.period_id).join(Reservation).where(Reservation.execution_id == locked.id)
    past = func.now() - text("interval '1 hour'")
    with db.engine.connect() as somebody:
        somebody.execute(select(BudgetPeriod.id).where(BudgetPeriod.id.in_(period)).with_for_update())
        dead = update(Execution).where(Execution.id.in_([locked.id, free.id]))
        db.session.execute(dead.values(lease_until=past))  # now that nobody, a worker's sweeper too, can close the one
        db.session.commit()
        sweep.close_dead()
        assert fresh(locked.id).state is State.RUNNING
        wait_until(lambda: fresh(free.id).state is State.INTERRUPTED)  # that sweeper may be just about it
    sweep.close_dead()
    wait_until(lambda: fresh(locked.id).state is State.INTERRUPTED)
    for _, events in made:
        events.close()


def test_a_message_that_got_lost_is_sent_again(app: Flask, worker: object, acme: people.Cast) -> None:
    execution = queued(acme, requested="simulated/simulated-instant")
    past = func.now() - text("interval '1 minute'")
    db.session.execute(update(Execution).where(Execution.id == execution.id).values(created_at=past))
    db.session.commit()
    sweep.requeue()
    wait_until(lambda: not fresh(execution.id).is_open)
    assert fresh(execution.id).state is State.COMPLETED


def test_a_hold_that_outlived_its_execution_is_settled_with_its_attempt(acme: people.Cast, simulated: str) -> None:
    """Q9: whatever dies, nothing stays held for longer than its time."""
    quota.set_limit(db.session, acme.organization.id, Scope.PROJECT, acme.project.id, Window.TOTAL, USD)
    execution = claimed(acme, "!simulate tokens=8\nHi", requested=priced(acme, simulated))
    events = execute(RunRecord.of(execution), execution.fence)
    next(events)
    assert held(execution.id) == 1
    close(db.session, execution.id, execution.fence, State.FAILED)  # by somebody who forgot the money
    past = func.now() - text("interval '1 minute'")
    db.session.execute(update(Reservation).where(Reservation.execution_id == execution.id).values(expires_at=past))
    db.session.commit()
    assert sweep.end_stale_holds() >= 1
    assert held(execution.id) == 0
    assert len(ledger(execution.id)) == 1
    events.close()


def test_one_hold_that_cannot_be_ended_does_not_keep_others_waiting(acme: people.Cast, simulated: str) -> None:
    quota.set_limit(db.session, acme.organization.id, Scope.PROJECT, acme.project.id, Window.TOTAL, USD)
    requested, made = priced(acme, simulated), []
    for ago in ("1 hour", "1 minute"):
        execution = claimed(acme, "!simulate tokens=8\nHi", requested=requested)
        events = execute(RunRecord.of(execution), execution.fence)
        next(events)
        close(db.session, execution.id, execution.fence, State.FAILED)  # by somebody who forgot the money
        past = func.now() - text(f"interval '{ago}'")
        db.session.execute(update(Reservation).where(Reservation.execution_id == execution.id).values(expires_at=past))
        made.append((execution.id, dict(execution.body.request), events))
    (broken, said, _), (fine, _, _) = made
    db.session.execute(update(ExecutionBody).where(ExecutionBody.id == broken).values(request={"messages": 1}))
    db.session.commit()
    sweep.end_stale_holds()
    wait_until(lambda: held(fine) == 0)  # a worker's sweeper may be just about it
    assert held(broken) == 1
    db.session.execute(update(ExecutionBody).where(ExecutionBody.id == broken).values(request=said))
    db.session.commit()
    sweep.end_stale_holds()
    wait_until(lambda: held(broken) == 0)
    for *_, events in made:
        events.close()


def test_a_part_of_the_sweep_that_fails_does_not_keep_others_waiting(
    context: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> None:
        db.session.execute(text("SELECT 1 / 0"))

    done = list[str]()
    monkeypatch.setattr(sweep, "check_books", fails)
    monkeypatch.setattr(sweep, "purge_if_due", lambda: done.append("purged"))
    sweep.sweep(None)
    assert done == ["purged"]


# -- the database goes away ----------------------------------------------------------------------


def test_an_answer_survives_a_connection_that_breaks_while_its_end_is_written(
    app: Flask, acme: people.Cast, simulated: str
) -> None:
    quota.set_limit(db.session, acme.organization.id, Scope.PROJECT, acme.project.id, Window.TOTAL, USD)
    execution = claimed(acme, "!simulate tokens=20\nHi", requested=priced(acme, simulated))
    broken = list[int]()

    def breaks(connection: Any, cursor: Any, statement: str, *rest: object) -> None:
        if statement.startswith("WITH closed AS") and len(broken) < 2 and connection.info.get("broken") is None:
            connection.info["broken"] = True
            pid = connection.connection.dbapi_connection.info.backend_pid
            broken.append(pid)
            with db.engine.connect() as other:
                other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})

    event.listen(db.engine, "before_cursor_execute", breaks)
    try:
        events = list(execute(RunRecord.of(execution), execution.fence))
    finally:
        event.remove(db.engine, "before_cursor_execute", breaks)
    assert len(broken) == 2
    ended = fresh(execution.id)
    assert ended.state is State.COMPLETED
    assert ended.body.text == "".join(event.delta for event in events if isinstance(event, Text))
    (attempt,) = ended.attempts
    assert (attempt.outcome, attempt.usage_is_estimated) == (Outcome.COMPLETED, False)
    assert ended.cost == attempt.cost == sum(ledger(execution.id)) > 0
    assert held(execution.id) == 0


def test_the_end_of_a_call_is_not_forgotten_when_the_next_one_is_refused(acme: people.Cast, simulated: str) -> None:
    quota.set_limit(db.session, acme.organization.id, Scope.PROJECT, acme.project.id, Window.TOTAL, USD)
    execution = claimed(acme, "!simulate fail=unavailable\nHi", requested=priced(acme, simulated))
    broken = list[int]()

    def breaks(connection: Any, cursor: Any, statement: str, *rest: object) -> None:
        """While the end is written the connection is lost, and somebody asks to stop."""
        if statement.startswith("UPDATE attempts SET outcome") and not broken:
            broken.append(connection.connection.dbapi_connection.info.backend_pid)
            with db.engine.begin() as other:
                other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": broken[0]})
                asked = text("UPDATE executions SET cancel_requested_at = now() WHERE id = :id")
                other.execute(asked, {"id": execution.id})

    event.listen(db.engine, "before_cursor_execute", breaks)
    try:
        with pytest.raises(Failure, match="Stopped"):
            list(execute(RunRecord.of(execution), execution.fence))
    finally:
        event.remove(db.engine, "before_cursor_execute", breaks)
    ended = fresh(execution.id)
    assert [(attempt.outcome, attempt.cost) for attempt in ended.attempts] == [(Outcome.FAILED, 0)]
    assert (ended.state, held(execution.id), ledger(execution.id)) == (State.CANCELLED, 0, [])


def test_a_model_remembers_what_it_did_not_take_and_is_not_sent_it_again(acme: people.Cast, simulated: str) -> None:
    requested = priced(acme, simulated)

    def run_warm(**values: Any) -> Execution:
        asked = request(acme, "!simulate fail=temperature rate=0\nHi", requested, **values)
        execution = record(replace(asked, prompt=replace(asked.prompt, temperature=0.2)), claimed_by="test")
        with suppress(Failure):
            list(execute(RunRecord.of(execution), execution.fence))
        return fresh(execution.id)

    def told(execution: Execution) -> list[tuple[Outcome, int]]:
        return [(attempt.outcome, bool(attempt.cost)) for attempt in execution.attempts]

    first = run_warm()
    assert (first.state, told(first)) == (State.COMPLETED, [(Outcome.FAILED, False), (Outcome.COMPLETED, True)])
    assert "does not support" in first.attempts[0].error
    assert first.body.notice == "Temperature left out: simulated-fast takes none."
    assert first.cost == sum(ledger(first.id))
    model = db.session.get_one(Model, first.model_id)
    assert model.refuses == ["temperature"]
    second = run_warm()
    assert (told(second), second.body.notice) == ([(Outcome.COMPLETED, True)], first.body.notice)


NO_CHAT = "This is not a chat model and thus not supported in the v1/chat/completions endpoint."


@pytest.mark.parametrize("answers", [True, False])
def test_a_model_that_answers_in_the_responses_format_only_is_asked_in_it_from_then_on(
    app: Flask, acme: people.Cast, answers: bool
) -> None:
    with upstream() as vendor:
        vendor.answers({"error": {"message": NO_CHAT, "type": "invalid_request_error"}}, status=404)
        if answers:
            said = [{"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}]
            whole = {"status": "completed", "output": said, "usage": {"input_tokens": 3, "output_tokens": 2}}
            vendor.by_path["/v1/responses"] = Reply(json.dumps(whole).encode())
        model = people.own_model(acme, people.own_provider(acme, vendor.url), "next-1", input=USD, output=USD)

        def run_once() -> Execution:
            execution = claimed(acme, "Hi", requested=f"{model.provider.slug}/next-1")
            with suppress(Failure):
                list(execute(RunRecord.of(execution), execution.fence))
            return fresh(execution.id)

        first, second = run_once(), run_once()
        paths = [request["path"].removeprefix("/v1/") for request in vendor.requests]
    if not answers:  # who says so of a model that answers in neither is not believed
        assert paths == ["chat/completions", "responses"] * 2
        assert db.session.get_one(Model, model.id).refuses is None
        return
    assert paths == ["chat/completions", "responses", "responses"]
    assert first.body.notice == "next-1 refused chat completions, so it was asked in the Responses format."
    assert [told.get("note") for told in first.body.receipt["attempts"]] == [None, "asked in the Responses format"]
    assert (second.state, second.body.notice, second.body.text) == (State.COMPLETED, "", "Hello")
    receipt = people.browser(app, acme.mia).get(f"{acme.home}/executions/{first.id}").get_data(as_text=True)
    assert ", asked in the Responses format</p>" in receipt
    page = people.browser(app, acme.olivia).get(f"{acme.home}/hub/models/{model.id}").get_data(as_text=True)
    assert "Chat completions" in page


# -- Valkey goes away, or lies -------------------------------------------------------------------


def test_when_the_stream_is_gone_the_stored_answer_is_served(app: Flask, worker: object, acme: people.Cast) -> None:
    id = ask(app, acme, "Say something")
    queue.store().delete(live.key(id))
    started = time.monotonic()
    mia = people.browser(app, acme.mia)
    body = mia.get(f"{acme.home}/executions/{id}/events").get_data(as_text=True)
    assert time.monotonic() - started < 2
    assert f'hx-target="#run-{id}"' in body
    assert body.rstrip().endswith("event: done\ndata:")
    assert f'id="run-{id}"' in mia.get(acme.session_url).get_data(as_text=True)


def test_a_poisoned_message_runs_nothing_and_the_worker_goes_on(
    app: Flask, worker: subprocess.Popen[bytes], acme: people.Cast, tmp_path: Path
) -> None:
    marker = tmp_path / "poisoned"
    command = f"touch {marker}"
    valkey, jobs = queue.store(), queue.prompts(queue.store())
    for name in ("os.system", "subprocess.getoutput", "dataelan_web.jobs.tasks.os.system", "builtins.exec"):
        jobs.enqueue(name, command)
    jobs.enqueue(queue.EXECUTE, "not a uuid")
    jobs.enqueue(queue.EXECUTE, str(uuid.uuid4()))
    jobs.enqueue(
        queue.EXECUTE, str(uuid.uuid4()), on_success=rq.Callback("os.system"), on_failure=rq.Callback("os.system")
    )

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            import os

            return os.system, (command,)

    for data in (pickle.dumps(("os.system", None, [command], {})), pickle.dumps(Bomb()), b"\x00\xff", b"[1, 2"):
        job = jobs.enqueue(queue.EXECUTE, "x", at_front=True)
        valkey.hset(job.key, "data", data)
    jobs.push_job_id("no-such-job")
    jobs.push_job_id("no job's name")
    assert fresh(ask(app, acme, "Still there?")).state is State.COMPLETED
    assert worker.poll() is None
    assert not marker.exists()


def test_the_second_of_two_at_once_is_told_when_limits_refuse_the_first_at_this_moment(
    acme: people.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(request(acme, "Hi", idempotency_key="once"))
    monkeypatch.setattr("dataelan_web.executions.submit.earlier", lambda *_: None)  # its key is given back
    with pytest.raises(Conflict, match="Send it again"):
        record(request(acme, "Hi", idempotency_key="once"))
    with pytest.raises(IntegrityError):
        record(request(acme, "Hi", token_id=uuid.uuid4(), idempotency_key="other"))
    db.session.rollback()


# -- workers that die ----------------------------------------------------------------------------


@pytest.fixture
def elsewhere(app: Flask, environment: dict[str, str], simulated: str) -> tuple[Flask, dict[str, str]]:
    """A Dataelan with a queue of its own beside the same database, whose worker a test may kill."""
    apart = {**environment, "REDIS_URL": f"{environment['REDIS_URL'].partition('?')[0]}?db=7"}
    return create_app(load(apart)), apart


def start_worker(stack: ExitStack, apart: dict[str, str]) -> subprocess.Popen[bytes]:
    """Back when it takes messages: what waits for longer than a moment is taken by the other tests' worker."""
    queue.store().delete(queue.WORKERS)
    started = stack.enter_context(process(["-m", "dataelan_web.jobs.worker"], apart))
    wait_until(queue.workers)
    return started


@pytest.mark.kills
def test_a_worker_killed_in_mid_stream_leaves_what_had_come_and_a_way_to_retry(
    app: Flask, worker: object, acme: people.Cast, elsewhere: tuple[Flask, dict[str, str]], simulated: str
) -> None:
    other, apart = elsewhere
    before, model = calls(simulated), priced(acme, simulated, LONELY)
    with ExitStack() as stack, other.app_context():
        doomed = start_worker(stack, apart)
        execution = submit(request(acme, "!simulate tokens=400 rate=20 reasoning=0\nA long story", model))
        wait_until(lambda: len(live.written(queue.store(), execution.id).text) > 20)
        doomed.send_signal(signal.SIGKILL)
        doomed.wait()
        assert fresh(execution.id).state is State.RUNNING
        let_the_lease_run_out(execution.id)
        ended = fresh(execution.id)
        assert ended.state is State.INTERRUPTED
        assert len(ended.body.text) > 20
        assert ended.cost == sum(ledger(execution.id)) > 0
        assert calls(simulated) == before + 1
    mia = people.browser(app, acme.mia)
    page = mia.get(acme.session_url).get_data(as_text=True)
    assert ended.body.text[:20] in page
    again = run_of(mia.submit(f"{acme.home}/executions/{execution.id}/retry").get_data(as_text=True))
    mia.submit(f"{acme.home}/executions/{again}/cancellation")
    wait_until(lambda: not fresh(again).is_open)
    assert fresh(again).body.request == fresh(execution.id).body.request


@pytest.mark.kills
def test_a_worker_that_is_asked_to_leave_finishes_what_it_has_begun(
    acme: people.Cast, elsewhere: tuple[Flask, dict[str, str]], simulated: str
) -> None:
    other, apart = elsewhere
    with ExitStack() as stack, other.app_context():
        leaving = start_worker(stack, apart)
        begun = [submit(request(acme, "!simulate tokens=60 rate=10\nHi")) for _ in range(5)]
        wait_until(lambda: all(fresh(execution.id).state is State.RUNNING for execution in begun))
        leaving.send_signal(signal.SIGTERM)
        assert leaving.wait(40) == 0
        assert [fresh(execution.id).state for execution in begun] == [State.COMPLETED] * 5


# -- who shares a model --------------------------------------------------------------------------


def test_failures_that_one_organization_asks_the_simulated_provider_for_rest_it_for_nobody(
    acme: people.Cast, rival: people.Cast, simulated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "FIRST_PAUSE", 0.02)
    with people.failing_model("overloaded") as model:
        execution = claimed(acme, "Hi", requested=model.name)
        with suppress(Failure):
            list(execute(RunRecord.of(execution), execution.fence))
        health().settle()
        theirs = claimed(rival, "Hi", requested=model.name)
        (step,) = choose(RunRecord.of(theirs), Prompt((user("Hi"),))).steps
        close(db.session, theirs.id, theirs.fence, State.CANCELLED)
        db.session.commit()
        assert step.wait == 0
        assert health().read([step.pair]).get(step.pair, Vital()).in_flight == 0


# -- money ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "Hi",
        "!simulate fail=no_usage\nHi",
        "!simulate fail=cut after=5\nHi",
        "!simulate fail=unavailable fail_times=1 key={key}\nHi",
        "!simulate fail=500\nHi",
        "!simulate fail=silent total_ms=10\nHi",
    ],
)
def test_money_is_counted_once(
    words: str, app: Flask, acme: people.Cast, simulated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataelan_web.executions.execute.USUAL", QUICK)
    budget = quota.set_limit(db.session, acme.organization.id, Scope.PROJECT, acme.project.id, Window.TOTAL, USD)
    asked = words.format(key=uuid.uuid4().hex)
    execution = claimed(acme, asked, requested=priced(acme, simulated, "simulated-instant"))
    with suppress(Failure):
        list(execute(RunRecord.of(execution), execution.fence))
    ended = fresh(execution.id)
    total = sum(attempt.cost or 0 for attempt in ended.attempts)
    assert ended.cost == total == sum(ledger(execution.id)) == budget_of(budget.id)
    assert held(execution.id) == 0
    assert (total == 0) is ("500" in words)
    assert all(attempt.outcome is not Outcome.SENT for attempt in ended.attempts)


QUICK = Deadlines(connect=2.0, first_byte=0.5, idle=0.5, total=5.0)


def budget_of(id: uuid.UUID) -> int:
    (period,) = db.session.scalars(
        select(BudgetPeriod).where(BudgetPeriod.budget_id == id).execution_options(populate_existing=True)
    )
    assert period.reserved == 0
    return period.spent


def test_a_rule_goes_before_a_model_of_its_name_which_its_provider_still_names(
    acme: people.Cast, simulated: str
) -> None:
    key = people.own_provider(acme, simulated)
    named, other = (people.own_model(acme, key, name) for name in ("simulated-instant", "simulated-fast"))
    rule = RoutingRule(id=new_id(), organization_id=acme.organization.id, name="simulated-instant")
    rule.models = [RoutingRuleModel(model_id=other.id)]
    db.session.add(rule)
    db.session.commit()
    project, slug = db.session.get_one(Project, acme.project.id), db.session.get_one(Provider, key.provider_id).slug

    def asked(requested: str) -> list[uuid.UUID]:
        rules = rules_for(db.session, project, requested, ModelType.TEXT)
        return [choice.candidate.model_id for rule in rules for choice in rule.choices]

    assert asked("simulated-instant") == [other.id]
    assert asked(f"{slug}/simulated-instant") == [named.id]
    assert asked("nothing of that name") == []


def test_whoever_names_the_provider_gets_the_model_there_and_nowhere_else(acme: people.Cast, simulated: str) -> None:
    """A reseller calls the models of others `maker/model`, which is also how we name a model at its provider. Nothing
    falls back from the one to the other, unless the one cannot be used."""
    maker, reseller = people.own_provider(acme, simulated), people.own_provider(acme, simulated)
    slug = maker.provider.slug
    at_home = people.own_model(acme, maker, "simulated-instant")
    sold = people.own_model(acme, reseller, f"{slug}/simulated-instant")
    project = db.session.get_one(Project, acme.project.id)

    def asked() -> list[uuid.UUID]:
        (rule,) = rules_for(db.session, project, f"{slug}/simulated-instant", ModelType.TEXT)
        return [choice.candidate.model_id for choice in rule.choices]

    assert asked() == [at_home.id]
    maker.is_enabled = False
    db.session.commit()
    assert asked()[0] == sold.id
