"""Who came by single sign-on proves by it that they still sit there: they sign in at the provider anew, in another tab,
and go on with the sign-in that they have (accounts/lately.py)."""

from __future__ import annotations

from flask_login import current_user
from sqlalchemy import select

from .. import access, audit
from ..accounts import signing_in
from ..extensions import db
from ..models import Identity, IdentityProvider
from . import letting_in, person
from .letting_in import NotLetIn
from .pending import Begun
from .person import Person

AHEAD = 120
"""Seconds that the provider's clock may differ from ours."""
ANOTHER = "Whom your provider knows is not who is signed in here. Sign in there as yourself, or sign out here first."
GONE = "The sign-in that this was for has ended. Sign in again."
NOT_ANEW = "Your provider did not ask who you are: it took the sign-in that you have there. End it, and try again."


def is_for(provider: IdentityProvider) -> bool:
    """Did who asks come through this one, as themselves?"""
    is_here = current_user.is_authenticated and access.through() == provider.organization_id
    return is_here and audit.impersonator() is None


def wish(issuer: str) -> dict[str, str]:
    """In the address to the provider, so that it asks them. Google refuses `login`, and asks which account."""
    return {"prompt": "select_account"} if issuer in person.ANYBODYS else {"prompt": "login", "max_age": "0"}


def note(provider: IdentityProvider, begun: Begun, who: Person) -> None:
    """Theirs is proven, in this browser; their role is looked at as at any sign-in. A provider that does not say when
    they signed in there is taken at its word that it asked. Raises NotLetIn. Commits."""
    if not is_for(provider):
        raise NotLetIn(GONE)
    here = Identity.provider_id == provider.id, Identity.subject == who.subject
    if db.session.scalar(select(Identity.user_id).where(*here)) != current_user.id:
        raise NotLetIn(ANOTHER)
    if who.signed_in_at is not None and who.signed_in_at < begun.at - AHEAD:
        raise NotLetIn(NOT_ANEW)
    letting_in.let_in(provider, who)
    signing_in.note_proven()
    audit.record("account.proven", current_user, provider.organization_id, how=letting_in.HOW)
    signing_in.renew()
