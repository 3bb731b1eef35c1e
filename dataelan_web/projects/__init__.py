"""Projects: sessions, people and gateway tokens that belong together."""

from flask import Flask

from . import routes, token_routes, tokens  # noqa: F401  (their routes belong to the blueprint)
from .blueprint import bp


def init_app(app: Flask) -> None:
    app.register_blueprint(bp)
    app.jinja_env.globals["token_url_of"] = tokens.url_of
