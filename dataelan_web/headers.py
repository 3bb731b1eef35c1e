"""Headers of every answer: what a browser may load, frame, keep and tell."""

from __future__ import annotations

from flask import Flask, Response
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


def init_app(app: Flask, settings: Settings) -> None:
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    app.after_request(_protect)
    if settings.secure_cookies:
        app.after_request(_bind_to_https)


PROTECTION = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), payment=()",
}
VARIES = ", ".join(VARIES_BY)


def _protect(response: Response) -> Response:
    headers = response.headers
    said = {name.lower(): value for name, value in headers}
    headers.extend({name: value for name, value in PROTECTION.items() if name.lower() not in said})
    if "private" not in said.get("cache-control", ""):  # said on purpose, as of an asset, which never changes
        headers["Cache-Control"] = "no-store"  # send_file alone would let anybody keep a private file for a year
    if "vary" in said:
        response.vary.update(VARIES_BY)
    else:
        headers["Vary"] = VARIES
    return response


def _bind_to_https(response: Response) -> Response:
    response.headers.setdefault("Strict-Transport-Security", HTTPS_ALONE)
    return response
