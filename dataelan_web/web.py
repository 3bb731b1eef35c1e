"""The one file that knows htmx: pages and fragments from one template, redirects, toasts.

`htmx-flask` tells whether a request came from htmx; its other helpers know only the headers of htmx 1.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import Flask, Response, current_app, flash, g, make_response, render_template, request, url_for
from flask import redirect as plain_redirect
from flask_login import current_user
from jinja2_fragments.flask import render_block
from werkzeug.wrappers import Response as AnyResponse

from . import access


def init_app(app: Flask) -> None:
    app.jinja_env.globals["ui"] = app.jinja_env.get_template("components/ui.html").make_module(
        {"csrf_token": app.jinja_env.globals["csrf_token"]}
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.context_processor(_shell)
    app.url_defaults(_digest)


def wants_fragment() -> bool:
    return bool(request.htmx) and not request.htmx.history_restore_request  # type: ignore[attr-defined]


def render(template: str, fragment: str | None = None, status: int = 200, **context: Any) -> Response:
    """A page, or only its block `fragment` when htmx asks for a part of it."""
    if fragment and wants_fragment():
        return make_response(render_block(template, fragment, **context), status)
    return make_response(render_template(template, **context), status)


def redirect(url: str) -> AnyResponse:
    """Go elsewhere: by a header for htmx, which would otherwise swap the other page into this one."""
    if request.htmx:  # type: ignore[attr-defined]
        response = make_response("", 204)
        response.headers["HX-Redirect"] = url
        return response
    return plain_redirect(url, code=303)


def push_url(response: Response, url: str) -> Response:
    response.headers["HX-Push-Url"] = url
    return response


def trigger(response: Response, event: str, detail: Any = None) -> Response:
    """Dispatch a DOM event once the answer is in place."""
    response.headers["HX-Trigger"] = json.dumps({event: detail or {}})
    return response


def toast(text: str, tone: str = "neutral") -> None:
    """A short word at the corner of the next page. For a fragment, see `with_toast`."""
    flash(text, tone)


def with_toast(response: Response, text: str, tone: str = "neutral") -> Response:
    """Add a toast to a fragment, by htmx's partial swap."""
    ui = current_app.jinja_env.globals["ui"]
    body = response.get_data(as_text=True)
    partial = f'<hx-partial hx-target="#toasts" hx-swap="beforeend">{ui.toast(text, tone)}</hx-partial>'  # type: ignore[attr-defined]
    response.set_data(body + partial)
    return response


def _shell() -> dict[str, Any]:
    """What the signed-in layout shows on every page."""
    if not current_user.is_authenticated or "organization" not in g:
        return {}
    organization = g.organization
    return {
        "organization": organization,
        "organizations": access.organizations_of(current_user),
        "nav": _navigation(organization.slug),
        "can_edit": access.may(access.EDIT, getattr(g, "project", None)),
        "can_administer": access.may(access.ADMINISTER),
    }


def _navigation(slug: str) -> list[dict[str, Any]]:
    places = [
        ("Home", "home", "organizations.home", ("organizations.", "projects.", "playground.")),
        ("Providers and keys", "key", "hub.providers", ("hub.provider", "hub.create", "hub.connect")),
        ("Models", "boxes", "hub.models", ("hub.models",)),
    ]
    return [
        {
            "label": label,
            "icon": icon,
            "url": url_for(endpoint, slug=slug),
            "active": (request.endpoint or "").startswith(prefixes),
        }
        for label, icon, endpoint, prefixes in places
        if g.role is not None or endpoint == "organizations.home"
    ]


def _digest(endpoint: str, values: dict[str, Any]) -> None:
    """Static addresses carry a digest of the file, so that browsers may keep them for ever."""
    if endpoint == "static" and "filename" in values and "v" not in values and current_app.static_folder:
        values["v"] = _file_digest(Path(current_app.static_folder) / values["filename"])


@lru_cache(maxsize=256)
def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.is_file() else "0"
