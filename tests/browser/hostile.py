"""A provider that streams whatever a test wants, cut into pieces at awkward places."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle

SIZES = (1, 3, 2, 7, 5, 13, 1, 29)
PAUSE_EVERY = 120
"""Pieces between pauses long enough that the page gets what came so far, mid-tag as it may be."""
HELD = 45
"""Seconds that a last piece is held at most: less than anybody waits for one."""


@dataclass
class Hostile:
    url: str = ""
    text: str = ""
    reasoning: str = ""
    error: str = ""
    """When set: a refusal with this message, instead of an answer."""
    may_end: threading.Event = field(default_factory=threading.Event)
    """While it is not set, an answer stays without its last piece: whoever looks at it sees it being written."""

    def __post_init__(self) -> None:
        self.may_end.set()

    @contextmanager
    def unfinished(self) -> Iterator[None]:
        self.may_end.clear()
        try:
            yield
        finally:
            self.may_end.set()


def pieces(text: str) -> Iterator[str]:
    at, sizes = 0, cycle(SIZES)
    while at < len(text):
        size = next(sizes)
        yield text[at : at + size]
        at += size


@contextmanager
def hostile_provider() -> Iterator[Hostile]:
    told = Hostile()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if told.error:
                self._head(400, "application/json")
                self.wfile.write(json.dumps({"error": {"message": told.error, "type": told.error}}).encode())
                return
            self._head(200, "text/event-stream")
            self._stream("reasoning_content", told.reasoning)
            self._stream("content", told.text[:-1])
            told.may_end.wait(HELD)
            self._stream("content", told.text[-1:])
            self._chunk({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
            self._chunk({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}})
            self.wfile.write(b"data: [DONE]\n\n")

        def _stream(self, field: str, text: str) -> None:
            for number, piece in enumerate(pieces(text), 1):
                self._chunk({"choices": [{"index": 0, "delta": {field: piece}, "finish_reason": None}]})
                if number % PAUSE_EVERY == 0:
                    time.sleep(0.05)

        def _chunk(self, document: object) -> None:
            self.wfile.write(f"data: {json.dumps(document)}\n\n".encode())

        def _head(self, status: int, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{server.server_port}/v1"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
