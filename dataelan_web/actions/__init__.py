"""Declared actions: a project's pages of them, cards of their calls, approvals. What acts is in acting/."""

from flask import Flask

from . import call_routes, cards, lists, routes  # noqa: F401  (routes add themselves to the blueprint)
from .blueprint import bp


def init_app(app: Flask) -> None:
    app.register_blueprint(bp)
    app.jinja_env.filters.update(cards.FILTERS)
    app.context_processor(lambda: {"calls_waiting": lists.waiting_here})
