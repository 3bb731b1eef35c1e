"""What was chosen blind: how often each model or rule was compared so, and how often it won."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import case, func, select

from ...extensions import db
from ...models import Comparison, ComparisonRun, Project, PromptSession


@dataclass(frozen=True)
class Vote:
    requested: str
    won: int
    of: int
    """Comparisons that were decided blind and had it among them."""


def of_project(project: Project) -> list[Vote]:
    """The best first. A model that stood in two columns of a comparison was in one."""
    won = func.count(case((ComparisonRun.id == Comparison.blind_choice_id, 1)))
    of = func.count(Comparison.id.distinct())
    query = (
        select(ComparisonRun.requested, won, of)
        .join(Comparison, Comparison.id == ComparisonRun.comparison_id)
        .join(PromptSession, PromptSession.id == Comparison.session_id)
        .where(
            PromptSession.project_id == project.id,
            PromptSession.deleted_at.is_(None),
            Comparison.blind_choice_id.is_not(None),
        )
        .group_by(ComparisonRun.requested)
        .order_by((won * 1.0 / of).desc(), of.desc(), ComparisonRun.requested)
    )
    return [Vote(*row) for row in db.session.execute(query)]
