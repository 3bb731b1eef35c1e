"""Bodies without measure are refused, cost little memory, and keep nobody from being answered. Attack case 45."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlencode

import pytest
from flask import Flask

from . import people
from .conftest import TO_START, answers, free_port, process, wait_until

MB = 1024 * 1024
GROWTH = 100 * MB
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"


@pytest.fixture(scope="module")
def web(app: Flask, environment: dict[str, str]) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """(host and port, the process)"""
    port = free_port()
    with process(["serve.py", "--port", str(port)], environment) as running:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/healthz"), TO_START)
        yield f"127.0.0.1:{port}", running


def memory(running: subprocess.Popen[bytes]) -> int:
    """Bytes that this process and those it has begun hold."""
    ids = [str(running.pid)]
    for one in ids:
        ids += Path(f"/proc/{one}/task/{one}/children").read_text().split()
    pages = sum(int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in ids)
    return pages * os.sysconf("SC_PAGE_SIZE")


def parts(count: int) -> bytes:
    one = b'--x\r\nContent-Disposition: form-data; name="email"\r\n\r\na\r\n'
    return one * count + b"--x--\r\n"


BODIES: dict[str, Callable[[], tuple[str, bytes]]] = {
    "100 MB of JSON": lambda: ("application/json", b'{"model": "' + b"a" * (100 * MB) + b'"}'),
    "100 MB of form": lambda: (FORM, b"email=" + b"a" * (100 * MB)),
    "100,000 keys of JSON": lambda: ("application/json", json.dumps({f"k{n}": n for n in range(100_000)}).encode()),
    "100,000 levels of JSON": lambda: ("application/json", b'{"messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "100,000 fields": lambda: (FORM, urlencode([(f"k{n}", n) for n in range(100_000)]).encode()),
    "100,000 parts": lambda: (MULTIPART, parts(100_000)),
    "a part led by line ends": lambda: (MULTIPART, parts(1)[:-7] + b"\r\n" * 5_000_000 + b"\r\n--x--\r\n"),
    "a part of line ends in front": lambda: (MULTIPART, b"\r" * 10_000_000 + parts(1)),
}


def sent(address: str, path: str, kind: str, body: bytes, **headers: str) -> int:
    """The status; 0: the line was closed before all of it was sent."""
    line = http.client.HTTPConnection(address, timeout=30)
    with suppress(BrokenPipeError, ConnectionResetError):  # it has read enough, and what it said may still be there
        line.request("POST", path, body, {"Content-Type": kind, **headers})
    try:
        return line.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        line.close()


@pytest.mark.parametrize("what", BODIES)
def test_it_is_refused_soon_and_costs_little_memory(
    web: tuple[str, subprocess.Popen[bytes]], app: Flask, acme: people.Cast, what: str
) -> None:
    """By a page's form and by a program that has shown its token."""
    address, running = web
    kind, body = BODIES[what]()
    before, began = memory(running), time.monotonic()
    for path, headers in (("/login", {}), ("/v1/chat/completions", {"Authorization": f"Bearer {acme.token()}"})):
        assert sent(address, path, kind, body, **headers) in (0, 400, 403, 408, 413, 415, 422), path
    assert time.monotonic() - began < 30
    assert answers(f"http://{address}/healthz")
    assert memory(running) - before < GROWTH


@pytest.mark.parametrize("path", ["/login", "/v1/chat/completions"])
def test_a_body_in_pieces_without_an_end_is_read_no_further_than_may_be_sent(
    web: tuple[str, subprocess.Popen[bytes]], app: Flask, acme: people.Cast, path: str
) -> None:
    address, running = web
    host, _, port = address.partition(":")
    before, told = memory(running), b""
    head = f"POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {acme.token()}\r\n"
    head += f"Content-Type: {FORM if path == '/login' else 'application/json'}\r\nTransfer-Encoding: chunked\r\n\r\n"
    piece = b"10000\r\n" + b"a" * 65536 + b"\r\n"
    with socket.create_connection((host, int(port)), timeout=30) as line:
        line.sendall(head.encode())
        taken = 0
        with suppress(OSError):
            while taken < 200 * MB:
                line.sendall(piece)
                taken += 65536
        with suppress(OSError):
            told = line.recv(100)
    assert taken < 50 * MB
    assert told == b"" or told.split()[1] in (b"400", b"403", b"408", b"413"), told
    assert answers(f"http://{address}/healthz")
    assert memory(running) - before < GROWTH
