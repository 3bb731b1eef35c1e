"""The OpenAI-compatible gateway: programs get the same router, limits and record as people."""

from flask import Flask

from ..extensions import csrf
from .routes import bp


def init_app(app: Flask) -> None:
    csrf.exempt(bp)  # a bearer token is no cookie: no other site can make a browser send it
    app.register_blueprint(bp)
