"""The organization in the URL: `/o/<slug>/…`. Every route below it goes through one door."""

from flask import Flask

from . import ownership_routes, sign_in_routes  # noqa: F401  (whose routes belong to the blueprint)
from .blueprint import OrganizationDeleted
from .founding import founding
from .ownership_routes import is_deleted
from .routes import bp


def init_app(app: Flask) -> None:
    app.register_blueprint(bp)
    app.register_blueprint(founding)
    app.register_error_handler(OrganizationDeleted, is_deleted)
