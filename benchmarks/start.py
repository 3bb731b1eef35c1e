"""First and second start of `make run`, and the first page after."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import httpx2

from .report import line, ms
from .stack import running


def measure() -> None:
    with tempfile.TemporaryDirectory(prefix="dataelan-bench-") as directory:
        for which, bar in (("first", ""), ("second", "bar: 8 s")):
            with running(Path(directory)) as stack:
                line(f"{which} start, until ready", f"{stack.ready_after:.1f} s", bar)
                started = time.perf_counter()
                httpx2.get(f"{stack.url}/signup", trust_env=False)
                line("first page", ms(time.perf_counter() - started), "bar: 1,000 ms")
