"""Ends that are written behind their answers: nothing is lost, counted twice or known too late."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from flask import Flask
from sqlalchemy import select, text, update
from sqlalchemy.exc import OperationalError

from dataelan_web.executions import at_once, behind
from dataelan_web.executions.behind import Behind
from dataelan_web.extensions import db
from dataelan_web.gateway import answering
from dataelan_web.models import Budget, BudgetPeriod, Execution, LedgerEntry, Project, State

from . import people
from .conftest import answers, free_port, process, wait_until
from .test_at_once import ANSWER, COST, USD, Program, books, held_of, limit, run_of, the_long_way, written
from .upstream import upstream

SAID = "Hi\ufffd there".encode()
"""What is kept of the answer, which has a character that PostgreSQL does not take."""


@pytest.fixture
def program(app: Flask, acme: people.Cast) -> Iterator[Program]:
    with upstream() as vendor:
        vendor.answers(ANSWER)
        yield Program(app, acme, vendor)


@pytest.fixture(autouse=True)
def ends(app: Flask, tmp_path: Path) -> Iterator[Behind]:
    """This application's, as those of a process that serves programs."""
    ends = app.extensions["dataelan_behind"] = Behind(app, tmp_path / behind.DIRECTORY)
    yield ends
    wait_until(lambda: not ends.unwritten)
    del app.extensions["dataelan_behind"]


class Gate:
    """What is written behind waits here until it is opened."""

    def __init__(self) -> None:
        self.opens, self.messages = threading.Event(), list[int]()

    def shut_behind(self, program: Program) -> None:
        """… once that is warm."""
        self.opens.set()
        program.warm()
        wait_until(lambda: not behind.of(program.app).unwritten)  # type: ignore[union-attr]
        self.opens.clear()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate, end_all = Gate(), at_once.end_all

    def held_up(ends: Sequence[at_once.Ending]) -> Any:
        if threading.current_thread().name == "ends":
            gate.opens.wait(20)
            gate.messages.append(len(ends))
        return end_all(ends)

    monkeypatch.setattr(at_once, "end_all", held_up)
    yield gate
    gate.opens.set()


def ended(run: Execution) -> Execution:
    """… once it is."""

    def is_over() -> bool:
        db.session.rollback()
        return db.session.get_one(Execution, run.id, populate_existing=True).state is not State.RUNNING

    wait_until(is_over)
    return db.session.get_one(Execution, run.id)


def kept(tmp_path: Path) -> bytes:
    return b"".join(path.read_bytes() for path in (tmp_path / behind.DIRECTORY).iterdir())


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_does_not_wait_for_its_end(
    program: Program, acme: people.Cast, gate: Gate, tmp_path: Path, stream: bool
) -> None:
    limit(acme)
    gate.shut_behind(program)
    if stream:
        pieces = {**ANSWER, "choices": [{"delta": {"content": "Hi\u0000 there"}, "finish_reason": "stop"}]}
        program.vendor.streams(pieces, "[DONE]")
    answer = program.ask("Tell nobody", stream=stream)
    assert b"Hi" in answer.get_data()
    run = run_of(answer)
    assert (run.state, held_of(acme)) == (State.RUNNING, 1), "so no limit counts it too low"
    assert b"Tell" not in kept(tmp_path)
    assert SAID in kept(tmp_path)
    gate.opens.set()
    assert (ended(run).state, run.cost, held_of(acme)) == (State.COMPLETED, COST, 0)
    assert books(acme) == []
    wait_until(lambda: SAID not in kept(tmp_path))


@pytest.mark.parametrize("with_limit", [True, False])
def test_what_is_written_is_what_the_long_way_writes(
    program: Program, acme: people.Cast, monkeypatch: pytest.MonkeyPatch, with_limit: bool
) -> None:
    if with_limit:
        limit(acme)
    program.warm()
    with the_long_way(monkeypatch):
        long = program.run("Hello")
    run = ended(program.run("Hello"))
    assert written(run) == written(long)
    assert books(acme) == []


def test_what_is_left_and_what_it_cost_is_told_as_it_will_be(program: Program, acme: people.Cast, gate: Gate) -> None:
    made = limit(acme, USD // 100)
    gate.shut_behind(program)
    answer = program.ask()
    told = answer.headers
    assert run_of(answer).state is State.RUNNING
    gate.opens.set()
    run = ended(run_of(answer))
    period = db.session.scalars(select(BudgetPeriod).where(BudgetPeriod.budget_id == made.id)).one()
    assert float(told["x-dataelan-limit-left-usd"]) == pytest.approx((made.limit - period.spent) / USD)
    assert float(told["x-dataelan-cost-usd"]) == pytest.approx((run.cost or 0) / USD)


def test_what_came_meanwhile_goes_in_one_message(program: Program, gate: Gate) -> None:
    gate.shut_behind(program)
    first = program.run()
    wait_until(lambda: behind.of(program.app).unwritten == 1)  # type: ignore[union-attr]
    time.sleep(2 * behind.PAUSE)
    del gate.messages[:]
    others = [program.run() for _ in range(3)]
    gate.opens.set()
    assert [ended(run).state for run in (first, *others)] == [State.COMPLETED] * 4
    assert gate.messages == [1, 3]


def test_no_more_is_behind_than_one_message_holds(
    program: Program, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(behind, "MOST", 2)
    gate.shut_behind(program)
    runs = [program.run() for _ in range(3)]
    assert [run.state for run in runs] == [State.RUNNING, State.RUNNING, State.COMPLETED]


def stores(program: Program) -> dict[str, Any]:
    db.session.execute(update(Project).where(Project.id == program.cast.project.id).values(cache_seconds=60))
    db.session.commit()
    return {}


AWAITED: dict[str, Callable[[Program], Any]] = {
    "may be told again": lambda program: ask(program, headers={"Idempotency-Key": "once"}),
    "may be gone on from": lambda program: ask(program, "/v1/responses", {"model": "mine", "input": "Hello"}),
    "may be told to others": lambda program: ask(program, **stores(program)),
}


def ask(
    program: Program,
    path: str = "/v1/chat/completions",
    body: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> Any:
    body = body or {"model": "mine", "messages": [{"role": "user", "content": "Hello"}]}
    sent = {"Authorization": f"Bearer {program.secret}", **(headers or {})}
    return program.app.test_client().post(path, json=body, headers=sent)


@pytest.mark.parametrize("why", AWAITED)
def test_what_may_be_asked_for_next_is_written_first(program: Program, gate: Gate, why: str) -> None:
    gate.shut_behind(program)
    answer = AWAITED[why](program)
    assert answer.status_code == 200
    assert run_of(answer).state is State.COMPLETED


def test_whoever_waited_long_waits_for_its_end_too(
    program: Program, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And who watches a long run is told of its end when it is written."""
    assert behind.BRIEF < answering.SHORT
    gate.shut_behind(program)
    monkeypatch.setattr("dataelan_web.executions.record.BRIEF", 0.0)
    assert program.run().state is State.COMPLETED


def test_a_receipt_tells_the_end_of_what_was_answered(program: Program) -> None:
    program.warm()
    for _ in range(5):
        id = program.ask().headers["x-dataelan-execution-id"]
        client, sent = program.app.test_client(), {"Authorization": f"Bearer {program.secret}"}
        assert client.get(f"/v1/executions/{id}", headers=sent).json["state"] == "completed"  # type: ignore[index]


def test_a_limit_refuses_nobody_for_what_is_as_good_as_settled(program: Program, acme: people.Cast) -> None:
    """One after the other, each holding most of what is left and using little of it."""
    made = limit(acme, 100 * USD)
    program.warm()
    wait_until(lambda: not held_of(acme))
    set_spent(made, made.limit - 800_000)  # 600 tokens of output and the prompt are held for each
    for _ in range(5):
        assert program.ask().status_code == 200
    wait_until(lambda: not held_of(acme))
    assert charged(made) == 7 * COST


def set_spent(made: Budget, amount: int) -> None:
    db.session.rollback()
    db.session.execute(update(BudgetPeriod).where(BudgetPeriod.budget_id == made.id).values(spent=amount))
    db.session.commit()


def charged(made: Budget) -> int:
    """For all runs of its organization."""
    db.session.rollback()
    owner = LedgerEntry.organization_id == made.organization_id
    return sum(db.session.scalars(select(LedgerEntry.amount).where(owner)))


def test_one_that_is_not_ours_any_more_keeps_no_other_from_its_end(
    program: Program, acme: people.Cast, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    """As where a sweeper took the process for dead."""
    limit(acme)
    gate.shut_behind(program)
    program.run()
    time.sleep(2 * behind.PAUSE)
    taken, mine = program.run(), program.run()
    db.session.execute(update(Execution).where(Execution.id == taken.id).values(fence=2))
    db.session.commit()
    gate.opens.set()
    assert ended(mine).state is State.COMPLETED
    wait_until(lambda: "no longer ours" in caplog.text)
    db.session.rollback()
    assert db.session.get_one(Execution, taken.id, populate_existing=True).state is State.RUNNING
    assert written(taken)["ledger_entries"] == []


@pytest.mark.parametrize("is_committed", [False, True])
def test_a_line_that_is_cut_is_asked_again(
    program: Program, acme: people.Cast, monkeypatch: pytest.MonkeyPatch, is_committed: bool
) -> None:
    limit(acme)
    program.warm()
    end_all, cuts = at_once.end_all, [True]

    def cut(ends: Sequence[at_once.Ending]) -> Any:
        if threading.current_thread().name == "ends" and cuts:
            cuts.clear()
            if is_committed:
                end_all(ends)
            raise OperationalError("", None, Exception("cut"), connection_invalidated=True)
        return end_all(ends)

    monkeypatch.setattr(at_once, "end_all", cut)
    run = ended(program.run())
    assert not cuts
    assert (run.state, run.cost, len(written(run)["ledger_entries"])) == (State.COMPLETED, COST, 1)
    wait_until(lambda: not held_of(acme))
    assert books(acme) == []


def test_where_nothing_can_be_kept_each_waits_for_its_end(
    program: Program, app: Flask, tmp_path: Path, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a file").write_text("")
    app.extensions["dataelan_behind"] = Behind(app, tmp_path / "a file" / behind.DIRECTORY)
    program.warm()
    assert program.run().state is State.COMPLETED
    assert caplog.text.count("every end is waited for") == 1


def test_a_process_leaves_when_its_ends_are_written(program: Program, app: Flask, gate: Gate) -> None:
    draining = app.extensions["dataelan_draining"]
    gate.shut_behind(program)
    run = program.run()
    assert draining.has_runs
    gate.opens.set()
    wait_until(lambda: not draining.has_runs)
    assert ended(run).state is State.COMPLETED


@contextmanager
def nothing_is_charged() -> Iterator[None]:
    """No end of a run can be written meanwhile, and what tries it is told at last that it cannot be."""
    with db.engine.connect() as beside, beside.begin():
        beside.execute(text("LOCK TABLE ledger_entries IN EXCLUSIVE MODE"))
        yield
        waiting = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE relation = 'ledger_entries'::regclass"
        beside.execute(text(f"{waiting} AND NOT granted"))


def test_what_a_killed_process_had_answered_is_written(
    program: Program,
    acme: people.Cast,
    environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limit(acme)
    port, here = free_port(), environment | {"DATAELAN_DATA_DIR": str(tmp_path / "another")}
    url = f"http://127.0.0.1:{port}"
    monkeypatch.setattr(behind, "_directory", lambda app: tmp_path / "another" / behind.DIRECTORY)
    command = ["-m", "granian", "--interface", "wsgi", "--port", str(port), "--no-ws", "wsgi:app"]
    ids = list[str]()
    with process(command, here, tmp_path / "log") as web, httpx2.Client(trust_env=False) as client:
        wait_until(lambda: answers(f"{url}/healthz"))

        def call() -> str:
            said = client.post(
                f"{url}/v1/chat/completions",
                json={"model": "mine", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 600},
                headers={"Authorization": f"Bearer {program.secret}"},
            )
            assert said.status_code == 200, said.text
            return said.headers["x-dataelan-execution-id"]

        for _ in range(4):
            call()
        wait_until(lambda: not held_of(acme))
        with nothing_is_charged():
            ids = [call() for _ in range(3)]
            for pid in (*children_of(web.pid), web.pid):
                os.kill(pid, signal.SIGKILL)
            web.wait(10)
    runs = db.session.scalars(select(Execution).where(Execution.id.in_(ids))).all()
    assert [run.state for run in runs] == [State.RUNNING] * 3
    wait_until(lambda: behind.write_left() == 3)  # once the last of it is gone
    assert behind.write_left() == 0
    for run in runs:
        assert (ended(run).state, run.cost, run.body.text) == (State.COMPLETED, COST, SAID.decode())
        assert len(written(run)["ledger_entries"]) == 1
    assert (held_of(acme), books(acme)) == (0, [])


def children_of(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
