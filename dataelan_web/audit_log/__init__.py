"""The page of the audit log: who changed what in an organization, from where; filtered, and as a file."""

from flask import Flask

from . import routes


def init_app(app: Flask) -> None:
    app.register_blueprint(routes.bp)
