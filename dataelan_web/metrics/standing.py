"""What is asked at the moment of the question. Where the database or Valkey is away, that is what is told."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import redis
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from ..extensions import db
from ..jobs import queue
from . import process, store
from .families import (
    DRIFT,
    KEPT,
    MESSAGES,
    OF_PROCESSES,
    OLDEST,
    OPEN,
    OUTBOX,
    ROLLUP_LAG,
    ROLLUP_WAITING,
    UP,
    WORKERS,
    Family,
)
from .text import Sample, of_counter, of_histogram

log = logging.getLogger(__name__)

PATIENCE = text("SET LOCAL statement_timeout = '2s'")
MOST_COUNTED = 100_000
"""More lines than that are behind is all that need be known."""
_OPEN = text("""
SELECT state, count(*), extract(epoch FROM now() - min(created_at)) FROM executions
WHERE state IN ('queued', 'running') GROUP BY state
""")
_ROLLUP = text("""
SELECT (SELECT count(*) FROM (SELECT FROM rollup_queue LIMIT :most) AS lines),
    (SELECT extract(epoch FROM now() - e.finished_at) FROM rollup_queue q JOIN executions e ON e.id = q.execution_id
    WHERE e.finished_at IS NOT NULL ORDER BY q.id LIMIT 1)
""")
_OUTBOX = text("SELECT count(*) FROM deliveries WHERE state = 'waiting' AND next_at <= now()")
_DRIFT = text("SELECT count(*) FROM ledger_drifts")


def everything() -> list[tuple[Family, list[Sample]]]:
    """Each family with what is known of it."""
    found: dict[str, list[Sample]] = {}
    for family, sample in (*_database(), *_valkey()):
        found.setdefault(family.name, []).append(sample)
    return [(family, found.get(family.name, [])) for family in _ORDER]


def _database() -> Iterator[tuple[Family, Sample]]:
    try:
        db.session.execute(PATIENCE)
        waiting = {row[0]: row for row in db.session.execute(_OPEN)}
        behind, lag = db.session.execute(_ROLLUP, {"most": MOST_COUNTED}).one()
        due, drifted = db.session.scalar(_OUTBOX), db.session.scalar(_DRIFT)
        db.session.rollback()
    except SQLAlchemyError as error:
        log.warning("metrics of the database are left out: %s", error)
        with contextlib.suppress(SQLAlchemyError):
            db.session.rollback()
        yield UP, Sample(("database",), 0)
        return
    yield UP, Sample(("database",), 1)
    for state in ("queued", "running"):
        yield OPEN, Sample((state,), waiting[state][1] if state in waiting else 0)
    yield OLDEST, Sample((), float(waiting["queued"][2]) if "queued" in waiting else 0)
    yield ROLLUP_WAITING, Sample((), behind)
    yield ROLLUP_LAG, Sample((), max(float(lag or 0), 0))
    yield OUTBOX, Sample((), due or 0)
    yield DRIFT, Sample((), drifted or 0)


def _valkey() -> Iterator[tuple[Family, Sample]]:
    try:
        messages, workers, processes, kept = queue.waiting(), queue.workers(), process.heard(), store.read()
    except redis.RedisError:
        yield UP, Sample(("queue",), 0)
        return
    yield UP, Sample(("queue",), 1)
    yield MESSAGES, Sample((), messages)
    yield WORKERS, Sample((), workers)
    for name, facts in sorted(processes.items()):
        for family in OF_PROCESSES:
            if family.name in facts:
                yield family, Sample((name,), facts[family.name])
    for family in KEPT:
        mine = {key[1:]: count for key, count in kept.items() if key[0] == family.name}
        for sample in of_histogram(family, mine) if family.buckets else of_counter(family, mine):
            yield family, sample


_ORDER = (UP, MESSAGES, WORKERS, OPEN, OLDEST, *KEPT, ROLLUP_WAITING, ROLLUP_LAG, OUTBOX, DRIFT, *OF_PROCESSES)
