"""The sums anew from the runs and the ledger; and do they agree with them?

Both look at one snapshot. What it shows as waiting in the queue was written together with its run or line, so it is
taken off the queue by a rebuild, and left out by a check; what comes later is counted later.

Who is to be counted anew has a line in `rollup_recounts`: by command, or by a trigger where an organization's time zone
changes, since its days then begin at another time. While it is there nothing of theirs is counted, and everybody else's
goes on. Whoever dies in a rebuild leaves the line, and the old sums; the next worker begins again.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, select, text

from ..extensions import db
from ..models import Organization, now
from ..models.rollups import COUNTERS, Grain
from .counting import ALL, ENDED, KEPT, OPEN_STATES, Source, count, each, sums
from .cuts import Cut, kept

LOCK = 0x0DA7AE1A
"""PostgreSQL's advisory lock of whoever counts what waits."""
ASKED_EVERY = 0.5
"""Seconds. A wait in one statement would end as any other statement that takes too long."""

_PATIENTLY = text("SET LOCAL statement_timeout = 0")
"""A year of runs takes its time."""
_MARK = text("""
INSERT INTO rollup_recounts (organization_id, asked_at) VALUES (:organization, clock_timestamp())
ON CONFLICT (organization_id) DO UPDATE SET asked_at = excluded.asked_at
""")
_UNMARK = text("DELETE FROM rollup_recounts WHERE organization_id = :organization AND asked_at = :asked_at")

# Whole weeks, so that no bucket lies in two of them.
_STRETCHES = text("""
SELECT week AT TIME ZONE time_zone AS start, (week + interval '4 weeks') AT TIME ZONE time_zone AS "end"
FROM organizations o, LATERAL (
    SELECT min(created_at) AT TIME ZONE o.time_zone AS first, max(created_at) AT TIME ZONE o.time_zone AS last
    FROM executions e WHERE e.organization_id = o.id
) AS ran, generate_series(date_trunc('week', first), last, interval '4 weeks') AS week
WHERE o.id = :organization
""")
_THEIRS = f"SELECT * FROM executions e WHERE {ENDED} AND e.organization_id = :organization"
_WITHIN = f"({_THEIRS} AND e.created_at >= :start AND e.created_at < :end) AS e"
_ONCE = "LATERAL (SELECT 1 AS runs, (e.cost IS NULL)::int AS unpriced) AS q"
_CALLS = each("attempts", "a", "a.execution_id = e.id")
_STRETCH = Source(f"{_WITHIN}, {_ONCE}", f"{_WITHIN}, {_CALLS}, {each('ledger_entries', 'l', 'l.attempt_id = a.id')}")
_WAITING = "l.id IN (SELECT entry_id FROM rollup_queue WHERE entry_id IS NOT NULL)"
_COUNTED = Source(
    f"""(
        SELECT id, 1 AS runs, (cost IS NULL)::int AS unpriced FROM ({_THEIRS}) AS e
        WHERE id NOT IN (SELECT execution_id FROM rollup_queue WHERE runs = 1)
        UNION ALL SELECT execution_id, 0, -unpriced FROM rollup_queue WHERE entry_id IS NULL AND runs = 0
    ) AS q JOIN ({_THEIRS}) AS e ON e.id = q.id""",
    f"({_THEIRS}) AS e, {_CALLS}, {each('ledger_entries', 'l', f'l.attempt_id = a.id AND NOT {_WAITING}')}",
)
"""Without what waits."""
_FORGET = (
    text("DELETE FROM rollup_keys WHERE organization_id = :organization"),  # and with them the sums
    text(f"""DELETE FROM rollup_queue q USING executions e
        WHERE e.id = q.execution_id AND e.organization_id = :organization AND e.state NOT IN ({OPEN_STATES})"""),
)
_RUNS = f"SELECT coalesce(sum(runs), 0) FROM sums WHERE cut = {Cut.PEOPLE.value} AND grain = {Grain.DAY.value}"
_SAME = " AND ".join(
    (*(f"want.{name} = have.{name}" for name in COUNTERS),
     *(f"rollup_merge(want.{name}) = rollup_merge(have.{name})" for name in ("first_token", "total")))
)  # fmt: skip
_VERIFY = text(f"""
WITH {sums(ALL, _COUNTED)},
have AS (
    SELECT k.cut, r.* FROM rollups r JOIN rollup_keys k ON k.id = r.key_id
    WHERE k.organization_id = :organization AND {KEPT}
)
SELECT coalesce(want.cut, have.cut) AS cut, coalesce(want.grain, have.grain) AS grain, count(*) AS buckets,
    coalesce(sum(want.runs), 0) AS runs, coalesce(sum(have.runs), 0) AS counted_runs,
    coalesce(sum(want.cost), 0) AS cost, coalesce(sum(have.cost), 0) AS counted_cost
FROM sums want FULL JOIN have USING (key_id, grain, bucket)
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
    """Sums of one organization anew. Nothing else of it is counted meanwhile. Returns its runs."""
    with db.engine.begin() as connection:
        connection.execute(_MARK, {"organization": organization.id})
    return _rebuild(organization.id) or 0


def rebuild_due() -> None:
    """Whoever is to be counted anew, if nobody is at it."""
    due = db.session.scalars(text("SELECT organization_id FROM rollup_recounts ORDER BY asked_at")).all()
    db.session.rollback()
    for id in due:
        _rebuild(id, is_patient=False)


def drift(organization: Organization) -> list[Drift]:
    """Where the sums are not what the runs and the ledger say."""
    with _snapshot() as connection:
        rows = connection.execute(_VERIFY, {"organization": organization.id}).all()
        return [Drift(organization.slug, Cut(row[0]), Grain(row[1]), *map(int, row[2:])) for row in rows]


def organizations(slug: str | None = None) -> list[Organization]:
    """That one, or all. Raises LookupError where none is called so."""
    query = select(Organization).order_by(Organization.slug)
    found = list(db.session.scalars(query if slug is None else query.where(Organization.slug == slug)))
    if slug is not None and not found:
        raise LookupError(f"There is no organization {slug!r}.")
    return found


def _rebuild(id: uuid.UUID, *, is_patient: bool = True) -> int | None:
    """Returns its runs; None: somebody else is at it, and we are not patient."""
    of, runs = {"organization": id}, 0
    with _alone(id, is_patient) as is_ours:
        if not is_ours:
            return None
        with _snapshot() as connection:
            asked_at = connection.scalar(
                text("SELECT asked_at FROM rollup_recounts WHERE organization_id = :organization"), of
            )
            for statement in _FORGET:
                connection.execute(statement, of)
            for stretch in connection.execute(_STRETCHES, of).all():
                statement = text(f"WITH {count(_kept_since(stretch), _STRETCH)} {_RUNS}")
                runs += int(connection.scalar(statement, of | stretch._asdict()) or 0)
    with db.engine.begin() as connection:
        connection.execute(_UNMARK, of | {"asked_at": asked_at})
    with db.engine.begin() as connection:  # else the first pages are planned for tables that were empty
        connection.execute(_PATIENTLY)
        connection.execute(text("ANALYZE rollups, rollup_keys"))
    return runs


def _kept_since(stretch: Row[Any]) -> list[tuple[Cut, Grain]]:
    """Of what is so long ago; one hour more than is kept, since that is not said to the hour."""
    gone = now() - stretch.end - timedelta(hours=1)
    return [pair for pair in ALL if (lasts := kept(*pair)) is None or gone < lasts]


@contextmanager
def _alone(id: uuid.UUID, is_patient: bool) -> Iterator[bool]:
    """Does nobody else count this organization anew? And whoever was counting before its line was there has ended."""
    lock = {"lock": id.int & 0x7FFF_FFFF_FFFF_FFFF}
    with db.engine.connect() as holder:
        # Of a session, and in no transaction: one that stands still for long is ended by PostgreSQL.
        holder = holder.execution_options(isolation_level="AUTOCOMMIT")
        while not holder.scalar(text("SELECT pg_try_advisory_lock(:lock)"), lock):
            if not is_patient:
                yield False
                return
            time.sleep(ASKED_EVERY)
        try:
            holder.execute(text("SELECT pg_advisory_lock(:lock), pg_advisory_unlock(:lock)"), {"lock": LOCK})
            yield True
        finally:
            holder.execute(text("SELECT pg_advisory_unlock(:lock)"), lock)


@contextmanager
def _snapshot() -> Iterator[Connection]:
    """A transaction in which nothing changes. Commits."""
    with db.engine.connect() as connection:
        connection = connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            connection.execute(_PATIENTLY)
            connection.execute(text("SET LOCAL work_mem = '256MB'"))
            yield connection
