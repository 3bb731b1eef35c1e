"""Runs that ended, as the sums of dashboards take them off their queue: each once, by one worker, whoever ran it. So
metrics say what dashboards say, and no prompt waits for them."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any

from flask import current_app
from sqlalchemy import text

from ..extensions import db
from ..rollups.counting import REPAIR
from . import store
from .families import (
    ATTEMPT_DURATION,
    ATTEMPTS,
    FIRST_TOKEN,
    REFUSED,
    RUN_DURATION,
    RUN_WAIT,
    RUNS,
    SPEND,
    TOKENS,
    UNPRICED,
    Family,
)
from .store import SUM, Key

CLASSES = {"input": "tokens_input", "cache_read": "tokens_cache_read", "cache_write": "tokens_cache_write",
           "output": "tokens_output", "reasoning": "tokens_reasoning"}  # fmt: skip
_ORIGIN = f"CASE WHEN e.repairs_id IS NULL THEN e.origin ELSE '{REPAIR}' END::text"
"""As dashboards have it: the repair of an action was asked for by nobody."""
_PROVIDER = "CASE WHEN p.organization_id IS NULL THEN coalesce(p.slug, 'none') ELSE 'own/' || p.kind END"


def _histogram(family: Family, label: str, seconds: str, source: str) -> str:
    """label, the place of a bucket (whose upper edge counts in), how many, and their sum in microseconds."""
    edges = ", ".join(str(-edge) for edge in reversed(family.buckets))
    place = f"{len(family.buckets)} - width_bucket(-extract(epoch FROM {seconds})::float8, ARRAY[{edges}]::float8[])"
    return f"""SELECT {label}, {place}, count(*), round(sum(extract(epoch FROM {seconds})) * 1000000)::bigint
        FROM {source} GROUP BY 1, 2"""


_ENDED = "executions e WHERE e.id = ANY(:runs) AND e.origin <> 'import'"
_CALLS = "attempts a LEFT JOIN providers p ON p.id = a.provider_id WHERE a.execution_id = ANY(:runs)"
_COUNTED = {
    RUNS: f"""SELECT {_ORIGIN}, e.model_type, e.state, coalesce(e.error_kind, ''), count(*) FROM {_ENDED}
        GROUP BY 1, 2, 3, 4""",
    UNPRICED: f"SELECT count(*) FROM {_ENDED} AND e.cost IS NULL HAVING count(*) > 0",
    REFUSED: """SELECT 'budget', b.scope, count(*) FROM executions e JOIN budgets b ON b.id = e.refused_by
        WHERE e.id = ANY(:runs) GROUP BY 2
        UNION ALL SELECT 'rate', '', count(*) FROM executions e WHERE e.id = ANY(:runs) AND e.error_kind = 'rate_limit'
        AND NOT EXISTS (SELECT FROM attempts a WHERE a.execution_id = e.id) HAVING count(*) > 0""",
}
_WAITED = {
    RUN_WAIT: _histogram(
        RUN_WAIT, _ORIGIN, "(e.started_at - e.created_at)", f"{_ENDED} AND e.started_at IS NOT NULL"
    ),
    RUN_DURATION: _histogram(
        RUN_DURATION, _ORIGIN, "(e.finished_at - e.created_at)", f"{_ENDED} AND e.state = 'completed'"
    ),
    FIRST_TOKEN: _histogram(
        FIRST_TOKEN, _PROVIDER, "(a.first_token_at - a.started_at)",
        f"{_CALLS} AND a.outcome = 'completed' AND a.first_token_at IS NOT NULL",
    ),
    ATTEMPT_DURATION: _histogram(
        ATTEMPT_DURATION, _PROVIDER, "(a.ended_at - a.started_at)", f"{_CALLS} AND a.outcome = 'completed'"
    ),
}  # fmt: skip
_CALLED = f"""SELECT {_PROVIDER}, a.outcome, coalesce(a.error_kind, ''), count(*),
    {", ".join(f"coalesce(sum(a.{column}), 0)::bigint" for column in CLASSES.values())}
    FROM {_CALLS} GROUP BY 1, 2, 3"""
_PAID = f"""SELECT {_PROVIDER}, l.payer, sum(l.amount)::bigint FROM ledger_entries l
    LEFT JOIN attempts a ON a.id = l.attempt_id LEFT JOIN providers p ON p.id = a.provider_id
    WHERE l.id = ANY(:entries) AND l.amount > 0 GROUP BY 1, 2"""


def count(runs: Sequence[uuid.UUID], entries: Sequence[uuid.UUID]) -> None:
    """Runs that ended, and lines of the ledger, as they were just counted for dashboards. Nothing where metrics are
    off."""
    if current_app.extensions["dataelan_settings"].metrics_token and (runs or entries):
        store.add(counts(runs, entries))


def counts(runs: Sequence[uuid.UUID], entries: Sequence[uuid.UUID]) -> Counter[Key]:
    found = Counter[Key]()
    ids = {"runs": list(runs), "entries": list(entries)}
    for family, statement in _COUNTED.items() if runs else ():
        for *labels, number in _rows(statement, ids):
            found[(family.name, *map(str, labels))] += int(number)
    for provider, outcome, error, number, *tokens in _rows(_CALLED, ids) if runs else ():
        found[(ATTEMPTS.name, provider, outcome, error)] += int(number)
        found.update({(TOKENS.name, provider, name): used for name, used in zip(CLASSES, tokens, strict=True) if used})
    for family, statement in _WAITED.items() if runs else ():
        for label, place, number, micros in _rows(statement, ids):
            found[(family.name, str(label), str(place))] += int(number)
            found[(family.name, str(label), SUM)] += max(int(micros), 0)
    for provider, payer, amount in _rows(_PAID, ids) if entries else ():
        found[(SPEND.name, provider, payer)] += int(amount)
    db.session.rollback()
    return found


def _rows(statement: str, ids: dict[str, list[uuid.UUID]]) -> Sequence[Any]:
    return db.session.execute(text(statement), {name: ids[name] for name in ids if f":{name}" in statement}).all()
