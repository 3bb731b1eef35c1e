"""What the gateway adds to a call, with full recording and a limit on, against a provider that answers at once."""

from __future__ import annotations

import cProfile
import pstats
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx2
from flask import Flask
from sqlalchemy import event, select

from dataelan_web import quota
from dataelan_web.extensions import db
from dataelan_web.models import Organization, Scope, Unit, Window

from . import cpu
from .report import line, ms, spread
from .stack import Stack, running

CALLS = 300
BODY = {"model": "simulated-instant", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5}


def measure() -> None:
    with running() as stack:
        token, app = stack.bootstrap()["token"], stack.app()
        limit(app)
        upstream = stack.recorded["environment"]["DATAELAN_SIMULATED_URL"]
        direct = caller(upstream, "any")
        through = caller(f"{stack.url}/v1", token)
        at_once, with_us = timed(direct, CALLS), timed(through, CALLS)
        spread("direct call, one after the other", at_once)
        spread("through the gateway, one after the other", with_us)
        line("added at the median", ms(statistics.median(with_us) - statistics.median(at_once)))
        for connections in (1, 16, 64):
            line(f"{connections} connections", f"{rate(through, connections):.0f} calls/s")
        processors(stack, through)
        counts(app, token)


def limit(app: Flask) -> None:
    """One that counts every call and refuses none."""
    with app.app_context():
        id = db.session.scalars(select(Organization.id)).one()
        quota.set_limit(db.session, id, Scope.ORGANIZATION, id, Window.MONTH, 10**12, Unit.TOKENS)
        db.session.commit()


def caller(base_url: str, token: str) -> Callable[[], None]:
    http = httpx2.Client(trust_env=False, timeout=30, limits=httpx2.Limits(max_connections=100))

    def call() -> None:
        http.post(
            f"{base_url}/chat/completions", json=BODY, headers={"Authorization": f"Bearer {token}"}
        ).raise_for_status()

    return call


def timed(call: Callable[[], None], calls: int) -> list[float]:
    for _ in range(20):
        call()
    times = []
    for _ in range(calls):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return times


def rate(call: Callable[[], None], connections: int) -> float:
    """Calls a second; the client shares the machine, so this understates."""
    started = time.perf_counter()
    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(lambda _: call(), range(CALLS)))
    return CALLS / (time.perf_counter() - started)


def processors(stack: Stack, call: Callable[[], None]) -> None:
    """What a call costs in each of our programs, at 16 connections: time of a processor, not of a clock on the wall."""
    before = cpu.seconds(stack.supervisor.pid)
    rate(call, 16)
    time.sleep(1)  # what is told of a call is told by then
    used = cpu.seconds(stack.supervisor.pid) - before
    del used["simulated"]
    for program, seconds in used.most_common():
        line(f"of a processor, a call: {program}", ms(seconds / CALLS))
    line("of a processor, a call: all", ms(used.total() / CALLS), "bar 2.5 ms")


def counts(app: Flask, token: str) -> None:
    """What a call of the web process consists of; these numbers are the same on every machine."""
    seen: list[str] = []
    client, headers = app.test_client(), {"Authorization": f"Bearer {token}"}

    def call() -> None:
        assert client.post("/v1/chat/completions", json=BODY, headers=headers).status_code == 200

    for _ in range(20):
        call()
    with app.app_context():
        event.listen(db.engine, "before_cursor_execute", lambda *said: seen.append(said[2]))
        event.listen(db.engine, "commit", lambda connection: seen.append("COMMIT"))
    profile = cProfile.Profile()
    profile.runcall(lambda: [call() for _ in range(50)])
    commits = seen.count("COMMIT")
    line("statements, a call", f"{(len(seen) - commits) / 50:.1f}")
    line("commits, a call", f"{commits / 50:.1f}")
    line("function calls, a call, with the test's client", f"{pstats.Stats(profile).total_calls / 50:.0f}")  # type: ignore[attr-defined]
