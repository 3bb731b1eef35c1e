"""Health statistics in a real Valkey: shared by all, healing by themselves, and no harm done when it is away."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis

from dataelan_web.executions import health as keeping
from dataelan_web.executions.health import VOUCHED, ValkeyHealth, health
from dataelan_web.executions.health_form import CALLS, COUNTS, PREFIX
from dataelan_web.jobs.queue import connect
from dataelan_web.local.databases import servers
from dataelan_web.local.directory import Directory
from dataelan_web.router.health import Observation, Pair, Vital
from dataelan_web.router.types import Kind

ROOT = Path(__file__).parent.parent
GOOD = Observation(seconds=2.0, first_token_seconds=0.25)
LIMITED = Observation(Kind.RATE_LIMIT, 0.1, retry_after=60.0)
A_CALL_THAT_HANGS = """
import sys, time, uuid
from dataelan_web.executions.health import ValkeyHealth
from dataelan_web.jobs.queue import connect
url, *ids = sys.argv[1:]
model, key, call = map(uuid.UUID, ids)
health = ValkeyHealth(connect(url))
health.begin((model, key), call)
health.settle()
print("begun", flush=True)
time.sleep(60)
"""


@contextmanager
def running_valkey() -> Iterator[str]:
    """A Valkey of its own, to be emptied, cut off and stopped; its URL."""
    place = tempfile.mkdtemp(prefix="dataelan-test-")
    directory = Directory(place)
    with directory.held("testing"), servers(directory, {"REDIS_URL"}, durable=False) as environment:
        yield environment["REDIS_URL"]
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running_valkey() as url:
        yield url


@pytest.fixture
def valkey(url: str) -> Iterator[redis.Redis]:
    with connect(url) as client:
        yield client
        client.flushall()


def pair(key: UUID | None = None) -> Pair:
    return uuid4(), key or uuid4()


def call(kept: ValkeyHealth, pair: Pair, observation: Observation) -> None:
    called(kept, pair, observation)
    kept.settle()


def called(kept: ValkeyHealth, pair: Pair, observation: Observation) -> None:
    """As a prompt does it, which does not wait until it is written."""
    id = uuid4()
    kept.begin(pair, id)
    kept.end(pair, id, observation)


def vital(kept: ValkeyHealth, pair: Pair) -> Vital:
    return kept.read([pair]).get(pair, Vital())


def later(valkey: redis.Redis, seconds: float) -> ValkeyHealth:
    """As another worker sees it in so many seconds."""
    return ValkeyHealth(valkey, lambda: time.time() + seconds)


# -- what is kept ----------------------------------------------------------------------------------


def test_what_one_worker_learns_another_reads(valkey: redis.Redis) -> None:
    this, other, asked = ValkeyHealth(valkey), ValkeyHealth(valkey), pair()
    for _ in range(6):
        call(this, asked, GOOD)
    call(this, asked, LIMITED)
    found = vital(other, asked)
    assert (found.latency, found.first_token_ms, found.failures, found.in_flight) == (2.0, 250.0, 1, 0)
    assert found.success_rate(time.time()) == pytest.approx(6 / 7, abs=0.01)
    assert found.resting_until == pytest.approx(time.time() + 60, abs=5)
    assert found.why.startswith("rate limit at ")
    assert found == vital(this, asked)


def test_nothing_is_known_of_what_was_never_called(valkey: redis.Redis) -> None:
    asked, other = pair(), pair()
    kept = ValkeyHealth(valkey)
    call(kept, other, GOOD)
    assert kept.read([]) == {}
    assert set(kept.read([asked, other])) == {other}


def test_a_refused_key_rests_for_all_its_models_and_for_no_other_key(valkey: redis.Redis) -> None:
    kept, key = ValkeyHealth(valkey), uuid4()
    one, sibling, stranger = pair(key), pair(key), pair()
    call(kept, stranger, GOOD)
    call(kept, one, Observation(Kind.CREDENTIAL, 0.1))
    found, now = kept.read([one, sibling, stranger]), time.time()
    assert [found[each].share(now) for each in (one, sibling, stranger)] == [0, 0, 1]
    assert found[sibling].why.startswith("key refused at ")


def test_a_model_without_a_key_rests_alone(valkey: redis.Redis) -> None:
    kept, one, other = ValkeyHealth(valkey), (uuid4(), None), (uuid4(), None)
    call(kept, one, Observation(Kind.CREDENTIAL, 0.1))
    assert set(kept.read([one, other])) == {one}


def test_a_key_can_be_put_to_rest_and_woken_from_outside(valkey: redis.Redis) -> None:
    kept, asked, now = ValkeyHealth(valkey), pair(), time.time()
    assert asked[1]
    kept.rest_key(asked[1], Kind.TRANSIENT)
    kept.settle()
    assert kept.read([asked]) == {}
    kept.rest_key(asked[1], Kind.BILLING, retry_after=600.0)
    kept.settle()
    assert vital(kept, asked).resting_until == pytest.approx(now + 600, abs=5)
    kept.wake_key(asked[1])
    assert kept.read([asked]) == {}


def test_a_success_after_its_return_takes_a_keys_rest_away_for_all_its_models(valkey: redis.Redis) -> None:
    kept, key = ValkeyHealth(valkey), uuid4()
    one, sibling = pair(key), pair(key)
    kept.rest_key(key, Kind.BILLING)
    kept.settle()
    call(later(valkey, 3600), one, GOOD)
    assert set(kept.read([one, sibling])) == {one}


def test_what_was_not_used_for_a_day_is_forgotten_but_no_rest_before_its_end(valkey: redis.Redis) -> None:
    kept = ValkeyHealth(valkey)
    call(kept, pair(), GOOD)
    (name,) = valkey.scan_iter(f"{PREFIX}*")
    assert 86000 < valkey.ttl(name) <= 86400
    valkey.delete(name)
    call(kept, pair(), Observation(Kind.RATE_LIMIT, retry_after=3 * 86400.0))
    (name,) = valkey.scan_iter(f"{PREFIX}*")
    assert valkey.ttl(name) > 3 * 86400


def test_more_pairs_than_a_script_takes_are_read_too(valkey: redis.Redis) -> None:
    kept, pairs = ValkeyHealth(valkey), [pair() for _ in range(2500)]
    for place in (0, 999, 1000, 2499):
        call(kept, pairs[place], GOOD)
    assert list(kept.read(iter(pairs))) == [pairs[0], pairs[999], pairs[1000], pairs[2499]]


def test_what_was_read_a_moment_ago_is_read_once_for_several_choices(
    valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "GATHERED", 60)
    monkeypatch.setattr(keeping, "KEPT", 2)
    kept, (one, other, third), asked = ValkeyHealth(valkey), (pair(), pair(), pair()), list[Any]()
    read = kept._found
    monkeypatch.setattr(kept, "_found", lambda pairs: asked.append(pairs) or read(pairs))
    for _ in range(3):
        kept.read([one])
        kept.read(frozenset([one, other]))
    assert [len(pairs) for pairs in asked] == [1, 2]
    kept.read([third])
    assert len(kept._just_read) == 1, "no more than so many are kept"
    call(kept, one, GOOD)
    assert set(kept.read([one])) == {one}, "what is waited for is seen"


def test_an_application_has_one(context: None) -> None:
    assert health() is health()
    asked = pair()
    call(health(), asked, GOOD)
    assert vital(health(), asked).latency == 2.0


# -- calls in flight -------------------------------------------------------------------------------


def test_calls_in_flight_are_counted_over_all_workers(valkey: redis.Redis) -> None:
    this, other, asked, id = ValkeyHealth(valkey), ValkeyHealth(valkey), pair(), uuid4()
    this.begin(asked, id)
    this.begin(asked, id)
    other.begin(asked, uuid4())
    this.settle()
    other.settle()
    assert vital(this, asked).in_flight == 2
    this.end(asked, id, GOOD)
    this.end(asked, id, GOOD)
    this.settle()
    assert vital(other, asked).in_flight == 1


def test_what_a_killed_worker_had_in_flight_is_taken_off(valkey: redis.Redis, url: str) -> None:
    asked = pair()
    ids = [str(asked[0]), str(asked[1]), str(uuid4())]
    command = [sys.executable, "-c", A_CALL_THAT_HANGS, url, *ids]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as worker:
        assert worker.stdout
        assert worker.stdout.readline() == b"begun\n"
        os.kill(worker.pid, signal.SIGKILL)
    assert vital(ValkeyHealth(valkey), asked).in_flight == 1
    assert vital(later(valkey, VOUCHED + 1), asked).in_flight == 0
    assert (valkey.zcard(CALLS), valkey.hlen(COUNTS)) == (0, 0)


def test_a_long_call_stays_counted_while_its_worker_lives(valkey: redis.Redis) -> None:
    hour, asked = [0.0], pair()
    worker = ValkeyHealth(valkey, lambda: time.time() + hour[0])
    worker.begin(asked, uuid4())
    worker.settle()
    for _ in range(5):
        hour[0] += VOUCHED - 1
        worker.vouch()
        assert vital(later(valkey, hour[0] + 1), asked).in_flight == 1


def test_a_call_that_was_taken_off_too_early_is_not_taken_off_twice(valkey: redis.Redis) -> None:
    kept, asked, slow = ValkeyHealth(valkey), pair(), uuid4()
    kept.begin(asked, slow)
    kept.settle()
    late = later(valkey, VOUCHED + 1)
    assert vital(late, asked).in_flight == 0
    late.begin(asked, uuid4())
    late.settle()
    kept.vouch()
    kept.end(asked, slow, GOOD)
    kept.settle()
    assert vital(late, asked).in_flight == 1


# -- many at once ----------------------------------------------------------------------------------


def test_calls_that_end_at_once_are_counted_and_none_stays_in_flight(valkey: redis.Redis) -> None:
    asked = pair()
    found = at_once(valkey, asked, [GOOD] * 400)
    assert found.in_flight == 0
    assert found.calls > 390
    assert found.latency == pytest.approx(2.0)


def test_a_rest_is_never_lost_among_many_that_write(valkey: redis.Redis) -> None:
    for place in range(20):
        asked = pair()
        found = at_once(valkey, asked, [*[GOOD] * place, LIMITED, *[GOOD] * (40 - place)])
        assert found.resting_until > time.time() + 50


def at_once(valkey: redis.Redis, asked: Pair, observations: Sequence[Observation]) -> Vital:
    """What is known of it after many threads of four workers have written that."""
    workers = [ValkeyHealth(valkey) for _ in range(4)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(called, cycle(workers), [asked] * len(observations), observations))
    for worker in workers:
        worker.settle()
    return vital(workers[0], asked)


# -- emptied, cut off, away ------------------------------------------------------------------------


def test_an_emptied_valkey_means_that_nothing_was_measured(valkey: redis.Redis) -> None:
    kept, asked, id = ValkeyHealth(valkey), pair(), uuid4()
    call(kept, asked, GOOD)
    kept.begin(asked, id)
    kept.settle()
    valkey.flushall()
    valkey.script_flush()
    assert kept.read([asked]) == {}
    kept.end(asked, id, GOOD)
    kept.settle()
    found = vital(kept, asked)
    assert (found.in_flight, found.latency) == (0, 2.0)


def test_a_cut_connection_loses_nothing(valkey: redis.Redis) -> None:
    kept, asked = ValkeyHealth(valkey), pair()
    call(kept, asked, GOOD)
    valkey.client_kill_filter(_type="normal", skipme=True)
    assert vital(kept, asked).latency == 2.0


SOON = 0.6
"""Seconds for which a Valkey that was away is left alone, where a test waits for their end."""


def test_without_valkey_prompts_go_on_at_once_and_one_line_is_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "LEFT_ALONE", SOON)
    asked = pair()
    with ExitStack() as stack:
        kept = ValkeyHealth(connect(stack.enter_context(running_valkey())))
        call(kept, asked, GOOD)
    with caplog.at_level(logging.WARNING):
        for _ in range(20):
            assert took(kept, asked) < 0.2
        time.sleep(SOON + 0.1)
        assert took(kept, asked) < 0.2
    lines = [record.message for record in caplog.records if "Valkey is away" in record.message]
    assert len(lines) == 1


def test_a_valkey_that_does_not_answer_delays_a_prompt_by_a_moment() -> None:
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen()
        url = f"redis://127.0.0.1:{hole.getsockname()[1]}/0"
        at_first = min(took(kept := ValkeyHealth(connect(url)), pair()) for _ in range(3))  # the machine may be busy
        assert 0.04 < at_first < 0.3
        assert min(took(kept, pair()) for _ in range(3)) < 0.01


def test_a_rest_is_not_lost_while_valkey_hangs_for_a_moment(valkey: redis.Redis) -> None:
    kept, asked = ValkeyHealth(valkey), pair()
    valkey.execute_command("CLIENT", "PAUSE", 300, "ALL")
    assert took(kept, asked) < 0.3
    kept.settle()
    assert vital(ValkeyHealth(valkey), asked).share(time.time()) == 0


def test_a_valkey_that_hangs_is_asked_again_once_it_answers(
    valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "LEFT_ALONE", SOON)
    kept, asked = ValkeyHealth(valkey), pair()
    call(kept, asked, GOOD)
    valkey.execute_command("CLIENT", "PAUSE", 300, "ALL")
    assert kept.read([asked]) == {}
    time.sleep(SOON + 0.1)
    assert vital(kept, asked).latency == 2.0


def took(kept: ValkeyHealth, asked: Pair) -> float:
    """Seconds that one prompt spends on it."""
    started = time.perf_counter()
    assert kept.read([asked]) == {}
    called(kept, asked, LIMITED)
    return time.perf_counter() - started
