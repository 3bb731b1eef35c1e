"""Who belongs to an organization, and as what. Every verb commits and is audited.

All of them wait in line for the organization's row, and look at roles only then: so of two owners who each remove the
other, the second one is no owner any more. The database refuses an organization without an owner besides.
"""

from __future__ import annotations

import uuid

from flask import abort
from sqlalchemy import ColumnElement, delete, func, select, update

from .. import access, audit
from ..extensions import db
from ..models import Collaborator, GatewayToken, Membership, Organization, Project, Role, User, new_id, now
from ..notify import tell

WITH_POWER = (Role.OWNER, Role.ADMIN)
"""Roles that give roles: who gives or takes one proves first that it is they (accounts/lately.py)."""


class LastOwner(Exception):
    """An organization keeps one owner at least."""


def lock(organization: Organization) -> Organization:
    """Until the commit nobody else changes who belongs here, or what kind of organization it is. Runs go on."""
    return db.session.scalars(
        select(Organization)
        .where(Organization.id == organization.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    ).one()


def role_of(organization_id: uuid.UUID, user_id: uuid.UUID | None) -> Role | None:
    """As it is now, whatever was read before."""
    here = Membership.organization_id == organization_id, Membership.user_id == user_id
    return db.session.scalar(select(Membership.role).where(*here))


def may_give(mine: Role | None, role: Role) -> bool:
    """Nobody gives, or takes, a role above their own; and only owners and admins give any."""
    return mine is not None and access.RANK[mine] >= max(access.ADMINISTER, access.RANK[role])


def change_role(membership: Membership, role: Role, by: User) -> None:
    """Raises LastOwner. 403 where whoever does it may not, 404 where the person has left meanwhile."""
    organization, membership = _held(membership, by, role)
    before = membership.role
    if before is role:
        db.session.rollback()
        return
    if before is Role.OWNER:
        _need_another_owner(organization, membership)
    membership.role = role
    audit.record(
        "member.role_changed",
        membership.user,
        organization.id,
        before=before.value,
        after=role.value,
    )
    _tell(organization, membership, by, before)
    db.session.commit()


def remove(membership: Membership, by: User) -> int:
    """Out at once, of every project too. Returns how many gateway tokens of theirs are refused from now on. What they
    made stays under their name; their batches pause when they come to the next row. Raises LastOwner."""
    organization, membership = _held(membership, by, membership.role)
    if membership.role is Role.OWNER:
        _need_another_owner(organization, membership)
    revoked = _take_out(organization, membership)
    audit.record("member.removed", membership.user, organization.id, role=membership.role.value, tokens_revoked=revoked)
    db.session.commit()
    return revoked


def leave(organization: Organization, user: User) -> None:
    """As a member, or as a guest of its projects. Raises LastOwner."""
    organization = lock(organization)
    membership = _of(organization.id, user.id)
    if membership is not None and membership.role is Role.OWNER:
        _need_another_owner(organization, membership)
    if membership is not None:
        _take_out(organization, membership)
    else:
        _close_projects(organization.id, user.id)
        _revoke_all(organization.id, user.id)
    audit.record("member.left", user, organization.id, role=membership.role.value if membership else "guest")
    db.session.commit()


def transfer(organization: Organization, to: Membership, by: User) -> None:
    """`to` becomes an owner, and whoever gives it away an admin: in one step, so that it is never without."""
    organization = lock(organization)
    mine, theirs = _of(organization.id, by.id), _of(organization.id, to.user_id)
    if mine is None or mine.role is not Role.OWNER:
        abort(403)
    if theirs is None or theirs.user_id == by.id:
        abort(404)
    db.session.refresh(theirs.user)  # who deleted their account while this waited in line is no owner
    if theirs.user.deleted_at:
        abort(404)
    if theirs.user.disabled_at:
        abort(422, f"{theirs.user.name} is switched off, and could not look after it.")
    theirs.role, mine.role = Role.OWNER, Role.ADMIN
    audit.record("organization.transferred", organization, organization.id, to=theirs.user.name, by=by.name)
    db.session.commit()


def _tell(organization: Organization, membership: Membership, by: User, before: Role) -> None:
    """Whoever has another role now; the caller commits."""
    if membership.user_id == by.id:
        return
    title = f"Your role in {organization.name} is {membership.role.value.lower()} now"
    said, path = f"{by.name} changed it from {before.value.lower()}.", f"/o/{organization.slug}/help/roles"
    key = f"member.role:{new_id()}"
    tell(db.session, organization.id, [membership.user_id], key, "member.role", title, said, path)


def _held(membership: Membership, by: User, role: Role) -> tuple[Organization, Membership]:
    """Both, locked and fresh; 404, 403."""
    organization = lock(membership.organization)
    fresh = _of(organization.id, membership.user_id)
    if fresh is None:
        abort(404)
    mine = role_of(organization.id, by.id)
    if not may_give(mine, role) or not may_give(mine, fresh.role):
        abort(403)
    return organization, fresh


def _of(organization_id: uuid.UUID, user_id: uuid.UUID) -> Membership | None:
    here = Membership.organization_id == organization_id, Membership.user_id == user_id
    return db.session.scalars(select(Membership).where(*here).execution_options(populate_existing=True)).first()


def _need_another_owner(organization: Organization, than: Membership) -> None:
    """One who deleted their account is none, nor is one who was switched off, though both may come back."""
    owners = Membership.organization_id == organization.id, Membership.role == Role.OWNER, Membership.id != than.id
    if not db.session.scalar(select(func.count(Membership.id)).join(User).where(*owners, User.can_act)):
        db.session.rollback()
        raise LastOwner


def _take_out(organization: Organization, membership: Membership) -> int:
    """Does not commit."""
    _close_projects(organization.id, membership.user_id)
    revoked = _revoke_all(organization.id, membership.user_id)
    db.session.execute(delete(Membership).where(Membership.id == membership.id))
    return revoked


def _close_projects(organization_id: uuid.UUID, user_id: uuid.UUID) -> None:
    here = Collaborator.project_id.in_(_projects(organization_id)), Collaborator.user_id == user_id
    db.session.execute(delete(Collaborator).where(*here).execution_options(synchronize_session=False))


def _revoke_all(organization_id: uuid.UUID, user_id: uuid.UUID) -> int:
    return revoke_tokens(user_id, GatewayToken.project_id.in_(_projects(organization_id)))


def revoke_tokens(user_id: uuid.UUID, here: ColumnElement[bool]) -> int:
    """Their own. Those of service accounts are the organization's, whoever made them."""
    theirs = (
        GatewayToken.created_by == user_id,
        GatewayToken.service_account_id.is_(None),
        GatewayToken.revoked_at.is_(None),
        here,
    )
    query = update(GatewayToken).where(*theirs).values(revoked_at=now()).returning(GatewayToken.id)
    return len(db.session.scalars(query.execution_options(synchronize_session=False)).all())


def _projects(organization_id: uuid.UUID):  # type: ignore[no-untyped-def]
    return select(Project.id).where(Project.organization_id == organization_id)
