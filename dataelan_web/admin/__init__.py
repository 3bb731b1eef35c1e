"""What superusers look after: the queue and its workers, people, organizations, and what holds for everybody."""

from flask import Flask

from . import books_routes, home_routes, modes, people_routes, platform_routes, queue_routes  # noqa: F401  (whose routes are the blueprint's)
from .blueprint import bp


def init_app(app: Flask) -> None:
    app.register_blueprint(bp)
    modes.init_app(app)
