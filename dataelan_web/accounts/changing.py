"""What a person changes of their own account. Each change of a way in is told to the mailbox that was theirs before."""

from __future__ import annotations

from datetime import timedelta

from flask import current_app
from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.exc import IntegrityError

from .. import audit
from ..extensions import db
from ..models import AccountLink, Proof, User
from ..models.sign_ins import digest
from ..notify import letters
from . import signing_in
from .sign_up import AddressTaken, find

CONFIRM = "/account/address/"
"""Where the link to a new address leads, with its secret behind it."""
TO_CONFIRM = timedelta(hours=24)
NOT_YOU = "If this was not you, set a new password at once, and look at where you are signed in."


def mails() -> bool:
    return current_app.extensions["dataelan_settings"].mail is not None


def rename(user: User, name: str) -> None:
    """Commits."""
    audit.record("account.renamed", user, before=user.name, after=name)
    user.name = name
    db.session.commit()


def change_password(user: User, password: str) -> None:
    """Every other sign-in of theirs ends. Commits."""
    user.set_password(password)
    signing_in.keep_this(user)
    forget_links(user)
    audit.record("account.password_changed", user)
    tell(user.email, "Your password was changed", f"You are signed out everywhere else. {NOT_YOU}")
    db.session.commit()


def ask_for_address(user: User, email: str) -> None:
    """To be confirmed by a link that is sent there; links of before lead nowhere. An address that is somebody's gets
    none, and nobody is told. Commits."""
    forget(user, Proof.ADDRESS)
    if find(email) is None:
        link, secret = AccountLink.issue(user, Proof.ADDRESS, email, TO_CONFIRM)
        db.session.add(link)
        body = f"{user.name} wants to sign in to Dataelan with this address. The link works once, for a day."
        letters.about_account(email, "Is this your new address?", body, CONFIRM + secret, is_secret=True)
    audit.record("account.address_asked", user)
    db.session.commit()


def change_address(user: User, email: str) -> None:
    """At once. Their sign-ins end; the caller may keep the one that it is (signing_in.keep_this) and commits. Raises
    AddressTaken."""
    before, user.email = user.email, email
    try:
        db.session.flush()
    except IntegrityError as error:
        db.session.rollback()
        raise AddressTaken from error
    user.end_sign_ins()
    forget_links(user)
    audit.record("account.address_changed", user, before=before, after=email)
    tell(before, "Your address was changed", f"You sign in to Dataelan with {email} from now on. {NOT_YOU}")


def held(secret: str, purpose: Proof) -> AccountLink | None:
    """What the holder of a link may do; None for one that was used, is over or never was."""
    return db.session.scalars(select(AccountLink).where(*_is_good(secret, purpose))).first()


def take(secret: str, purpose: Proof) -> AccountLink | None:
    """The same, for one holder only: whoever comes second finds it used. The caller commits."""
    used = update(AccountLink).where(*_is_good(secret, purpose)).values(used_at=func.now()).returning(AccountLink)
    return db.session.scalars(used.execution_options(synchronize_session=False, populate_existing=True)).first()


def confirm_address(secret: str) -> User | None:
    """A new address, or the one that they signed up with. None: the link leads nowhere. Raises AddressTaken: somebody
    has it by now. Commits."""
    link = take(secret, Proof.ADDRESS)
    if link is None:
        return None
    if link.email == link.user.email:
        note_confirmed(link.user)
    else:
        change_address(link.user, link.email)
    db.session.commit()
    return link.user


def note_confirmed(user: User) -> None:
    """Their mailbox was read, or somebody else vouches for it (confirming.py). The caller commits."""
    if user.unconfirmed_since is not None:
        user.unconfirmed_since = None
        audit.record("account.address_confirmed", user)


def tell(address: str, title: str, body: str, path: str = "/account") -> None:
    """By mail, where there is any. The caller commits."""
    if mails():
        letters.about_account(address, title, body, path)


def forget_links(user: User) -> None:
    """Whatever was sent before their way in changed: whoever asked for it may be who they are locking out."""
    for purpose in Proof:
        forget(user, purpose)


def forget(user: User, purpose: Proof) -> None:
    """Links of before lead nowhere. The caller commits."""
    theirs = (AccountLink.user_id == user.id, AccountLink.purpose == purpose)
    db.session.execute(delete(AccountLink).where(*theirs).execution_options(synchronize_session=False))


def _is_good(secret: str, purpose: Proof) -> list[ColumnElement[bool]]:
    is_new = [AccountLink.used_at.is_(None), AccountLink.expires_at > func.now()]
    return [AccountLink.secret_hash == digest(secret), AccountLink.purpose == purpose, *is_new]
