# ruff: noqa: F811  (fixtures are arguments)
"""A process that is asked to leave: what it has begun ends, or goes on elsewhere; what it must cut is kept and said."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from flask import Flask
from sqlalchemy import func, update

import serve
from dataelan_web import config
from dataelan_web.executions import draining, keeper, live
from dataelan_web.executions import execute as executing
from dataelan_web.executions.execute import execute, execute_queued
from dataelan_web.executions.submit import record, submit
from dataelan_web.extensions import db
from dataelan_web.jobs import queue
from dataelan_web.local import programs, tether
from dataelan_web.models import Execution, Outcome, State
from dataelan_web.models.records import RunRecord
from dataelan_web.router.types import Failure, Text
from dataelan_web.router.wire import Deadlines

from . import people
from .conftest import answers, free_port, process, wait_until
from .test_executions import claimed, elsewhere, ledger, priced, request, start_worker  # noqa: F401  (a fixture)
from .test_executions_jobs import (  # noqa: F401  (fixtures)
    A_FILM,
    Studio,
    begun,
    impatient,
    requested,
    studio,
    was_paid_for_once,
)
from .test_media import asked, film, job_of
from .test_playground import fresh

STORY = "!simulate tokens={} rate=10 reasoning=0\nA story"
"""So many tenths of a second long."""
Elsewhere = tuple[Flask, dict[str, str]]


# -- how long ----------------------------------------------------------------------------------------


def test_by_itself_the_grace_is_longer_than_any_call_may_take_and_the_same_everywhere() -> None:
    assert Deadlines().total < config.GRACE
    assert config.GRACE == serve.GRACE == programs.GRACE
    assert draining.ENDS_WITHIN <= serve.CUT_WITHIN < serve.KILLED_AFTER < programs.KILLED_AFTER
    assert draining.ENDS_WITHIN < tether.HURRIED


def test_whoever_ends_the_image_waits_longer_than_its_programs_do() -> None:
    composed = Path("compose.yaml").read_text()
    assert composed.count("stop_grace_period: 16m") == 2
    assert config.GRACE + programs.KILLED_AFTER <= 16 * 60


# -- what can be done elsewhere ----------------------------------------------------------------------


def test_a_film_is_handed_to_another_worker_which_goes_on_with_it(acme: people.Cast, studio: Studio) -> None:
    execution = record(asked(acme, film("A wave", 1), requested(studio[0])), claimed_by="test")
    events = execute(RunRecord.of(execution), execution.fence)
    next(events), next(events)
    keeper_, held = keeper.keeper(), {execution.id: execution.fence}
    assert execution.id in keeper_.held()
    given = draining.hand_over(held)
    assert given == held
    assert fresh(execution.id).state is State.QUEUED
    keeper_.lose(given)
    assert keeper_._held[execution.id].stop.is_lost, "so the job goes on at its provider"
    execute_queued(execution.id)
    assert fresh(execution.id).state is State.COMPLETED
    was_paid_for_once(execution, studio[1], A_FILM)
    events.close()


def test_whoever_handed_a_film_over_writes_no_end_of_it(acme: people.Cast, studio: Studio) -> None:
    """Its own thread hears of it before another worker has claimed it: the fence is still the same."""
    execution = record(asked(acme, film("A wave", 1), requested(studio[0])), claimed_by="test")
    events = execute(RunRecord.of(execution), execution.fence)
    next(events), next(events)
    keeper.keeper().lose(draining.hand_over({execution.id: execution.fence}))
    with pytest.raises(Failure):
        list(events)
    row = fresh(execution.id)
    assert row.state is State.QUEUED
    assert [(attempt.outcome, bool(attempt.job)) for attempt in row.attempts] == [(Outcome.SENT, True)]
    execute_queued(execution.id)
    was_paid_for_once(execution, studio[1], A_FILM)


def test_what_was_not_sent_is_put_back_only_in_a_hurry_and_what_somebody_stops_never(acme: people.Cast) -> None:
    execution = claimed(acme, "Hi")
    held = {execution.id: execution.fence}
    assert draining.hand_over(held) == {}
    stop = update(Execution).where(Execution.id == execution.id)
    db.session.execute(stop.values(cancel_requested_at=func.now()))
    assert draining.hand_over(held, and_unsent=True) == {}
    db.session.execute(stop.values(cancel_requested_at=None))
    assert draining.hand_over({execution.id: execution.fence - 1}, and_unsent=True) == {}, "another has it"
    assert draining.hand_over(held, and_unsent=True) == held
    assert fresh(execution.id).state is State.QUEUED


def test_a_process_has_a_run_until_its_end_is_written(
    acme: people.Cast, simulated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A web that leaves looks every 50 ms, and what was read on for nobody would have no end."""
    had, write = list[bool](), executing._write_end
    mine = draining.draining()

    def written(*arguments: Any) -> None:
        had.append(mine.has_runs)
        write(*arguments)

    monkeypatch.setattr(executing, "_write_end", written)
    execution = claimed(acme, "Hi")
    list(executing.told(RunRecord.of(execution), execution.fence, live.Writer(queue.store(), execution.id)))
    assert had == [True]
    assert not mine.has_runs
    assert fresh(execution.id).state is State.COMPLETED


def test_an_answer_that_is_cut_is_interrupted_with_its_words_its_cost_and_why(
    acme: people.Cast, simulated: str
) -> None:
    execution = claimed(acme, STORY.format(100), requested=priced(acme, simulated))
    cut = threading.Timer(0.05, keeper.keeper().cut)  # while the next word is waited for
    with pytest.raises(Failure):
        for event in execute(RunRecord.of(execution), execution.fence):
            if isinstance(event, Text) and not cut.ident:
                cut.start()
    row = fresh(execution.id)
    assert row.state is State.INTERRUPTED
    assert row.body.text
    assert "stopped before the answer was whole" in row.body.error
    assert row.cost == sum(ledger(row.id)) > 0
    assert [attempt.outcome for attempt in row.attempts] == [Outcome.INTERRUPTED]


def test_a_page_that_follows_an_answer_is_let_go_to_another_web(app: Flask, acme: people.Cast, worker: object) -> None:
    execution = submit(request(acme, STORY.format(60)))
    mia = people.browser(app, acme.mia)
    ours: draining.Draining = app.extensions["dataelan_draining"]
    began = time.monotonic()
    soon = threading.Timer(0.5, ours.leave)
    soon.start()
    try:
        said = mia.get(f"{acme.home}/executions/{execution.id}/events").get_data(as_text=True)
    finally:
        ours.is_leaving.clear()
    assert time.monotonic() - began < 4.5
    assert "event: done" not in said, "that would end it for good"
    again = mia.get(f"{acme.home}/executions/{execution.id}/events").get_data(as_text=True)
    assert "event: done" in again
    assert fresh(execution.id).state is State.COMPLETED


# -- a worker ----------------------------------------------------------------------------------------


@pytest.mark.kills
def test_a_worker_that_leaves_ends_its_long_answers_while_the_next_takes_what_is_new(
    app: Flask, acme: people.Cast, elsewhere: Elsewhere, simulated: str
) -> None:
    other, apart = elsewhere
    with ExitStack() as stack, other.app_context():
        leaving = start_worker(stack, apart)
        long, unwanted = (submit(request(acme, STORY.format(250))) for _ in range(2))
        wait_until(lambda: has_words(long) and has_words(unwanted))
        successor = start_worker(stack, apart)
        leaving.send_signal(signal.SIGTERM)
        time.sleep(1)
        fresh_one = submit(request(acme, STORY.format(5)))
        wait_until(lambda: fresh(fresh_one.id).state is State.COMPLETED)
        assert fresh(fresh_one.id).lease_owner is None
        before = len(live.written(queue.store(), long.id).text)
        assert leaving.poll() is None
        wait_until(lambda: len(live.written(queue.store(), long.id).text) > before, 5)
        mia = people.browser(app, acme.mia)
        mia.submit(f"{acme.home}/executions/{unwanted.id}/cancellation")
        wait_until(lambda: fresh(unwanted.id).state is State.CANCELLED, 12)
        assert leaving.wait(40) == 0
        assert fresh(long.id).state is State.COMPLETED
        assert successor.poll() is None


def has_words(execution: Execution) -> bool:
    return len(live.written(queue.store(), execution.id).text) > 5


@pytest.mark.kills
def test_a_worker_does_not_wait_for_a_film(acme: people.Cast, elsewhere: Elsewhere, simulated: str) -> None:
    other, apart = elsewhere
    with ExitStack() as stack, other.app_context():
        leaving = start_worker(stack, apart)
        execution = submit(asked(acme, film("A long wave", 8)))
        wait_until(lambda: job_of(execution) is not None, 15)
        start_worker(stack, apart)
        leaving.send_signal(signal.SIGTERM)
        assert leaving.wait(5) == 0
        wait_until(lambda: fresh(execution.id).state is State.COMPLETED, 30)
        row = fresh(execution.id)
        assert (row.attempts_made, row.fence) == (1, 2)


@pytest.mark.kills
@pytest.mark.parametrize("is_asked_twice", [True, False], ids=["asked twice", "its grace is over"])
def test_a_worker_in_a_hurry_cuts_its_answers_and_gives_back_what_it_had_no_room_for(
    acme: people.Cast, elsewhere: Elsewhere, simulated: str, is_asked_twice: bool
) -> None:
    other, apart = elsewhere
    apart = apart | {"DATAELAN_WORKER_CONCURRENCY": "1", "DATAELAN_GRACE": "600" if is_asked_twice else "2"}
    with ExitStack() as stack, other.app_context():
        leaving = start_worker(stack, apart)
        execution = submit(request(acme, STORY.format(300), priced(acme, simulated)))
        wait_until(lambda: has_words(execution))
        waits = submit(request(acme, STORY.format(1)))
        time.sleep(0.5)
        began = time.monotonic()
        leaving.send_signal(signal.SIGTERM)
        wait_until(lambda: queue.waiting() == 1, 1)
        if is_asked_twice:
            leaving.send_signal(signal.SIGTERM)  # at once: the same wish
            time.sleep(1.5)
            assert leaving.poll() is None
            leaving.send_signal(signal.SIGTERM)
        assert leaving.wait(8) == 0
        assert time.monotonic() - began > 1.4
        row = fresh(execution.id)
        assert row.state is State.INTERRUPTED
        assert row.body.text
        assert row.cost == sum(ledger(row.id)) > 0
        assert fresh(waits.id).state is State.QUEUED
        start_worker(stack, apart)
        wait_until(lambda: fresh(waits.id).state is State.COMPLETED, 4)


# -- a web -------------------------------------------------------------------------------------------


@pytest.fixture
def port() -> int:
    return free_port()


def start_web(stack: ExitStack, environment: dict[str, str], port: int) -> subprocess.Popen[bytes]:
    started = stack.enter_context(process(["serve.py", "--port", str(port)], environment))
    wait_until(lambda: listens(started, port))
    return started


def listens(web: subprocess.Popen[bytes], port: int) -> bool:
    """Itself: another may answer at the same port."""
    return any(
        one.status == psutil.CONN_LISTEN and one.laddr.port == port
        for child in psutil.Process(web.pid).children()
        for one in child.net_connections("tcp")
    )


def test_a_web_that_is_asked_to_leave_while_it_starts_leaves_at_once(environment: dict[str, str], port: int) -> None:
    """Its processes load all of Dataelan first, for seconds; their answers would have had the whole grace to end."""
    with process(["serve.py", "--port", str(port)], environment) as web:
        wait_until(lambda: psutil.Process(web.pid).children())
        time.sleep(0.3)  # until it does
        web.send_signal(signal.SIGTERM)
        assert web.wait(10) == 0


class Program(threading.Thread):
    """One call of the gateway, and what came of it."""

    def __init__(self, cast: people.Cast, port: int, words: str, *, streams: bool):
        super().__init__(daemon=True)
        self.url, self.secret = f"http://127.0.0.1:{port}/v1/chat/completions", cast.token()
        self.body = {
            "model": "simulated/simulated-fast",
            "messages": [{"role": "user", "content": words}],
            "stream": streams,
        }
        self.status, self.text = 0, ""
        db.session.commit()
        self.start()

    def run(self) -> None:
        headers = {"Authorization": f"Bearer {self.secret}"}
        with httpx2.Client(trust_env=False, timeout=60) as http:
            with http.stream("POST", self.url, json=self.body, headers=headers) as answer:
                self.status = answer.status_code
                for piece in answer.iter_text():
                    self.text += piece

    def ended(self) -> Any:
        self.join(30)
        assert not self.is_alive()
        return self.status, self.text


@pytest.mark.kills
def test_a_web_that_leaves_ends_its_streams_while_the_next_one_answers_at_the_same_port(
    acme: people.Cast, environment: dict[str, str], simulated: str, port: int
) -> None:
    with ExitStack() as stack:
        leaving = start_web(stack, environment, port)
        streamed, whole = (Program(acme, port, STORY.format(60), streams=streams) for streams in (True, False))
        wait_until(lambda: streamed.text.count("data:") > 3)
        start_web(stack, environment, port)
        leaving.send_signal(signal.SIGTERM)
        time.sleep(1)
        others = [Program(acme, port, STORY.format(2), streams=True) for _ in range(8)]
        assert [other.ended()[0] for other in others] == [200] * 8
        assert leaving.poll() is None, "it is still answering"
        assert streamed.ended()[1].endswith("data: [DONE]\n\n")
        assert whole.ended()[0] == 200
        assert leaving.wait(10) == 0


@pytest.mark.kills
@pytest.mark.parametrize("is_asked_twice", [True, False], ids=["asked twice", "its grace is over"])
def test_a_web_in_a_hurry_cuts_its_answers_with_a_word(
    acme: people.Cast, environment: dict[str, str], simulated: str, port: int, is_asked_twice: bool
) -> None:
    with ExitStack() as stack:
        leaving = start_web(stack, environment | {"DATAELAN_GRACE": "600" if is_asked_twice else "2"}, port)
        streamed, whole = (Program(acme, port, STORY.format(300), streams=streams) for streams in (True, False))
        wait_until(lambda: streamed.text.count("data:") > 3)
        leaving.send_signal(signal.SIGTERM)
        if is_asked_twice:
            time.sleep(1.5)
            leaving.send_signal(signal.SIGTERM)
        status, said = streamed.ended()
        assert status == 200
        assert "stopped before the answer was whole" in said
        status, said = whole.ended()
        assert (status, "stopped before the answer was whole" in said) == (504, True)
        assert leaving.wait(8) == 0
        db.session.rollback()
        runs = db.session.scalars(db.select(Execution).where(Execution.project_id == acme.project.id)).all()
        assert [run.state for run in runs] == [State.INTERRUPTED] * 2
        assert any(run.body.text for run in runs), "of what was asked for as a whole, nothing had come"


@pytest.mark.kills
def test_a_web_waits_for_what_it_reads_on_for_nobody(
    acme: people.Cast, environment: dict[str, str], simulated: str, port: int
) -> None:
    acme.project.reads_on = True
    db.session.commit()
    with ExitStack() as stack:
        leaving = start_web(stack, environment, port)
        secret, url = acme.token(), f"http://127.0.0.1:{port}/v1/chat/completions"
        db.session.commit()
        body = {"model": "simulated/simulated-fast", "stream": True,
                "messages": [{"role": "user", "content": STORY.format(50)}]}  # fmt: skip
        with httpx2.Client(trust_env=False, timeout=20) as http:
            with http.stream("POST", url, json=body, headers={"Authorization": f"Bearer {secret}"}) as answer:
                next(answer.iter_lines())
        leaving.send_signal(signal.SIGTERM)
        assert leaving.wait(15) == 0
    db.session.rollback()
    (run,) = db.session.scalars(db.select(Execution).where(Execution.project_id == acme.project.id))
    assert run.state is State.COMPLETED


@pytest.mark.kills
def test_new_code_takes_the_place_of_the_old_while_that_ends_its_streams(
    acme: people.Cast, environment: dict[str, str], simulated: str, port: int
) -> None:
    with ExitStack() as stack:
        web = start_web(stack, environment, port)
        before = {child.pid for child in psutil.Process(web.pid).children()}
        streamed = Program(acme, port, STORY.format(50), streams=True)
        wait_until(lambda: streamed.text.count("data:") > 3)
        web.send_signal(signal.SIGHUP)
        wait_until(lambda: len(psutil.Process(web.pid).children()) == 2)
        assert streamed.ended()[1].endswith("data: [DONE]\n\n")
        wait_until(lambda: len(psutil.Process(web.pid).children()) == 1)
        assert before.isdisjoint({child.pid for child in psutil.Process(web.pid).children()})
        assert answers(f"http://127.0.0.1:{port}/healthz")


# -- who starts them ---------------------------------------------------------------------------------


DEAF = r"""
import os, signal, sys, time
asked = []
def hear(*_):
    asked.append(1)
    os.write(1, b"%d\n" % len(asked))  # print() may be in the middle of a line
    if len(asked) == int(sys.argv[1]):
        sys.exit(0)
signal.signal(signal.SIGTERM, hear)
os.write(1, b"up\n")
while True:
    time.sleep(0.1)
"""


@pytest.fixture
def tethered() -> Iterator[Any]:
    """A program that leaves when it was asked so often, on its tether; `of` is the process that started all."""
    with ExitStack() as stack:

        def start(times: int, *, alone: int = 0, of: int | None = None) -> subprocess.Popen[str]:
            program = programs.Program("deaf", (sys.executable, "-c", DEAF, str(times)), grace=600, alone=alone)
            environ = {"DATAELAN_RUN_BY": str(of)} if of else {}
            started = subprocess.Popen(program.tethered, stdout=subprocess.PIPE, text=True, env=environ)
            stack.callback(started.wait)
            stack.callback(started.kill)
            assert started.stdout is not None
            assert started.stdout.readline() == "up\n"
            return started

        yield start


def test_a_tether_passes_a_second_wish_on_and_kills_at_the_third(tethered: Any) -> None:
    twice = tethered(2)
    twice.terminate()
    assert twice.stdout.readline() == "1\n"
    twice.terminate()
    assert (twice.stdout.readline(), twice.wait(5)) == ("2\n", 0)
    never = tethered(9)
    for _ in range(3):
        never.terminate()
        time.sleep(0.2)
    assert never.wait(5) == 128 + signal.SIGKILL


def test_whoever_is_left_alone_is_asked_again_by_itself(tethered: Any) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    twice = tethered(2, alone=1, of=gone.pid)
    twice.terminate()
    assert twice.wait(5) == 0
