"""A provider of the test's own: it answers what it is told to, and remembers every request it got."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

RECORDINGS = Path(__file__).parents[2] / "shared" / "recordings"


@dataclass
class Reply:
    body: bytes
    status: int = 200
    content_type: str = "application/json"
    rest: bytes = b""
    """Sent after the body once `go_on` is set."""
    go_on: threading.Event = field(default_factory=threading.Event)
    breaks_off: bool = False
    """Ends the connection in place of the `rest`."""

    def to(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(self.status)
        handler.send_header("Content-Type", self.content_type)
        handler.send_header("Content-Length", str(len(self.body) + len(self.rest)))
        handler.end_headers()
        handler.wfile.write(self.body)
        if self.rest and self.go_on.wait(10) and not self.breaks_off:
            handler.wfile.write(self.rest)
        handler.close_connection = self.breaks_off


@dataclass
class Upstream:
    """`reply` is what the next requests get; those with a key of `by_key`, or to a path of `by_path`, what is there."""

    url: str = ""
    reply: Reply = field(default_factory=lambda: Reply(b"{}"))
    by_key: dict[str, Reply] = field(default_factory=dict)
    by_path: dict[str, Reply] = field(default_factory=dict)
    requests: list[dict[str, Any]] = field(default_factory=list)

    def answers(self, document: Any, status: int = 200) -> None:
        self.reply = Reply(json.dumps(document).encode(), status)

    def streams(self, *documents: Any) -> None:
        body = "".join(f"data: {one if isinstance(one, str) else json.dumps(one)}\n\n" for one in documents)
        self.reply = Reply(body.encode(), content_type="text/event-stream")


class Server(ThreadingHTTPServer):
    request_queue_size = 128  # of those who come at once


@contextmanager
def upstream() -> Iterator[Upstream]:
    """An HTTP server on a free port of this machine, as a provider's base URL."""
    told = Upstream()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(size)
            told.requests.append(
                {"path": self.path, "headers": dict(self.headers), "body": json.loads(body) if body else None}
            )
            reply = told.by_key.get((self.headers.get("Authorization") or "").removeprefix("Bearer "), told.reply)
            told.by_path.get(self.path, reply).to(self)

        do_GET = do_POST = answer  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{server.server_port}/v1"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()


def recorded(api: str) -> Iterator[tuple[Reply, dict[str, Any]]]:
    """Every whole recorded stream of one wire format, with what it must parse to."""
    expected = json.loads((RECORDINGS / "expected.json").read_text())
    for row in json.loads((RECORDINGS / "index.json").read_text()):
        right = expected.get(row["id"], {})
        if row["api"] == api and row["stream"] and right.get("finish_norm"):  # some were cut while recording
            response = json.loads((RECORDINGS / "corpus" / f"{row['id']}.json").read_text())["response"]
            text = response["body"]
            body = base64.b64decode(text) if response["body_encoding"] == "base64" else text.encode()
            yield Reply(body, content_type="text/event-stream"), right | {"id": row["id"]}
