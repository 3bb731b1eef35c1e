"""A span for each request. A program that has a trace of its own may say so: the gateway goes on with its
`traceparent`. What a browser sends there counts for nothing."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, g, request

from . import names
from .tracer import context_of, tracer

GATEWAY = "gateway"
"""The blueprint of what programs call, whatever the form."""
UNTRACED = {"static", "health.up", "health.ready", "metrics.show"}


def init_app(app: Flask) -> None:
    app.before_request(_begin)
    app.after_request(_answered)


def _begin() -> None:
    found = tracer()
    if found is None or request.endpoint in UNTRACED:
        return
    from opentelemetry import context, trace

    route = request.url_rule.rule if request.url_rule else ""
    about = {names.HTTP_METHOD: request.method, names.HTTP_ROUTE: route, names.REQUEST_ID: g.get("request_id", "")}
    parent = context_of(dict(request.headers) if request.blueprint == GATEWAY else {})
    name = f"{request.method} {route}".strip()
    g.span = found.start_span(name, parent, kind=trace.SpanKind.SERVER, attributes=about)
    g.span_token = context.attach(trace.set_span_in_context(g.span, parent))


def _answered(response: Response) -> Response:
    """A stream has only begun: its span ends with it, but what begins on this thread from now on is not its part."""
    span: Any = g.pop("span", None) if tracer() else None
    if span is None:
        return response
    from opentelemetry import context, trace

    context.detach(g.pop("span_token"))
    span.set_attribute(names.HTTP_STATUS, response.status_code)
    if response.status_code >= 500:
        span.set_attribute(names.ERROR, str(response.status_code))
        span.set_status(trace.StatusCode.ERROR)
    response.call_on_close(span.end)
    return response
