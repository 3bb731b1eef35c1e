"""Each request has a name: one that it brought in X-Request-ID, or a new one. It is on every line of the log, goes with
what is put into the queue, and is given back."""

from __future__ import annotations

import logging
import time

from flask import Flask, Response, g, request

from . import logs
from .api_errors import PATHS, Api, api_of

HEADER, ANTHROPICS = "X-Request-ID", "Request-Id"
"""OpenAI's clients read the first, Anthropic's the second."""
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
    g.began, g.request_id = time.perf_counter(), logs.begin(request.headers.get(HEADER, ""))


def _give_back(response: Response) -> Response:
    if "request_id" in g:
        response.headers[HEADER] = g.request_id
        if request.path.startswith(PATHS) and api_of(request.path, request.headers) is Api.ANTHROPIC:
            response.headers[ANTHROPICS] = g.request_id
    if is_refused(response.status_code):
        log.warning("refused with %d: %s %s", response.status_code, request.method, _route())
    if "request_id" in g and request.blueprint not in ASKED_OFTEN:
        logs.tell(
            log,
            "request ended",  # of a stream: its answer began
            method=request.method,
            route=_route(),
            status=response.status_code,
            milliseconds=round((time.perf_counter() - g.began) * 1000, 1),
        )
    return response


def is_refused(status: int) -> bool:
    """Somebody may not, or proved to be nobody. A program's 429 is its limit at work, a page's 401 a sign-in that
    ended."""
    if request.blueprint in PROGRAMS:
        return status in (401, 403)
    return status in (403, 429)


def _route() -> str | None:
    return request.url_rule.rule if request.url_rule else None  # an address may hold the secret of a link
