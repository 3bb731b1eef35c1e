"""The one statement that adds runs and lines of the ledger to the sums; the same for what just ended and for a rebuild.

A run counts in the bucket in which it was asked, with the model that answered, or was tried last. Money counts in the
bucket of its run too, but with the provider, model, key and payer of the call that it was paid for: where a run fell
back to another model, what the first one cost is that one's. So sums over runs and sums over the ledger are the same
sums, and a correction mends the day that it corrects. Only runs that ended count, and the lines of such runs.
"""

from __future__ import annotations

from ..models.base import NIL
from ..models.executions import OPEN, Origin
from ..models.rollups import COUNTERS, DIMENSIONS, HISTOGRAMS, TOKENS, UNITS, WORDS, Grain
from .cuts import HOLDS
from .histogram import bin_sql

REPAIR = "repair"
"""The origin of a run that only repairs the call of an action: no person or program asked for it."""

OPEN_STATES = ", ".join(f"'{state.value}'" for state in OPEN)
ENDED = f"e.state NOT IN ({OPEN_STATES}) AND e.origin <> '{Origin.IMPORT.value}'"
"""What counts, of executions `e`."""


def _none(column: str) -> str:
    return f"coalesce({column}, '{NIL}'::uuid)"


_OF_THE_RUN = f"""
    e.organization_id, e.created_at AS at, o.time_zone, e.project_id, {_none("e.user_id")} AS user_id,
    e.model_type::text, CASE WHEN e.repairs_id IS NULL THEN e.origin ELSE '{REPAIR}' END::text AS origin,
    e.state::text AS outcome, left(coalesce(e.error_kind, ''), 30) AS error"""

_STREAMED = """e.state = 'completed' AND e.first_token_at < e.finished_at
            AND coalesce(e.tokens_output, e.tokens_reasoning) IS NOT NULL"""

FACTS = f"""
    SELECT {_OF_THE_RUN},
        {", ".join(f"{_none(f'e.{name}')} AS {name}" for name in UNITS)}, coalesce(e.payer, 'nobody')::text AS payer,
        q.runs::bigint AS runs, q.runs * e.attempts_made::bigint AS attempts, q.unpriced::bigint AS unpriced,
        {", ".join(f"q.runs * coalesce(e.{name}, 0)::bigint AS {name}" for name in TOKENS)},
        0::bigint AS cost,
        CASE WHEN {_STREAMED} THEN q.runs * (coalesce(e.tokens_output, 0) + coalesce(e.tokens_reasoning, 0))::bigint
            ELSE 0 END AS streamed_tokens,
        CASE WHEN {_STREAMED} THEN q.runs * round(extract(epoch FROM e.finished_at - e.first_token_at) * 1000)::bigint
            ELSE 0 END AS streamed_ms,
        CASE WHEN q.runs > 0 AND e.state = 'completed' THEN {bin_sql("(e.first_token_at - e.created_at)")} END
            AS first_token,
        CASE WHEN q.runs > 0 AND e.state = 'completed' THEN {bin_sql("(e.finished_at - e.created_at)")} END AS total
    FROM ended_runs q JOIN executions e ON e.id = q.execution_id JOIN organizations o ON o.id = e.organization_id
    UNION ALL
    SELECT {_OF_THE_RUN},
        {", ".join(f"{_none(f'a.{name}')} AS {name}" for name in UNITS)}, l.payer::text AS payer,
        0, 0, 0, {", ".join("0" for _ in TOKENS)}, l.amount, 0, 0, NULL, NULL
    FROM written_lines q JOIN ledger_entries l ON l.id = q.entry_id JOIN attempts a ON a.id = l.attempt_id
    JOIN executions e ON e.id = a.execution_id JOIN organizations o ON o.id = e.organization_id"""
"""One row a run and one a line, from `ended_runs (execution_id, runs, unpriced)` and `written_lines (entry_id)`."""


def _left_out(name: str) -> str:
    return "''" if name in WORDS else f"'{NIL}'::uuid"


_CUT = "\n    UNION ALL ".join(
    f"SELECT {cut.value}::smallint AS cut, "
    + ", ".join(f"{name if name in holds else _left_out(name)} AS {name}" for name in DIMENSIONS)
    + f", organization_id, at, time_zone, {', '.join((*COUNTERS, *HISTOGRAMS))} FROM facts"
    for cut, holds in HOLDS.items()
)
_BUCKETS = f"""(VALUES
        ({Grain.QUARTER.value}::smallint, to_timestamp(floor(extract(epoch FROM at) / 900) * 900)),
        ({Grain.HOUR.value}::smallint, date_trunc('hour', at, time_zone)),
        ({Grain.DAY.value}::smallint, date_trunc('day', at, time_zone))
    )"""
_KEY = f"md5(concat_ws('|', organization_id, cut, {', '.join(DIMENSIONS)}))::uuid"
_COLUMNS = ", ".join((*COUNTERS, *HISTOGRAMS))


def _bins_of(name: str) -> str:
    """Of all rows of a group. Merging is what takes longest, and most groups have one row or none."""
    every = f"array_agg({name}) FILTER (WHERE {name} IS NOT NULL)"
    return f"CASE count({name}) WHEN 0 THEN '{{}}' WHEN 1 THEN {every} ELSE rollup_merge({every}) END"


def _bins_of_both(name: str) -> str:
    old, new = f"r.{name}", f"excluded.{name}"
    return f"CASE WHEN {new} = '{{}}' THEN {old} WHEN {old} = '{{}}' THEN {new} ELSE rollup_merge({old} || {new}) END"


SUMS = f"""
facts AS ({FACTS}),
cuts AS MATERIALIZED (SELECT {_KEY} AS key_id, cut.* FROM ({_CUT}) AS cut),
sums AS (
    SELECT organization_id, cut, grain, bucket, key_id,
        {", ".join(f"sum({name})::bigint AS {name}" for name in COUNTERS)},
        {", ".join(f"{_bins_of(name)} AS {name}" for name in HISTOGRAMS)}
    FROM cuts CROSS JOIN LATERAL {_BUCKETS} AS buckets (grain, bucket)
    GROUP BY organization_id, cut, grain, bucket, key_id
)"""
"""Sums of facts, as rows of `rollups`."""

COUNT = f"""{SUMS},
keys AS (
    INSERT INTO rollup_keys (id, organization_id, cut, {", ".join(DIMENSIONS)})
    SELECT DISTINCT key_id, organization_id, cut, {", ".join(DIMENSIONS)} FROM cuts ORDER BY key_id
    ON CONFLICT (id) DO NOTHING
),
added AS (
    INSERT INTO rollups AS r (organization_id, cut, grain, bucket, key_id, {_COLUMNS})
    SELECT organization_id, cut, grain, bucket, key_id, {_COLUMNS} FROM sums ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (organization_id, cut, grain, bucket, key_id) DO UPDATE SET
        {", ".join(f"{name} = r.{name} + excluded.{name}" for name in COUNTERS)},
        {", ".join(f"{name} = {_bins_of_both(name)}" for name in HISTOGRAMS)}
)"""
"""After `WITH ended_runs AS (…), written_lines AS (…), `: adds them."""
