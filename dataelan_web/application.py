"""The Flask application, but for what Flask does for applications that are not ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, Request
from werkzeug.routing import MapAdapter
from werkzeug.wsgi import get_host


class Application(Flask):
    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """None of ours is async, and Flask looks at a dozen functions of each request."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Of a request, by what was read of it already. It has the name that it was asked by (hosts.py says which may
        be): no name of our own, and no subdomains."""
        if request is None or "HTTP_UPGRADE" in request.environ:
            return super().create_url_adapter(request)
        request.host = get_host(request.environ)
        return self.url_map.bind(
            request.host,
            request.root_path,
            "",
            request.scheme,
            request.environ["REQUEST_METHOD"],
            request.path,
            request.query_string.decode(errors="replace"),
        )
