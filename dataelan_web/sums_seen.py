"""Whose runs one may see sums of, and which limits are told beside them: on dashboards, in summaries and exports."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from flask import g
from flask_login import current_user
from sqlalchemy import ColumnElement, and_, or_, select

from .access import ADMINISTER, RANK, guest_projects
from .extensions import db
from .models import Budget, Membership, Project, Role, Scope


@dataclass(frozen=True)
class SumsSeen:
    """Whose runs the signed-in person may see sums of: everyone's, or those of some projects and their own."""

    everyone: bool
    projects: tuple[uuid.UUID, ...]
    user_id: uuid.UUID


def sums_seen() -> SumsSeen:
    """Owners and admins: all of the organization. Who was let into projects: theirs. Everybody: their own."""
    return _sums_seen(g.organization.id, current_user.id, g.role)


def sums_seen_by(organization_id: uuid.UUID, user_id: uuid.UUID) -> SumsSeen | None:
    """The same for somebody who is not signed in, as they are told by mail. None: they do not belong to it any more."""
    role = db.session.scalar(select(Membership.role).filter_by(organization_id=organization_id, user_id=user_id))
    seen = _sums_seen(organization_id, user_id, role)
    return seen if role or seen.projects else None


def limits_told(organization_id: uuid.UUID, seen: SumsSeen) -> ColumnElement[bool]:
    """Which limits go with such sums: all of the organization's, or those of the projects and one's own."""
    ours = (Budget.organization_id == organization_id) & Budget.deleted_at.is_(None)
    if seen.everyone:
        return ours
    on_project = and_(Budget.scope == Scope.PROJECT, Budget.subject_id.in_(seen.projects))
    my_own = and_(Budget.scope == Scope.MEMBER, Budget.subject_id == seen.user_id)
    return ours & or_(on_project, my_own)


def _sums_seen(organization_id: uuid.UUID, user_id: uuid.UUID, role: Role | None) -> SumsSeen:
    if role is not None and RANK[role] >= ADMINISTER:
        return SumsSeen(True, (), user_id)
    here = Project.organization_id == organization_id, Project.deleted_at.is_(None)
    projects = db.session.scalars(guest_projects(user_id, Project.id).where(*here))
    return SumsSeen(False, tuple(projects), user_id)
