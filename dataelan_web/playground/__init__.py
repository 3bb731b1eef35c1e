"""Prompt sessions: write a prompt, watch the answer, see what it cost and why that model was chosen."""

from flask import Flask

from . import (  # noqa: F401  (they add themselves to the blueprint)
    asset_routes,
    cards,
    change_routes,
    compare_routes,
    deletion_routes,
    display,
    files,
    organizing_routes,
    quote_routes,
    routes,
    run_routes,
    shelf_routes,
)
from .blueprint import bp
from .quotes import words


def init_app(app: Flask) -> None:
    app.register_blueprint(bp)
    app.jinja_env.tests |= {"usable_in": display.usable_in, "varied_of": display.varied_of}
    app.jinja_env.filters.update(display.FILTERS, **cards.FILTERS, pretty_json=files.pretty, checklist=files.checklist)
    app.jinja_env.filters.update(words.FILTERS)
