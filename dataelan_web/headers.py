"""Headers of every answer: what a browser may load, frame, keep and tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask
from werkzeug.http import parse_set_header
from werkzeug.middleware.proxy_fix import ProxyFix

from .config import Settings
from .web import VARIES_BY

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "media-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


HTTPS_ALONE = "max-age=31536000; includeSubDomains"
"""For a year a browser that came by HTTPS comes no other way, to hosts below this one neither."""


PROTECTION = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), payment=()",
}
VARIES = ", ".join(VARIES_BY)

Header = tuple[str, str]


def init_app(app: Flask, settings: Settings) -> None:
    """After whatever else answers without Flask, but for static_files."""
    app.wsgi_app = Protected(app.wsgi_app, protection(settings))  # type: ignore[method-assign]
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]


def protection(settings: Settings) -> dict[str, str]:
    return PROTECTION | ({"Strict-Transport-Security": HTTPS_ALONE} if settings.secure_cookies else {})


class Protected:
    """Where the web server takes them, headers are a list of pairs, and it costs little to add to them: each call of a
    program gets these too."""

    def __init__(self, app: WSGIApplication, always: Mapping[str, str]):
        self._app = app
        ours = {**always, "Cache-Control": "no-store", "Vary": VARIES}
        self._ours = {name.lower(): (name, value) for name, value in ours.items()}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[Header], *broke: Any) -> Any:
            return start_response(status, self._completed(headers), *broke)

        return self._app(environ, start)

    def _completed(self, headers: list[Header]) -> list[Header]:
        said = {name: value for given, value in headers if (name := given.lower()) in self._ours}
        if not said:
            return [*headers, *self._ours.values()]
        told = [header for header in headers if header[0].lower() not in REWRITTEN]
        for name, ours in self._ours.items():
            if name not in said:
                told.append(ours)
            elif name in REWRITTEN:
                told.append((ours[0], REWRITTEN[name](said[name])))
        return told


def _kept(said: str) -> str:
    """`private` is said on purpose, as of an asset; send_file alone would let anybody keep a file for a year."""
    return said if "private" in said else "no-store"


def _varies(said: str) -> str:
    by = parse_set_header(said)
    by.update(VARIES_BY)
    return by.to_header()


REWRITTEN = {"cache-control": _kept, "vary": _varies}
