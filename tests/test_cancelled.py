"""Whoever is cut off in the middle of a request leaves nothing for the next: neither half an answer in a connection of
the pool, nor somebody else's. Attack case 9."""

from __future__ import annotations

import http.client
import json
import random
import socket
import struct
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from threading import Event

import pytest
import redis
from flask import Flask
from sqlalchemy import create_engine, text

from dataelan_web.extensions import db
from dataelan_web.jobs.queue import store

from . import people
from .conftest import TO_START, answers, free_port, process, wait_until

CANCELS, CALLS = 1000, 300
CLIENTS = 6
OURS = "cut-off"
"""What the server's connections are called in PostgreSQL and Valkey: none but those are cut."""
MODEL = "simulated/simulated-instant"


@dataclass
class Caller:
    """Somebody of an organization of their own, whose name stands in all that they may be answered."""

    name: str
    cookie: str
    token: str
    session_url: str


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""
    says: str = ""
    """What a whole answer holds, and no answer to another request does."""

    @property
    def raw(self) -> bytes:
        head = {"Host": "127.0.0.1", **self.headers, "Content-Length": str(len(self.body))}
        lines = (f"{name}: {value}" for name, value in head.items())
        return (
            f"{self.method} {self.path} HTTP/1.1\r\n".encode() + "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body
        )


@pytest.fixture(scope="module")
def address(app: Flask, environment: dict[str, str], simulated: str) -> Iterator[str]:
    port = free_port()
    redis_url = environment["REDIS_URL"]
    named = {"PGAPPNAME": OURS, "REDIS_URL": f"{redis_url}{'&' if '?' in redis_url else '?'}client_name={OURS}"}
    with process(["serve.py", "--port", str(port)], environment | named):
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/healthz"), TO_START)
        yield f"127.0.0.1:{port}"


@pytest.fixture
def callers(app: Flask, context: None) -> list[Caller]:
    made = []
    for _ in range(CLIENTS):
        cast = people.cast(f"of{uuid.uuid4().hex[:10]}")
        client = people.browser(app, cast.olivia)
        cookie = client.get_cookie("dataelan")
        assert cookie
        made.append(Caller(cast.session.title.split()[0], f"dataelan={cookie.value}", cast.token(), cast.session_url))
    return made


def something(whose: Caller, dice: random.Random) -> Asked:
    """A page, or a program's prompt: whole, or as a stream."""
    name = {"X-Request-ID": uuid.uuid4().hex}
    kind = dice.choice(("page", "page", "whole", "stream"))
    if kind == "page":
        return Asked("GET", whose.session_url, name | {"Cookie": whose.cookie}, says=f"{whose.name} session")
    said = f"{whose.name}{uuid.uuid4().hex}"
    body = {"model": MODEL, "messages": [{"role": "user", "content": said}], "stream": kind == "stream"}
    headers = name | {"Authorization": f"Bearer {whose.token}", "Content-Type": "application/json"}
    return Asked("POST", "/v1/chat/completions", headers, json.dumps(body).encode(), said)


def cut_off(address: str, asked: Asked, dice: random.Random) -> None:
    """While it is sent, worked on, or answered; by a farewell, or by a line that is dead."""
    host, _, port = address.partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        if dice.random() < 0.5:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sent = asked.raw
        line.sendall(sent if dice.random() < 0.9 else sent[: dice.randrange(1, len(sent))])
        if dice.random() < 0.5:
            time.sleep(dice.uniform(0, 0.06))
        else:
            line.settimeout(dice.uniform(0.001, 0.1))
            with suppress(OSError):
                line.recv(dice.randrange(1, 20_000))


def is_answered(line: http.client.HTTPConnection, asked: Asked, all_of: list[Caller], whose: Caller) -> int:
    """The status. Fails where the answer is not to this request, or has a word of anybody else's."""
    line.request(asked.method, asked.path, asked.body or None, asked.headers)
    answer = line.getresponse()
    told = answer.read().decode(errors="replace")
    assert answer.getheader("X-Request-ID") == asked.headers["X-Request-ID"], "the answer to another request"
    for other in all_of:
        assert other is whose or other.name not in told, f"{whose.name} was told something of {other.name}'s"
    if answer.status == 200 and "event: error" not in told and '"error"' not in told:
        assert asked.says in _joined(told), told[:2000]
    else:
        assert answer.status >= 500 or '"error"' in told, (answer.status, told[:2000])
        return 500
    return answer.status


def _joined(told: str) -> str:
    """A stream's words, which come in pieces."""
    if not told.startswith("data:"):
        return told
    pieces = [json.loads(line[6:]) for line in told.splitlines() if line.startswith("data: {")]
    return "".join((choice["delta"].get("content") or "") for piece in pieces for choice in piece.get("choices", ()))


@pytest.mark.sweep
def test_after_a_thousand_requests_that_were_cut_off_each_answer_is_to_its_own_request(
    address: str, callers: list[Caller]
) -> None:
    def run(place: int) -> int:
        dice, whose = random.Random(place), callers[place]
        line = http.client.HTTPConnection(address, timeout=30)
        for _ in range(CANCELS // CLIENTS + 1):
            cut_off(address, something(whose, dice), dice)
            assert is_answered(line, something(whose, dice), callers, whose) == 200
        line.close()
        return CANCELS // CLIENTS + 1

    with ThreadPoolExecutor(CLIENTS) as pool:
        assert sum(pool.map(run, range(CLIENTS))) >= CANCELS


@pytest.mark.sweep
def test_while_calls_of_the_databases_are_cancelled_nobody_gets_anothers_answer(
    address: str, callers: list[Caller]
) -> None:
    """PostgreSQL gives up a statement, or its process ends; Valkey closes a line in the middle of a call. Who is hit is
    told so, and the next is answered."""
    done, cut, told = Event(), Counter[str](), Counter[int]()

    def run(place: int) -> None:
        dice, whose = random.Random(place), callers[place]
        while not done.is_set():
            line = http.client.HTTPConnection(address, timeout=60)
            told[is_answered(line, something(whose, dice), callers, whose)] += 1
            line.close()

    with ThreadPoolExecutor(CLIENTS) as pool:
        asking = [pool.submit(run, place) for place in range(CLIENTS)]
        try:
            _cancel_calls(cut, until=lambda: sum(cut.values()) >= CALLS or any(one.done() for one in asking))
        finally:
            done.set()
        for one in asking:
            one.result()
    assert min(cut.values()) > 0
    assert min(told[200], told[500]) > CALLS / 10, "some were hit, and others went on"
    line = http.client.HTTPConnection(address, timeout=30)
    for place in range(60):
        whose = callers[place % CLIENTS]
        assert is_answered(line, something(whose, random.Random(place)), callers, whose) == 200


def _cancel_calls(cut: Counter[str], until: Callable[[], bool]) -> None:
    """Counts in `cut` only what was at work: a statement or its transaction, a call that was being answered."""
    dice, valkey = random.Random(9), store()
    engine = create_engine(db.engine.url, isolation_level="AUTOCOMMIT")
    busy = f"FROM pg_stat_activity WHERE application_name = '{OURS}' AND state <> 'idle' ORDER BY random() LIMIT 1"
    with engine.connect() as connection:
        while not until():
            how = dice.choice(("pg_cancel_backend", "pg_cancel_backend", "pg_terminate_backend", "valkey"))
            if how == "valkey":
                lines = [one for one in valkey.client_list() if one["name"] == OURS and int(one["idle"]) == 0]
                for one in lines[:1]:
                    with suppress(redis.ResponseError):  # it was gone
                        valkey.client_kill_filter(_id=one["id"])
                        cut[how] += 1
            else:
                cut[how] += len(connection.execute(text(f"SELECT {how}(pid) {busy}")).all())
            time.sleep(dice.uniform(0, 0.2))
    engine.dispose()
