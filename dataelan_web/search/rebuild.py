"""The index made anew, while the product runs: new slices where the runs lie thick, then every run once more."""

from __future__ import annotations

import uuid

from sqlalchemy import bindparam, text

from ..extensions import db

BATCH = 1000
SLICE = 2048

_SLICES = text(
    """
    INSERT INTO search_slices (id, created_at, organization_id, starts_at)
    SELECT gen_random_uuid(), now(), organization_id,
        CASE WHEN place = 1 THEN timestamptz '1000-01-01 00:00:00+00' ELSE created_at END
    FROM (SELECT organization_id, created_at,
        row_number() OVER (PARTITION BY organization_id ORDER BY created_at) AS place FROM executions) runs
    WHERE place % :slice = 1
    ON CONFLICT DO NOTHING
    """
)
_RUNS = text(
    "SELECT id FROM executions WHERE id > :after AND state NOT IN ('queued', 'running') ORDER BY id LIMIT :batch"
)
_INDEX = text("SELECT search_index_all(CAST(:ids AS uuid[]))").bindparams(bindparam("ids"))


def rebuild() -> int:
    """How many runs there are. Commits, batch by batch."""
    db.session.execute(text("SET LOCAL statement_timeout = 0"))
    db.session.execute(_SLICES, {"slice": SLICE})
    db.session.commit()
    done, after = 0, uuid.UUID(int=0)
    while ids := db.session.scalars(_RUNS, {"after": after, "batch": BATCH}).all():
        db.session.execute(_INDEX, {"ids": ids})
        db.session.commit()
        done, after = done + len(ids), ids[-1]
    return done
