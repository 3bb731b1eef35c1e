"""Lists of projects and sessions with their totals, for the home and project pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import g
from flask_login import current_user
from sqlalchemy import func, select
from sqlalchemy.orm import contains_eager, joinedload

from .. import access
from ..extensions import db
from ..models import Execution, Project, PromptSession, Star, User
from . import totals


@dataclass(frozen=True)
class ProjectLine:
    project: Project
    sessions_count: int
    runs_count: int
    spent: int

    def __getattr__(self, name: str) -> Any:
        return getattr(self.project, name)


@dataclass(frozen=True)
class SessionLine:
    session: PromptSession
    runs_count: int
    cost: int
    author_name: str = ""
    is_starred: bool = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)


def projects_with_totals() -> list[ProjectLine]:
    projects = list(
        db.session.scalars(
            access.scoped(Project).options(joinedload(Project.organization)).order_by(Project.created_at).limit(200)
        )
    )
    ids = [project.id for project in projects]
    sums = totals.of_projects(g.organization.id)
    sessions = dict(
        db.session.execute(
            select(PromptSession.project_id, func.count())
            .where(PromptSession.project_id.in_(ids), PromptSession.deleted_at.is_(None))
            .group_by(PromptSession.project_id)
        ).all()
    )
    none = totals.Totals()
    return [
        ProjectLine(p, sessions.get(p.id, 0), sums.get(p.id, none).runs, sums.get(p.id, none).spent) for p in projects
    ]


def recent_sessions(limit: int = 12) -> list[SessionLine]:
    query = access.scoped(PromptSession).where(PromptSession.archived_at.is_(None))
    query = query.options(contains_eager(PromptSession.project))
    return lines(list(db.session.scalars(query.order_by(PromptSession.updated_at.desc()).limit(limit))))


def lines(sessions: list[PromptSession]) -> list[SessionLine]:
    sums = totals.by(Execution.session_id, [session.id for session in sessions])
    authors = dict(
        db.session.execute(
            select(User.id, User.name).where(User.id.in_({s.created_by for s in sessions if s.created_by}))
        ).all()
    )
    starred = set(db.session.scalars(select(Star.session_id).where(Star.user_id == current_user.id)))
    none = totals.Totals()
    return [
        SessionLine(
            s,
            sums.get(s.id, none).runs,
            sums.get(s.id, none).spent,
            authors.get(s.created_by, "") if s.created_by else "",
            s.id in starred,
        )
        for s in sessions
    ]
