"""By which names this Dataelan may be asked: a request for another is refused before anything reads it.

A page shows the name that it was asked by (where programs call, a link that was just made), and a cache or a proxy in
front may keep it for others. Links in mail never come from it, but from DATAELAN_PUBLIC_URL.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from urllib.parse import urlsplit
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask
from werkzeug.wrappers import Response
from werkzeug.wsgi import get_host

from . import logs
from .config import Settings
from .router.addresses import is_listed

ASKED_BY_NUMBER = ("/healthz", "/readyz", "/metrics")
"""By what watches over this process, which may know nothing but its address; nothing there tells a name."""
WORDS = (
    "This Dataelan does not answer by this name. Whoever runs it names those that it has in DATAELAN_PUBLIC_URL and "
    "DATAELAN_TRUSTED_HOSTS.\n"
)

log = logging.getLogger(__name__)


def init_app(app: Flask, settings: Settings) -> None:
    """Before headers.init_app: the name is that which a trusted proxy tells of."""
    if settings.trusted_hosts:
        app.wsgi_app = Hosts(app.wsgi_app, settings.trusted_hosts)  # type: ignore[method-assign]


class Hosts:
    """`names`: hosts without a port, `*.` before them for all below."""

    def __init__(self, app: WSGIApplication, names: tuple[str, ...]):
        self._app, self._names = app, names

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        host = get_host(environ)
        if environ.get("PATH_INFO", "") in ASKED_BY_NUMBER or is_listed(_name(host), self._names):
            return self._app(environ, start_response)
        logs.begin(environ.get("HTTP_X_REQUEST_ID", ""))  # or the line would be of what this thread did before
        log.warning("refused with 400: asked by the name %.200r", host)
        return Response(WORDS, 400, mimetype="text/plain")(environ, start_response)


def _name(host: str) -> str:
    """Without its port; empty: it is none."""
    try:
        return urlsplit(f"//{host}").hostname or "" if not set(host) & set("@/?#\\") else ""
    except ValueError:
        return ""
