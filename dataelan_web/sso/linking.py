"""Into an account that was there before: whoever has it shows so once, as they would to sign in."""

from __future__ import annotations

from flask import request

from .. import audit
from ..accounts import factors, throttle, two_factor
from ..accounts.sign_up import find
from ..extensions import db
from ..models import IdentityProvider, User
from . import pending
from .forms import LinkForm, LinkWithCodeForm

CODES, WINDOW = 10, 15 * 60


def waiting() -> tuple[pending.Proving, IdentityProvider, User] | None:
    """Who came back in this browser and has to show it, at a provider that is still the one they came from."""
    proving = pending.proving()
    found = db.session.get(IdentityProvider, proving.provider_id) if proving else None
    user = find(proving.person.email) if proving else None
    if proving is None or found is None or user is None or found.issuer != proving.issuer:
        return None
    return proving, found, user


def form_for(user: User, **options: object) -> LinkForm:
    return (LinkWithCodeForm if factors.any_of(user) else LinkForm)(**options)


def is_theirs(user: User, form: LinkForm) -> bool:
    """Their password, and a code where they have a second factor. Wrong ones are counted with those of signing in."""
    address = request.remote_addr or ""
    if wait := throttle.blocked(user.email, address):
        form.current.errors = [f"Too many wrong passwords. Try again in {-(-wait // 60)} minutes."]
        return False
    if not user.has_password(str(form.current.data)):
        throttle.failed(user.email, address)
        _note("account.sign_in_refused", user)
        form.current.errors = ["This is not the password of this account."]
        return False
    if not isinstance(form, LinkWithCodeForm):
        return True
    if wait := throttle.spend("code", str(user.id), CODES, WINDOW):
        form.code.errors = [f"Too many codes. Try again in {-(-wait // 60)} minutes."]
        return False
    if two_factor.passes(user, str(form.code.data)):
        throttle.forget("code", str(user.id))
        return True
    _note("account.code_refused", user)
    form.code.errors = ["This is not a code that counts now. Each counts once; wait for the next one."]
    return False


def _note(action: str, user: User) -> None:
    """As where they sign in by themselves. Commits."""
    audit.record(action, user)
    db.session.commit()
