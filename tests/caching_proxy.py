"""A cache that stands before Dataelan, as some do: it keeps what no header forbids to keep, and knows no cookies."""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NOT_KEPT = re.compile(r"no-store|no-cache|private|max-age=0\b")
OF_A_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


@dataclass
class Cache:
    """`kept`: what was answered, by address and what its Vary names. `given`: addresses that were answered from it."""

    address: str
    heeds_cache_control: bool = True
    heeds_vary: bool = True
    kept: dict[tuple[str, tuple[str, ...]], tuple[int, list[tuple[str, str]], bytes]] = field(default_factory=dict)
    varies: dict[str, tuple[str, ...]] = field(default_factory=dict)
    given: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, path: str, headers: http.client.HTTPMessage) -> tuple[int, list[tuple[str, str]], bytes] | None:
        with self.lock:
            found = self.kept.get(self._key(path, headers))
            if found:
                self.given.append(path)
            return found

    def keep(
        self, path: str, headers: http.client.HTTPMessage, answer: tuple[int, list[tuple[str, str]], bytes]
    ) -> None:
        """Also an answer that sets a cookie, or was asked for with a token: no header of its own forbids that."""
        said = {name.lower(): value for name, value in answer[1]}
        if self.heeds_cache_control and NOT_KEPT.search(said.get("cache-control", "")):
            return
        with self.lock:
            names = said.get("vary", "") if self.heeds_vary else ""
            self.varies[path] = tuple(sorted(filter(None, (name.strip().lower() for name in names.split(",")))))
            self.kept[self._key(path, headers)] = answer

    def _key(self, path: str, headers: http.client.HTTPMessage) -> tuple[str, tuple[str, ...]]:
        return path, tuple(headers.get(name, "") for name in self.varies.get(path, ()))


@contextmanager
def caching(origin: str, cache: Cache) -> Iterator[str]:
    """Its address, for as long as the block lasts. `origin`: host and port of who is asked for what it has not."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer = cache.find(self.path, self.headers)
            if answer is None:
                answer = self._asked()
                cache.keep(self.path, self.headers, answer)
            status, headers, content = answer
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _asked(self) -> tuple[int, list[tuple[str, str]], bytes]:
            line = http.client.HTTPConnection(origin, timeout=30)
            line.request("GET", self.path, headers=dict(self.headers))
            answer = line.getresponse()
            content = answer.read()
            line.close()
            kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in OF_A_CONNECTION]
            return answer.status, kept, content

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
