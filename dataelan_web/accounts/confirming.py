"""Who signs up where mail is sent: nobody is signed in as them before their mailbox has confirmed the address.

The link is that of a new address (changing.py), to the one they have. It signs nobody in: whoever reads a mailbox has
not chosen the password. A link for a new password, and an organization's own provider, confirm an address as well.

Whoever signs up learns nothing of who has an account: an address that is somebody's is answered as a new one is, and
takes as long; whose it is gets a letter that says so.
"""

from __future__ import annotations

from ..extensions import db
from ..models import AccountLink, Proof, User, now
from ..notify import letters
from . import alike, changing, throttle
from .sign_up import AddressTaken, create_user, settle

LETTERS, HOUR = 3, 3600
"""To one mailbox, an hour."""
TAKES = 0.25
"""Seconds that a sign-up takes, beside its hash, whether the address is somebody's or not."""
BODY = (
    "Somebody made an account on Dataelan with this address. If it was you, confirm it: the link works once, for a "
    "day. If it was not, leave it alone: nobody gets in."
)

TAKEN = (
    "Somebody wanted to make an account on Dataelan with this address. There is one already, and it is as it was. If "
    "it was you, sign in; if you forgot the password, ask there for a new one. If it was not, leave it alone: nobody "
    "gets in."
)


def sign_up(email: str, password: str, name: str) -> None:
    """A letter tells the rest: to confirm the address, or that it has an account. Commits."""
    user = create_user(email, password, name)  # its hash takes as long either way, and more than the rest
    with alike.taking(TAKES):
        user.unconfirmed_since = now()
        try:
            settle(user)
        except AddressTaken:
            _tell_whose_it_is(email)
        else:
            ask(user)


def is_awaited(user: User) -> bool:
    """Where no mail is sent, or none any more, nobody waits for any."""
    return user.unconfirmed_since is not None and changing.mails()


def ask(user: User) -> None:
    """Links of before lead nowhere, unless many letters were sent lately: then the last one counts. Commits."""
    if not throttle.spend("confirm", str(user.id), LETTERS, HOUR):
        changing.forget(user, Proof.ADDRESS)
        link, secret = AccountLink.issue(user, Proof.ADDRESS, user.email, changing.TO_CONFIRM)
        db.session.add(link)
        path = changing.CONFIRM + secret
        letters.about_account(user.email, "Confirm your address", BODY, path, is_secret=True)
    db.session.commit()


def _tell_whose_it_is(email: str) -> None:
    """Also where they never confirmed it: a link to do that would be for a password that somebody else may have
    chosen. Commits."""
    if not throttle.spend("taken", email, LETTERS, HOUR):
        letters.about_account(email, "You have an account already", TAKEN, "/login")
    db.session.commit()
