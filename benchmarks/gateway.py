"""What the gateway adds to a call, with full recording on, against a provider that answers at once."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx2

from .report import line, ms, spread
from .stack import running

CALLS = 300


def measure() -> None:
    with running() as stack:
        token = stack.bootstrap()["token"]
        upstream = stack.recorded["environment"]["DATAELAN_SIMULATED_URL"]
        direct = caller(upstream, "any")
        through = caller(f"{stack.url}/v1", token)
        at_once, with_us = timed(direct, CALLS), timed(through, CALLS)
        spread("direct call, one after the other", at_once)
        spread("through the gateway, one after the other", with_us)
        line("added at the median", ms(statistics.median(with_us) - statistics.median(at_once)))
        for connections in (1, 16, 64):
            line(f"{connections} connections", f"{rate(through, connections):.0f} calls/s")


def caller(base_url: str, token: str) -> Callable[[], None]:
    http = httpx2.Client(trust_env=False, timeout=30, limits=httpx2.Limits(max_connections=100))
    body = {"model": "simulated-instant", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5}

    def call() -> None:
        http.post(
            f"{base_url}/chat/completions", json=body, headers={"Authorization": f"Bearer {token}"}
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
