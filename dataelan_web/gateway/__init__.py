"""The gateway: programs that speak OpenAI's, Anthropic's or Gemini's API get the same router, limits and record as
people."""

from flask import Flask
from werkzeug.routing import PathConverter

from ..api_errors import GEMINI_VERBS
from . import routes  # noqa: F401 (they join the blueprint)
from .blueprint import bp
from .docs_routes import pages
from .tokens import init_app as init_tokens


class ModelName(PathConverter):
    """A model's name, which may hold slashes and colons, and is no call of Gemini's of that model."""

    regex = rf"(?!.*(?:{'|'.join(GEMINI_VERBS)})$)[^/].*?"


def init_app(app: Flask) -> None:
    app.url_map.converters["model_name"] = ModelName
    init_tokens()
    app.register_blueprint(bp)
    app.register_blueprint(pages)
