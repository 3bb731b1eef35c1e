"""Who is to be told."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import select, union

from ..models import (
    Budget,
    Collaborator,
    GatewayToken,
    Membership,
    Organization,
    Project,
    ProjectRole,
    Role,
    Scope,
    User,
)
from ..models.base import DbSession


@dataclass
class Audience:
    """Some people of one organization."""

    organization: Organization
    user_ids: set[uuid.UUID] = field(default_factory=set)
    are_superusers: bool = False
    """Then the page of the operator's limit is theirs, under /admin, and not one in this organization."""


def administrators(session: DbSession, organization_id: uuid.UUID) -> set[uuid.UUID]:
    """An organization's owners and admins."""
    runs_it = Membership.role.in_((Role.OWNER, Role.ADMIN))
    return set(
        session.scalars(select(Membership.user_id).where(Membership.organization_id == organization_id, runs_it))
    )


def of_limit(session: DbSession, budget: Budget) -> list[Audience]:
    """Whom the alerts of a limit are for: who runs the organization, and whose the subject is. The operator's limits
    are for superusers, in the organization they joined first; one on a whole organization also for who runs that."""
    if budget.organization_id is not None:
        organization = session.get_one(Organization, budget.organization_id)
        people = administrators(session, organization.id) | present(session, organization.id, _owners(session, budget))
        return [Audience(organization, people)]
    limited = session.get(Organization, budget.subject_id) if budget.scope is Scope.ORGANIZATION else None
    theirs = [Audience(limited, administrators(session, limited.id))] if limited else []
    return theirs + superusers(session)


def _owners(session: DbSession, budget: Budget) -> set[uuid.UUID]:
    """Whose the subject is, beside the organization's."""
    id = budget.subject_id
    if budget.scope is Scope.MEMBER:
        return {id}
    if budget.scope is Scope.TOKEN:
        makers = select(GatewayToken.created_by).where(GatewayToken.id == id, GatewayToken.created_by.is_not(None))
        return set(session.scalars(makers))
    if budget.scope is Scope.PROJECT:
        editors = select(Collaborator.user_id).where(
            Collaborator.project_id == id, Collaborator.role == ProjectRole.EDITOR
        )
        creator = select(Project.created_by).where(Project.id == id, Project.created_by.is_not(None))
        return set(session.scalars(union(editors, creator)))
    return set()


def present(
    session: DbSession, organization_id: uuid.UUID, people: Iterable[uuid.UUID], project_id: uuid.UUID | None = None
) -> set[uuid.UUID]:
    """Those of them who still belong to the organization, or are guests of a project in it, or of this one."""
    wanted = list(people)
    if not wanted:
        return set()
    members = select(Membership.user_id).where(
        Membership.organization_id == organization_id, Membership.user_id.in_(wanted)
    )
    guests = (
        select(Collaborator.user_id)
        .join(Project, Project.id == Collaborator.project_id)
        .where(Project.organization_id == organization_id, Collaborator.user_id.in_(wanted))
    )
    guests = guests.where(Project.id == project_id) if project_id else guests
    return set(session.scalars(union(members, guests)))


def superusers(session: DbSession) -> list[Audience]:
    """Each in the organization that they joined first; who belongs to none can be told nothing."""
    rows = session.execute(
        select(User.id, Organization)
        .join(Membership, Membership.user_id == User.id)
        .join(Organization, Organization.id == Membership.organization_id)
        .where(User.is_superuser, User.disabled_at.is_(None), User.deleted_at.is_(None))
        .order_by(User.id, Membership.id)
    ).all()
    told: dict[uuid.UUID, Audience] = {}
    met: set[uuid.UUID] = set()
    for user_id, organization in rows:
        if user_id not in met:
            told.setdefault(organization.id, Audience(organization, are_superusers=True)).user_ids.add(user_id)
        met.add(user_id)
    return list(told.values())
