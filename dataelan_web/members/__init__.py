"""The people of an organization: members and their roles, guests of single projects, invitations for both."""

from flask import Flask

from . import invitation_routes, project_routes, routes  # noqa: F401  (their routes belong to the blueprint)
from .blueprint import bp
from .joining_routes import joining


def init_app(app: Flask) -> None:
    app.register_blueprint(bp)
    app.register_blueprint(joining)
