"""Batches: a prompt asked with every row of a sheet, of one or several models; how good the answers are, and what it
cost. `sheet` → `drafting` → `setup` with its `estimate` → `pump` (in a worker) → `results`, scored by `rules`,
`judging` and people."""

from flask import Flask

from . import draft_routes, result_routes, run_routes, score_routes  # noqa: F401  (they add themselves)
from .blueprint import bp


def init_app(app: Flask) -> None:
    app.register_blueprint(bp)
