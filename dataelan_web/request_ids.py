"""Each request has a name: one that it brought in X-Request-ID, or a new one. It is on every line of the log, goes with
what is put into the queue, and is given back."""

from __future__ import annotations

import logging
import time

from flask import Flask, Response, g

from . import logs
from .api_errors import PATHS, Api, api_of
from .extensions import this_request

HEADER, ANTHROPICS = "X-Request-ID", "Request-Id"
"""OpenAI's clients read the first, Anthropic's the second."""
SENT = "HTTP_X_REQUEST_ID"
"""As the web server hands it on."""
ASKED_OFTEN = {"health", "metrics"}
"""By machines: of these no line is written."""
PROGRAMS = {"gateway", "metrics"}
"""Who calls these says a token each time."""

log = logging.getLogger(__name__)


def init_app(app: Flask) -> None:
    """First of all that is bound: what comes after it may log."""
    app.before_request(_name)
    app.after_request(_give_back)


def _name() -> None:
    here = g._get_current_object()
    here.began, here.request_id = time.perf_counter(), logs.begin(this_request().environ.get(SENT, ""))


def _give_back(response: Response) -> Response:
    asked = this_request()
    here = g._get_current_object()
    status, blueprint, path = response.status_code, asked.blueprint, asked.path
    response.headers.add(HEADER, here.request_id)
    if path.startswith(PATHS) and api_of(path, asked.headers) is Api.ANTHROPIC:
        response.headers.add(ANTHROPICS, here.request_id)
    route = asked.url_rule.rule if asked.url_rule else None  # an address may hold the secret of a link
    if is_refused(status, blueprint):
        log.warning("refused with %d: %s %s", status, asked.method, route)
    if blueprint not in ASKED_OFTEN:
        took = round((time.perf_counter() - here.began) * 1000, 1)  # of a stream: until its answer began
        logs.tell(log, "request ended", method=asked.method, route=route, status=status, milliseconds=took)
    return response


def is_refused(status: int, blueprint: str | None) -> bool:
    """Somebody may not, or proved to be nobody. A program's 429 is its limit at work, a page's 401 a sign-in that
    ended."""
    if blueprint in PROGRAMS:
        return status in (401, 403)
    return status in (403, 429)
