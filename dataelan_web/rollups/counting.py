"""The one statement that adds runs and lines of the ledger to the sums; the same for what just ended and for a rebuild.

A run counts in the bucket in which it was asked, with the model that answered, or was tried last. Money counts in the
bucket of its run too, but with the provider, model, key and payer of the call that it was paid for: where a run fell
back to another model, what the first one cost is that one's. So sums over runs and sums over the ledger are the same
sums, and a correction mends the day that it corrects. Only runs that ended count, and the lines of such runs. Calls
count where they were made, as money does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ..models.base import NIL
from ..models.executions import OPEN, Origin, State
from ..models.rollups import CALLS, COUNTERS, DIMENSIONS, HISTOGRAMS, PEOPLE, TAGS, TOKENS, UNITS, WORDS, Grain
from .cuts import HOLDS, HOURS_KEPT, OF_TAGGED, QUARTERS_KEPT, Cut, every
from .histogram import bin_sql

RATE_LIMIT = "rate_limit"
"""The router's word for a call that was refused for its rate."""
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


def each(table: str, alias: str, which: str) -> str:
    """Joins by an index, row by row: a plan that reads a whole table never pays here."""
    return f"LATERAL (SELECT * FROM {table} {alias} WHERE {which} OFFSET 0) AS {alias}"


_EACH_CALL = """LATERAL (
        SELECT a.*, lead(a.number) OVER each_call IS NULL AS is_last,
            lead(a.model_id) OVER each_call IS NOT DISTINCT FROM a.model_id AS is_same
        FROM attempts a WHERE a.execution_id = e.id WINDOW each_call AS (ORDER BY a.number) OFFSET 0
    ) AS a"""
"""Of runs with several: was it the last, and did the same model come after it?"""


@dataclass(frozen=True)
class Source:
    """What is counted, as the FROM of a query: executions `e` with how often each counts, `q (runs, unpriced)`; and
    executions `e` with attempts `a` and lines of the ledger `l`."""

    runs: str
    lines: str
    tags: str = "e.tags"
    lines_count: str = "1"
    """How often each line counts."""


def facts(of: Source) -> str:
    """One row a run and one a line."""
    return f"""
    SELECT {_OF_THE_RUN}, {of.tags} AS tags,
        {", ".join(f"{_none(f'e.{name}')} AS {name}" for name in UNITS)}, coalesce(e.payer, 'nobody')::text AS payer,
        q.runs::bigint AS runs, CASE WHEN e.state IN {FAILED} THEN q.runs ELSE 0 END::bigint AS failed,
        CASE WHEN e.attempts_made < 2 THEN q.runs * e.attempts_made ELSE 0 END::bigint AS attempts,
        0::bigint AS retries, 0::bigint AS fallbacks,
        CASE WHEN e.attempts_made < 2 AND e.error_kind = '{RATE_LIMIT}' THEN q.runs ELSE 0 END::bigint AS rate_limited,
        q.unpriced::bigint AS unpriced,
        {", ".join(f"q.runs * coalesce(e.{name}, 0)::bigint AS {name}" for name in TOKENS)},
        0::bigint AS cost,
        CASE WHEN {_STREAMED} THEN q.runs * (coalesce(e.tokens_output, 0) + coalesce(e.tokens_reasoning, 0))::bigint
            ELSE 0 END AS streamed_tokens,
        CASE WHEN {_STREAMED} THEN q.runs * round(extract(epoch FROM e.finished_at - e.first_token_at) * 1000)::bigint
            ELSE 0 END AS streamed_ms,
        CASE WHEN q.runs <> 0 AND e.state = 'completed'
            THEN {bin_sql("(e.first_token_at - e.created_at)", "q.runs")} END AS first_token,
        CASE WHEN q.runs <> 0 AND e.state = 'completed'
            THEN {bin_sql("(e.finished_at - e.created_at)", "q.runs")} END AS total
    FROM {of.runs}, organizations o WHERE o.id = e.organization_id
    UNION ALL
    SELECT {_OF_THE_RUN}, {of.tags},
        {", ".join(_none(f"a.{name}") for name in UNITS)}, a.payer::text,
        0, 0, q.runs, CASE WHEN a.is_same AND NOT a.is_last THEN q.runs ELSE 0 END,
        CASE WHEN a.is_same OR a.is_last THEN 0 ELSE q.runs END,
        CASE WHEN a.error_kind = '{RATE_LIMIT}' THEN q.runs ELSE 0 END, {_nothing_of("unpriced", *TOKENS, "cost")},
        0, 0, NULL, NULL
    FROM {of.runs}, organizations o, {_EACH_CALL}
    WHERE o.id = e.organization_id AND e.attempts_made > 1 AND q.runs <> 0
    UNION ALL
    SELECT {_OF_THE_RUN}, {of.tags},
        {", ".join(_none(f"a.{name}") for name in UNITS)}, l.payer::text,
        {_nothing_of("runs", "failed", *CALLS, "unpriced", *TOKENS)}, {of.lines_count} * l.amount, 0, 0, NULL, NULL
    FROM {of.lines}, organizations o WHERE o.id = e.organization_id"""


def _nothing_of(*counters: str) -> str:
    return ", ".join("0" for _ in counters)


WAITED = Source(
    f"ended_runs q, {each('executions', 'e', 'e.id = q.execution_id')}",
    f"""written_lines q, {each("ledger_entries", "l", "l.id = q.entry_id")},
        {each("attempts", "a", "a.id = l.attempt_id")}, {each("executions", "e", "e.id = a.execution_id")}""",
)
"""What the queue says, as `ended_runs (execution_id, runs, unpriced)` and `written_lines (entry_id)`."""

_STARTS = {grain: grain.name.lower() for grain in Grain}
"""The column of FACTS that says when a bucket begins."""
_COLUMNS = ", ".join((*COUNTERS, *HISTOGRAMS))
MOST_BINS = 64
"""A histogram that is longer is merged: each bin is there once. To merge shorter ones takes longer than it spares."""
KEPT = f"""
    (grain <> {Grain.QUARTER.value} OR bucket >= date_trunc('hour', now() - interval '{QUARTERS_KEPT.days} days'))
    AND (grain <> {Grain.HOUR.value} OR cut = {Cut.MODELS.value}
        OR bucket >= date_trunc('hour', now() - interval '{HOURS_KEPT.days} days'))"""
"""Which sums there are: see cuts.kept."""


def _key(cut: Cut) -> str:
    return f"{cut.name.lower()}_key"


def _digest(cut: Cut) -> str:
    return f"md5(concat_ws('|', organization_id, {cut.value}, {', '.join(_of(cut))}))::uuid AS {_key(cut)}"


def _key_row(cut: Cut) -> str:
    which = f" WHERE {_IS_TAGGED}" if cut in OF_TAGGED else ""
    return f"SELECT {_key(cut)} AS id, organization_id, {cut.value}, {', '.join(_of(cut))} FROM kinds{which}"


_IS_TAGGED = f"cardinality({TAGS}) > 0"
_NONE = {
    **dict.fromkeys((*PEOPLE, *UNITS), f"'{NIL}'::uuid"),
    **dict.fromkeys(WORDS, "''"),
    TAGS: "'{}'::text[]",
}


def _of(cut: Cut) -> list[str]:
    """All dimensions, of which a cut leaves some out."""
    return [name if name in HOLDS[cut] else _NONE[name] for name in DIMENSIONS]


def _which(columns: Mapping[Cut, str] | Mapping[Grain, str]) -> str:
    """Which of several columns these rows are grouped by."""
    return (
        f"CASE {' '.join(f'WHEN GROUPING({name}) = 0 THEN {one.value}' for one, name in columns.items())} END::smallint"
    )


def _bins_of(name: str) -> str:
    """Of all rows of a group; most have one or none."""
    every = f"array_agg({name}) FILTER (WHERE {name} IS NOT NULL)"
    return f"CASE WHEN count({name}) > {MOST_BINS} THEN rollup_merge({every}) ELSE coalesce({every}, '{{}}') END"


def _bins_of_both(name: str) -> str:
    both = f"r.{name} || excluded.{name}"
    return f"CASE WHEN cardinality({both}) > {MOST_BINS} THEN rollup_merge({both}) ELSE {both} END"


def sums(pairs: Collection[tuple[Cut, Grain]], of: Source) -> str:
    """Sums of facts, as rows of `rollups` with what they are of: each cut by each grain that is asked for, in one look
    at the facts. After `WITH `."""
    plain, tagged = ([pair for pair in pairs if (pair[0] in OF_TAGGED) is which] for which in (False, True))
    every_one = [_grouped(some, where) for some, where in ((plain, "true"), (tagged, _IS_TAGGED)) if some]
    return f"""
facts AS MATERIALIZED ({facts(of)}),
kinds AS MATERIALIZED (  -- few, so that digests are made once a kind and not once a run
    SELECT *, {", ".join(map(_digest, Cut))}
    FROM (SELECT DISTINCT organization_id, {", ".join(DIMENSIONS)} FROM facts) AS kinds
),
sums AS MATERIALIZED (SELECT * FROM ({" UNION ALL ".join(every_one)}) AS grouped WHERE {KEPT})"""


def _grouped(pairs: Collection[tuple[Cut, Grain]], where: str) -> str:
    cuts = {cut: _key(cut) for cut, _ in pairs}
    grains = {grain: _STARTS[grain] for _, grain in pairs}
    return f"""
        SELECT coalesce({", ".join(cuts.values())}) AS key_id, {_which(cuts)} AS cut,
            {_which(grains)} AS grain, coalesce({", ".join(grains.values())}) AS bucket,
            {", ".join(f"sum({name})::bigint AS {name}" for name in COUNTERS)},
            {", ".join(f"{_bins_of(name)} AS {name}" for name in HISTOGRAMS)}
        FROM facts JOIN kinds USING (organization_id, {", ".join(DIMENSIONS)})
        WHERE {where}
        GROUP BY GROUPING SETS ({", ".join(f"({_key(cut)}, {_STARTS[grain]})" for cut, grain in pairs)})"""


ALL = tuple(every())


def count(pairs: Collection[tuple[Cut, Grain]], of: Source) -> str:
    """Adds them. After the same."""
    return f"""{sums(pairs, of)},
keys AS (
    INSERT INTO rollup_keys (id, organization_id, cut, {", ".join(DIMENSIONS)})
    SELECT * FROM ({" UNION ".join(map(_key_row, Cut))}) AS every ORDER BY id
    ON CONFLICT (id) DO NOTHING
),
added AS (
    INSERT INTO rollups AS r (key_id, grain, bucket, {_COLUMNS})
    SELECT key_id, grain, bucket, {_COLUMNS} FROM sums ORDER BY bucket, key_id, grain
    ON CONFLICT (key_id, grain, bucket) DO UPDATE SET
        {", ".join(f"{name} = r.{name} + excluded.{name}" for name in COUNTERS)},
        {", ".join(f"{name} = {_bins_of_both(name)}" for name in HISTOGRAMS)}
)"""
