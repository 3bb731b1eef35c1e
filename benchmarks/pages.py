"""Server time, database queries and size of each page, with some work behind it."""

from __future__ import annotations

import gzip
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2

from .first_token import first_token, signed_up
from .report import line, spread
from .stack import running

RUNS = 30
ROUNDS = 20


def measure() -> None:
    with running() as stack:
        browser = signed_up(stack)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: first_token(browser), range(RUNS)))
        session = str(browser.base_url).rstrip("/")
        home = session.split("/sessions/")[0]
        for name, url in {
            "home": f"{home}/",
            f"session, {RUNS} runs": session,
            "providers": f"{home}/hub/providers",
            "models": f"{home}/hub/models",
        }.items():
            times, page = visits(browser, url)
            spread(name, times)
            line("", f"{len(gzip.compress(page)) / 1024:.1f} KB", f"gzip; {len(page) / 1024:.0f} KB plain")


def visits(browser: httpx2.Client, url: str) -> tuple[list[float], bytes]:
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        answer = browser.get(url, headers={"HX-Request": "false"})
        times.append(time.perf_counter() - started)
        answer.raise_for_status()
    return times, answer.content
