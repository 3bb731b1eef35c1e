"""Invitations: made for one address, handed over as a link or by mail, and accepted once.

The secret is in the link and nowhere else; a letter that waits to be sent holds it sealed. What an invitation gives is
looked at again when it is accepted: whoever invites can give no more than they could give themselves at that moment.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from flask import current_app
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from .. import audit
from ..accounts.sign_up import create_user, find
from ..extensions import db
from ..models import (
    Collaborator,
    Invitation,
    Membership,
    Organization,
    OrganizationKind,
    Project,
    ProjectRole,
    Role,
    User,
    new_id,
    now,
)
from ..notify import letters, tell
from . import managing

PATH = "/join/"
"""Where a link leads, with its secret behind it."""


class NotInvited(Exception):
    """Why an address is not invited, in words."""


class NotAccepted(Exception):
    """Why an invitation cannot be accepted, in words for whoever holds it."""


@dataclass(frozen=True)
class Made:
    """An invitation and its link, which is told once."""

    invitation: Invitation
    link: str
    is_mailed: bool


def invite(
    organization: Organization, by: User, email: str, role: Role | ProjectRole, project: Project | None = None
) -> Made:
    """Raises NotInvited: there is no room, or they are here, or were invited already. Commits."""
    organization = managing.lock(organization)
    _check(organization, by, email, role, project)
    invitation = Invitation(id=new_id(), organization_id=organization.id, email=email, invited_by=by.id)
    invitation.project_id = project.id if project else None
    invitation.role = role if isinstance(role, Role) else None
    invitation.project_role = role if isinstance(role, ProjectRole) else None
    secret = invitation.renew()
    db.session.add(invitation)
    try:
        db.session.flush()
    except IntegrityError:
        db.session.rollback()
        raise NotInvited("was invited already. Send the invitation again from the list below.") from None
    detail = {"project": project.name} if project else {}
    audit.record("invitation.created", invitation, organization.id, role=role.value, **detail)
    return _hand_over(invitation, organization, by, secret)


def renew(invitation: Invitation, by: User) -> Made:
    """A new link, by whoever sends it: the old one leads nowhere. Raises NotInvited. Commits."""
    organization = managing.lock(invitation.organization)
    db.session.refresh(invitation, with_for_update=True)
    role = invitation.role or Role.MEMBER
    if not invitation.is_open or not managing.may_give(managing.role_of(organization.id, by.id), role):
        db.session.rollback()
        raise NotInvited("cannot be invited again: the invitation is over, or not yours to give.")
    invitation.invited_by = by.id
    secret = invitation.renew()
    audit.record("invitation.renewed", invitation, organization.id)
    return _hand_over(invitation, organization, by, secret)


def revoke(invitation: Invitation) -> bool:
    """False: it was accepted, or revoked, a moment before. Commits."""
    is_open = Invitation.id == invitation.id, Invitation.accepted_at.is_(None), Invitation.revoked_at.is_(None)
    query = update(Invitation).where(*is_open).values(revoked_at=now()).returning(Invitation.id)
    was_open = db.session.scalar(query.execution_options(synchronize_session="fetch")) is not None
    if was_open:
        audit.record("invitation.revoked", invitation)
    db.session.commit()
    return was_open


def held(secret: str) -> Invitation:
    """The invitation that this link is for. Raises NotAccepted; a wrong one, a revoked one and a used one alike."""
    is_open = Invitation.accepted_at.is_(None), Invitation.revoked_at.is_(None), Invitation.expires_at > now()
    query = select(Invitation).where(Invitation.secret_hash == Invitation.digest(secret), *is_open)
    invitation = db.session.scalars(query).first()
    if invitation is None or _problem(invitation):
        raise NotAccepted("It may have been used, taken back or replaced, or its week is over.")
    return invitation


def accept(invitation: Invitation, user: User) -> None:
    """Once, however many try at the same time. Raises NotAccepted. Commits."""
    organization = managing.lock(invitation.organization)
    db.session.refresh(invitation, with_for_update=True)
    if user.email != invitation.email:
        raise _refusal("It is for another address. Sign in with the account that it was sent to.")
    if not invitation.is_open or invitation.is_expired:
        raise _refusal("It was used or taken back a moment ago.")
    if problem := _problem(invitation):
        raise _refusal(problem)
    invitation.accepted_at, invitation.accepted_by = now(), user.id
    _let_in(invitation, organization, user)
    audit.record("invitation.accepted", invitation, organization.id, by=user.name)
    if invitation.invited_by:
        key, title = f"member.joined:{invitation.id}", f"{user.name} joined {place_of(invitation)}"
        path = f"/o/{organization.slug}/members"
        tell(db.session, organization.id, [invitation.invited_by], key, "member.joined", title, path=path)
    db.session.commit()


def accept_as_new(invitation: Invitation, name: str, password: str) -> User:
    """An account for the invited address, and in. Who holds the link reads that address's mail, or was trusted by
    whoever handed it over. Raises NotAccepted. Commits."""
    if find(invitation.email):
        raise NotAccepted("There is an account with this address by now. Sign in to accept.")
    user = create_user(invitation.email, password, name)
    try:
        db.session.flush()
    except IntegrityError:
        db.session.rollback()
        raise NotAccepted("There is an account with this address by now. Sign in to accept.") from None
    accept(invitation, user)
    return user


def place_of(invitation: Invitation) -> str:
    """Where it leads, in words."""
    return (
        f"{invitation.project.name}, a project of {invitation.organization.name}"
        if invitation.project
        else (invitation.organization.name)
    )


def _check(organization: Organization, by: User, email: str, role: Role | ProjectRole, project: Project | None) -> None:
    if organization.kind is OrganizationKind.SOLO:
        raise _no("This is an organization for one person. Make it a team in its settings, and invite then.")
    needed = role if isinstance(role, Role) else Role.MEMBER
    if not managing.may_give(managing.role_of(organization.id, by.id), needed):
        raise _no("Nobody gives a role above their own.")
    user = find(email)
    if user is None:
        return
    if managing.role_of(organization.id, user.id):
        raise _no("belongs to this organization already.")
    here = Collaborator.user_id == user.id, Collaborator.project_id == (project.id if project else None)
    if project and db.session.scalar(select(Collaborator.id).where(*here)):
        raise _no("is in this project already.")


def _problem(invitation: Invitation) -> str:
    """Why what was promised cannot be kept now; empty: it can."""
    organization, needed = invitation.organization, invitation.role or Role.MEMBER
    can_act = db.session.scalar(select(User.id).where(User.id == invitation.invited_by, User.can_act))
    if not managing.may_give(managing.role_of(organization.id, can_act), needed):
        return "Whoever sent it may no longer invite to this. Ask for a new invitation."
    if organization.kind is OrganizationKind.SOLO or organization.deleted_at:
        return "The organization takes nobody in at the moment."
    if invitation.project and invitation.project.deleted_at:
        return "The project was deleted meanwhile."
    return ""


def _let_in(invitation: Invitation, organization: Organization, user: User) -> None:
    """Who is here already keeps the larger role."""
    there = managing.role_of(organization.id, user.id)
    if invitation.role and there is None:
        db.session.add(Membership(organization_id=organization.id, user_id=user.id, role=invitation.role))
    if invitation.project_id and invitation.project_role and there is None:
        here = Collaborator.project_id == invitation.project_id, Collaborator.user_id == user.id
        if db.session.scalar(select(Collaborator.id).where(*here)) is None:
            values = {"project_id": invitation.project_id, "role": invitation.project_role}
            db.session.add(Collaborator(user_id=user.id, **values))


def mails() -> bool:
    """Do invitations go out by mail? Else whoever invites hands the links over."""
    return current_app.extensions["dataelan_settings"].mail is not None


def _hand_over(invitation: Invitation, organization: Organization, by: User, secret: str) -> Made:
    """Commits."""
    settings = current_app.extensions["dataelan_settings"]
    path = PATH + secret
    if mails():
        what = "a project of " + organization.name if invitation.project_id else organization.name
        body = f"{by.name} ({by.email}) invites you to {place_of(invitation)}. The link works once, for seven days."
        letters.write(organization, invitation.email, f"{by.name} invites you to {what}", body, path)
        invitation.sent_at = now()
    db.session.commit()
    return Made(invitation, settings.public_url + path, mails())


def _no(why: str) -> NotInvited:
    db.session.rollback()
    return NotInvited(why)


def _refusal(why: str) -> NotAccepted:
    db.session.rollback()
    return NotAccepted(why)


def open_here(organization_id: uuid.UUID, project_id: uuid.UUID | None = None) -> list[Invitation]:
    """Those that nobody accepted yet, the newest first; of one project only, where one is named."""
    here = [Invitation.organization_id == organization_id, Invitation.accepted_at.is_(None)]
    here += [Invitation.revoked_at.is_(None), *([Invitation.project_id == project_id] if project_id else [])]
    query = select(Invitation).where(*here).order_by(Invitation.id.desc()).limit(200)
    return list(db.session.scalars(query))
