"""The Model Hub: providers, keys, models with their prices, and the rules that choose."""

from flask import Flask

from . import (  # noqa: F401  (they add themselves to the blueprint)
    connect_routes,
    key_routes,
    model_routes,
    provider_routes,
    rule_routes,
    setting_routes,
    shutdown_routes,
    transfer_routes,
)
from .blueprint import bp


def init_app(app: Flask) -> None:
    app.register_blueprint(bp)
