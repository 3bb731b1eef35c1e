"""The one file that knows htmx: pages and fragments from one template, redirects, toasts.

`htmx-flask` tells whether a request came from htmx; its other helpers know only the headers of htmx 1.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from flask import Flask, Response, current_app, flash, g, make_response, render_template, request, url_for
from flask import redirect as plain_redirect
from jinja2.bccache import Bucket, FileSystemBytecodeCache
from jinja2_fragments.flask import render_block
from werkzeug.wrappers import Response as AnyResponse

MARK = "once"
"""The field of a form that says which one it is, however often it is sent (once.py)."""
SPENT = "Dataelan-Spent"
"""The header that tells the page of a mark that did its work (static/app.js)."""
VARIES_BY = ("Cookie", "HX-Request")
"""What the same address may answer differently to."""


def init_app(app: Flask) -> None:
    app.jinja_env.bytecode_cache = _compiled(app.extensions["dataelan_settings"].data_dir)
    app.jinja_env.globals["ui"] = app.jinja_env.get_template("components/ui.html").make_module(
        {
            "csrf_token": app.jinja_env.globals["csrf_token"],
            "new_submission": new_submission,
            "new_mark": new_mark,
            "icons_url": icons_url,
        }
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.url_defaults(_digest)


class _Compiled(FileSystemBytecodeCache):
    def dump_bytecode(self, bucket: Bucket) -> None:
        with suppress(OSError):  # a full disk costs time, not the page
            super().dump_bytecode(bucket)


def _compiled(data_dir: Path) -> _Compiled | None:
    """Templates as Python, kept for all processes and the next start: the first to open each page would wait for it.
    Only where a data directory is, and nobody else may write: what lies there is run."""
    place = data_dir / "templates"
    with suppress(OSError):
        if data_dir.is_dir():
            place.mkdir(mode=0o700, exist_ok=True)
            found = place.stat()
            if found.st_uid == os.geteuid() and not found.st_mode & 0o022:
                return _Compiled(str(place))
    return None


def icons_url() -> str:
    """Of all icons together. A page names it fifty times: made once a request."""
    if "icons_url" not in g:
        g.icons_url = url_for("static", filename="vendor/icons.svg")
    return g.icons_url  # type: ignore[no-any-return]


def new_submission() -> str:
    """Made with each form that runs something: however often that is sent, it is done once."""
    return uuid.uuid4().hex


def new_mark() -> str:
    """One for all forms of what is rendered now: where each is sent to, and what it says, tells them apart."""
    if "mark" not in g:
        g.mark = uuid.uuid4().hex
    return g.mark  # type: ignore[no-any-return]


def spent(response: AnyResponse) -> AnyResponse:
    """The mark of this request's form has done its work: what is sent from that page next is another act."""
    response.headers[SPENT] = request.form[MARK]
    return response


def said(text: str, tone: str) -> AnyResponse:
    """A toast alone: what the page shows stays, since it may be what the same form was answered a moment ago. Without
    htmx, on the page that the form was sent from."""
    if not wants_fragment():
        toast(text, tone)
        return plain_redirect(asked_from() or "/", code=303)
    ui = current_app.jinja_env.globals["ui"]
    return alone(partial("#toasts", ui.toast(text, tone, link=asked_from())))  # type: ignore[attr-defined]


def alone(pieces: str, status: int = 200) -> Response:
    """Only pieces for other elements (`partial`): what asked stays as it is."""
    response = make_response(pieces, status)
    response.headers["HX-Reswap"] = "none"
    return response


def kept_headers(response: Response) -> list[tuple[str, str]]:
    """Those by which it is given once more; no cookie."""
    wanted = "hx-", "location", "content-type"
    return [(name, words) for name, words in response.headers if name.lower().startswith(wanted)]


def wants_fragment() -> bool:
    return bool(request.htmx) and not request.htmx.history_restore_request  # type: ignore[attr-defined]


def render(template: str, /, fragment: str | None = None, status: int = 200, **context: Any) -> Response:
    """A page, or only its block `fragment` when htmx asks for a part of it."""
    if fragment and wants_fragment():
        return make_response(render_block(template, fragment, **context), status)
    return make_response(render_template(template, **context), status)


def piece(template: str, **context: Any) -> Response:
    """A fragment that needs nothing of the signed-in layout, whose queries it saves."""
    return make_response(current_app.jinja_env.get_template(template).render(**context))


def redirect(url: str, fragment_status: int = 204) -> AnyResponse:
    """Go elsewhere: by a header for htmx, which would otherwise swap the other page into this one."""
    if request.htmx:  # type: ignore[attr-defined]
        response = make_response("", fragment_status)
        response.headers["HX-Redirect"] = url
        return response
    return plain_redirect(url, code=303)


def known_as(response: AnyResponse, url: str) -> AnyResponse:
    """A fragment after which the page is at another address, so that a reload brings the same."""
    response.headers["HX-Replace-Url"] = url
    return response


def toast(text: str, tone: str = "neutral", undo: str = "") -> None:
    """A short word at the corner of the next page. `undo`: where to POST to take back what it tells of.
    For a fragment, see `with_toast`."""
    flash({"text": text, "undo": undo}, tone)  # type: ignore[arg-type]


def with_toast(response: Response, text: str, tone: str = "neutral", undo: str = "", link: str = "") -> Response:
    """Add a toast to a fragment, by htmx's partial swap. `link`: the page of what it tells of."""
    ui = current_app.jinja_env.globals["ui"]
    body = response.get_data(as_text=True)
    response.set_data(body + partial("#toasts", ui.toast(text, tone, undo=undo, link=link)))  # type: ignore[attr-defined]
    return response


def partial(target: str, html: str, swap: str = "beforeend") -> str:
    """A piece for another element than the one that asked: for its end, or as `swap` says."""
    return f'<hx-partial hx-target="{target}" hx-swap="{swap}">{html}</hx-partial>'


def local_path(url: str) -> str:
    """A path on this site, or nothing: no other host, however it is spelled (\\\\evil, //evil, /\\t/evil)."""
    is_local = url.startswith("/") and not url.startswith("//") and "\\" not in url and url.isprintable()
    return url if is_local else ""


def asked_from() -> str:
    """The page that a form was sent from, as a path on this site; nothing where that is not known."""
    url = urlsplit((request.htmx.current_url if request.htmx else request.referrer) or "")  # type: ignore[attr-defined]
    return local_path(urlunsplit(("", "", url.path, url.query, ""))) if url.netloc == request.host else ""


def page_number() -> int:
    """Which page of a list is asked for. Bounded, as PostgreSQL's OFFSET is."""
    return min(max(request.args.get("page", 1, type=int), 1), 1_000_000)


def _digest(endpoint: str, values: dict[str, Any]) -> None:
    """Static addresses carry a digest of the file, so that browsers may keep them for ever."""
    if endpoint == "static" and "filename" in values and "v" not in values and current_app.static_folder:
        values["v"] = _file_digest(current_app.static_folder, values["filename"])


@lru_cache(maxsize=256)
def _file_digest(folder: str, name: str) -> str:
    path = Path(folder, name)
    return version_of(path.read_bytes()) if path.is_file() else "0"


def version_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
