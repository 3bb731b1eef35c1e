"""The trash: every delete can be undone for 30 days. What is in it is seen nowhere else (access.py), and goes for
ever by itself (executions/purge.py).

A new kind of thing to delete: `Trashable` on its model, its place in models.holders.HOLDERS, a line in kinds.KINDS.
"""

from functools import partial

from flask import Flask

from .. import access, place
from .routes import bp, operators_bp, still_in_trash


def init_app(app: Flask) -> None:
    app.register_blueprint(bp)
    app.register_blueprint(operators_bp)
    app.jinja_env.globals["trash_url"] = partial(place.url, "trash")
    app.register_error_handler(access.InTrash, still_in_trash)
