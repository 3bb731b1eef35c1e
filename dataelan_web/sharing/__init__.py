"""What a team says of its runs, and how runs leave the team: exports, code that repeats them, public links."""

from flask import Flask

from . import comment_routes, export_routes, feedback_routes, link_routes, public_routes  # noqa: F401  (they add themselves to the blueprint)
from .blueprint import bp
from .feedback import tally
from .plain_text import linked


def init_app(app: Flask) -> None:
    app.register_blueprint(bp)
    app.register_blueprint(public_routes.bp)
    app.jinja_env.filters.update(tally=tally, linked=linked)
