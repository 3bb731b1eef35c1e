"""The one statement that adds runs and lines of the ledger to the sums; the same for what just ended and for a rebuild.

A run counts in the bucket in which it was asked, with the model that answered, or was tried last. Money counts in the
bucket of its run too, but with the provider, model, key and payer of the call that it was paid for: where a run fell
back to another model, what the first one cost is that one's. So sums over runs and sums over the ledger are the same
sums, and a correction mends the day that it corrects. Only runs that ended count, and the lines of such runs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ..models.base import NIL
from ..models.executions import OPEN, Origin, State
from ..models.rollups import COUNTERS, DIMENSIONS, HISTOGRAMS, TOKENS, UNITS, WORDS, Grain
from .cuts import HOLDS, HOURS_KEPT, QUARTERS_KEPT, Cut, every
from .histogram import bin_sql

REPAIR = "repair"
"""The origin of a run that only repairs the call of an action: no person or program asked for it."""

OPEN_STATES = ", ".join(f"'{state.value}'" for state in OPEN)
FAILED = (State.FAILED.value, State.INTERRUPTED.value)
ENDED = f"e.state NOT IN ({OPEN_STATES}) AND e.origin <> '{Origin.IMPORT.value}'"
"""What counts, of executions `e`."""


def _none(column: str) -> str:
    return f"coalesce({column}, '{NIL}'::uuid)"


_OF_THE_RUN = f"""
    e.organization_id, to_timestamp(floor(extract(epoch FROM e.created_at) / 900) * 900) AS quarter,
    date_trunc('hour', e.created_at, o.time_zone) AS hour, date_trunc('day', e.created_at, o.time_zone) AS day,
    date_trunc('week', e.created_at, o.time_zone) AS week, e.project_id, {_none("e.user_id")} AS user_id,
    e.model_type::text, CASE WHEN e.repairs_id IS NULL THEN e.origin ELSE '{REPAIR}' END::text AS origin,
    e.state::text AS outcome, left(coalesce(e.error_kind, ''), 30) AS error"""

_STREAMED = """e.state = 'completed' AND e.first_token_at < e.finished_at
            AND coalesce(e.tokens_output, e.tokens_reasoning) IS NOT NULL"""

FACTS = f"""
    SELECT {_OF_THE_RUN},
        {", ".join(f"{_none(f'e.{name}')} AS {name}" for name in UNITS)}, coalesce(e.payer, 'nobody')::text AS payer,
        q.runs::bigint AS runs, CASE WHEN e.state IN {FAILED} THEN q.runs ELSE 0 END::bigint AS failed,
        q.runs * e.attempts_made::bigint AS attempts, q.unpriced::bigint AS unpriced,
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
        0, 0, 0, 0, {", ".join("0" for _ in TOKENS)}, l.amount, 0, 0, NULL, NULL
    FROM written_lines q JOIN ledger_entries l ON l.id = q.entry_id JOIN attempts a ON a.id = l.attempt_id
    JOIN executions e ON e.id = a.execution_id JOIN organizations o ON o.id = e.organization_id"""
"""One row a run and one a line, from `ended_runs (execution_id, runs, unpriced)` and `written_lines (entry_id)`."""

_STARTS = {grain: grain.name.lower() for grain in Grain}
"""The column of FACTS that says when a bucket begins."""
_COLUMNS = ", ".join((*COUNTERS, *HISTOGRAMS))
MOST_BINS = 64
"""A histogram that is longer is merged: each bin is there once. Shorter ones are rather read twice than merged often."""
KEPT = f"""(grain <> {Grain.QUARTER.value} OR bucket >= date_trunc('hour', now() - {QUARTERS_KEPT.days} * interval '1 day'))
    AND (grain <> {Grain.HOUR.value} OR cut <> {Cut.FULL.value}
        OR bucket >= date_trunc('hour', now() - {HOURS_KEPT.days} * interval '1 day'))"""
"""Which sums there are: see cuts.kept."""


def _left_out(name: str) -> str:
    return "''" if name in WORDS else f"'{NIL}'::uuid"


def _cut_of() -> str:
    """GROUPING has a bit for each dimension, set where it is left out."""

    def mask(cut: Cut) -> int:
        return int("".join("0" if name in HOLDS[cut] else "1" for name in DIMENSIONS), 2)

    whens = " ".join(f"WHEN {mask(cut)} THEN {cut.value}" for cut in Cut)
    return f"CASE GROUPING({', '.join(DIMENSIONS)}) {whens} END::smallint"


def _grain_of(grains: Iterable[Grain]) -> str:
    whens = " ".join(f"WHEN GROUPING({_STARTS[grain]}) = 0 THEN {grain.value}" for grain in grains)
    return f"CASE {whens} END::smallint"


def _set_of(cut: Cut, grain: Grain) -> str:
    return f"({', '.join(('organization_id', _STARTS[grain], *(name for name in DIMENSIONS if name in HOLDS[cut])))})"


def _bins_of(name: str) -> str:
    """Of all rows of a group; most have one or none."""
    every = f"array_agg({name}) FILTER (WHERE {name} IS NOT NULL)"
    return f"CASE WHEN count({name}) > {MOST_BINS} THEN rollup_merge({every}) ELSE coalesce({every}, '{{}}') END"


def _bins_of_both(name: str) -> str:
    both = f"r.{name} || excluded.{name}"
    return f"CASE WHEN cardinality({both}) > {MOST_BINS} THEN rollup_merge({both}) ELSE {both} END"


def sums(pairs: Collection[tuple[Cut, Grain]]) -> str:
    """Sums of facts, as rows of `rollups` with what they are of: each cut by each grain that is asked for, in one look
    at the facts. After `WITH ended_runs AS (…), written_lines AS (…), `."""
    grains = sorted({grain for _, grain in pairs})
    return f"""
facts AS ({FACTS}),
grouped AS (
    SELECT organization_id, {_cut_of()} AS cut, {_grain_of(grains)} AS grain,
        coalesce({", ".join(_STARTS[grain] for grain in grains)}) AS bucket,
        {", ".join(f"coalesce({name}, {_left_out(name)}) AS {name}" for name in DIMENSIONS)},
        {", ".join(f"sum({name})::bigint AS {name}" for name in COUNTERS)},
        {", ".join(f"{_bins_of(name)} AS {name}" for name in HISTOGRAMS)}
    FROM facts
    GROUP BY GROUPING SETS ({", ".join(_set_of(*pair) for pair in pairs)})
),
sums AS MATERIALIZED (
    SELECT md5(concat_ws('|', organization_id, cut, {", ".join(DIMENSIONS)}))::uuid AS key_id, grouped.*
    FROM grouped WHERE {KEPT}
)"""


ALL = tuple(every())


def count(pairs: Collection[tuple[Cut, Grain]] = ALL) -> str:
    """Adds them. After the same."""
    return f"""{sums(pairs)},
keys AS (
    INSERT INTO rollup_keys (id, organization_id, cut, {", ".join(DIMENSIONS)})
    SELECT DISTINCT key_id, organization_id, cut, {", ".join(DIMENSIONS)} FROM sums ORDER BY key_id
    ON CONFLICT (id) DO NOTHING
),
added AS (
    INSERT INTO rollups AS r (key_id, grain, bucket, {_COLUMNS})
    SELECT key_id, grain, bucket, {_COLUMNS} FROM sums ORDER BY bucket, key_id, grain
    ON CONFLICT (key_id, grain, bucket) DO UPDATE SET
        {", ".join(f"{name} = r.{name} + excluded.{name}" for name in COUNTERS)},
        {", ".join(f"{name} = {_bins_of_both(name)}" for name in HISTOGRAMS)}
)"""
