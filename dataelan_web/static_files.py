"""Scripts, styles, fonts and icons: sent before anything else hears of a request, with the headers of every answer.

Not by the web server, which knows none of ours. What is there is listed when a process begins, so no address leads to
anything else, and kept in memory once it was asked for.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask
from werkzeug.utils import get_content_type

from .config import Settings
from .headers import protection
from .web import version_of

TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".woff2": "font/woff2", ".svg": "image/svg+xml"}
"""What a machine’s own list of types may have otherwise, or not at all."""
YEAR = "public, max-age=31536000"
FOR_EVER = f"{YEAR}, immutable"
"""Of an address that carries the version of what is sent (web.version_of)."""
ASK_AGAIN = "no-cache"
"""Of one that carries another: while Dataelan is brought up to date, a page of a newer process asked this older one, or
the other way round. Kept under that address, it would be taken for the other for a year."""


def init_app(app: Flask, settings: Settings) -> None:
    """Before whatever else hears of a request: must be called last."""
    folder, prefix = Path(str(app.static_folder)), f"{app.static_url_path}/"
    app.wsgi_app = StaticFiles(app.wsgi_app, folder, prefix, protection(settings))  # type: ignore[method-assign]


@dataclass(frozen=True)
class _File:
    changed_at: float
    content: bytes
    headers: tuple[tuple[str, str], ...]
    version: str


class StaticFiles:
    """All else, other methods and what is not there go to `app`."""

    def __init__(self, app: WSGIApplication, folder: Path, prefix: str, always: Mapping[str, str]):
        self._app, self._always = app, tuple(always.items())
        here = (path for path in folder.rglob("*") if path.is_file())
        self._paths = {f"{prefix}{path.relative_to(folder).as_posix()}": path for path in here}
        self._read: dict[str, _File] = {}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        name = environ.get("PATH_INFO", "")
        file = self._file(name) if name in self._paths and environ["REQUEST_METHOD"] in ("GET", "HEAD") else None
        if file is None:
            return self._app(environ, start_response)
        start_response("200 OK", [*file.headers, ("Cache-Control", _kept(environ.get("QUERY_STRING", ""), file))])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [file.content]

    def _file(self, name: str) -> _File | None:
        """Read anew once it has changed, as while one works on it; None: it is gone."""
        path, known = self._paths[name], self._read.get(name)
        try:
            changed_at = path.stat().st_mtime
            if known is None or known.changed_at != changed_at:
                content = path.read_bytes()
                said = (("Content-Type", _type(path)), ("Content-Length", str(len(content))))
                known = self._read[name] = _File(changed_at, content, (*said, *self._always), version_of(content))
        except OSError:
            return None
        return known


def _kept(asked: str, file: _File) -> str:
    if not asked.startswith("v="):
        return YEAR
    return FOR_EVER if asked == f"v={file.version}" else ASK_AGAIN


def _type(path: Path) -> str:
    """With its character set, where it is text: all of ours is UTF-8."""
    found = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return get_content_type(found, "utf-8")
