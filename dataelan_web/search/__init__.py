"""Finding: full-text search over what was asked and answered, and the palette that leads to every place by name."""

from flask import Flask

from . import palette_routes, routes  # noqa: F401  (they add themselves to the blueprint)
from .blueprint import bp


def init_app(app: Flask) -> None:
    app.register_blueprint(bp)
