"""What somebody shows beside their password: a code of an app, a passkey, or a recovery code when both are lost.

Who has one is asked for it after the password. Some organizations let nobody in whose sign-in had none
(organizations/sign_in_routes.py); so that counts for the sign-in, not for the person.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, delete, exists, or_, select, update

from ..extensions import db
from ..models import Authenticator, Passkey, RecoveryCode, SignIn, User
from . import signing_in


def has_any(user_id: object) -> ColumnElement[bool]:
    """As a condition: of a person, or of each of a list of them."""
    app = exists().where(Authenticator.user_id == user_id, Authenticator.confirmed_at.is_not(None))
    return or_(app, exists().where(Passkey.user_id == user_id))


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
