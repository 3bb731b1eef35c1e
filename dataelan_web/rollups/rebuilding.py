"""The sums anew from the runs and the ledger; and do they agree with them?

Both look at one snapshot. What it shows as waiting in the queue was written together with its run or line, so it is
taken off the queue by a rebuild, and left out by a check; what comes later is counted later.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, select, text

from ..extensions import db
from ..models import Organization
from ..models.rollups import COUNTERS, HISTOGRAMS, Grain
from .counting import COUNT, ENDED, OPEN_STATES, SUMS
from .cuts import Cut
from .keeping import LOCK

_WITHIN = "e.organization_id = :organization AND e.created_at >= :start AND e.created_at < :end"
_REBUILD = text(f"""
WITH ended_runs AS (
    SELECT e.id AS execution_id, 1 AS runs, (e.cost IS NULL)::int AS unpriced FROM executions e
    WHERE {ENDED} AND {_WITHIN}
),
written_lines AS (
    SELECT l.id AS entry_id FROM ledger_entries l JOIN attempts a ON a.id = l.attempt_id
    JOIN executions e ON e.id = a.execution_id WHERE {ENDED} AND {_WITHIN}
),
{COUNT}
SELECT count(*) FROM ended_runs
""")
_MONTHS = text("""
SELECT month AS start, month + interval '1 month' AS "end" FROM generate_series(
    (SELECT date_trunc('month', min(created_at)) FROM executions WHERE organization_id = :organization),
    (SELECT max(created_at) FROM executions WHERE organization_id = :organization), interval '1 month') AS month
""")
_FORGET = (
    text("DELETE FROM rollups WHERE organization_id = :organization"),
    text("DELETE FROM rollup_keys WHERE organization_id = :organization"),
    text(f"""DELETE FROM rollup_queue q USING executions e
        WHERE e.id = q.execution_id AND e.organization_id = :organization AND e.state NOT IN ({OPEN_STATES})"""),
)
_SAME = " AND ".join(f"want.{name} = have.{name}" for name in (*COUNTERS, *HISTOGRAMS))
_VERIFY = text(f"""
WITH ended_runs AS (
    SELECT e.id AS execution_id, 1 AS runs, (e.cost IS NULL)::int AS unpriced FROM executions e
    WHERE {ENDED} AND e.organization_id = :organization
        AND NOT EXISTS (SELECT FROM rollup_queue q WHERE q.execution_id = e.id AND q.runs = 1)
    UNION ALL
    SELECT q.execution_id, 0, -q.unpriced FROM rollup_queue q JOIN executions e ON e.id = q.execution_id
    WHERE q.entry_id IS NULL AND q.runs = 0 AND e.organization_id = :organization
),
written_lines AS (
    SELECT l.id AS entry_id FROM ledger_entries l JOIN attempts a ON a.id = l.attempt_id
    JOIN executions e ON e.id = a.execution_id
    WHERE {ENDED} AND e.organization_id = :organization
        AND NOT EXISTS (SELECT FROM rollup_queue q WHERE q.entry_id = l.id)
),
{SUMS},
have AS (SELECT * FROM rollups WHERE organization_id = :organization)
SELECT coalesce(want.cut, have.cut) AS cut, coalesce(want.grain, have.grain) AS grain, count(*) AS buckets,
    coalesce(sum(want.runs), 0) AS runs, coalesce(sum(have.runs), 0) AS counted_runs,
    coalesce(sum(want.cost), 0) AS cost, coalesce(sum(have.cost), 0) AS counted_cost
FROM sums want FULL JOIN have USING (organization_id, cut, grain, bucket, key_id)
WHERE NOT coalesce({_SAME}, false)
GROUP BY 1, 2 ORDER BY 1, 2
""")


@dataclass(frozen=True)
class Drift:
    organization: str
    cut: Cut
    grain: Grain
    buckets: int
    runs: int
    """In the buckets that differ."""
    counted_runs: int
    cost: int
    counted_cost: int

    def __str__(self) -> str:
        return (
            f"{self.organization}: {self.buckets} sums of {self.cut.name.lower()} by {self.grain.name.lower()} differ: "
            f"{self.counted_runs} runs counted of {self.runs}, {self.counted_cost} nano-USD of {self.cost}"
        )


def rebuild(organization: Organization) -> int:
    """Sums of one organization anew. Nothing else is counted meanwhile. Returns its runs."""
    with _snapshot() as connection:
        of: dict[str, object] = {"organization": organization.id}
        for statement in _FORGET:
            connection.execute(statement, of)
        months = connection.execute(_MONTHS, of).all()
        counted = sum(int(connection.scalar(_REBUILD, of | month._asdict()) or 0) for month in months)
    with db.engine.connect() as connection:  # else the first pages are planned for tables that were empty
        connection.execute(text("ANALYZE rollups, rollup_keys"))
        connection.commit()
    return counted


def drift(organization: Organization) -> list[Drift]:
    """Where the sums are not what the runs and the ledger say."""
    with _snapshot() as connection:
        rows = connection.execute(_VERIFY, {"organization": organization.id}).all()
        return [Drift(organization.slug, Cut(row[0]), Grain(row[1]), *map(int, row[2:])) for row in rows]


def organizations(slug: str | None = None) -> list[Organization]:
    query = select(Organization).order_by(Organization.slug)
    return list(db.session.scalars(query.where(Organization.slug == slug) if slug else query))


@contextmanager
def _snapshot() -> Iterator[Connection]:
    """A transaction in which nothing changes, begun when nobody else writes sums any more. Commits."""
    with db.engine.connect() as holder, db.engine.connect() as connection:
        # Of a session, and in no transaction: one that stands still for long is ended by PostgreSQL.
        holder = holder.execution_options(isolation_level="AUTOCOMMIT")
        holder.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
        try:
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                connection.execute(text("SET LOCAL statement_timeout = 0"))  # a year of runs takes its time
                yield connection
        finally:
            holder.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})
