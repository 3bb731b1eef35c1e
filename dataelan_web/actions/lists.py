"""A project's declared actions, their calls, and what waits for approval."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from .. import access
from ..extensions import db
from ..models import ActionAttempt, ActionCall, ActionVersion, CallState, DeclaredAction, Execution, Project
from .cards import CALL

PAGE = 30


@dataclass(frozen=True)
class Line:
    action: DeclaredAction
    calls: int
    last_at: datetime | None


def declared(project: Project) -> list[Line]:
    query = access.scoped(DeclaredAction).where(DeclaredAction.project_id == project.id).order_by(DeclaredAction.name)
    actions = db.session.scalars(query.options(joinedload(DeclaredAction.version))).all()
    found = {
        row.action_id: row
        for row in db.session.execute(
            select(ActionVersion.action_id, func.count().label("calls"), func.max(ActionCall.created_at).label("last"))
            .join(ActionCall, ActionCall.version_id == ActionVersion.id)
            .where(ActionVersion.action_id.in_([action.id for action in actions]))
            .group_by(ActionVersion.action_id)
        )
    }
    return [Line(one, *((row.calls, row.last) if (row := found.get(one.id)) else (0, None))) for one in actions]


def waiting(project: Project) -> list[ActionCall]:
    """What waits for approval, the oldest first."""
    query = access.scoped(ActionCall).where(Project.id == project.id, ActionCall.state == CallState.WAITING)
    return list(db.session.scalars(query.order_by(ActionCall.id).limit(PAGE).options(*CALL, *_RUN)))


def waiting_here(project: Project) -> int:
    """How many calls of a project wait, for its tab."""
    query = access.scoped(ActionCall).where(Project.id == project.id, ActionCall.state == CallState.WAITING)
    return db.session.scalar(query.with_only_columns(func.count(ActionCall.id))) or 0


def calls(
    project: Project, action: DeclaredAction | None = None, before: uuid.UUID | None = None
) -> tuple[list[ActionCall], uuid.UUID | None]:
    """The latest calls, of all actions or one, and the last one's id if there are more."""
    query = access.scoped(ActionCall).where(Project.id == project.id)
    if action:
        versions = select(ActionVersion.id).where(ActionVersion.action_id == action.id)
        query = query.where(ActionCall.version_id.in_(versions))
    if before:
        query = query.where(ActionCall.id < before)
    rows = db.session.scalars(query.order_by(ActionCall.id.desc()).limit(PAGE + 1).options(*CALL, *_RUN)).all()
    return list(rows[:PAGE]), rows[PAGE - 1].id if len(rows) > PAGE else None


def attempts(action: DeclaredAction) -> list[ActionAttempt]:
    """The latest deliveries and tests."""
    query = select(ActionAttempt).where(ActionAttempt.action_id == action.id).order_by(ActionAttempt.id.desc())
    return list(db.session.scalars(query.limit(PAGE).options(joinedload(ActionAttempt.user))))


_RUN = (
    joinedload(ActionCall.execution).joinedload(Execution.user),
    joinedload(ActionCall.execution).joinedload(Execution.session),
    joinedload(ActionCall.execution).joinedload(Execution.model),
)
