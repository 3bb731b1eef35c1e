"""Is the process up, and is all it needs there?"""

from __future__ import annotations

import redis
from flask import Blueprint, Flask, Response, jsonify, make_response
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from .extensions import db
from .jobs.queue import store, workers

bp = Blueprint("health", __name__)


def init_app(app: Flask) -> None:
    app.register_blueprint(bp)


@bp.get("/healthz")
def up() -> Response:
    return jsonify(status="up")


@bp.get("/readyz")
def ready() -> Response:
    """200 when database, queue and at least one worker answer; else 503, and which does not."""
    checks = {"database": _database(), "queue": _queue(), "worker": _worker()}
    is_ready = all(checks.values())
    answers = {name: "ok" if fine else "does not answer" for name, fine in checks.items()}
    return make_response(jsonify(status="ready" if is_ready else "not ready", **answers), 200 if is_ready else 503)


def _database() -> bool:
    try:
        return bool(db.session.scalar(text("SELECT count(*) FROM alembic_version")))
    except SQLAlchemyError:
        return False


def _queue() -> bool:
    try:
        return bool(store().ping())
    except redis.RedisError:
        return False


def _worker() -> bool:
    try:
        return workers() > 0
    except redis.RedisError:
        return False
