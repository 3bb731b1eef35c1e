"""Sums over executions: runs, spend, tokens. Until rollups exist these read the narrow rows, by index.

What was deleted is no run any more, but what it cost was spent: it stays in the sums, as in the books.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, func, literal, null, select

from .. import quota
from ..extensions import db
from ..models import Execution, Organization, Origin, Project, PromptSession, Window, now

TOKENS = sum(
    (
        func.coalesce(column, 0)
        for column in (
            Execution.tokens_input,
            Execution.tokens_cache_read,
            Execution.tokens_cache_write,
            Execution.tokens_output,
            Execution.tokens_reasoning,
        )
    ),
    start=literal(0),
)

TREND = 24
"""Runs of a session whose costs are drawn."""
RUNS = func.count().filter(Execution.deleted_at.is_(None), Execution.repairs_id.is_(None))


@dataclass(frozen=True)
class Totals:
    runs: int = 0
    spent: int = 0
    tokens: int = 0
    sessions: int = 0
    median_seconds: float | None = None
    costs: tuple[int, ...] = ()
    """Of the newest runs of a session, the oldest first; what is unknown is left out."""

    @property
    def cost(self) -> int:
        return self.spent


def of_session(session: PromptSession) -> Totals:
    here = Execution.session_id == session.id
    query = select(Execution.cost).where(here, Execution.cost.is_not(None)).order_by(Execution.id.desc())
    known = [cost for cost in db.session.scalars(query.limit(TREND)) if cost is not None]
    return replace(_totals(here), costs=tuple(known[::-1]))


def of_project(project: Project) -> Totals:
    sessions = db.session.scalar(
        select(func.count()).where(PromptSession.project_id == project.id, PromptSession.deleted_at.is_(None))
    )
    return _totals(Execution.project_id == project.id, sessions=sessions or 0)


def this_month(organization: Organization) -> Totals:
    """Since the first of the month in the organization's time zone, of what was asked here."""
    start, _ = quota.window_of(Window.MONTH, now(), ZoneInfo(organization.time_zone))
    return _totals(
        *(Execution.organization_id == organization.id, Execution.created_at >= start),
        Execution.origin != Origin.IMPORT,
        median=True,
    )


def by(column: Any, ids: list[uuid.UUID]) -> dict[uuid.UUID, Totals]:
    """Totals per session or project, for a list: one query."""
    if not ids:
        return {}
    rows = db.session.execute(
        select(column, RUNS, func.coalesce(func.sum(Execution.cost), 0)).where(column.in_(ids)).group_by(column)
    )
    return {row[0]: Totals(runs=row[1], spent=int(row[2])) for row in rows}


def _totals(*where: ColumnElement[bool], sessions: int = 0, median: bool = False) -> Totals:
    waited = func.extract("epoch", Execution.finished_at - Execution.created_at)
    middle = func.percentile_cont(0.5).within_group(waited) if median else null()
    row = db.session.execute(
        select(RUNS, func.coalesce(func.sum(Execution.cost), 0), func.coalesce(func.sum(TOKENS), 0), middle).where(
            *where
        )
    ).one()
    return Totals(row[0], int(row[1]), int(row[2]), sessions, float(row[3]) if row[3] is not None else None)
