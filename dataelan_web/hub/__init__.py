"""The Model Hub: providers, keys, models with their prices, and the rules that choose."""

from flask import Flask

from . import key_routes, model_routes, provider_routes  # noqa: F401  (they add themselves to the blueprint)
from .blueprint import bp


def init_app(app: Flask) -> None:
    app.register_blueprint(bp)
