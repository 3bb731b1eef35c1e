"""The organization in the URL: `/o/<slug>/…`. Every route below it goes through one door."""

from flask import Flask

from .routes import bp


def init_app(app: Flask) -> None:
    app.register_blueprint(bp)
