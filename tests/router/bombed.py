"""A worker in miniature: does what it is told with a provider, and tells how that ended and what it took.

Reads `chat|many|job|list|asset URL SECONDS` a line (`many`: 12 chats at once), and answers each by a line of JSON:
{failure, sent, seconds, grown (bytes), least}. `grown` is the peak of its memory above what it had at its start;
`least` the smallest counter that it was told of. Linux only: elsewhere nobody can forget a peak.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

from dataelan_web.router import run as running
from dataelan_web.router import wire
from dataelan_web.router.candidates import Candidate, Key
from dataelan_web.router.exchange import Line, ask, fetch
from dataelan_web.router.plan import Plan, Step
from dataelan_web.router.providers import adapter, lister
from dataelan_web.router.providers.failures import failure as failure_of
from dataelan_web.router.room import free_large_blocks_at_once
from dataelan_web.router.run import run
from dataelan_web.router.stop import Stop
from dataelan_web.router.types import AssetAt, Failure, Prompt, Task, Usage, user
from dataelan_web.router.wire import Clients, Deadlines

from .test_run import Book

FORMATS = {"chat": ("openai", Task.CHAT), "job": ("replicate", Task.IMAGE)}


def memory(what: str) -> int:
    """VmRSS: bytes now. VmHWM: the most since the last `forget`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))


def forget() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def do(what: str, http: Clients, url: str, seconds: float) -> int | None:
    deadlines = Deadlines(total=seconds)
    if what == "list":
        format = lister("openai", url)
        assert format
        format.listed(ask(http.anywhere, format.list_call("k"), format.failure, seconds))
        return None
    if what == "asset":
        fetch(Line(http, True, url, Stop(), deadlines, time.monotonic() + seconds), AssetAt(url), {}, failure_of)
        return None
    if what == "many":
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(lambda _: do("chat", http, url, seconds), range(12)))
        return None
    kind, task = FORMATS[what]
    candidate = Candidate(uuid4(), "owner/model", uuid4(), "P", kind, url, (), task=task)
    plan = Plan((Step(candidate, Key(uuid4(), "k", "organization")),))
    prompt = Prompt((user("Hi"),), task=task)
    least = None
    for event in run(plan, prompt, http, Book(), lambda step: "k", Stop(), deadlines):
        if isinstance(event, Usage):
            least = min(counter for counter in (least, *event.counters) if counter is not None)
    return least


def tell(what: str, url: str, seconds: float, before: int) -> dict[str, object]:
    failure, sent, least = "", None, None
    forget()
    with wire.clients(memory=256 * 1024 * 1024) as http:
        started = time.monotonic()
        try:
            least = do(what, http, url, seconds)
        except Failure as problem:
            failure, sent = problem.message, problem.sent
        took = time.monotonic() - started
    return {"failure": failure, "sent": sent, "seconds": took, "grown": memory("VmHWM") - before, "least": least}


if __name__ == "__main__":
    free_large_blocks_at_once()
    running.FIRST_PAUSE = running.ASKS_AGAIN = 0.02  # how long it waits between its questions hurts nobody
    for kind, task in FORMATS.values():
        adapter(kind, "http://127.0.0.1", task)  # what is imported late must not count as an answer's
    at_first = memory("VmRSS")
    for line in sys.stdin:
        what, url, seconds = line.split()
        print(json.dumps(tell(what, url, float(seconds), at_first)), flush=True)
