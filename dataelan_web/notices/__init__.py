"""The pages of what Dataelan tells: a person's notices, and an organization's webhooks."""

from flask import Flask

from . import routes, webhook_routes  # noqa: F401  (they add themselves to the blueprint)
from .blueprint import bp


def init_app(app: Flask) -> None:
    app.register_blueprint(bp)
