"""Server time, queries and size of each page of the dashboard, with many runs behind it.

DATAELAN_BENCH_RUNS says how many (200,000); the bars are for ten million.
"""

from __future__ import annotations

import gzip
import os
import time
from typing import Any

from sqlalchemy import event, select, text

from dataelan_web.extensions import db
from dataelan_web.models import Membership, Organization, User
from dataelan_web.rollups.keeping import fold

from .report import line, spread
from .stack import Stack, running

RUNS = int(os.environ.get("DATAELAN_BENCH_RUNS", "200000"))
ROUNDS = 20
PAGES = {"overview": "", "spend": "/spend", "performance": "/performance", "mine": "/mine"}
WAITING = 5_000


def measure() -> None:
    with running() as stack:
        stack.bootstrap()
        started = time.perf_counter()
        stack.flask("seed-demo", "--executions", str(RUNS), "--days", "365", "--password", "a password for it")
        line("seeded", f"{time.perf_counter() - started:.0f} s", f"{RUNS:,} runs of 365 days")
        pages(stack)


def pages(stack: Stack) -> None:
    app = stack.app()
    queries: list[str] = []
    with app.app_context():
        home = db.session.scalars(select(Organization).where(Organization.name == "Demo")).one()
        person = db.session.scalars(select(User).join(Membership).where(User.email == "demo@example.com")).first()
        assert person
        address, known = f"/o/{home.slug}/dashboard", person.get_id()
        event.listen(db.engine, "after_cursor_execute", lambda *of: queries.append(of[2]))
        db.session.execute(text("ANALYZE"))
        db.session.commit()
        counting(home)
    client: Any = app.test_client()
    with client.session_transaction() as session:
        session["_user_id"], session["_fresh"] = known, True
    for over, bar in (("30d", 150), ("365d", 300)):
        for name, at in PAGES.items():
            times, content = [], b""
            for _ in range(ROUNDS):
                queries.clear()
                started = time.perf_counter()
                answer = client.get(f"{address}{at}?range={over}")
                times.append(time.perf_counter() - started)
                assert answer.status_code == 200
                content = answer.data
            spread(f"{name}, {over}", times, f"bar: p95 {bar} ms")
            line("", f"{len(queries)} queries", f"{len(gzip.compress(content)) / 1024:.1f} KB gzip; bars: 25, 100 KB")


def counting(home: Organization) -> None:
    """How fast what waits is counted: some runs once more, in a Dataelan that is thrown away."""
    db.session.execute(
        text("""INSERT INTO rollup_queue (execution_id, runs) SELECT id, 1 FROM executions
            WHERE organization_id = :home ORDER BY created_at DESC LIMIT :most"""),
        {"home": home.id, "most": WAITING},
    )
    db.session.commit()
    started = time.perf_counter()
    while db.session.scalar(text("SELECT count(*) FROM rollup_queue")):
        fold()
    took = time.perf_counter() - started
    line("counted", f"{WAITING / took:,.0f}/s", "runs that ended; bar: 500/s")
