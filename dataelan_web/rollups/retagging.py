"""Where the tags of a session change, its runs get them, and move from sums with the old ones to those with the new.

A trigger says which sessions (`rollup_retags`). What of their runs is counted already is taken away with the tags that
they had, and added with those that they have now, in the transaction that writes them: so the sums of a tag are always
those of the runs that have it. What still waits to be counted is left to wait. Nobody else counts meanwhile.
"""

from __future__ import annotations

import json
from datetime import timedelta

from sqlalchemy import text

from ..extensions import db
from .counting import ALL, ENDED, Source, count, each
from .cuts import OF_TAGGED
from .rebuilding import LOCK

AT_ONCE = 20
"""Sessions in a transaction."""
SETTLES = timedelta(seconds=2)
"""A run that was begun just before still has the old tags when it comes to be seen."""

_WAITS = "SELECT execution_id FROM rollup_queue WHERE runs = 1"
_LATER = """coalesce((SELECT sum(w.unpriced) FROM rollup_queue w
    WHERE w.execution_id = e.id AND w.entry_id IS NULL AND w.runs = 0), 0)"""
_IS_COUNTED = "l.id NOT IN (SELECT entry_id FROM rollup_queue WHERE entry_id IS NOT NULL)"
_MOVED = Source(
    f"""(
        SELECT m.*, m.way * ((e.cost IS NULL)::int - {_LATER}) AS unpriced, m.way AS runs
        FROM moved m JOIN executions e ON e.id = m.id WHERE {ENDED} AND m.id NOT IN ({_WAITS})
    ) AS q JOIN executions e ON e.id = q.id""",
    f"""moved q JOIN executions e ON e.id = q.id AND {ENDED}, {each("attempts", "a", "a.execution_id = e.id")},
        {each("ledger_entries", "l", f"l.attempt_id = a.id AND {_IS_COUNTED}")}""",
    tags="q.tags",
    lines_count="q.way",
)
_RETAG = text(f"""
WITH due AS (
    SELECT session_id FROM rollup_retags WHERE asked_at < clock_timestamp() - CAST(:settles AS interval)
        AND NOT EXISTS (
            SELECT FROM rollup_recounts r JOIN executions e ON e.organization_id = r.organization_id
            WHERE e.session_id = rollup_retags.session_id)
    ORDER BY asked_at LIMIT :most
),
taken AS (DELETE FROM rollup_retags r USING due WHERE r.session_id = due.session_id),
changed AS (
    UPDATE executions e SET tags = c.are FROM (
        SELECT id, tags AS were, tags_of_run(labels, session_id) AS are
        FROM executions WHERE session_id IN (SELECT session_id FROM due)
    ) AS c WHERE e.id = c.id AND c.were <> c.are RETURNING e.id, e.organization_id, c.were, c.are
),
moved AS MATERIALIZED (
    SELECT id, tags, way FROM changed, LATERAL (VALUES (were, -1), (are, 1)) AS ways (tags, way)
    WHERE cardinality(tags) > 0
),
{count([pair for pair in ALL if pair[0] in OF_TAGGED], _MOVED)}
SELECT (SELECT count(*) FROM due), coalesce((SELECT jsonb_agg(DISTINCT were) FROM changed), '[]'),
    coalesce((SELECT array_agg(DISTINCT organization_id) FROM changed), '{{}}')
""")
# A tag that nothing has any more is no longer offered.
_LEFT = """
FROM rollup_keys k WHERE k.organization_id = ANY(:organizations) AND k.cut = ANY(:cuts) AND k.tags IN (
    SELECT ARRAY(SELECT jsonb_array_elements_text(one)) FROM jsonb_array_elements(CAST(:were AS jsonb)) AS one)
"""
_FORGET = (
    text(f"""DELETE FROM rollups r WHERE r.key_id IN (SELECT k.id {_LEFT})
        AND (r.runs, r.attempts, r.unpriced, r.cost) = (0, 0, 0, 0)"""),
    text(f"DELETE {_LEFT} AND NOT EXISTS (SELECT FROM rollups r WHERE r.key_id = k.id)"),
)


def retag(settles: timedelta = SETTLES) -> int:
    """How many sessions; 0 too while somebody else counts. Commits."""
    if not db.session.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": LOCK}):
        db.session.rollback()
        return 0
    sessions, were, organizations = db.session.execute(_RETAG, {"most": AT_ONCE, "settles": settles}).one()
    if organizations:
        of = {"organizations": organizations, "were": json.dumps(were), "cuts": [int(cut) for cut in OF_TAGGED]}
        for statement in _FORGET:
            db.session.execute(statement, of)
    db.session.commit()
    return int(sessions)
