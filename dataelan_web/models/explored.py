"""The indexes that the explorer of runs reads from: of runs that ended, so that an entry is written once, at the end.

What it sorts by beside the time lies in them day by day: the highest of a month are the highest of its thirty days.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Index, text

DAY = "((executions.created_at AT TIME ZONE 'UTC')::date)"
COST = "(coalesce(executions.cost, -1))"
LATENCY = "((extract(epoch FROM executions.finished_at - executions.created_at) * 1000::numeric)::bigint)"
"""In milliseconds. All three are written as PostgreSQL has to find them again in a query."""


def _of_ended(name: str, *by: Any, also: str = "") -> Index:
    where = "finished_at IS NOT NULL" + (f" AND {also}" if also else "")
    return Index(f"ix_executions_ended_{name}", *by, postgresql_where=text(where))


EXPLORED = (
    _of_ended("project_id", "project_id", "created_at"),
    _of_ended("user_id", "organization_id", "user_id", "created_at"),
    _of_ended("model_id", "organization_id", "model_id", "created_at"),
    _of_ended("fallen_back", "organization_id", "created_at", also="attempts_made > 1"),
    _of_ended("problems", "organization_id", "created_at", also="state IN ('failed', 'interrupted')"),
    _of_ended("tagged", "organization_id", "created_at", also="tags <> '{}'"),
    _of_ended("cost", "organization_id", text(DAY), text(COST), "id"),
    _of_ended("latency", "organization_id", text(DAY), text(LATENCY), "id"),
)
