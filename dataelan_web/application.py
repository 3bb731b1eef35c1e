"""The Flask application, but for what Flask does for applications that are not ours."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from flask import Flask, Request
from werkzeug.exceptions import BadHost
from werkzeug.routing import MapAdapter, Rule
from werkzeug.wsgi import get_host


class Application(Flask):
    def __init__(self, *about: Any, **more: Any):
        super().__init__(*about, **more)
        self._known = dict[tuple[str, str], Rule]()
        """{(method, address without parameters): its route}, of those that were asked for."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """None of ours is async, and Flask looks at a dozen functions of each request."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Of a request, by what was read of it already. It has the name that it was asked by (hosts.py says which may
        be): no name of our own, and no subdomains."""
        if request is None or "HTTP_UPGRADE" in request.environ:
            return super().create_url_adapter(request)
        request.host = get_host(request.environ)
        adapter = Adapter(
            self.url_map,
            _name(request.host),
            request.root_path,
            "",
            request.scheme,
            request.path,
            request.environ["REQUEST_METHOD"],
            request.query_string.decode(errors="replace"),
        )
        adapter.known = self._known
        return adapter


class Adapter(MapAdapter):
    """An address without parameters is looked for once: to find it is a tenth of all that Flask does for a request."""

    known: dict[tuple[str, str], Rule]

    def match(self, *asked: Any, **more: Any) -> Any:
        if asked or more != {"return_rule": True}:
            return super().match(*asked, **more)
        key = self.default_method, self.path_info
        if (rule := self.known.get(key)) is not None:
            return rule, {}
        rule, values = super().match(return_rule=True)
        if rule.rule == self.path_info and not values:  # else there are as many as somebody thinks of
            self.known[key] = rule
        return rule, values


@lru_cache(maxsize=100)
def _name(host: str) -> str:
    """As it stands in addresses. Raises BadHost."""
    name, colon, port = host.lower().partition(":")
    try:
        return f"{name.encode('idna').decode('ascii')}{colon}{port}"
    except UnicodeError as error:
        raise BadHost from error
