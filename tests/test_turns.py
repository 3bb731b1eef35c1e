"""One at a time of those who do the same, and nobody for ever."""

from __future__ import annotations

import threading
import time

import pytest

from dataelan_web import turns


def test_the_same_is_done_by_one_at_a_time_and_something_else_beside_it() -> None:
    mine, came, at_once, most = turns.Turns(), threading.Barrier(9), list[int](), list[int]()

    def do(key: int) -> None:
        came.wait()
        with mine.alone(key):
            at_once.append(key)
            most.append(at_once.count(key))
            time.sleep(0.01)
            at_once.remove(key)

    threads = [threading.Thread(target=do, args=(number % 3,)) for number in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 9
    assert len(mine) == 0


def test_who_waited_long_goes_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE", 0.05)
    mine, done = turns.Turns(), list[str]()

    def do() -> None:
        with mine.alone("same"):
            done.append("second")

    with mine.alone("same"):
        second = threading.Thread(target=do)
        second.start()
        second.join()
        done.append("first")
    assert done == ["second", "first"]
    assert len(mine) == 0


def test_what_breaks_leaves_the_turn_to_the_next() -> None:
    mine = turns.Turns()
    with pytest.raises(ZeroDivisionError), mine.alone("same"):
        raise ZeroDivisionError
    before = time.monotonic()
    with mine.alone("same"):
        assert time.monotonic() - before < turns.PATIENCE / 2
