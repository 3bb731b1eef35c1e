"""The memory that answers share: small ones take none, large ones wait for it or are told, and all of it comes back."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from dataelan_web.router import room as rooms
from dataelan_web.router import wire
from dataelan_web.router.plan import Plan
from dataelan_web.router.room import COST, MEGABYTE, Room
from dataelan_web.router.run import run
from dataelan_web.router.stop import Stop
from dataelan_web.router.types import OUR_OWN, Asset, Done, Failure, Kind, Prompt, Task, Text, user
from dataelan_web.router.wire import Clients, Deadlines

from .test_run import ENDING, PROMPT, Book, Provider, chunk, response, says, step, streams

SOON = Deadlines(total=30)


def answer(size: int) -> bytes:
    message = {"content": "x" * size}
    return json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()


def ask(http: Clients, provider: Provider, stop: Stop | None = None, prompt: Prompt = PROMPT) -> int:
    """How many characters were said."""
    plan = Plan((step(provider),))
    events = run(plan, prompt, http, Book(), lambda step: "k", stop or Stop(), SOON)
    return sum(len(event.delta) for event in events if isinstance(event, Text))


# -- over the wire -----------------------------------------------------------------------------------


def test_answers_take_no_more_than_there_is_and_all_comes_back(provider: Provider) -> None:
    provider.answers(says(response(answer(4 * MEGABYTE))))
    most = 0
    with wire.clients(memory=64 * MEGABYTE) as http, ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, http, provider) for _ in range(8)]  # each takes 24 MB
        while not all(one.done() for one in asked):
            most = max(most, http.room.taken)
            time.sleep(0.001)
        assert [one.result() for one in asked] == [4 * MEGABYTE] * 8
        assert 20 * MEGABYTE < most <= 64 * MEGABYTE
        assert http.room.taken == 0


def test_an_answer_that_finds_no_room_is_our_own_failure(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "PATIENCE", 0.3)
    provider.answers(says(response(answer(4 * MEGABYTE))))
    with wire.clients(memory=64 * MEGABYTE) as http:
        assert http.room.take(60 * MEGABYTE, 0, lambda: False)
        with pytest.raises(Failure, match="too little memory") as caught:
            ask(http, provider)
        assert (caught.value.kind, caught.value.code, caught.value.sent) == (Kind.TRANSIENT, OUR_OWN, True)
        caught.value.__traceback__ = None
        assert http.room.taken == 60 * MEGABYTE


def test_an_answer_waits_for_room(provider: Provider) -> None:
    provider.answers(says(response(answer(4 * MEGABYTE))))
    with wire.clients(memory=64 * MEGABYTE) as http:
        assert http.room.take(60 * MEGABYTE, 0, lambda: False)
        threading.Timer(0.4, http.room.give_back, [60 * MEGABYTE]).start()
        started = time.monotonic()
        assert ask(http, provider) == 4 * MEGABYTE
        assert time.monotonic() - started > 0.3
        assert http.room.taken == 0


def test_a_stop_ends_the_wait_for_room(provider: Provider) -> None:
    provider.answers(says(response(answer(4 * MEGABYTE))))
    stop = Stop()
    with wire.clients(memory=64 * MEGABYTE) as http:
        assert http.room.take(60 * MEGABYTE, 0, lambda: False)
        threading.Timer(0.3, stop.request).start()
        started = time.monotonic()
        with pytest.raises(Failure) as caught:
            ask(http, provider, stop)
        assert caught.value.kind is Kind.ABORTED
        assert time.monotonic() - started < 1.3


def test_usual_answers_and_long_streams_take_nothing(provider: Provider) -> None:
    with wire.clients(memory=64 * MEGABYTE) as http:
        assert http.room.take(64 * MEGABYTE, 0, lambda: False)
        provider.answers(says(response(answer(40_000))))
        assert ask(http, provider) == 40_000
        provider.answers(streams(*[chunk("four") * 50] * 100, ENDING))  # 5,000 tokens, 330 KB as they come
        assert ask(http, provider) == 20_000


def test_what_announces_itself_as_too_large_is_not_read(provider: Provider) -> None:
    provider.answers(says(response(b"{}").replace(b"content-length: 2", b"content-length: 60000000")))
    with wire.clients() as http, pytest.raises(Failure, match=r"larger than Dataelan accepts \(24 MB\)"):
        ask(http, provider)


@pytest.mark.parametrize("announced", [True, False])
def test_words_are_bounded_more_narrowly_than_pictures(provider: Provider, announced: bool) -> None:
    large = response(answer(25 * MEGABYTE))
    provider.answers(says(large if announced else large.replace(b"content-length", b"x-length")))
    with wire.clients() as http:
        with pytest.raises(Failure, match=r"larger than Dataelan accepts \(24 MB\)"):
            ask(http, provider)
        picture = json.dumps({"data": [{"b64_json": "iVBO" * (7 * MEGABYTE)}]}).encode()
        provider.answers(says(response(picture)))
        drawn = replace(step(provider), candidate=replace(step(provider).candidate, task=Task.IMAGE))
        prompt = Prompt((user("A fox"),), Task.IMAGE)
        events = list(run(Plan((drawn,)), prompt, http, Book(), lambda step: "k", Stop(), SOON))
    assert [len(event.content) for event in events if isinstance(event, Asset)] == [21 * MEGABYTE]
    assert isinstance(events[-1], Done)


def test_a_stream_is_bounded_by_what_is_kept_of_it(provider: Provider) -> None:
    provider.answers(streams(*[chunk("x" * MEGABYTE)] * 30))
    with wire.clients() as http, pytest.raises(Failure, match=r"larger than Dataelan accepts \(24 MB\)"):
        ask(http, provider)


def test_answers_that_say_nothing_of_their_size_do_not_take_what_another_needs(provider: Provider) -> None:
    """All of them grow at once, and together they would need three times what there is."""
    large = response(answer(20 * MEGABYTE)).replace(b"content-length", b"x-length")
    provider.answers(says(large))
    with wire.clients(memory=256 * MEGABYTE) as http, ThreadPoolExecutor(6) as pool:
        said = list(pool.map(lambda _: ask(http, provider), range(6)))
    assert said == [20 * MEGABYTE] * 6


# -- a share -----------------------------------------------------------------------------------------


def test_a_share_takes_in_steps_and_is_given_back_once() -> None:
    room = Room(64 * MEGABYTE)
    share = room.share()
    share.begin(Task.CHAT)
    share.came(40_000, time.monotonic(), Stop())
    assert room.taken == 0
    share.came(60_000, time.monotonic(), Stop())
    assert room.taken == MEGABYTE
    share.became(Text("x" * MEGABYTE))
    share.came(1, time.monotonic(), Stop())
    assert COST * MEGABYTE <= room.taken <= (COST + 1) * MEGABYTE
    share.shrink(MEGABYTE)
    assert room.taken == MEGABYTE
    share.give_back()
    share.give_back()
    assert room.taken == 0


def test_a_share_that_is_lost_is_given_back() -> None:
    room = Room(64 * MEGABYTE)
    share = room.share()
    share.came(5 * MEGABYTE, time.monotonic(), Stop())
    assert room.taken
    del share
    assert room.taken == 0
