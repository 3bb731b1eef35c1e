"""Server time, queries and size of the pages of the dashboard, with many runs behind it; then how they are painted.

DATAELAN_BENCH_RUNS says how many (200,000); the bars are for ten million.
"""

from __future__ import annotations

import gzip
import os
import time
import uuid
from typing import Any

from sqlalchemy import Uuid, cast, event, func, insert, select, text

from dataelan_web.extensions import db
from dataelan_web.models import (
    Attempt,
    Execution,
    ExecutionBody,
    LedgerEntry,
    Membership,
    Organization,
    OrganizationKind,
    SignIn,
    User,
)

from . import painting
from .report import line, spread
from .stack import Stack, running

RUNS = int(os.environ.get("DATAELAN_BENCH_RUNS", "200000"))
ORGANIZATIONS = 20
"""The first has two fifths of the runs."""
ROUNDS = 100
EMAIL, PASSWORD = "demo@example.com", "a password for it"
PAGES = painting.PAGES | {
    "spend, one tag": "/spend?tag=prod",
    "unusual hours": "/parts/unusual",
    "map of the week": "/parts/heat",
    "times by model": "/parts/waits?by=model",
}
RATE, AT_ONCE, RECORDS_FOR = 500, 50, 20
"""Runs a second, in one commit, and seconds."""


def measure() -> None:
    with running() as stack:
        stack.bootstrap()
        started = time.perf_counter()
        of = ("--executions", str(RUNS), "--days", "365", "--organizations", str(ORGANIZATIONS))
        stack.flask("seed-demo", *of, "--password", PASSWORD)
        line("seeded", f"{time.perf_counter() - started:.0f} s", f"{RUNS:,} runs of 365 days")
        with stack.app().app_context():
            recording(largest().id)
        painting.measure(stack, pages(stack), EMAIL, PASSWORD)


def largest() -> Organization:
    named = Organization.name == "Demo", Organization.kind == OrganizationKind.TEAM
    return db.session.scalars(select(Organization).where(*named)).one()


def pages(stack: Stack) -> str:
    """The dashboard's address."""
    app = stack.app()
    queries: list[str] = []
    with app.app_context():
        home = largest()
        person = db.session.scalars(select(User).join(Membership).where(User.email == EMAIL)).first()
        assert person
        row, known = SignIn.begin(person)
        address = f"/o/{home.slug}/dashboard"
        db.session.add(row)
        event.listen(db.engine, "after_cursor_execute", lambda *of: queries.append(of[2]))
        db.session.execute(text("SET LOCAL statement_timeout = 0"))
        db.session.execute(text("ANALYZE"))
        db.session.commit()
    client: Any = app.test_client()
    with client.session_transaction() as session:
        session["_user_id"], session["_fresh"] = known, True
    for over, bar in (("30d", 150), ("365d", 300)):
        for name, at in PAGES.items():
            times, content = [], b""
            for _ in range(ROUNDS):
                queries.clear()
                started = time.perf_counter()
                answer = client.get(f"{address}{at}{'&' if '?' in at else '?'}range={over}")
                times.append(time.perf_counter() - started)
                assert answer.status_code == 200
                content = answer.data
            spread(f"{name}, {over}", times, f"bar: p95 {bar} ms")
            line("", f"{len(queries)} queries", f"{len(gzip.compress(content)) / 1024:.1f} KB gzip; bars: 25, 100 KB")
    return address


def recording(home: uuid.UUID) -> None:
    """Runs end at 500 a second, each with its words, call and line, while a worker counts: how far is it behind?"""
    past = _past(home)
    lags, started, ended = list[float](), time.perf_counter(), 0
    while (gone := time.perf_counter() - started) < RECORDS_FOR:
        while ended < gone * RATE:
            _end_some(past[ended : ended + AT_ONCE], ended)
            ended += AT_ONCE
        lags.append(float(db.session.scalar(_BEHIND) or 0))
        db.session.rollback()
        time.sleep(0.05)
    rate = ended / (time.perf_counter() - started)
    line("recorded", f"{rate:,.0f}/s", f"sums at most {max(lags):.1f} s behind; bars: {RATE}/s, 5 s")


_BEHIND = text("""
SELECT extract(epoch FROM max(clock_timestamp() - e.finished_at))
FROM rollup_queue q JOIN executions e ON e.id = q.execution_id
""")


def _past(home: uuid.UUID) -> list[uuid.UUID]:
    """Enough runs to record once more; looked up before, as no program looks for what it records."""
    some = select(Execution.id).where(Execution.organization_id == home, Execution.attempts_made == 1)
    return list(db.session.scalars(some.order_by(Execution.created_at).limit(RATE * RECORDS_FOR + AT_ONCE)))


def _end_some(ids: list[uuid.UUID], mark: int) -> None:
    """Runs of the past once more, begun and ended now."""
    again = {"finished_at": func.clock_timestamp(), "ended_at": func.clock_timestamp(), "created_at": func.now(),
             "started_at": func.now(), "first_token_at": func.now()}  # fmt: skip
    calls = select(Attempt.id).where(Attempt.execution_id.in_(ids))
    for model, mine, which in (
        (Execution, ("id",), Execution.id.in_(ids)),
        (ExecutionBody, ("id",), ExecutionBody.id.in_(ids)),
        (Attempt, ("id", "execution_id"), Attempt.execution_id.in_(ids)),
        (LedgerEntry, ("id", "attempt_id"), LedgerEntry.attempt_id.in_(calls)),
    ):
        table: Any = model.__table__
        renamed = {name: cast(func.md5(func.concat(table.c[name], f"/{mark}")), Uuid) for name in mine}
        values = {column.name: renamed.get(column.name, again.get(column.name, column)) for column in table.columns}
        db.session.execute(insert(table).from_select(list(values), select(*values.values()).where(which)))
    db.session.commit()
