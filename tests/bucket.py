"""A bucket that speaks enough of S3 to keep files: objects put, read in pieces, looked at, listed and deleted."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape, unescape


@dataclass
class Bucket:
    """`objects`: path, with the bucket's name before it → content. `signatures`: what each request was signed with."""

    url: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    signatures: list[str] = field(default_factory=list)
    is_away: bool = False


@contextmanager
def bucket() -> Iterator[Bucket]:
    kept = Bucket()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def begins(self) -> str:
            kept.signatures.append(self.headers.get("Authorization", ""))
            return unquote(urlsplit(self.path).path).lstrip("/")

        def answers(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def do_PUT(self) -> None:
            name, body = self.begins(), self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if kept.is_away:
                return self.answers(403, b"<Error><Code>AccessDenied</Code></Error>")
            kept.objects[name] = body
            return self.answers(200, ETag=f'"{hashlib.md5(body).hexdigest()}"')

        def do_GET(self) -> None:
            name, asked = self.begins(), parse_qs(urlsplit(self.path).query)
            if "list-type" in asked:
                return self.answers(200, self.listing(name.rstrip("/"), asked.get("prefix", [""])[0]))
            if name not in kept.objects:
                return self.answers(404, b"<Error><Code>NoSuchKey</Code></Error>")
            body = kept.objects[name]
            dated = {"Last_Modified": formatdate(usegmt=True), "ETag": f'"{hashlib.md5(body).hexdigest()}"'}
            if span := self.headers.get("Range"):
                start, end = (int(one) for one in span.removeprefix("bytes=").split("-"))
                piece = body[start : end + 1]
                where = f"bytes {start}-{start + len(piece) - 1}/{len(body)}"
                return self.answers(206, piece, Content_Range=where, **dated)
            return self.answers(200, body, **dated)

        do_HEAD = do_GET  # noqa: N815

        def do_POST(self) -> None:
            """Deletes several at once; what is not there is deleted too."""
            name, body = self.begins(), self.rfile.read(int(self.headers.get("Content-Length") or 0))
            keys = re.findall(r"<Key>(.*?)</Key>", body.decode())
            for key in keys:
                kept.objects.pop(f"{name.rstrip('/')}/{unescape(key)}", None)
            rows = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
            self.answers(200, f"<DeleteResult>{rows}</DeleteResult>".encode())

        def listing(self, name: str, prefix: str) -> bytes:
            rows = "".join(
                f"<Contents><Key>{escape(path.partition('/')[2])}</Key><Size>{len(body)}</Size>"
                "<LastModified>2026-11-27T08:00:00.000Z</LastModified><ETag>x</ETag></Contents>"
                for path, body in sorted(kept.objects.items())
                if path.startswith(f"{name}/{prefix}")
            )
            return f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>".encode()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
