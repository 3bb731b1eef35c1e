"""What a call through the gateway consists of: connections taken, statements and function calls, with full recording
and a limit on. These numbers are the same on every machine."""

from __future__ import annotations

import cProfile
import pstats

from flask import Flask
from sqlalchemy import event

from dataelan_web.extensions import db

from ..report import line
from ..stack import running
from .dataelan import product
from .products import upstream
from .upstream import INSTANT

BODY = {"model": INSTANT, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 100}
CALLS = 50


def measure() -> None:
    with upstream() as provider, running() as stack:
        headers = dict(product(stack, provider).headers)
        counts(stack.app(), headers)


def counts(app: Flask, headers: dict[str, str]) -> None:
    seen, checkouts = list[str](), list[int]()
    client = app.test_client()

    def call() -> None:
        assert client.post("/v1/chat/completions", json=BODY, headers=headers).status_code == 200

    for _ in range(20):
        call()
    with app.app_context():
        event.listen(db.engine, "before_cursor_execute", lambda *said: seen.append(said[2]))
        event.listen(db.engine, "checkout", lambda *taken: checkouts.append(1))
    profile = cProfile.Profile()
    with profile:
        for _ in range(CALLS):
            call()
    line("times a connection is taken, a call", f"{len(checkouts) / CALLS:.1f}")
    line("statements by SQLAlchemy, a call", f"{len(seen) / CALLS:.1f}")
    total = pstats.Stats(profile).total_calls  # type: ignore[attr-defined]
    line("function calls, a call, with the test's client", f"{total / CALLS:.0f}")
