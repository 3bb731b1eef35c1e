"""What a program may learn of its project's calls later: why that model answered, what it came to, how long it took."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import joinedload, selectinload

from ..executions import behind, cache
from ..extensions import db
from ..models import Attempt, Execution, Origin, Project, State
from ..models.journal import COUNTERS
from .account import usd
from .errors import Refused

KEYS = ("keys", "more_keys", "unused_as_of")
PREFIXES = ("chatcmpl-", "resp_", "msg_")
"""The id of an answer names its run too."""


def find(project: Project, id: str) -> Execution:
    """Of a call that a program of this project made. Raises Refused (404), whatever else the id may be of."""
    for prefix in PREFIXES:
        id = id.removeprefix(prefix)
    found = by_id(project, id)
    if found is None:
        raise Refused(404, "There is no such run of this project’s programs.", "execution_not_found", "id")
    return found


def by_id(project: Project, id: str) -> Execution | None:
    """None also where it is no id at all."""
    try:
        wanted = uuid.UUID(id)
    except ValueError:
        return None
    found = _run(project, wanted)
    if found and found.state is State.RUNNING:  # its end may be on its way
        behind.wait()
        found = _run(project, wanted)
    return found


def _run(project: Project, id: uuid.UUID) -> Execution | None:
    return db.session.scalars(
        select(Execution)
        .where(*of_programs(project, {id}))
        .options(joinedload(Execution.body), selectinload(Execution.attempts))
        .execution_options(populate_existing=True)
    ).first()


def of_programs(project: Project, ids: set[uuid.UUID]) -> tuple[ColumnElement[bool], ...]:
    """Those of them that a program of this project asked for, and nobody deleted."""
    return (
        Execution.id.in_(ids),
        Execution.project_id == project.id,
        Execution.origin == Origin.GATEWAY,
        Execution.deleted_at.is_(None),
    )


def told(run: Execution) -> dict[str, Any]:
    """Nothing of what was said: that is the project's people's to read."""
    labels, last = run.labels or {}, run.attempts[-1] if run.attempts else None
    return {
        "id": str(run.id),
        "object": "execution",
        "state": run.state.value,
        "requested": run.requested,
        "tags": labels.get("tags", []),
        "session": labels.get("session"),
        "cached_from": labels.get(cache.FROM),
        "model": last.model_name if last else None,
        "provider": last.provider_name if last else None,
        "cost_usd": usd(run.cost),
        "usage": _usage(run),
        "created_at": run.created_at.isoformat(),
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
        "seconds": run.seconds,
        "first_token_seconds": run.first_token_seconds,
        "finish": run.finish,
        "error": {"kind": run.error_kind, "message": run.body.error} if run.error_kind else None,
        "attempts": [_attempt(attempt) for attempt in run.attempts],
        "receipt": _receipt(run.body.receipt),
    }


def _receipt(kept: dict[str, Any]) -> dict[str, Any]:
    """Without the calls, which are told beside it, and without the names of the organization's keys: a guest of the
    project may have made the token."""
    said = {name: value for name, value in kept.items() if name != "attempts"}
    rows = said.get("candidates", ())
    candidates = [{name: value for name, value in row.items() if name not in KEYS} for row in rows]
    return said | ({"candidates": candidates} if candidates else {})


def _usage(row: Execution | Attempt) -> dict[str, Any]:
    """The five counters count apart; None: the provider did not say."""
    return {name: getattr(row, name) for name in COUNTERS} | row.measures


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "model": attempt.model_name,
        "provider": attempt.provider_name,
        "payer": attempt.payer.value,
        "outcome": attempt.outcome.value,
        "status": attempt.status,
        "error": attempt.error or None,
        "seconds": attempt.seconds,
        "first_token_seconds": attempt.first_token_seconds,
        "cost_usd": usd(attempt.cost),
        "is_estimated": attempt.usage_is_estimated,
        "usage": _usage(attempt),
    }
