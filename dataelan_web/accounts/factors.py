"""What somebody shows beside their password: a code of an app, a passkey, or a recovery code when both are lost.

Who has one is asked for it after the password. Some organizations let nobody in whose sign-in had none
(organizations/sign_in_routes.py); so that counts for the sign-in, not for the person.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from sqlalchemy import ColumnElement, delete, exists, or_, select, update

from ..extensions import db
from ..models import Authenticator, Identity, IdentityProvider, Passkey, RecoveryCode, SignIn, User, Way
from . import signing_in


def has_any(user_id: object) -> ColumnElement[bool]:
    """As a condition: of a person, or of each of a list of them."""
    app = exists().where(Authenticator.user_id == user_id, Authenticator.confirmed_at.is_not(None))
    return or_(app, exists().where(Passkey.user_id == user_id))


def can_come_by(ways: Iterable[str], organization_id: uuid.UUID) -> ColumnElement[bool]:
    """As a condition on people: have they what one of these ways (Way) into an organization takes? Of its single
    sign-on, did they come by it before?"""
    known = exists().where(Identity.user_id == User.id, Identity.provider_id == IdentityProvider.id)
    has = {
        Way.PASSWORD: User.can_have_password,
        Way.PASSKEY: exists().where(Passkey.user_id == User.id),
        Way.SSO: known.where(IdentityProvider.organization_id == organization_id),
    }
    return or_(*(has[Way(way)] for way in ways))


def any_of(user: User) -> bool:
    return bool(db.session.scalar(select(has_any(user.id))))


def begin(user: User) -> None:
    """They have one from now on: every other sign-in ends, and this one was made by who has it. The caller commits."""
    signing_in.end_others(user)
    signing_in.here().is_two_factor = True


def removed(user: User) -> None:
    """One is gone. With the last one, recovery codes are worth nothing, and their sign-ins are by a password alone. The
    caller commits."""
    if any_of(user):
        return
    db.session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    db.session.execute(update(SignIn).where(SignIn.user_id == user.id).values(is_two_factor=False))
