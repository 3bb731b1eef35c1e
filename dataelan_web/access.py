"""Who sees and does what. Lookup is permission: the check is the only way to get the object.

    project = access.visible(Project, id)        404 unless the signed-in person may see it here
    project = access.editable(Project, id)       … and 403 unless they may change it
    project = access.administered(Project, id)   … and 403 unless they are an owner or admin

“Here” is the organization named in the URL (`/o/<slug>/…`). A foreign id is answered exactly like a random one.
What is in the trash, and all that is in it, is not seen; who may take it out again is told so (InTrash).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import abort, g
from flask_login import current_user
from sqlalchemy import ColumnElement, CompoundSelect, Select, and_, bindparam, false, func, or_, select, union
from sqlalchemy.orm import aliased
from werkzeug.exceptions import Gone

from .extensions import db
from .models import (
    ActionCall,
    Annotation,
    APIKey,
    Asset,
    Base,
    Batch,
    Budget,
    Collaborator,
    Comparison,
    CopiedAnswer,
    DeclaredAction,
    Delivery,
    Execution,
    GatewayToken,
    Increase,
    Invitation,
    Membership,
    Model,
    Notice,
    Organization,
    Project,
    ProjectRole,
    Prompt,
    PromptSession,
    Provider,
    RateLimit,
    Role,
    RoutingRule,
    RunExport,
    SavedView,
    Scope,
    ServiceAccount,
    Template,
    Trashable,
    User,
    Webhook,
    now,
)
from .models.base import IN_TRASH

Row = TypeVar("Row", bound=Base)

RANK = {Role.VIEWER: 1, Role.MEMBER: 2, Role.ADMIN: 3, Role.OWNER: 4}
PROJECT_RANK = {ProjectRole.VIEWER: 1, ProjectRole.EDITOR: 2}
SEE, EDIT, ADMINISTER, OWN = 1, 2, 3, 4


class InTrash(Gone):
    """410: it, or what it is in, is in the trash, and whoever asks may take `subject` out of it."""

    def __init__(self, subject: Trashable):
        self.subject = subject
        super().__init__()


def enter_organization(slug: str) -> Organization:
    """The organization of this URL, remembered for the request; 404 for outsiders."""
    row = db.session.execute(_ENTERED, {"slug": slug, "me": current_user.id}).first()
    if row is None:
        abort(404)
    g.organization, g.role = row
    if g.organization.purged_at:
        abort(404)
    return g.organization  # type: ignore[no-any-return]


def organizations_of(user: User) -> list[Organization]:
    """Every organization a person belongs to, or is a guest of, by name; of those that were deleted, the ones that they
    may take back."""
    return list(db.session.scalars(_MINE, {"me": user.id}))


def scoped(model: type[Row]) -> Select[Row]:
    """All rows of `model` the signed-in person may see in this organization: the start of every list query."""
    return _joined(model).where(*_is_here(model), *(holder.deleted_at.is_(None) for holder in _HOLDERS.get(model, ())))


def archived(model: type[Row]) -> Select[Row]:
    """What this organization deleted and history still speaks of (see hub.archive): for its owners and admins."""
    require(ADMINISTER)
    owner, archived_at = getattr(model, "organization_id"), getattr(model, "archived_at")  # noqa: B009
    return select(model).where(owner == g.organization.id, archived_at.is_not(None))


def visible(model: type[Row], id: uuid.UUID, *options: Any) -> Row:
    row = db.session.scalars(scoped(model).where(model.id == id).options(*options)).first()
    if row is None:
        _tell_if_in_trash(model, id)
        abort(404)
    return row


def in_trash(model: type[Row]) -> Select[Row]:
    """Rows that were put into the trash themselves, in this organization, and can still be taken out of it by the
    signed-in person, as far as a guest: members may or may not (right_to_delete)."""
    table: Any = model
    is_kept = table.deleted_at > now() - IN_TRASH
    around = (holder.deleted_at.is_(None) for holder in _HOLDERS[model] if holder is not model)
    query = _joined(model).where(is_kept, *_is_here(model), *around)
    if g.role is not None:
        return query
    editor = Collaborator.role == ProjectRole.EDITOR
    return query.where(Project.id.in_(_guest_projects(current_user.id, Project.id).where(editor)))


def trashed(model: type[Row], id: uuid.UUID) -> Row:
    """One of these; 404 for any other, 403 for who may not delete such a thing. Nobody purges it until the commit."""
    query = in_trash(model).where(model.id == id).with_for_update(of=model).execution_options(populate_existing=True)
    row = db.session.scalars(query).first()
    if row is None:
        abort(404)
    require(right_to_delete(model), row)
    return row


def right_to_delete(model: type[Base]) -> int:
    return ADMINISTER if model in (Project, DeclaredAction) else EDIT


def editable(model: type[Row], id: uuid.UUID, *options: Any) -> Row:
    return _at_least(EDIT, visible(model, id, *options))


def administered(model: type[Row], id: uuid.UUID, *options: Any) -> Row:
    return _at_least(ADMINISTER, visible(model, id, *options))


def require_superuser() -> None:
    """404 unless a superuser is signed in, in their own name: of what is for them, nobody else knows."""
    if not current_user.is_superuser or g.get("impersonator") is not None:
        abort(404)


def may(right: int, row: Base | None = None) -> bool:
    """Has the signed-in person this right here, or on this row? For showing or hiding a button."""
    return _rank(row) >= right


def require(right: int, row: Base | None = None) -> None:
    """403 unless the signed-in person has this right in this organization, or on this row."""
    if not may(right, row):
        abort(403)


def _at_least(right: int, row: Row) -> Row:
    require(right, row)
    return row


def _rank(row: Base | None) -> int:
    if isinstance(row, Budget | RateLimit) and row.organization_id is None:
        return SEE  # the operator's are for nobody here to change
    if g.role is None or g.role is Role.VIEWER:  # who may do more in a project that they were let into
        return max(RANK[g.role] if g.role else 0, _rank_in(_project_of(row)))
    return RANK[g.role]


def _rank_in(project_id: uuid.UUID | None) -> int:
    if project_id is None:
        return 0
    here = Collaborator.project_id == project_id, Collaborator.user_id == current_user.id
    role = db.session.scalar(select(Collaborator.role).where(*here))
    return PROJECT_RANK[role] if role else 0


def _project_of(row: Base | None) -> uuid.UUID | None:
    """Where it is seen. A run is seen where its session is, wherever it was paid."""
    if isinstance(row, ActionCall):
        return _project_of(row.execution)
    if isinstance(row, Execution) and row.session:
        return row.session.project_id
    return row.id if isinstance(row, Project) else getattr(row, "project_id", None)


def _is_here(model: type[Base]) -> list[ColumnElement[bool]]:
    organization_id = g.organization.id
    if model in (Provider, Model):
        owner = getattr(model, "organization_id")  # noqa: B009
        shared_or_own = or_(owner == organization_id, owner.is_(None)) & model.archived_at.is_(None)
        return [shared_or_own, *(() if model is Provider else _is_here(Provider))]
    if model is APIKey:
        mine = (APIKey.organization_id == organization_id) & APIKey.archived_at.is_(None)
        return [mine if g.role is not None else false()]
    if model in (Budget, RateLimit):
        return [_limits_here(model)]
    if model is Increase:
        return [_limits_here(Budget)]
    if model in (RoutingRule, Webhook, Delivery, Membership, Invitation, ServiceAccount, Annotation):
        owner = getattr(model, "organization_id")  # noqa: B009
        return [owner == organization_id if g.role is not None else false()]
    if model is RunExport:  # one's own
        return [RunExport.organization_id == organization_id, RunExport.user_id == current_user.id]
    if model is SavedView:  # one's own; for members also those that are everyone's
        my_own = ~SavedView.is_shared & (SavedView.user_id == current_user.id)
        return [
            SavedView.organization_id == organization_id,
            my_own if g.role is None else my_own | SavedView.is_shared,
        ]
    if model is Notice:  # one's own, of every organization one still belongs to
        return [Notice.user_id == current_user.id, Notice.organization_id.in_(_ids_of_organizations(current_user.id))]
    if model in _HOLDERS:
        here: ColumnElement[bool] = Project.organization_id == organization_id
        return [here] if g.role is not None else [here, Project.id.in_(_guest_projects(current_user.id, Project.id))]
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


_Run = aliased(Execution)

_HOLDERS: dict[type[Base], tuple[Any, ...]] = {
    Project: (Project,),
    PromptSession: (Project, PromptSession),
    Comparison: (Project, PromptSession),
    Batch: (Project, Batch),
    Execution: (Project, PromptSession, Batch, Execution),
    Asset: (Project, PromptSession, Batch, Execution, Asset),
    GatewayToken: (Project,),
    Collaborator: (Project,),
    Template: (Project, Template),
    DeclaredAction: (Project, DeclaredAction),
    ActionCall: (Project, PromptSession, Execution),
}
"""What a row is in, from outside inwards, as far as it can be in the trash."""


def _joined(model: type[Row]) -> Select[Row]:
    return _JOINS.get(model, _itself)(select(model))


def _itself(query: Select[Any]) -> Select[Any]:
    return query


def _asset(query: Select[Any]) -> Select[Any]:
    """A file of a prompt is in the trash with the last of the prompt's runs."""
    runs = select(_Run.id).where(_Run.prompt_id == Asset.prompt_id)
    is_left_over = runs.exists() & ~runs.where(_Run.deleted_at.is_(None)).exists()
    session = func.coalesce(Execution.session_id, Prompt.session_id, CopiedAnswer.session_id)
    return (
        query.join(Project, Asset.project_id == Project.id)
        .outerjoin(Execution, Asset.execution_id == Execution.id)
        .outerjoin(Batch, Execution.batch_id == Batch.id)
        .outerjoin(Prompt, Asset.prompt_id == Prompt.id)
        .outerjoin(CopiedAnswer, Asset.copied_answer_id == CopiedAnswer.id)
        .outerjoin(PromptSession, PromptSession.id == session)
        .where(~is_left_over)
    )


_JOINS: dict[type[Base], Callable[[Select[Any]], Select[Any]]] = {
    Model: lambda query: query.join(Model.provider),
    PromptSession: lambda query: query.join(Project, PromptSession.project_id == Project.id),
    Comparison: lambda query: query.join(Comparison.session).join(Project, PromptSession.project_id == Project.id),
    Batch: lambda query: query.join(Project, Batch.project_id == Project.id),
    Execution: lambda query: (
        query.outerjoin(PromptSession, Execution.session_id == PromptSession.id)
        .outerjoin(Batch, Execution.batch_id == Batch.id)
        .join(Project, func.coalesce(PromptSession.project_id, Execution.project_id) == Project.id)
    ),
    Asset: _asset,
    GatewayToken: lambda query: query.join(Project, GatewayToken.project_id == Project.id),
    Collaborator: lambda query: query.join(Project, Collaborator.project_id == Project.id),
    Increase: lambda query: query.join(Increase.budget),
    Template: lambda query: query.join(Project, Template.project_id == Project.id),
    DeclaredAction: lambda query: query.join(Project, DeclaredAction.project_id == Project.id),
    ActionCall: lambda query: _JOINS[Execution](query.join(Execution, ActionCall.execution_id == Execution.id)),
}


def _ids_of_organizations(user_id: uuid.UUID) -> CompoundSelect[uuid.UUID]:
    member = select(Membership.organization_id).where(Membership.user_id == user_id)
    return union(member, _guest_projects(user_id, Project.organization_id).where(Project.deleted_at.is_(None)))


def _tell_if_in_trash(model: type[Base], id: uuid.UUID) -> None:
    """Raises InTrash with the outermost that is in the trash, if the signed-in person may take it out."""
    holders = _HOLDERS.get(model, ())
    if not holders:
        return
    query = _joined(model).where(*_is_here(model), model.id == id)
    row = db.session.execute(query.with_only_columns(*holders)).first()
    subject = next((holder for holder in row or () if holder is not None and holder.deleted_at), None)
    is_kept = subject is not None and subject.deleted_at > now() - IN_TRASH
    if subject is not None and is_kept and may(right_to_delete(type(subject)), subject):
        raise InTrash(subject)


def _guest_projects(user_id: uuid.UUID, column: Any) -> Select[Any]:
    return (
        select(column).join(Collaborator, Collaborator.project_id == Project.id).where(Collaborator.user_id == user_id)
    )


# Asked with every page, and so made once: to make a statement takes longer than to ask it.
_ME: Any = bindparam("me")


def _entered() -> Select[Organization, Role | None]:
    """An organization by its slug, with the role of whoever belongs to it or is a guest."""
    as_guest = _guest_projects(_ME, Project.organization_id).where(Project.deleted_at.is_(None))
    here = (Membership.organization_id == Organization.id) & (Membership.user_id == _ME)
    return (
        select(Organization, Membership.role)
        .outerjoin(Membership, here)
        .where(Organization.slug == bindparam("slug"), or_(Membership.id.is_not(None), Organization.id.in_(as_guest)))
    )


def _mine() -> Select[Organization]:
    owned = select(Membership.organization_id).where(Membership.user_id == _ME, Membership.role == Role.OWNER)
    is_there = or_(Organization.deleted_at.is_(None), Organization.id.in_(owned) & Organization.purged_at.is_(None))
    mine = Organization.id.in_(_ids_of_organizations(_ME))
    return select(Organization).where(mine, is_there).order_by(Organization.name)


_ENTERED, _MINE = _entered(), _mine()


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
    mine = Membership.organization_id == organization_id, Membership.user_id == user_id
    role = db.session.scalar(select(Membership.role).where(*mine))
    seen = _sums_seen(organization_id, user_id, role)
    return seen if role or seen.projects else None


def limits_told(organization_id: uuid.UUID, seen: SumsSeen) -> ColumnElement[bool]:
    """Which limits go with such sums: all of the organization's, or those of the projects and one's own."""
    if seen.everyone:
        return Budget.organization_id == organization_id
    on_project = and_(Budget.scope == Scope.PROJECT, Budget.subject_id.in_(seen.projects))
    my_own = and_(Budget.scope == Scope.MEMBER, Budget.subject_id == seen.user_id)
    return (Budget.organization_id == organization_id) & or_(on_project, my_own)


def _sums_seen(organization_id: uuid.UUID, user_id: uuid.UUID, role: Role | None) -> SumsSeen:
    if role is not None and RANK[role] >= ADMINISTER:
        return SumsSeen(True, (), user_id)
    here = Project.organization_id == organization_id, Project.deleted_at.is_(None)
    projects = db.session.scalars(_guest_projects(user_id, Project.id).where(*here))
    return SumsSeen(False, tuple(projects), user_id)
