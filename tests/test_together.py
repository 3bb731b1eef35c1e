"""What several threads ask of the database at once goes in one message, and nobody suffers for another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from dataelan_web import together
from dataelan_web.together import Together

from .conftest import wait_until


class Line:
    """Says tens of what it is asked, one message at a time for as long as `open` is not set; keeps what it said."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.said: list[list[int]] = []
        self.fails: Callable[[Sequence[int]], Exception | None] = lambda asked: None

    def __call__(self, asked: Sequence[int]) -> list[int]:
        self.said.append(list(asked))
        assert self.open.wait(10)
        if error := self.fails(asked):
            raise error
        return [10 * one for one in asked]


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(100) as threads:
        yield threads


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """So much that no test's own slowness is taken for that of others."""
    monkeypatch.setattr(together, "PATIENCE", 10)
    monkeypatch.setattr(together, "UNDER_WAY", 1)


def behind(line: Line, asks: Together[int, int], threads: ThreadPoolExecutor, *asked: int) -> list[Future[int]]:
    """These, asked one after the other while a message with 0 is under way."""
    first = threads.submit(asks.ask, 0)
    wait_until(lambda: line.said == [[0]], 5)
    made = [first]
    for number, one in enumerate(asked, 1):
        made.append(threads.submit(asks.ask, one))
        wait_until(lambda number=number: len(asks._waiting) == number, 5)
    line.open.set()
    return made


def lost() -> OperationalError:
    return OperationalError("", None, Exception("cut"), connection_invalidated=True)


def refused() -> OperationalError:
    return OperationalError("", None, Exception("no"))


def test_those_who_come_meanwhile_go_in_one_message_and_each_is_told_its_own(
    line: Line, threads: ThreadPoolExecutor
) -> None:
    asks = Together(line)
    told = behind(line, asks, threads, 1, 2, 3)
    assert [one.result() for one in told] == [0, 10, 20, 30]
    assert line.said == [[0], [1, 2, 3]]
    assert asks.ask(4) == 40
    assert asks._under_way == 0


def test_one_alone_waits_for_nobody(line: Line) -> None:
    line.open.set()
    asks, started = Together(line), time.monotonic()
    assert [asks.ask(one) for one in range(100)] == [10 * one for one in range(100)]
    assert time.monotonic() - started < 5
    assert [len(one) for one in line.said] == [1] * 100


def test_a_message_that_fails_is_said_again_by_each_alone(line: Line, threads: ThreadPoolExecutor) -> None:
    line.fails = lambda asked: refused() if 2 in asked else None
    told = behind(line, Together(line), threads, 1, 2, 3)
    assert [told[place].result() for place in (0, 1, 3)] == [0, 10, 30]
    with pytest.raises(OperationalError):
        told[2].result()
    assert line.said[:2] == [[0], [1, 2, 3]]
    assert sorted(line.said[2:]) == [[1], [2], [3]]


def test_where_nobody_knows_what_was_written_each_is_told_so_and_nothing_is_said_again(
    line: Line, threads: ThreadPoolExecutor
) -> None:
    line.fails = lambda asked: lost() if 2 in asked else None
    asks = Together(line)
    told = behind(line, asks, threads, 1, 2, 3)
    assert told[0].result() == 0
    for one in told[1:]:
        with pytest.raises(OperationalError, match="cut"):
            one.result()
    assert line.said == [[0], [1, 2, 3]]
    assert asks.ask(4) == 40, "the next is sent as ever"


def test_a_message_holds_so_many_and_is_so_large(
    line: Line, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "MOST", 3)
    monkeypatch.setattr(together, "LARGEST", 100)
    told = behind(line, Together(line, lambda one: one), threads, 10, 20, 30, 40, 60, 1, 2)
    assert [one.result() for one in told] == [0, 100, 200, 300, 400, 600, 10, 20]
    assert line.said == [[0], [10, 20, 30], [40, 60], [1, 2]]


def test_nobody_waits_for_a_large_message(
    line: Line, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other they were each sent in less than the patience of those who waited for all of them."""
    monkeypatch.setattr(together, "LARGEST", 100)
    asks = Together(line, lambda one: one)
    large = [threads.submit(asks.ask, one) for one in (500, 600)]
    wait_until(lambda: len(line.said) == 2, 5)
    assert (asks._under_way, list(asks._waiting)) == (0, [])
    line.open.set()
    assert asks.ask(1) == 10
    assert [one.result() for one in large] == [5000, 6000]


def test_who_waits_too_long_goes_alone(
    line: Line, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "PATIENCE", 0.1)
    asks = Together(line)
    told = [threads.submit(asks.ask, one) for one in range(3)]
    wait_until(lambda: len(line.said) == 3, 5)
    assert not asks._waiting
    line.open.set()
    assert [one.result() for one in told] == [0, 10, 20]


def test_where_messages_are_answered_nobody_goes_alone_however_many_wait(
    threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "PATIENCE", 0.5)
    monkeypatch.setattr(together, "MOST", 2)
    said = list[int]()

    def say(asked: Sequence[int]) -> list[int]:
        said.append(len(asked))
        time.sleep(0.1)
        return [10 * one for one in asked]

    started = time.monotonic()
    asks = Together[int, int](say)
    told = [threads.submit(asks.ask, one) for one in range(21)]
    assert [one.result() for one in told] == [10 * one for one in range(21)]
    assert time.monotonic() - started > 0.9, "the last waited for longer than its patience"
    assert len(said) <= 12


def test_many_threads_are_each_told_their_own(threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    """With messages that fail, some of which would have been said alone."""
    monkeypatch.setattr(together, "PATIENCE", 0.002)
    monkeypatch.setattr(together, "UNDER_WAY", 2)

    def say(asked: Sequence[int]) -> list[int]:
        time.sleep(0.001)
        if len(asked) > 1 and any(one % 50 == 7 for one in asked):
            raise refused()
        return [10 * one for one in asked]

    asks = Together[int, int](say)
    told: list[Any] = list(threads.map(asks.ask, range(20_000)))
    assert told == [10 * one for one in range(20_000)]
    assert (asks._under_way, len(asks._waiting)) == (0, 0)
