"""Deleting one's own account: at once for everybody, and for 30 days not for ever.

Meanwhile nobody is signed in as them, and their tokens are refused; signing in offers to take it back, as it was. What
they alone are in goes with it (organizations/ending.py). Then executions/departed.py takes what is theirs; what they
made in organizations stays there, under a name that says nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, func, select

from .. import audit
from ..extensions import db
from ..models import IN_TRASH, Collaborator, Membership, Organization, Project, Role, User, now
from ..organizations import ending
from . import changing


class InTheWay(Exception):
    """Somebody depends on them: the message says what to do first."""


@dataclass(frozen=True)
class Owned:
    """What they are the last owner of: with others in it, and alone."""

    shared: Sequence[Organization]
    alone: Sequence[Organization]


def owned(user: User, *, is_locked: bool = False) -> Owned:
    """`is_locked`: nobody comes into these, or leaves them, until the commit."""
    query = select(Organization, _has_others(user.id)).where(_is_last_owner(user.id))
    if is_locked:
        mine = select(Organization.id).join(Membership).where(Membership.user_id == user.id)
        locked = select(Organization.id).where(Organization.id.in_(mine)).order_by(Organization.id)
        db.session.execute(locked.with_for_update(key_share=True)).all()
    rows = db.session.execute(query.order_by(func.lower(Organization.name))).all()
    return Owned([one for one, shared in rows if shared], [one for one, shared in rows if not shared])


def is_last_superuser(user: User) -> bool:
    others = User.is_superuser, User.disabled_at.is_(None), User.deleted_at.is_(None), User.id != user.id
    return user.is_superuser and not db.session.scalar(select(exists().where(*others)))


def ends_at(user: User) -> datetime:
    return (user.deleted_at or now()) + IN_TRASH


def delete(user: User) -> None:
    """Raises InTheWay. Commits."""
    if user.is_superuser:  # of two who go at once, the second finds that nobody else is left
        db.session.execute(select(User.id).where(User.is_superuser).order_by(User.id).with_for_update()).all()
    theirs = owned(user, is_locked=True)
    if theirs.shared or is_last_superuser(user):
        db.session.rollback()
        raise InTheWay
    user.deleted_at = now()
    user.end_sign_ins()
    changing.forget_links(user)
    audit.record("account.deleted", user, organizations=[one.name for one in theirs.alone])
    until = f"{ends_at(user):%-d %B %Y}"
    changing.tell(user.email, "Your account was deleted", f"Sign in until {until} to take it back. {changing.NOT_YOU}")
    db.session.commit()
    for organization in theirs.alone:
        ending.delete(organization, user)


def undo(user: User) -> Sequence[Organization] | None:
    """They may sign in again, as whom they bring back what went along with them. None: it is over, or was taken back.
    Commits."""
    fresh = select(User).where(User.id == user.id).with_for_update().execution_options(populate_existing=True)
    user = db.session.scalars(fresh).one()
    if user.deleted_at is None or user.purged_at is not None:
        db.session.rollback()
        return None
    along = Organization.deleted_by == user.id, Organization.deleted_at >= user.deleted_at
    organizations = db.session.scalars(select(Organization).where(*along)).all()
    user.deleted_at = None
    db.session.commit()
    return organizations


def bring_back(user: User, organizations: Sequence[Organization]) -> None:
    """As they were. Commits."""
    audit.record("account.taken_back", user)
    for organization in organizations:
        ending.restore(organization)
    db.session.commit()


def _is_last_owner(user_id: uuid.UUID):  # type: ignore[no-untyped-def]
    """Of this organization, of those that nobody has deleted."""
    here = Membership.organization_id == Organization.id, Membership.role == Role.OWNER
    mine = exists().where(*here, Membership.user_id == user_id)
    can_act = User.deleted_at.is_(None), User.disabled_at.is_(None)
    others = select(Membership.id).join(User).where(*here, Membership.user_id != user_id, *can_act).exists()
    return Organization.deleted_at.is_(None) & mine & ~others


def _has_others(user_id: uuid.UUID):  # type: ignore[no-untyped-def]
    member = exists().where(Membership.organization_id == Organization.id, Membership.user_id != user_id)
    guests = select(Collaborator.id).join(Project, Project.id == Collaborator.project_id)
    return member | guests.where(Project.organization_id == Organization.id, Collaborator.user_id != user_id).exists()
