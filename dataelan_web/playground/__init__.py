"""Prompt sessions: write a prompt, watch the answer, see what it cost and why that model was chosen."""

from flask import Flask

from . import files
from .routes import bp


def init_app(app: Flask) -> None:
    app.register_blueprint(bp)
    app.jinja_env.filters.update(pretty_json=files.pretty, checklist=files.checklist)
