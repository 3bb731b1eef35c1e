"""Is it they who sit there? Asked before what nobody else may do at a desk that was left open."""

from __future__ import annotations

from flask import request
from flask_login import current_user
from flask_wtf import FlaskForm

from .. import audit
from ..extensions import db
from ..models import User, Way
from . import factors, passkeys, signing_in, throttle, two_factor

TRIES, WINDOW = 10, 15 * 60
WRONG = "This is not a code that counts now. Each counts once; wait for the next one."
ALSO = "Your password alone is not enough, as you have a second factor: enter a code too, or use a passkey."


def is_proven(form: FlaskForm, *, password_is_enough: bool = False) -> bool:
    """Did they enter their password, in the field `current`, and a code beside it if they have a second factor; or show
    a passkey, which is both? It counts for the sign-in as if it had begun so. Wrong passwords and codes are noted, and
    counted with those of signing in. `password_is_enough`: where it only adds to how they came in; it then proves no
    more than that. Commits."""
    if said := request.form.get("credential"):
        return _shows_a_passkey(form, said)
    email, address = current_user.email, request.remote_addr or ""
    if wait := throttle.blocked(email, address):
        form.current.errors = [f"Too many wrong passwords. Try again in {-(-wait // 60)} minutes."]
        return False
    if current_user.has_password(str(form.current.data)):
        if problem := "" if password_is_enough else _problem_beside(current_user):
            form.current.errors = [problem]
            return False
        signing_in.note_shown(Way.PASSWORD)
        if not password_is_enough or not factors.any_of(current_user):
            signing_in.note_proven()
        signing_in.renew()
        return True
    throttle.failed(email, address)
    audit.record("account.password_refused", current_user)
    db.session.commit()
    form.current.errors = ["This is not your password."]
    return False


def code_beside(user: User) -> str:
    """What is asked for beside their password, as a label; nothing of who has no second factor."""
    if not factors.any_of(user):
        return ""
    return "Code of your app, or a recovery code" if two_factor.is_on(user) else "A recovery code, without a passkey"


def problem_of_code(user: User, code: str) -> str:
    """Nothing where it counts, and is used up. Codes are few: wrong ones are counted for the account, wherever they
    come from. Who tries has the password. Commits."""
    if wait := throttle.spend("code", str(user.id), TRIES, WINDOW):
        return f"Too many codes. Try again in {-(-wait // 60)} minutes."
    if two_factor.passes(user, code):
        throttle.forget("code", str(user.id))
        return ""
    audit.record("account.code_refused", user)
    db.session.commit()
    return WRONG


def _problem_beside(user: User) -> str:
    if not factors.any_of(user):
        return ""
    code = request.form.get("code", "").strip()[:60]
    return problem_of_code(user, code) if code else ALSO


def _shows_a_passkey(form: FlaskForm, said: str) -> bool:
    try:
        passkeys.used(passkeys.proof(current_user), said, current_user)
    except passkeys.Refused as problem:
        audit.record("account.passkey_refused", current_user)
        db.session.commit()
        form.current.errors = [str(problem)]
        return False
    signing_in.note_shown(Way.PASSKEY)
    signing_in.note_proven()
    signing_in.renew()
    return True
