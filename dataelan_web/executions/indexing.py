"""What programs and workers ran is put into the index a moment after it ended, many runs in one statement.

It is taken out of the queue and indexed, or neither; several workers may do it at once. Until then a search does not
find it. What a person asked in the playground never waits here.

PostgreSQL itself puts the words of new documents into a list beside the index, where a search finds them too, but reads
all of it. It is emptied at each look, for all of them together, which takes half of what one by one does.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from sqlalchemy import text

from ..extensions import db, waits

if TYPE_CHECKING:
    from flask import Flask

log = logging.getLogger(__name__)

EVERY = 1.0
"""Seconds between two looks at the queue."""
BATCH = 1_000

_WAITS = text("SELECT FROM search_queue LIMIT 1")
_INDEX = text("""
WITH due AS (SELECT id FROM search_queue ORDER BY id LIMIT :most FOR UPDATE SKIP LOCKED),
taken AS (DELETE FROM search_queue q USING due WHERE q.id = due.id RETURNING q.execution_id)
SELECT count(*), search_index_all(array_agg(execution_id)) FROM taken HAVING count(*) > 0
""")
_EMPTY = text("SELECT gin_clean_pending_list('ix_search_documents_words')")


def index(most: int = BATCH) -> int:
    """Put what waits into the index, at most so many runs. Returns how many. Commits."""
    found = db.session.execute(_INDEX, {"most": most}).first()
    db.session.commit()
    return int(found[0]) if found else 0


def empty_the_list() -> int:
    """Of words that are not in the index itself yet. Returns how many pages they took. Commits."""
    pages: int = db.session.scalar(_EMPTY)
    db.session.commit()
    return pages


def index_forever(app: Flask, stopping: threading.Event) -> None:
    """Every second, until the worker is asked to stop."""
    while not stopping.wait(EVERY):
        try:
            with app.app_context():
                while waits(_WAITS) and index() == BATCH and not stopping.is_set():
                    pass
                empty_the_list()
        except Exception:  # this thread must not end: nothing more would be found
            log.exception("runs could not be indexed yet; it is tried again")
