"""Somebody's program on loopback that is told things: what it got, and what it answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook as Verifier


@dataclass(frozen=True)
class Got:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> dict[str, Any]:
        """The payload, if an implementation that is not ours finds the signature right."""
        payload: dict[str, Any] = Verifier(secret).verify(self.body, self.headers)
        return payload


@dataclass
class Receiver:
    url: str = ""
    got: list[Got] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    """Statuses to answer with, one after the other; then 204."""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    open: threading.Event = field(default_factory=threading.Event)
    """Cleared: it takes what comes and does not answer."""


@contextmanager
def receiver() -> Iterator[Receiver]:
    us = Receiver()
    us.open.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            us.got.append(Got(self.path, headers, body))
            us.open.wait(30)
            self.send_response(us.answers.pop(0) if us.answers else 204)
            for name, value in {**us.headers, "Content-Length": str(len(us.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(us.body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    us.url = f"http://127.0.0.1:{server.server_port}/hook"
    try:
        yield us
    finally:
        us.open.set()
        server.shutdown()
        server.server_close()
