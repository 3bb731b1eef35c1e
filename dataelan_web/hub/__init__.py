"""The Model Hub: providers, models, keys and local servers."""

from flask import Flask

from .routes import bp


def init_app(app: Flask) -> None:
    app.register_blueprint(bp)
