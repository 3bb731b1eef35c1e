"""The team dashboard: what was spent, how fast it was and what failed, from the sums of `rollups`."""

from flask import Flask

from . import explorer_routes, export_routes, note_routes, part_routes, view_routes  # noqa: F401  (they add themselves)
from .routes import bp


def init_app(app: Flask) -> None:
    app.register_blueprint(bp)
