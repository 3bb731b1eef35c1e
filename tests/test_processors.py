"""A web process keeps to one processor, and leaves it where another that keeps there takes what it needs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from dataelan_web import processors

from .conftest import ROOT, wait_until

SEVERAL = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="there is one processor, or no way to keep to one",
)


@pytest.mark.parametrize(
    ("busy", "mine", "goes_to"),
    [
        ({0: 1.0, 1: 0.2}, 0.5, 1),  # somebody else keeps to this one, and the other has room
        ({0: 1.0, 1: 0.9}, 0.5, None),  # it has none
        ({0: 1.0, 1: 0.2}, 0.98, None),  # it has this one to itself
        ({0: 0.7, 1: 0.1}, 0.3, None),  # there is enough of this one
        ({0: 1.0, 1: 0.4, 2: 0.1}, 0.4, 2),
        ({0: 1.0}, 0.5, None),  # nobody can say how it stands with the other
    ],
)
def test_where_a_process_moves_to(busy: dict[int, float], mine: float, goes_to: int | None) -> None:
    assert processors.better(busy, mine, 0, [0, 1, 2] if 2 in busy else [0, 1]) == goes_to


KEEPS = """
import os, sys, threading
from dataelan_web.processors import keep_to_one

threading.Thread(target=threading.Event().wait, daemon=True).start()
keep_to_one(int(sys.argv[1]))
threading.Thread(target=threading.Event().wait, daemon=True).start()
kept = {tuple(os.sched_getaffinity(int(one))) for one in os.listdir("/proc/self/task")}
print(sorted(kept), threading.active_count())
"""


@SEVERAL
def test_all_threads_keep_to_the_one_of_their_place() -> None:
    allowed = sorted(os.sched_getaffinity(0))
    for place in (0, 1, len(allowed)):
        said = subprocess.run(
            [sys.executable, "-c", KEEPS, str(place)], cwd=ROOT, capture_output=True, text=True
        ).stdout
        assert said.strip() == f"[({allowed[place % len(allowed)]},)] 4"


CROWDED = """
import sys, time
from dataelan_web import processors

free = int(sys.argv[1])
processors._shares = lambda before, after: {one: 0.1 if one == free else 1.0 for one in after}
processors.EVERY = 0.5
processors.keep_to_one(0)
print("here", flush=True)
time.sleep(60)
"""


@SEVERAL
def test_it_leaves_one_that_others_keep_to() -> None:
    """How busy each is, is told: while other tests run there may be no room."""
    first, free = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))
    command = [sys.executable, "-c", CROWDED, str(free)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == b"here\n"
            assert os.sched_getaffinity(process.pid) == {first}
            wait_until(lambda: os.sched_getaffinity(process.pid) == {free})
        finally:
            process.kill()


@SEVERAL
def test_how_busy_each_is_can_be_read() -> None:
    before = processors._times()
    assert before.keys() >= os.sched_getaffinity(0)
    assert all(0 <= share <= 1 for share in processors._shares(before, processors._times()).values())
