"""The gateway: programs that speak OpenAI's, Anthropic's or Gemini's API get the same router, limits and record as
people."""

from flask import Flask

from ..extensions import csrf
from . import routes  # noqa: F401 (they join the blueprint)
from .blueprint import bp
from .docs_routes import pages


def init_app(app: Flask) -> None:
    csrf.exempt(bp)  # a token in a header is no cookie: no other site can make a browser send it
    app.register_blueprint(bp)
    app.register_blueprint(pages)
