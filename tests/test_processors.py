"""Processes of a data directory keep to one processor each, as far apart as there are processors."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT

SEVERAL = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="there is one processor, or no way to keep to one",
)

KEEPS = """
import os, sys, threading
from pathlib import Path
from dataelan_web.processors import keep_to_one

threading.Thread(target=threading.Event().wait, daemon=True).start()
keep_to_one(Path(sys.argv[1]))
threading.Thread(target=threading.Event().wait, daemon=True).start()
kept = {tuple(sorted(os.sched_getaffinity(int(one)))) for one in os.listdir("/proc/self/task")}
print(*(" ".join(map(str, one)) for one in kept), sep=",", flush=True)
sys.stdin.read()
"""


class Kept:
    """A process with three threads."""

    def __init__(self, data_dir: Path):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen([sys.executable, "-c", KEEPS, str(data_dir)], cwd=ROOT, text=True, **pipes)
        assert self.process.stdout
        self.to = self.process.stdout.readline().strip()
        """The processors of all of its threads."""

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@SEVERAL
def test_each_keeps_to_one_and_they_are_as_far_apart_as_can_be(tmp_path: Path) -> None:
    allowed = sorted(map(str, os.sched_getaffinity(0)))
    kept = [Kept(tmp_path) for _ in range(2 * len(allowed))]
    try:
        assert sorted(one.to for one in kept[: len(allowed)]) == allowed
        assert sorted(one.to for one in kept[len(allowed) :]) == allowed
        kept[1].kill()
        kept[1] = Kept(tmp_path)
        assert kept[1].to == kept[len(allowed) + 1].to, "who is gone leaves a place, which the next takes"
    finally:
        for one in kept:
            one.kill()


@SEVERAL
def test_where_no_lock_can_be_had_it_keeps_to_none(tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("")
    one = Kept(tmp_path / "a file")
    one.kill()
    assert one.to == " ".join(map(str, sorted(os.sched_getaffinity(0))))


OUT_OF_THE_WAY = """
import os, sys, threading
from pathlib import Path
from dataelan_web.processors import NICE, keep_to_one, out_of_the_way

def place():
    return os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

def of_a_thread():
    found = []
    one = threading.Thread(target=lambda: found.append(place()))
    one.start(), one.join()
    return found

allowed, usual = place()
assert out_of_the_way(place) == (allowed, max(usual, NICE)), "it keeps to none"
keep_to_one(Path(sys.argv[1]))
own, _ = place()
aside = allowed - own, max(usual, NICE)
assert out_of_the_way(lambda: [place(), *of_a_thread()]) == [aside, aside]
try:
    out_of_the_way(lambda: {}["nothing"])
except KeyError as error:
    assert error.args == ("nothing",)
assert place() == (own, usual)
"""


@SEVERAL
def test_what_works_long_without_pythons_lock_is_out_of_the_way_of_who_needs_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OUT_OF_THE_WAY, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
