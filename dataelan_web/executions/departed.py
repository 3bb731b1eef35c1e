"""A person whose 30 days are over: what is theirs goes for ever, and their address is free. The row stays under a name
that says nothing: runs, comments and the books of organizations speak of it."""

from __future__ import annotations

import uuid

from sqlalchemy import delete, func, or_, select, update

from .. import audit
from ..extensions import db
from ..models import (
    IN_TRASH,
    AccountLink,
    Authenticator,
    Collaborator,
    Delivery,
    GatewayToken,
    Identity,
    Invitation,
    Leftover,
    Membership,
    Notice,
    Organization,
    Passkey,
    RecoveryCode,
    Role,
    RunExport,
    SavedView,
    SignIn,
    Star,
    TemplateDraft,
    User,
    new_id,
    now,
)

NAME = "Somebody who has left"
THEIRS = (
    Authenticator,
    RecoveryCode,
    Passkey,
    SignIn,
    Identity,
    AccountLink,
    Notice,
    Star,
    TemplateDraft,
    RunExport,
    Collaborator,
)
"""Rows that are a person's alone. What they thought of answers and brought in from elsewhere stays where it is."""


def give_up_unconfirmed() -> None:
    """Who signed up and in 30 days neither confirmed the address nor came in: as if they had deleted the account when
    they made it. Commits."""
    forgotten = User.unconfirmed_since < func.now() - IN_TRASH, User.last_seen_at.is_(None), ~User.is_superuser
    given_up = update(User).where(*forgotten, User.deleted_at.is_(None)).values(deleted_at=User.unconfirmed_since)
    db.session.execute(given_up.execution_options(synchronize_session=False))
    db.session.commit()


class StillOwner(Exception):
    """An organization would be without one."""


def depart(user: User) -> None:
    """Raises StillOwner: what goes along with them has to go first. Does not commit."""
    homes = _leave_organizations(user)
    _revoke_tokens(user)
    files = select(RunExport.storage_key).where(RunExport.user_id == user.id, RunExport.storage_key != "")
    for key in db.session.scalars(files).all():
        db.session.add(Leftover(id=new_id(), storage_key=key))
    for table in THEIRS:
        db.session.execute(delete(table).where(table.user_id == user.id).execution_options(synchronize_session=False))
    for statement in (
        delete(SavedView).where(SavedView.user_id == user.id, ~SavedView.is_shared),
        delete(Delivery).where(Delivery.address == user.email),
        delete(Invitation).where(
            Invitation.email == user.email, or_(Invitation.accepted_at.is_not(None), Invitation.expires_at < func.now())
        ),
    ):
        db.session.execute(statement.execution_options(synchronize_session=False))
    user.name, user.email, user.password_hash, user.mail_choices = NAME, f"{user.id}@deleted.invalid", "-", {}
    user.is_superuser, user.last_seen_at, user.purged_at = False, None, now()
    user.end_sign_ins()
    for home in homes:
        audit.record("member.left", user, home, because="the account was deleted")
    audit.record("account.purged", user)


def _leave_organizations(user: User) -> list[uuid.UUID]:
    """Their ids."""
    mine = select(Membership).join(Organization).where(Membership.user_id == user.id, Organization.purged_at.is_(None))
    memberships = db.session.scalars(mine.order_by(Membership.organization_id)).all()
    for membership in memberships:
        here = select(Organization).where(Organization.id == membership.organization_id)
        organization = db.session.scalars(here.with_for_update(key_share=True)).one()
        if membership.role is Role.OWNER and _is_last(membership):
            if organization.deleted_at is None and _is_alone(membership):
                organization.deleted_at, organization.deleted_by = user.deleted_at, user.id
                db.session.commit()  # it goes with the next look into the trash, and its owner with the one after
            raise StillOwner
    db.session.execute(delete(Membership).where(Membership.user_id == user.id))
    return [membership.organization_id for membership in memberships]


def _is_last(membership: Membership) -> bool:
    others = Membership.organization_id == membership.organization_id, Membership.id != membership.id
    return db.session.scalar(select(Membership.id).where(*others, Membership.role == Role.OWNER).limit(1)) is None


def _is_alone(membership: Membership) -> bool:
    others = Membership.organization_id == membership.organization_id, Membership.id != membership.id
    return db.session.scalar(select(Membership.id).where(*others).limit(1)) is None


def _revoke_tokens(user: User) -> None:
    """Their own; those of service accounts are the organization's."""
    own = GatewayToken.created_by == user.id, GatewayToken.service_account_id.is_(None)
    revoked = update(GatewayToken).where(*own, GatewayToken.revoked_at.is_(None)).values(revoked_at=now())
    db.session.execute(revoked.execution_options(synchronize_session=False))
