"""What limits cost, and whether they hold: a call that is alone, calls that share one limit, and a rush on a dollar.

On a durable PostgreSQL as `make run` has it. DATAELAN_ROUNDS says how many rushes there are; a release has 100.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import func, insert, select

from dataelan_web import create_app, quota
from dataelan_web.config import load
from dataelan_web.extensions import db
from dataelan_web.jobs.worker import SWITCH_EVERY
from dataelan_web.local.databases import databases
from dataelan_web.models import (
    NANO,
    Attempt,
    Budget,
    BudgetPeriod,
    Execution,
    ExecutionBody,
    Organization,
    Origin,
    Payer,
    Project,
    Scope,
    State,
    Unit,
    User,
    Window,
    new_id,
)

from .report import line, ms, spread

ROUNDS = int(os.environ.get("DATAELAN_ROUNDS", "3"))
CALLS = 400
THREADS = 32
A_DOLLAR, HELD, SPENT = NANO, NANO // 50, NANO // 110
"""A rush: what there is, what a call may cost at most, and what it comes to."""


@dataclass(frozen=True)
class Caller:
    """Somebody whose calls are counted by the limits on these subjects."""

    organization_id: uuid.UUID
    execution_id: uuid.UUID
    subjects: quota.Subjects

    @classmethod
    def new(cls, organization_id: uuid.UUID, project_id: uuid.UUID) -> Caller:
        """With a project, a model and a key that no other caller has. Commits."""
        run = Execution(
            id=new_id(),
            organization_id=organization_id,
            project_id=project_id,
            origin=Origin.GATEWAY,
            state=State.COMPLETED,
            body=ExecutionBody(request={"messages": []}),
        )
        db.session.add(run)
        db.session.commit()
        ids = [uuid.uuid4() for _ in range(6)]
        return cls(organization_id, run.id, quota.Subjects(organization_id, *ids, payer=Payer.ORGANIZATION))

    def limit(self, scope: Scope, window: Window, amount: int, unit: Unit = Unit.USD) -> Budget:
        subject = next(id for id, of in self.subjects.named.items() if of is scope)
        made = quota.set_limit(db.session, self.organization_id, scope, subject, window, amount, unit)
        db.session.commit()
        return made

    def attempts(self, count: int) -> list[uuid.UUID]:
        """Calls that are about to be made: their rows there would be without limits too."""
        first = db.session.scalar(select(func.count()).where(Attempt.execution_id == self.execution_id)) or 0
        ids = [new_id() for _ in range(count)]
        rows = [
            {"id": id, "execution_id": self.execution_id, "number": first + place, "payer": Payer.ORGANIZATION,
             "model_name": "m", "provider_name": "p"}
            for place, id in enumerate(ids)
        ]  # fmt: skip
        db.session.execute(insert(Attempt), rows)
        db.session.commit()
        return ids

    def hold(self, attempt_id: uuid.UUID, use: quota.Use, *, is_last: bool = False) -> bool:
        """As executions.allowance does: what is read to be too little is not tried."""
        counted = quota.applicable(db.session, self.subjects)
        if any(limit.is_hard and use.of(limit.unit) > limit.left for limit in counted.limits):
            return False
        return not quota.hold(db.session, counted.limits, self.execution_id, attempt_id, use, is_last=is_last)

    def settle(self, attempt_id: uuid.UUID, use: quota.Use, *, is_last: bool = False) -> None:
        entry = quota.Charge(self.organization_id, Payer.ORGANIZATION, use.usd, use.tokens)
        (quota.settle_at_last if is_last else quota.settle)(db.session, attempt_id, entry)


def measure() -> None:
    with durable() as app, app.app_context():
        organization_id, project_id = home()
        line("commit to the disk, of one small row", ms(statistics.median([bare_commit() for _ in range(100)])))
        alone(Caller.new(organization_id, project_id))
        for threads in (1, 8, THREADS):
            shared(app, Caller.new(organization_id, project_id), threads)
        admitted = []
        for _ in range(ROUNDS):
            caller = Caller.new(organization_id, project_id)
            budget = caller.limit(Scope.PROJECT, Window.MONTH, A_DOLLAR)
            admitted.append(rush(app, caller, budget, threads=50, times=200))
        line(f"{ROUNDS} rushes of 50 × 200 on $1.00: least admitted", f"{min(admitted):.1%}", "bar: 95 %, overspend 0")


def alone(caller: Caller) -> None:
    """One call after the other, with a limit of each unit: what reserve and settle add."""
    caller.limit(Scope.ORGANIZATION, Window.MONTH, 10**15)
    caller.limit(Scope.PROJECT, Window.DAY, 10**12, Unit.TOKENS)
    caller.limit(Scope.MEMBER, Window.DAY, 10**9, Unit.REQUESTS)
    whole, plain = [], []
    for attempt_id in caller.attempts(CALLS):
        reserved = timed(partial(caller.hold, attempt_id, quota.Use(1_000, 50), is_last=True))
        whole.append(reserved + timed(partial(caller.settle, attempt_id, quota.Use(500, 20), is_last=True)))
        plain.append(bare_commit() + bare_commit())
    spread("alone: reserve + settle, with their commits", whole)
    spread("two commits that happen anyway", plain)
    line("so limits add at the median", ms(statistics.median(whole) - statistics.median(plain)), "bar: 3 ms")


def timed(step: Callable[[], object]) -> float:
    """Seconds in this step, which commits."""
    db.session.connection()  # other statements of the same transaction come before
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def bare_commit() -> float:
    db.session.execute(select(func.pg_logical_emit_message(True, "dataelan", "")))
    started = time.perf_counter()
    db.session.commit()
    return time.perf_counter() - started


def shared(app: Flask, caller: Caller, threads: int) -> None:
    """Calls that one limit counts, from several threads: each reads, holds, commits, settles and commits."""
    budget = caller.limit(Scope.PROJECT, Window.MONTH, 10**15)
    calls = 30 * threads
    attempts = caller.attempts(calls)

    def work(mine: Sequence[uuid.UUID]) -> None:
        for attempt_id in mine:
            assert caller.hold(attempt_id, quota.Use(1_000), is_last=True)
            caller.settle(attempt_id, quota.Use(500), is_last=True)

    took = together(app, work, [attempts[place::threads] for place in range(threads)])
    bar = "bar: 400/s" if threads == THREADS else ""
    line(f"one limit, {threads} threads", f"{calls / took:.0f} settled/s", bar)
    assert spent_and_held(budget) == (500 * calls, 0)


def rush(app: Flask, caller: Caller, budget: Budget, threads: int, times: int) -> float:
    """Many threads spend one limit to its end. Returns what was admitted, as a share of what one after the other would
    be. Fails on a nano-dollar too much, or one that stays held."""
    most, admitted = budget.limit, [0] * threads
    in_order = (most - HELD) // SPENT + 1

    def work(place: int) -> None:
        for turn in range(times):
            attempt_id = new_id()
            db.session.add(
                Attempt(
                    id=attempt_id,
                    execution_id=caller.execution_id,
                    number=place * times + turn,
                    payer=Payer.ORGANIZATION,
                    model_name="m",
                    provider_name="p",
                )
            )
            if not caller.hold(attempt_id, quota.Use(HELD), is_last=True):
                db.session.rollback()
                continue
            caller.settle(attempt_id, quota.Use(SPENT), is_last=True)
            admitted[place] += 1

    together(app, work, list(range(threads)))
    spent, held = spent_and_held(budget)
    assert (spent, held) == (sum(admitted) * SPENT, 0), f"spent {spent}, held {held}, admitted {sum(admitted)}"
    assert spent <= most, f"overspent by {spent - most}"
    return sum(admitted) / in_order


def together(app: Flask, work: Callable[[Any], None], shares: Sequence[Any]) -> float:
    """Work on every share in a thread of its own; the seconds it took."""
    broken = list[Exception]()

    def run(share: Any) -> None:
        try:
            with app.app_context():
                work(share)
        except Exception as error:
            broken.append(error)

    threads = [threading.Thread(target=run, args=(share,)) for share in shares]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if broken:
        raise broken[0]
    return time.perf_counter() - started


def spent_and_held(budget: Budget) -> tuple[int, int]:
    db.session.rollback()
    (period,) = db.session.execute(
        select(BudgetPeriod.spent, BudgetPeriod.reserved).where(BudgetPeriod.budget_id == budget.id)
    )
    return period.spent, period.reserved


def home() -> tuple[uuid.UUID, uuid.UUID]:
    """An organization with a project."""
    user = User(id=new_id(), email=f"{uuid.uuid4().hex}@example.com", name="Bench", password_hash="-")
    organization = Organization(id=new_id(), name="Bench", slug=uuid.uuid4().hex)
    db.session.add_all([user, organization])
    db.session.flush()
    project = Project(id=new_id(), organization_id=organization.id, name="Bench")
    db.session.add(project)
    db.session.commit()
    return organization.id, project.id


@contextmanager
def durable() -> Iterator[Flask]:
    """An application on databases of its own, that survive a power cut."""
    sys.setswitchinterval(SWITCH_EVERY)
    with tempfile.TemporaryDirectory(prefix="dataelan-bench-") as directory, databases(Path(directory)) as urls:
        settings = {
            **urls,
            "SECRET_KEY": "for benchmarks only, and long enough to be taken",
            "DATAELAN_KEYS": "k1:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
            "DATAELAN_DATA_DIR": directory,
            "DATAELAN_LOG_LEVEL": "WARNING",
        }
        app = create_app(load(settings))
        with app.app_context():
            upgrade()
        yield app
