"""Service accounts: gateway tokens that belong to the organization and not to a person."""

from flask import Flask

from .routes import bp


def init_app(app: Flask) -> None:
    app.register_blueprint(bp)
