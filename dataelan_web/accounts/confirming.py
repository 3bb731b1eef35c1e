"""Who signs up where mail is sent: nobody is signed in as them before their mailbox has confirmed the address.

The link is that of a new address (changing.py), to the one they have. It signs nobody in: whoever reads a mailbox has
not chosen the password. A link for a new password, and an organization's own provider, confirm an address as well.
"""

from __future__ import annotations

from ..extensions import db
from ..models import AccountLink, Proof, User
from ..notify import letters
from . import changing, throttle

LETTERS, HOUR = 3, 3600
"""To one mailbox, an hour."""
BODY = (
    "Somebody made an account on Dataelan with this address. If it was you, confirm it: the link works once, for a "
    "day. If it was not, leave it alone: nobody gets in."
)


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
