"""A new password for who forgot theirs, by a link: sent to their mailbox, or handed over by an operator.

Whoever asks learns nothing of who has an account: every answer is the same, and takes the same time.
"""

from __future__ import annotations

from datetime import timedelta

from flask import current_app

from .. import audit
from ..extensions import db
from ..models import AccountLink, Proof, User
from ..notify import letters
from . import alike, changing, throttle
from .sign_up import find

PATH = "/reset/"
LASTS = timedelta(hours=1)
TAKES = 0.25
"""Seconds that an answer takes, whether there is such an account or not: more than a letter takes to be written."""
HOUR = 3600
PER_ACCOUNT, PER_ADDRESS = 3, 20
"""Letters to one mailbox, and wishes from one address, an hour."""
BODY = "Somebody wants to set a new password for this address on Dataelan. The link works once, for an hour."


def ask(email: str, address: str) -> int:
    """Send a link, if the address is somebody's and was not sent many lately. Seconds to wait, for who asks too often
    from `address`; 0: it was taken. Commits."""
    with alike.taking(TAKES):
        wait = throttle.spend("reset-from", address, PER_ADDRESS, HOUR)
        is_many = throttle.spend("reset", email, PER_ACCOUNT, HOUR) > 0
        if not wait and not is_many and (user := find(email)):
            path = PATH + _issue(user)
            letters.about_account(user.email, "Set a new password", BODY, path, is_secret=True)
            audit.record("account.reset_asked", user)
        db.session.commit()
    return wait


def link_for(user: User) -> str:
    """For an operator, who hands it over. Commits."""
    path = PATH + _issue(user)
    audit.record("account.reset_asked", user, by="an operator")
    db.session.commit()
    return f"{current_app.extensions['dataelan_settings'].public_url}{path}"


def held(secret: str) -> AccountLink | None:
    """None: the link was used, is too old, was never made, or the person has another address by now."""
    link = changing.held(secret, Proof.RESET)
    return link if link and link.email == link.user.email else None


def reset(secret: str, password: str) -> User | None:
    """Every sign-in of theirs ends. None: the link leads nowhere. Commits."""
    link = changing.take(secret, Proof.RESET) if held(secret) else None
    if link is None:
        db.session.rollback()
        return None
    link.user.set_password(password)
    changing.forget_links(link.user)
    changing.note_confirmed(link.user)
    audit.record("account.password_reset", link.user)
    changing.tell(link.user.email, "Your password was changed", f"By a link for a new one. {changing.NOT_YOU}")
    db.session.commit()
    return link.user


def _issue(user: User) -> str:
    changing.forget(user, Proof.RESET)
    link, secret = AccountLink.issue(user, Proof.RESET, user.email, LASTS)
    db.session.add(link)
    return secret
