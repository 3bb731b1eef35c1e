"""What waits in the queue is counted, by one worker at a time, all in one statement: it is taken out of the queue and
added to the sums, or neither. So a worker may die in it, and several may run it at once; nothing is counted twice.

A line of the ledger waits for the end of its run: only then is it known what came of it. Where an organization is to be
counted anew (rebuilding), what is its waits for that.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import text

from ..extensions import db, waits
from .counting import ALL, ENDED, OPEN_STATES, WAITED, count
from .cuts import every, kept
from .rebuilding import LOCK, rebuild_due
from .retagging import retag

if TYPE_CHECKING:
    from flask import Flask

log = logging.getLogger(__name__)

EVERY = 1.0
"""Seconds between two looks at the queue."""
BATCH = 5_000
PRUNED_EVERY = 3600.0
Tell = Callable[[Sequence[uuid.UUID], Sequence[uuid.UUID]], None]
"""Who else wants to know what was counted: (runs that ended, lines of the ledger), each once."""

_FOLD = text(f"""
WITH due AS (
    SELECT q.id FROM rollup_queue q LEFT JOIN executions e ON e.id = q.execution_id
    WHERE (e.id IS NULL OR e.state NOT IN ({OPEN_STATES}))
        AND NOT EXISTS (SELECT FROM rollup_recounts r WHERE r.organization_id = e.organization_id)
    ORDER BY q.id LIMIT :most
),
taken AS (DELETE FROM rollup_queue q USING due WHERE q.id = due.id
    RETURNING q.execution_id, q.entry_id, q.runs, q.unpriced),
ended_runs AS (SELECT execution_id, runs, unpriced FROM taken WHERE entry_id IS NULL),
written_lines AS (
    SELECT t.entry_id FROM taken t JOIN executions e ON e.id = t.execution_id WHERE t.entry_id IS NOT NULL AND {ENDED}
),
{count(ALL, WAITED)}
SELECT count(*), coalesce(array_agg(execution_id) FILTER (WHERE runs > 0), '{{}}') AS runs,
    coalesce(array_agg(entry_id) FILTER (WHERE entry_id IS NOT NULL), '{{}}') AS entries FROM taken
""")
_QUEUED = text("SELECT FROM rollup_queue LIMIT 1")
_ASKED = text("SELECT FROM rollup_recounts LIMIT 1")
_RETAGGED = text("SELECT FROM rollup_retags LIMIT 1")
_PRUNE = text("""
DELETE FROM rollups r USING rollup_keys k
WHERE k.cut = :cut AND r.key_id = k.id AND r.grain = :grain AND r.bucket < date_trunc('hour', now() - :kept)
""")


def fold(most: int = BATCH, tell: Tell | None = None) -> int:
    """Count what waits, at most so much. Returns how much it was; 0 too while somebody else is at it. Commits, and then
    tells of the runs that ended, and of the ledger's lines."""
    if not db.session.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": LOCK}):
        db.session.rollback()
        return 0
    counted, runs, entries = db.session.execute(_FOLD, {"most": most}).one()
    db.session.commit()
    if tell is not None and counted:
        tell(runs, entries)
    return int(counted)


def fold_all() -> int:
    """Until nothing waits that can be counted, or somebody else is at it."""
    counted = 0
    while some := fold():
        counted += some
    return counted


def prune() -> None:
    """Delete the sums that are not kept any longer. Commits."""
    for cut, grain in every():
        if (lasts := kept(cut, grain)) is not None:
            db.session.execute(_PRUNE, {"cut": cut, "grain": grain, "kept": lasts})
            db.session.commit()


def keep_forever(app: Flask, stopping: threading.Event, tell: Tell | None = None) -> None:
    """Every second, until the worker is asked to stop."""
    pruned = time.monotonic()
    while not stopping.wait(EVERY):
        try:
            with app.app_context():
                while waits(_QUEUED) and fold(tell=tell) == BATCH and not stopping.is_set():
                    pass
                while waits(_RETAGGED) and retag() and not stopping.is_set():
                    pass
                if time.monotonic() - pruned > PRUNED_EVERY:
                    pruned = time.monotonic()
                    prune()
        except Exception:  # this thread must not end: dashboards would stand still
            log.exception("runs could not be counted yet; it is tried again")


def recount_forever(app: Flask, stopping: threading.Event) -> None:
    """Whose time zone changed is counted anew; on a thread of its own, since that takes minutes where there is much."""
    while not stopping.wait(EVERY):
        try:
            with app.app_context():
                if waits(_ASKED):
                    rebuild_due()
        except Exception:
            log.exception("an organization could not be counted anew yet; it is tried again")
