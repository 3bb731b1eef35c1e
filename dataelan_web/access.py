"""Who sees and does what. Lookup is permission: the check is the only way to get the object.

    project = access.visible(Project, id)        404 unless the signed-in person may see it here
    project = access.editable(Project, id)       … and 403 unless they may change it
    project = access.administered(Project, id)   … and 403 unless they are an owner or admin

“Here” is the organization named in the URL (`/o/<slug>/…`). A foreign id is answered exactly like a random one.
What is in the trash, and all that is in it, is not seen; who may take it out again is told so (InTrash).

A statement takes longer to make than to ask. So each is made once, for each role, and says ASKER and HERE for who asks
and where: these are filled in as it is asked, in the request that asks.
"""

from __future__ import annotations

import uuid
from functools import cache
from typing import Any, TypeVar

from flask import abort, current_app, g
from flask_login import current_user
from sqlalchemy import Boolean, ColumnElement, Select, Uuid, and_, bindparam, false, func, or_, select
from werkzeug.exceptions import Forbidden, Gone

from .extensions import db
from .models import (
    ActionCall,
    Annotation,
    APIKey,
    Base,
    Budget,
    ClaimedDomain,
    Collaborator,
    Comment,
    DeclaredAction,
    Delivery,
    Execution,
    GatewayToken,
    Identity,
    IdentityProvider,
    Increase,
    Invitation,
    Membership,
    Model,
    Notice,
    Organization,
    Project,
    ProjectRole,
    Provider,
    RateLimit,
    Role,
    RoutingRule,
    RunExport,
    SavedView,
    Scope,
    ServiceAccount,
    Trashable,
    User,
    Webhook,
    now,
)
from .models.base import IN_TRASH
from .models.holders import HOLDERS, joined
from .models.limits import ASKED_OF_OPERATOR
from .models.sign_ins import led_to

Row = TypeVar("Row", bound=Base)

RANK = {Role.VIEWER: 1, Role.MEMBER: 2, Role.ADMIN: 3, Role.OWNER: 4}
PROJECT_RANK = {ProjectRole.VIEWER: 1, ProjectRole.EDITOR: 2}
SEE, EDIT, ADMINISTER, OWN = 1, 2, 3, 4
DELETED_BY_ADMINS = (Project, DeclaredAction, Budget, RateLimit, RoutingRule, Webhook)

ASKER: Any = bindparam("asker", type_=Uuid(), callable_=lambda: current_user.id)
HERE: Any = bindparam("asked_here", type_=Uuid(), callable_=lambda: g.organization.id)
THROUGH: Any = bindparam("asked_through", type_=Uuid(), callable_=lambda: through())
BESIDE: Any = bindparam("asked_beside", type_=Uuid(), callable_=lambda: _beside())
SHOWN: Any = bindparam("asked_shown", callable_=lambda: g.sign_in.shown if "sign_in" in g else [])
BY_TWO: Any = bindparam("asked_by_two", type_=Boolean(), callable_=lambda: _is_by_two())
OWN_ONLY: dict[Any, ColumnElement[bool]] = {Comment: Comment.author_id == ASKER, SavedView: ~SavedView.is_shared}
"""What of a kind is for others than owners and admins to take out of the trash. (Who sees a view says whose it is.)"""
_THEIRS = select(func.organizations_of(ASKER, type_=Uuid()).column_valued("theirs"))
"""Ids of those that they belong to, or are a guest of: told by the database from inside one of them as well."""


class InTrash(Gone):
    """410: it, or what it is in, is in the trash, and whoever asks may take `subject` out of it."""

    def __init__(self, subject: Trashable):
        self.subject = subject
        super().__init__()


class AnotherWay(Forbidden):
    """403: whoever asks belongs there, but signed in by a way that does not lead there (sso/gate.py says which do)."""


def enter_organization(slug: str, *, stays: bool = False) -> Organization:
    """The organization of this URL, remembered for the request; 404 for outsiders. Raises AnotherWay. `stays`: from now
    on, the request sees nothing of others (second_net.py)."""
    row = db.session.execute(_STAYED_IN if stays else _ENTERED, {"slug": slug}).first()
    if row is None:
        abort(404)
    g.organization, g.role = row[:2]
    if stays:
        g.inside = {"organization": g.organization.id, "person": current_user.id}
    if g.organization.purged_at:
        abort(404)
    if not leads_to(g.organization):
        raise AnotherWay
    return g.organization  # type: ignore[no-any-return]


def leads_to(organization: Organization) -> bool:
    """Does the sign-in of this request lead there (models/sign_ins.py)? Its person may belong there or not."""
    sign_in = g.get("sign_in")
    return bool(sign_in.leads_to(organization)) if sign_in is not None else not organization.asks_how


def is_enough_for(organization: Organization) -> bool:
    """Was this sign-in by two factors, where they are wanted? Of who acts as somebody, what only that person has is not
    asked."""
    return not organization.needs_two_factor or _is_by_two()


def _is_by_two() -> bool:
    sign_in = g.get("sign_in")
    return (sign_in is not None and sign_in.is_by_two) or g.get("impersonator") is not None


def opens(organization: Organization) -> bool:
    """Does who asks come in there as they signed in, if they belong there?"""
    return leads_to(organization) and is_enough_for(organization)


def through() -> uuid.UUID | None:
    """The organization through whose single sign-on this request’s person came, to which alone it leads."""
    sign_in = g.get("sign_in")
    return sign_in.through_id if sign_in is not None else None


def _beside() -> uuid.UUID | None:
    sign_in = g.get("sign_in")
    return sign_in.beside_id if sign_in is not None and sign_in.is_beside else None


def is_opened() -> ColumnElement[bool]:
    """Organizations of which this holds (opens), for a statement."""
    return and_(led_to(THROUGH, BESIDE, SHOWN), or_(~Organization.needs_two_factor, BY_TWO))


def organizations_of(user: User) -> list[Organization]:
    """Every organization a person belongs to, or is a guest of, by name; of those that were deleted, the ones that they
    may take back. Of who came through one’s single sign-on, that one."""
    return list(db.session.scalars(_MINE_BY_NAME, {"asker": user.id}))


def scoped(model: type[Row]) -> Select[Row]:
    """All rows of `model` the signed-in person may see in this organization: the start of every list query."""
    return seen_by(g.role, model)


@cache
def seen_by(role: Role | None, model: type[Row]) -> Select[Row]:
    """The same for a statement that is made before there is a request. None: a guest."""
    is_there = (holder.deleted_at.is_(None) for holder in HOLDERS.get(model, ()))
    return joined(model).where(*_is_here(model, role), *is_there)


def archived(model: type[Row]) -> Select[Row]:
    """What this organization deleted and history still speaks of (see hub.archive): for its owners and admins."""
    require(ADMINISTER)
    owner, archived_at = getattr(model, "organization_id"), getattr(model, "archived_at")  # noqa: B009
    return select(model).where(owner == HERE, archived_at.is_not(None))


def visible(model: type[Row], id: uuid.UUID, *options: Any) -> Row:
    query = _with_what_it_is_in(g.role, model)
    found = db.session.execute(query.options(*options) if options else query, {"id": id}).first()
    if found is None:
        abort(404)
    row, *put_into_trash = found
    if any(put_into_trash):
        _tell_if_in_trash(model, id)
        abort(404)
    return row  # type: ignore[no-any-return]


@cache
def _with_what_it_is_in(role: Role | None, model: type[Row]) -> Select[Any]:
    """One row by its `id`, and when it and what it is in were put into the trash."""
    put_into_trash = (holder.deleted_at for holder in HOLDERS.get(model, ()))
    here = joined(model).where(*_is_here(model, role), model.id == bindparam("id"))
    return here.add_columns(*put_into_trash)


def in_trash(model: type[Row]) -> Select[Row]:
    """Rows that were put into the trash themselves, in this organization, and can still be taken out of it by the
    signed-in person, as far as a guest: members may or may not (right_to_delete); of comments and views one's own."""
    is_kept = getattr(model, "deleted_at") > now() - IN_TRASH  # noqa: B009
    around = (holder.deleted_at.is_(None) for holder in HOLDERS[model] if holder is not model)
    query = joined(model).where(is_kept, *_is_here(model, g.role), *around)
    if model in (Budget, RateLimit):
        query = query.where(getattr(model, "organization_id") == HERE)  # noqa: B009
    if model in OWN_ONLY and not may(ADMINISTER):
        query = query.where(OWN_ONLY[model])
    if g.role is not None or Project not in HOLDERS[model]:
        return query
    edited = guest_projects(ASKER, Project.id).where(Collaborator.role == ProjectRole.EDITOR)
    return query.where(Project.id.in_(edited))


def trashed(model: type[Row], id: uuid.UUID) -> Row:
    """One of these; 404 for any other, 403 for who may not delete such a thing. Nobody purges it until the commit."""
    query = in_trash(model).where(model.id == id).with_for_update(of=model).execution_options(populate_existing=True)
    row = db.session.scalars(query).first()
    if row is None:
        abort(404)
    require(right_to_delete(row), row)
    return row


def right_to_delete(row: Base) -> int:
    """And to take it out of the trash again. Of one's own view none is needed."""
    if isinstance(row, SavedView):
        return ADMINISTER if row.is_shared else 0
    if isinstance(row, Comment) and row.author_id != current_user.id:
        return ADMINISTER
    return ADMINISTER if isinstance(row, DELETED_BY_ADMINS) else EDIT


def editable(model: type[Row], id: uuid.UUID, *options: Any) -> Row:
    return _at_least(EDIT, visible(model, id, *options))


def administered(model: type[Row], id: uuid.UUID, *options: Any) -> Row:
    return _at_least(ADMINISTER, visible(model, id, *options))


def require_superuser() -> None:
    """404 unless a superuser is signed in, in their own name: of what is for them, nobody else knows."""
    if not is_superuser(current_user) or g.get("impersonator") is not None:
        abort(404)


def is_superuser(user: User) -> bool:
    """Are they, if they signed in by enough of their own? No organization’s provider makes superusers."""
    return bool(user.is_superuser) and through() is None and not lacks_a_factor()


def lacks_a_factor() -> bool:
    """Is a superuser none here, because the operator wants two factors of them, and this sign-in was by one?"""
    wants, sign_in = current_app.extensions["dataelan_settings"].superusers_need_two_factors, g.get("sign_in")
    return wants and sign_in is not None and current_user.is_superuser and not sign_in.is_by_two


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
    role = db.session.scalar(_ROLE_IN, {"project": project_id})
    return PROJECT_RANK[role] if role else 0


def _project_of(row: Base | None) -> uuid.UUID | None:
    """Where it is seen. A run is seen where its session is, wherever it was paid."""
    if isinstance(row, ActionCall | Comment):
        return _project_of(row.execution)
    if isinstance(row, Execution) and row.session:
        return row.session.project_id
    return row.id if isinstance(row, Project) else getattr(row, "project_id", None)


def _is_here(model: type[Base], role: Role | None) -> list[ColumnElement[bool]]:
    if model in (Provider, Model):
        owner = getattr(model, "organization_id")  # noqa: B009
        shared_or_own = or_(owner == HERE, owner.is_(None)) & model.archived_at.is_(None)
        return [shared_or_own, *(() if model is Provider else _is_here(Provider, role))]
    if model is APIKey:
        mine = (APIKey.organization_id == HERE) & APIKey.archived_at.is_(None)
        return [mine if role is not None else false()]
    if model in (Budget, RateLimit):
        return [_limits_here(model, role)]
    if model is Increase:  # beside those of limits one sees, one's own of all the operator's; for who runs it, ours
        all_of_it = role is not None and RANK[role] >= ADMINISTER
        mine = ASKED_OF_OPERATOR if all_of_it else ASKED_OF_OPERATOR & (Increase.asked_by == ASKER)
        return [Increase.organization_id == HERE, _limits_here(Budget, role) | _limits_here(RateLimit, role) | mine]
    if model in (RoutingRule, Webhook, Delivery, Membership, Invitation, ServiceAccount, Annotation, ClaimedDomain):
        owner = getattr(model, "organization_id")  # noqa: B009
        return [owner == HERE if role is not None else false()]
    if model is Identity:
        ours = select(IdentityProvider.id).where(IdentityProvider.organization_id == HERE)
        return [Identity.provider_id.in_(ours) if role is not None else false()]
    if model is RunExport:  # one's own
        return [RunExport.organization_id == HERE, RunExport.user_id == ASKER]
    if model is SavedView:  # one's own; for members also those that are everyone's
        my_own = ~SavedView.is_shared & (SavedView.user_id == ASKER)
        return [SavedView.organization_id == HERE, my_own if role is None else my_own | SavedView.is_shared]
    if model is Notice:  # one's own, of every organization that one still belongs to, and could go to
        homes = select(Organization.id).where(Organization.id.in_(_THEIRS), is_opened())
        return [Notice.user_id == ASKER, Notice.organization_id.in_(homes)]
    if model in HOLDERS:
        here: ColumnElement[bool] = Project.organization_id == HERE
        return [here] if role is not None else [here, Project.id.in_(guest_projects(ASKER, Project.id))]
    raise LookupError(f"access.py does not know who may see a {model.__name__}")


def _limits_here(model: type[Budget] | type[RateLimit], role: Role | None) -> ColumnElement[bool]:
    """Owners and admins: all, and the operator's on this organization. Others: not those of other members. A guest:
    those of the projects they are in, of these projects' tokens, and their own."""

    def on(scope: Scope, subjects: ColumnElement[bool]) -> ColumnElement[bool]:
        return and_(model.scope == scope, subjects)

    subject = model.subject_id
    ours: ColumnElement[bool] = model.organization_id == HERE
    my_own = on(Scope.MEMBER, subject == ASKER)
    if role is None:
        projects = guest_projects(ASKER, Project.id)
        tokens = select(GatewayToken.id).where(GatewayToken.project_id.in_(projects))
        return ours & or_(on(Scope.PROJECT, subject.in_(projects)), on(Scope.TOKEN, subject.in_(tokens)), my_own)
    on_us: ColumnElement[bool] = model.organization_id.is_(None) & on(Scope.ORGANIZATION, subject == HERE)
    return on_us | (ours if RANK[role] >= ADMINISTER else ours & or_(model.scope != Scope.MEMBER, my_own))


def _tell_if_in_trash(model: type[Base], id: uuid.UUID) -> None:
    """Raises InTrash with the outermost that is in the trash, if the signed-in person may take it out."""
    query = _with_what_it_is_in(g.role, model).with_only_columns(*HOLDERS[model])
    row = db.session.execute(query, {"id": id}).first()
    subject = next((holder for holder in row or () if holder is not None and holder.deleted_at), None)
    is_kept = subject is not None and subject.deleted_at > now() - IN_TRASH
    if subject is not None and is_kept and may(right_to_delete(subject), subject):
        raise InTrash(subject)


def guest_projects(user_id: uuid.UUID, column: Any) -> Select[Any]:
    """Of `column`: the projects that somebody was let into, one by one."""
    here = (Collaborator.project_id == Project.id) & (Collaborator.user_id == user_id)
    return select(column).join(Collaborator, here)


def _entered() -> Select[Organization, Role | None]:
    """An organization by its slug, with the role of whoever belongs to it or is a guest."""
    as_guest = guest_projects(ASKER, Project.organization_id).where(Project.deleted_at.is_(None))
    here = (Membership.organization_id == Organization.id) & (Membership.user_id == ASKER)
    return (
        select(Organization, Membership.role)
        .outerjoin(Membership, here)
        .where(Organization.slug == bindparam("slug"), or_(Membership.id.is_not(None), Organization.id.in_(as_guest)))
    )


def _mine() -> Select[Organization]:
    owned = select(Membership.organization_id).where(Membership.user_id == ASKER, Membership.role == Role.OWNER)
    is_there = or_(Organization.deleted_at.is_(None), Organization.id.in_(owned) & Organization.purged_at.is_(None))
    mine = Organization.id.in_(_THEIRS)
    return select(Organization).where(mine, is_there, or_(THROUGH.is_(None), Organization.id == THROUGH))


_ENTERED, MINE = _entered(), _mine()
_STAYED_IN = _ENTERED.add_columns(func.stay_inside(Organization.id, ASKER))
_MINE_BY_NAME = MINE.order_by(Organization.name)
_ROLE_IN = select(Collaborator.role).filter_by(project_id=bindparam("project"), user_id=ASKER)
