"""What is asked before each page, and noted after it: whether a form is forged, who may, in whose name.

None of it concerns a program's call. It brings a token each time, no cookie and no session, and gateway/tokens.py asks
all that there is to ask of it; so whatever is for pages is bound here, and the gateway's routes go past it. All else is
a page, also an address that there is not.
"""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask, Response
from werkzeug.wrappers import Response as AnyResponse

from .extensions import csrf, this_request

PROGRAMS = "gateway."
"""Endpoints of the gateway's blueprint."""

Before = Callable[[], AnyResponse | None]
After = Callable[[Response], Response]


class PageHooks:
    """An application's, in the order in which they were bound; those after a page run backwards, as Flask's do."""

    def __init__(self) -> None:
        self.before: list[Before] = []
        self.after: list[After] = []

    def begin(self) -> AnyResponse | None:
        if is_programs():
            return None
        for hook in self.before:
            if (answer := hook()) is not None:
                return answer
        return None

    def end(self, response: Response) -> Response:
        if is_programs():
            return response
        for hook in reversed(self.after):
            response = hook(response)
        return response


def init_app(app: Flask) -> None:
    """After what is for every request: it runs inside that."""
    hooks = app.extensions["dataelan_page_hooks"] = PageHooks()
    app.before_request(hooks.begin)
    app.after_request(hooks.end)
    before_page(app, lambda: csrf.protect(apply_exemptions=True))


def before_page(app: Flask, hook: Before) -> None:
    """Whatever it answers stands in place of the page."""
    app.extensions["dataelan_page_hooks"].before.append(hook)


def after_page(app: Flask, hook: After) -> None:
    app.extensions["dataelan_page_hooks"].after.append(hook)


def is_programs() -> bool:
    """Is it a call of the gateway's that is answered?"""
    return (this_request().endpoint or "").startswith(PROGRAMS)
