"""Prompts as assets: templates with variables, their versions and labels, saved cases, proposals, and their runs."""

from flask import Flask

from . import (  # noqa: F401  (they add themselves to the blueprint)
    case_routes,
    editor_routes,
    label_routes,
    language,
    proposal_routes,
    quote_routes,
    routes,
    run_routes,
    version_routes,
)
from .blueprint import bp


def init_app(app: Flask) -> None:
    app.register_blueprint(bp)
    app.jinja_env.filters["pieces"] = language.pieces
