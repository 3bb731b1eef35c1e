"""What a program learns of its call beside the answer: by headers, and in the last event of a stream."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from flask import Response
from sqlalchemy import bindparam, select
from sqlalchemy.exc import SQLAlchemyError

from .. import quota
from ..executions import cache, measures
from ..extensions import db
from ..models import NANO, Attempt, Execution, Unit, now, records
from ..models.journal import COUNTERS
from ..models.records import AttemptRecord, RunRecord
from ..router.types import Usage

FACTS = ("execution_id", "model", "provider", "cost_usd", "limit_left_usd", "overhead_ms")
TOLD = (*COUNTERS, "model_name", "provider_name", "measures")
"""What is told of the last call."""
HEADERS = {name: f"x-dataelan-{name.replace('_', '-')}" for name in FACTS}


class Account(NamedTuple):
    """What the record says of an execution, so far. Usage may be estimated, where a provider reports none."""

    usage: Usage
    facts: dict[str, Any]

    @classmethod
    def of(cls, execution: RunRecord, arrived: float) -> Account:
        spent = time.perf_counter() - arrived
        if execution.is_known:
            cost, left, made = execution.cost, execution.left_usd, execution.made
        else:
            cost, left, made = _recorded(execution)
        *counters, model, provider, beside = records.values(made[-1], TOLD).values() if made else (None, None, {})
        is_cached = bool((execution.labels or {}).get(cache.FROM))
        theirs = 0.0 if is_cached else sum(map(_seconds, made), 0.0)
        facts = {
            "execution_id": str(execution.id),
            "model": model,
            "provider": provider,
            "cost_usd": usd(cost),
            "limit_left_usd": usd(left),
            "overhead_ms": round(max(spent - theirs, 0.0) * 1000, 2),
        }
        return cls(Usage(*counters, **measures.from_json(beside)), facts)

    @classmethod
    def at_the_end(cls, execution: RunRecord, arrived: float) -> Account:
        """An answer that was told to its end is whole, though the database may be gone that could say its cost."""
        try:
            return cls.of(execution, arrived)
        except SQLAlchemyError:
            return cls(Usage(), {"execution_id": str(execution.id)})

    def as_headers(self, response: Response) -> Response:
        """The contract's headers. `x-dataelan-overhead-ms` is our own time, the provider's taken off."""
        add = response.headers.add
        for name, value in self.facts.items():
            if value is not None:
                add(HEADERS[name], str(value))
        return response


def usd(nano: int | None) -> str | None:
    return f"{Decimal(nano) / NANO:f}" if nano is not None else None


def _recorded(execution: RunRecord) -> tuple[int | None, int | None, Sequence[AttemptRecord]]:
    """As PostgreSQL has it: (cost so far, what is left of the limit that has least, its attempts). Nano-USD."""
    rows = db.session.execute(_ACCOUNT, {"execution": execution.id}).all()
    cost, refused_by, _, left = rows[-1] if rows else (None, None, None, None)
    made = [AttemptRecord.of(row.Attempt) for row in rows if row.Attempt]
    return cost, _left_of(refused_by) if refused_by else left, made


_ACCOUNT = (
    select(Execution.cost, Execution.refused_by, Attempt, quota.left_usd())
    .outerjoin(Attempt, Attempt.execution_id == Execution.id)
    .where(Execution.id == bindparam("execution"))
    .order_by(Attempt.number)
    .execution_options(populate_existing=True)
)


def _left_of(budget_id: uuid.UUID) -> int | None:
    """Nano-USD that are left of the limit which stopped it; None: it is not one of money."""
    return next((limit.left for limit in quota.limits_of(db.session, [budget_id]) if limit.unit is Unit.USD), None)


def _seconds(attempt: AttemptRecord) -> float:
    """How long a call took, or has taken until now."""
    return ((attempt.ended_at or now()) - attempt.started_at).total_seconds()
