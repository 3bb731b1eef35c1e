"""What a process keeps outlives it, and is read by who comes after it alone."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dataelan_web import spool
from dataelan_web.spool import Spool, left_behind

from .conftest import ROOT

KEEPS = """
import sys, time
from pathlib import Path
from dataelan_web.spool import Spool

spool = Spool(Path(sys.argv[1]))
for word in (b"first", b"second"):
    assert spool.keep(word)
spool.turn()
assert spool.keep("d\u00fcnner".encode())
print("kept", flush=True)
time.sleep(60)
"""


def read(directory: Path) -> list[bytes]:
    return [what for left in left_behind(directory) for what in left.read()]


def test_what_a_killed_process_kept_is_read_and_that_of_a_living_one_is_not(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", KEEPS, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"kept\n"
        assert read(tmp_path) == []
        process.send_signal(signal.SIGKILL)
    assert read(tmp_path) == [b"first", b"second", "dünner".encode()]
    for left in left_behind(tmp_path):
        assert [another.read() for another in left_behind(tmp_path)] == []  # while one reads it, nobody else does
        left.remove()
    assert list(tmp_path.iterdir()) == []


def test_what_is_forgotten_is_gone_word_for_word(tmp_path: Path) -> None:
    mine = Spool(tmp_path)
    mine.keep(b"a secret of before")
    mine.turn()
    mine.keep(b"a secret of after")
    mine.forget()
    (path,) = tmp_path.iterdir()
    assert b"a secret of before" not in path.read_bytes()
    assert b"a secret of after" in path.read_bytes()
    mine.turn()
    mine.keep(b"the next")
    mine.forget()
    assert b"secret" not in path.read_bytes()
    assert b"the next" in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_has_no_room_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "HALF", 64)
    mine = Spool(tmp_path)
    for half in (b"x", b"y"):  # a half of 64 bytes, with a head for each and for none after it
        assert not mine.keep(half * 49)
        assert mine.keep(half * 20)
        assert not mine.keep(half * 21)
        assert mine.keep(half * 20)
        assert not mine.keep(b"")
        mine.turn()
    (path,) = tmp_path.iterdir()
    assert path.read_bytes().count(b"x" * 20) == path.read_bytes().count(b"y" * 20) == 2


def test_what_is_not_whole_ends_its_half(tmp_path: Path) -> None:
    mine = Spool(tmp_path)
    for word in (b"whole", b"broken", b"after it"):
        mine.keep(word)
    mine.turn()
    mine.keep(b"of the other half")
    (path,) = tmp_path.iterdir()
    said = path.read_bytes()
    del mine  # as its process would
    path.write_bytes(said.replace(b"broken", b"br0ken"))
    assert read(tmp_path) == [b"whole", b"of the other half"]
    path.write_bytes(said[:10])
    assert read(tmp_path) == []
