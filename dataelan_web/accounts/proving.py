"""Is it they who sit there? Asked before what nobody else may do at a desk that was left open."""

from __future__ import annotations

from flask import request
from flask_login import current_user
from flask_wtf import FlaskForm

from .. import audit
from ..extensions import db
from ..models import Way
from . import passkeys, signing_in, throttle


def is_proven(form: FlaskForm) -> bool:
    """Did they enter their password, in the field `current`, or show a passkey? It counts for the sign-in as if it had
    begun so. Wrong passwords are noted, and counted with those of signing in. Commits."""
    if said := request.form.get("credential"):
        return _shows_a_passkey(form, said)
    email, address = current_user.email, request.remote_addr or ""
    if wait := throttle.blocked(email, address):
        form.current.errors = [f"Too many wrong passwords. Try again in {-(-wait // 60)} minutes."]
        return False
    if current_user.has_password(str(form.current.data)):
        signing_in.note_shown(Way.PASSWORD)
        signing_in.renew()
        return True
    throttle.failed(email, address)
    audit.record("account.password_refused", current_user)
    db.session.commit()
    form.current.errors = ["This is not your password."]
    return False


def _shows_a_passkey(form: FlaskForm, said: str) -> bool:
    try:
        passkeys.used(passkeys.proof(current_user), said, current_user)
    except passkeys.Refused as problem:
        form.current.errors = [str(problem)]
        return False
    signing_in.note_shown(Way.PASSKEY)
    signing_in.renew()
    return True
