"""Who sends slowly is not waited for, and keeps nobody else from anything (attack case 45)."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from flask import Flask

from dataelan_web.bodies import AT_ONCE_FROM_ONE, Bodies

from . import people
from .conftest import answers, free_port, process, wait_until
from .slow_bodies import MOST

SLOW = 300
"""More than there are threads."""


@pytest.fixture
def web() -> Iterator[httpx2.Client]:
    port = free_port()
    command = f"-m granian --interface wsgi --port {port} --no-ws --blocking-threads 256 tests.slow_bodies:app"
    with process(command.split(), {}), httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        wait_until(lambda: answers(str(client.base_url)), 60)
        yield client


def test_bodies_that_come_slowly_are_given_up_and_hold_up_nobody(web: httpx2.Client) -> None:
    port = web.base_url.port
    assert port
    with ThreadPoolExecutor(SLOW) as senders:
        ends = [senders.submit(sent_slowly, port) for _ in range(SLOW)]
        wait_until(lambda: int(web.get("/").text) == AT_ONCE_FROM_ONE, 20)
        assert web.get("/", timeout=5).status_code == 200
        told = Counter(end.result() for end in ends)
    assert told.keys() <= {"408", "503", "closed"}
    assert told["503"] > told["408"] + told["closed"] > 0
    wait_until(lambda: web.get("/").text == "0", 20)
    assert web.post("/", content=b"a" * 5_000_000).text == "5000000"


def sent_slowly(port: int) -> str:
    """How a sender of ten bytes a second is answered."""
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 100000\r\n\r\n")
        line.settimeout(0.1)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                line.sendall(b"a")
                if found := line.recv(100):
                    return found.split()[1].decode()
                return "closed"
            except TimeoutError:
                continue
            except OSError:
                return "closed"
    return "waited for"


def test_who_sends_much_at_a_fair_rate_is_waited_for(web: httpx2.Client) -> None:
    def in_pieces() -> Iterator[bytes]:
        for _ in range(8):
            yield b"a" * 20_000
            time.sleep(0.3)

    assert web.post("/", content=in_pieces(), timeout=30).text == "160000"
    kept = int(web.post("/", content=b"a" * (MOST + 50_000)).text)
    assert MOST < kept < MOST + 50_000, "enough to see that it is too much"


def test_it_stands_before_every_form(app: Flask, acme: people.Cast) -> None:
    class Slow:
        def read(self, size: int = -1) -> bytes:
            time.sleep(0.5)
            return b"a"

    stands = app.wsgi_app
    while not isinstance(stands, Bodies):
        stands = stands._app if hasattr(stands, "_app") else stands.app  # type: ignore[attr-defined]
    patience, stands._patience = stands._patience, 0.1
    try:
        said = {"wsgi.input": Slow(), "CONTENT_LENGTH": "1000", "CONTENT_TYPE": "application/x-www-form-urlencoded"}
        answer = people.browser(app).post("/login", environ_overrides=said)
    finally:
        stands._patience = patience
    assert answer.status_code == 408
    assert "came too slowly" in answer.get_data(as_text=True)
