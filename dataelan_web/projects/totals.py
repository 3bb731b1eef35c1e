"""Runs, spend and tokens at a glance. Of a session, from its runs, by index; of a project and of the organization, from
the same sums as the dashboard, so that they say the same, and at once however many runs there were.

What was deleted is no run of a session any more, but what it cost was spent: it stays in the sums, as in the books.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam, func, literal, select

from ..dashboards import ranges, sums
from ..dashboards.ranges import Span
from ..extensions import db
from ..models import Execution, Organization, Project, PromptSession
from ..models.base import NIL
from ..models.rollups import Grain
from ..sums_seen import SumsSeen

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
EVER = Span(Grain.WEEK, datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC))
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
    here = {"session": session.id}
    runs, spent, tokens = db.session.execute(_OF_SESSION, here).one()
    known = [cost for cost in db.session.scalars(_COSTS, here) if cost is not None]
    return Totals(runs, int(spent or 0), int(tokens), costs=tuple(known[::-1]))


# Asked with every session, and so made once: to make a statement takes longer than to ask it.
_HERE = Execution.session_id == bindparam("session")
_OF_SESSION = select(RUNS, func.coalesce(func.sum(Execution.cost), 0), func.coalesce(func.sum(TOKENS), 0)).where(_HERE)
_COSTS = select(Execution.cost).where(_HERE, Execution.cost.is_not(None)).order_by(Execution.id.desc()).limit(TREND)


def of_project(project: Project) -> Totals:
    sessions = db.session.scalar(
        select(func.count()).where(PromptSession.project_id == project.id, PromptSession.deleted_at.is_(None))
    )
    found = sums.totals(_everything(project.organization_id, project_id=project.id), (EVER,))
    return Totals(found.runs, found.cost, found.tokens, sessions or 0)


def of_projects(organization_id: uuid.UUID) -> dict[uuid.UUID, Totals]:
    """All of an organization's, in one query."""
    found = sums.groups(_everything(organization_id), (EVER,), "project_id")
    return {id: Totals(one.runs, one.cost, one.tokens) for id, one in found.items()}


def this_month(organization: Organization) -> Totals:
    """Since the first of the month in the organization's time zone, of what was asked here."""
    asked, month = _everything(organization.id), ranges.preset("month", ZoneInfo(organization.time_zone)).span
    found, waited = sums.totals(asked, (month,)), sums.percentiles(asked, (month,)).get((None, None))
    return Totals(found.runs, found.cost, found.tokens, median_seconds=waited[0] if waited else None)


def _everything(organization_id: uuid.UUID, **filters: uuid.UUID) -> sums.Asked:
    return sums.Asked(organization_id, SumsSeen(True, (), NIL), dict(filters))


def by(column: Any, ids: list[uuid.UUID]) -> dict[uuid.UUID, Totals]:
    """Totals per session, for a list: one query."""
    if not ids:
        return {}
    rows = db.session.execute(
        select(column, RUNS, func.coalesce(func.sum(Execution.cost), 0)).where(column.in_(ids)).group_by(column)
    )
    return {id: Totals(runs=runs, spent=int(cost or 0)) for id, runs, cost in rows}
