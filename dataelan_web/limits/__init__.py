"""Limits: what everyone may spend and do, how far each is used, and more of it for a while for who asks."""

from flask import Flask

from . import increase_routes, limit_routes, place, rate_routes  # noqa: F401  (they add themselves to the blueprint)
from .blueprint import bp, operators_bp
from .commands import limits
from .ledger import ledger
from .words import FILTERS


def init_app(app: Flask) -> None:
    app.register_blueprint(bp)
    app.register_blueprint(operators_bp)
    app.jinja_env.globals |= {"limits_url": place.url, "limit_home": place.home_of}
    app.jinja_env.filters.update(FILTERS)
    app.cli.add_command(limits)
    app.cli.add_command(ledger)
