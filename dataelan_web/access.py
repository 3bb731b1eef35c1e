"""Who sees and does what. Lookup is permission: the check is the only way to get the object.

    project = access.visible(Project, id)        404 unless the signed-in person may see it here
    project = access.editable(Project, id)       … and 403 unless they may change it
    project = access.administered(Project, id)   … and 403 unless they are an owner or admin

“Here” is the organization named in the URL (`/o/<slug>/…`). A foreign id is answered exactly like a random one.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, TypeVar

from flask import abort, g
from flask_login import current_user
from sqlalchemy import ColumnElement, CompoundSelect, Select, and_, false, or_, select, union

from .extensions import db
from .models import (
    APIKey,
    Asset,
    Base,
    Budget,
    Collaborator,
    Delivery,
    Execution,
    GatewayToken,
    Increase,
    Membership,
    Model,
    Notice,
    Organization,
    Project,
    ProjectRole,
    PromptSession,
    Provider,
    RateLimit,
    Role,
    RoutingRule,
    Scope,
    Template,
    User,
    Webhook,
)

Row = TypeVar("Row", bound=Base)

RANK = {Role.VIEWER: 1, Role.MEMBER: 2, Role.ADMIN: 3, Role.OWNER: 4}
PROJECT_RANK = {ProjectRole.VIEWER: 1, ProjectRole.EDITOR: 2}
SEE, EDIT, ADMINISTER = 1, 2, 3


def enter_organization(slug: str) -> Organization:
    """The organization of this URL, remembered for the request; 404 for outsiders."""
    row = db.session.execute(
        select(Organization, Membership.role)
        .outerjoin(
            Membership, (Membership.organization_id == Organization.id) & (Membership.user_id == current_user.id)
        )
        .where(Organization.slug == slug, or_(Membership.id.is_not(None), _is_guest_of_organization()))
    ).first()
    if row is None:
        abort(404)
    g.organization, g.role = row
    return g.organization  # type: ignore[no-any-return]


def organizations_of(user: User) -> list[Organization]:
    """Every organization a person belongs to, or is a guest of, by name."""
    mine = Organization.id.in_(_ids_of_organizations(user.id))
    return list(db.session.scalars(select(Organization).where(mine).order_by(Organization.name)))


def scoped(model: type[Row]) -> Select[Row]:
    """All rows of `model` the signed-in person may see in this organization: the start of every list query. What is
    in the trash is not among them."""
    query = _all_visible(model)
    return query.where(getattr(model, "deleted_at").is_(None)) if hasattr(model, "deleted_at") else query  # noqa: B009


def trashed(model: type[Row], id: uuid.UUID) -> Row:
    """One that was deleted, for whoever may change it."""
    deleted = getattr(model, "deleted_at").is_not(None)  # noqa: B009
    row = db.session.scalars(_all_visible(model).where(model.id == id, deleted)).first()
    if row is None:
        abort(404)
    return _at_least(EDIT, row)


def archived(model: type[Row]) -> Select[Row]:
    """What this organization deleted and history still speaks of (see hub.archive): for its owners and admins."""
    require(ADMINISTER)
    owner, archived_at = getattr(model, "organization_id"), getattr(model, "archived_at")  # noqa: B009
    return select(model).where(owner == g.organization.id, archived_at.is_not(None))


def visible(model: type[Row], id: uuid.UUID, *options: Any) -> Row:
    row = db.session.scalars(scoped(model).where(model.id == id).options(*options)).first()
    if row is None:
        abort(404)
    return row


def editable(model: type[Row], id: uuid.UUID, *options: Any) -> Row:
    return _at_least(EDIT, visible(model, id, *options))


def administered(model: type[Row], id: uuid.UUID, *options: Any) -> Row:
    return _at_least(ADMINISTER, visible(model, id, *options))


def may(right: int, row: Base | None = None) -> bool:
    """Has the signed-in person this right here, or on this row? For showing or hiding a button."""
    return _rank(row) >= right


def require(right: int, row: Base | None = None) -> None:
    """403 unless the signed-in person has this right in this organization, or on this row."""
    if not may(right, row):
        abort(403)


def _all_visible(model: type[Row]) -> Select[Row]:
    query: Select[Row] = _JOINS.get(model, _itself)(select(model))
    return query.where(_visible_here(model))


def _at_least(right: int, row: Row) -> Row:
    require(right, row)
    return row


def _rank(row: Base | None) -> int:
    if isinstance(row, Budget | RateLimit) and row.organization_id is None:
        return SEE  # the operator's are for nobody here to change
    if g.role is not None:
        return RANK[g.role]
    project_id = row.id if isinstance(row, Project) else getattr(row, "project_id", None)
    role = db.session.scalar(
        select(Collaborator.role).where(Collaborator.project_id == project_id, Collaborator.user_id == current_user.id)
    )
    return PROJECT_RANK[role] if role else 0


def _visible_here(model: type[Base]) -> ColumnElement[bool]:
    organization_id = g.organization.id
    if model in (Provider, Model):
        owner = getattr(model, "organization_id")  # noqa: B009
        shared_or_own = or_(owner == organization_id, owner.is_(None)) & model.archived_at.is_(None)
        return shared_or_own if model is Provider else shared_or_own & _visible_here(Provider)
    if model is APIKey:
        mine = (APIKey.organization_id == organization_id) & APIKey.archived_at.is_(None)
        return mine if g.role is not None else false()
    if model in (Project, PromptSession, Execution, Asset, GatewayToken, Template):
        here: ColumnElement[bool] = Project.organization_id == organization_id
        return here if g.role is not None else here & Project.id.in_(_guest_projects(current_user.id, Project.id))
    if model in (Budget, RateLimit):
        return _limits_here(model)
    if model is Increase:
        return _limits_here(Budget)
    if model in (RoutingRule, Webhook, Delivery):
        owner = getattr(model, "organization_id")  # noqa: B009
        return owner == organization_id if g.role is not None else false()
    if model is Notice:  # one's own, of every organization one still belongs to
        own: ColumnElement[bool] = Notice.user_id == current_user.id
        return own & Notice.organization_id.in_(_ids_of_organizations(current_user.id))
    raise LookupError(f"access.py does not know who may see a {model.__name__}")


def _limits_here(model: type[Budget] | type[RateLimit]) -> ColumnElement[bool]:
    """Owners and admins: all, and the operator's on this organization. Others: not those of other members. A guest:
    those of the projects they are in, of these projects' tokens, and their own."""

    def on(scope: Scope, subjects: ColumnElement[bool]) -> ColumnElement[bool]:
        return and_(model.scope == scope, subjects)

    subject = model.subject_id
    ours: ColumnElement[bool] = model.organization_id == g.organization.id
    my_own = on(Scope.MEMBER, subject == current_user.id)
    if g.role is None:
        projects = _guest_projects(current_user.id, Project.id)
        tokens = select(GatewayToken.id).where(GatewayToken.project_id.in_(projects))
        return ours & or_(on(Scope.PROJECT, subject.in_(projects)), on(Scope.TOKEN, subject.in_(tokens)), my_own)
    on_us: ColumnElement[bool] = model.organization_id.is_(None) & on(Scope.ORGANIZATION, subject == g.organization.id)
    return on_us | (ours if RANK[g.role] >= ADMINISTER else ours & or_(model.scope != Scope.MEMBER, my_own))


def _itself(query: Select[Any]) -> Select[Any]:
    return query


_JOINS: dict[type[Base], Callable[[Select[Any]], Select[Any]]] = {
    Model: lambda query: query.join(Model.provider),
    PromptSession: lambda query: query.join(Project, PromptSession.project_id == Project.id),
    Execution: lambda query: query.join(Project, Execution.project_id == Project.id),
    Asset: lambda query: query.join(Project, Asset.project_id == Project.id),
    GatewayToken: lambda query: query.join(Project, GatewayToken.project_id == Project.id),
    Increase: lambda query: query.join(Increase.budget),
    Template: lambda query: query.join(Project, Template.project_id == Project.id),
}


def _ids_of_organizations(user_id: uuid.UUID) -> CompoundSelect[uuid.UUID]:
    member = select(Membership.organization_id).where(Membership.user_id == user_id)
    return union(member, _guest_projects(user_id, Project.organization_id))


def _guest_projects(user_id: uuid.UUID, column: Any) -> Select[Any]:
    return (
        select(column).join(Collaborator, Collaborator.project_id == Project.id).where(Collaborator.user_id == user_id)
    )


def _is_guest_of_organization() -> ColumnElement[bool]:
    return Organization.id.in_(_guest_projects(current_user.id, Project.organization_id))
