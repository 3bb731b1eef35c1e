"""Who is here, for the page of members: people with their roles, and the guests of single projects."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from flask import g
from flask_login import current_user
from sqlalchemy import Select, case, func, or_, select
from sqlalchemy.orm import contains_eager

from .. import access
from ..accounts import factors
from ..extensions import db
from ..models import (
    Collaborator,
    GatewayToken,
    Membership,
    Project,
    PromptSession,
    Role,
    User,
)
from ..text import ESCAPE, like
from . import managing

PAGE = 50
NAMED = 3
"""Projects that are named in a line."""


@dataclass
class Line:
    """A member. `projects`: where they have sessions. `gives`: roles that the signed-in person may give them."""

    membership: Membership
    user: User
    projects: list[str] = field(default_factory=list)
    tokens: int = 0
    gives: list[Role] = field(default_factory=list)
    has_a_way: bool = True
    """Could they come in by one of the ways that lead in?"""

    @property
    def more(self) -> int:
        return max(len(self.projects) - NAMED, 0)

    @property
    def is_me(self) -> bool:
        return bool(self.user.id == current_user.id)


@dataclass
class Guest:
    user: User
    projects: list[tuple[Project, Collaborator]]
    has_a_way: bool = True


def members(q: str, page: int) -> tuple[list[Line], int]:
    """(a page of them, owners first; how many match)"""
    query = _matching(access.scoped(Membership).join(Membership.user), q)
    total = db.session.scalar(select(func.count()).select_from(query.subquery())) or 0
    rank = case(access.RANK, value=Membership.role)
    query = query.options(contains_eager(Membership.user)).order_by(rank.desc(), func.lower(User.name), User.id)
    rows = db.session.scalars(query.limit(PAGE).offset((page - 1) * PAGE)).all()
    ids = [row.user_id for row in rows]
    projects, tokens, kept_out = _projects_of(ids), _tokens_of(ids), _kept_out(ids)
    return [_line(row, projects, tokens, kept_out) for row in rows], total


def guests(q: str = "") -> list[Guest]:
    """Who is in a project, and no member: by name, with the projects they are in."""
    member = select(Membership.user_id).where(Membership.organization_id == g.organization.id)
    query = access.scoped(Collaborator).join(User, User.id == Collaborator.user_id).add_columns(Project, User)
    query = _matching(query.where(Collaborator.user_id.not_in(member)), q)
    found: dict[uuid.UUID, Guest] = {}
    for collaborator, project, user in db.session.execute(query.order_by(func.lower(User.name), Project.name)):
        found.setdefault(user.id, Guest(user, [])).projects.append((project, collaborator))
    kept_out = _kept_out(found)
    for id, guest in found.items():
        guest.has_a_way = id not in kept_out
    return list(found.values())


def collaborators(project: Project) -> list[tuple[Collaborator, User, Role | None]]:
    """Who was let into a project, with the role that they have in the organization, by name."""
    here = Membership.organization_id == project.organization_id, Membership.user_id == User.id
    query = access.scoped(Collaborator).where(Collaborator.project_id == project.id)
    query = query.join(User, User.id == Collaborator.user_id).outerjoin(Membership, here[0] & here[1])
    rows = db.session.execute(query.add_columns(User, Membership.role).order_by(func.lower(User.name)))
    return [(row.Collaborator, row.User, row.role) for row in rows]


def to_be_let_in(project: Project) -> list[User]:
    """Members who are not in the project by name."""
    inside = select(Collaborator.user_id).where(Collaborator.project_id == project.id)
    query = select(User).join(Membership, Membership.user_id == User.id)
    query = query.where(Membership.organization_id == project.organization_id, User.id.not_in(inside))
    return list(db.session.scalars(query.order_by(func.lower(User.name)).limit(500)))


def counts() -> dict[str, int]:
    """How many members, and owners, there are."""
    query = select(Membership.role, func.count()).where(Membership.organization_id == g.organization.id)
    found = dict(db.session.execute(query.group_by(Membership.role)).all())
    return {"members": sum(found.values()), "owners": found.get(Role.OWNER, 0)}


def roles_to_give() -> list[Role]:
    return [role for role in (Role.MEMBER, Role.VIEWER, Role.ADMIN, Role.OWNER) if managing.may_give(g.role, role)]


def _line(
    row: Membership, projects: dict[uuid.UUID, list[str]], tokens: dict[uuid.UUID, int], kept_out: set[uuid.UUID]
) -> Line:
    gives = roles_to_give() if managing.may_give(g.role, row.role) else []
    return Line(row, row.user, projects[row.user_id], tokens.get(row.user_id, 0), gives, row.user_id not in kept_out)


def _kept_out(ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Who of these could come by none of the ways that lead in, for those who see to it. Where all do, it is not
    asked."""
    here = g.organization
    if not here.allowed_ways or here.enforces_sso or not access.may(access.ADMINISTER):
        return set()
    query = select(User.id).where(User.id.in_(ids), ~factors.can_come_by(here.allowed_ways, here.id))
    return set(db.session.scalars(query))


def _matching(query: Select, q: str) -> Select:  # type: ignore[type-arg]
    for word in q.split()[:5]:
        pattern = like(word)
        query = query.where(or_(User.name.ilike(pattern, escape=ESCAPE), User.email.ilike(pattern, escape=ESCAPE)))
    return query


def _projects_of(ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, list[str]]:
    """Where they have sessions, or were let in."""
    here = Project.organization_id == g.organization.id, Project.deleted_at.is_(None)
    worked = (
        select(PromptSession.created_by.label("who"), Project.name)
        .join(Project, Project.id == PromptSession.project_id)
        .where(PromptSession.created_by.in_(ids), PromptSession.deleted_at.is_(None), *here)
    )
    let_in = select(Collaborator.user_id, Project.name).join(Project, Project.id == Collaborator.project_id)
    both = worked.union(let_in.where(Collaborator.user_id.in_(ids), *here)).subquery()
    found: dict[uuid.UUID, list[str]] = defaultdict(list)
    for who, name in db.session.execute(select(both).order_by(both.c.name)):
        found[who].append(name)
    return found


def _tokens_of(ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, int]:
    """How many of their own are still taken."""
    query = (
        select(GatewayToken.created_by, func.count())
        .join(Project, Project.id == GatewayToken.project_id)
        .where(
            GatewayToken.created_by.in_(ids),
            GatewayToken.service_account_id.is_(None),
            GatewayToken.revoked_at.is_(None),
            Project.organization_id == g.organization.id,
        )
        .group_by(GatewayToken.created_by)
    )
    return {who: number for who, number in db.session.execute(query) if who}
