"""The second factor: an authenticator app's codes (TOTP, RFC 6238), and recovery codes for when the app is lost.

A code is taken once: one UPDATE moves the authenticator past its half minute, and whoever comes second finds it there.
"""

from __future__ import annotations

import base64
import re
import secrets
import time

import pyotp
import segno
from markupsafe import Markup
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError

from .. import audit
from ..extensions import db
from ..models import Authenticator, RecoveryCode, User, new_id, now
from ..models.sign_ins import digest
from ..secrets import Place, Unreadable, keyring
from . import changing, factors

STEP = 30
"""Seconds that a code is shown for."""
AROUND = (-1, 0, 1)
"""Steps before and after this one whose codes are taken: clocks differ, and typing takes time."""
RECOVERY_CODES = 10


def of(user: User) -> Authenticator | None:
    """Theirs, also one that was not confirmed yet."""
    return db.session.scalars(select(Authenticator).where(Authenticator.user_id == user.id)).first()


def is_on(user: User) -> bool:
    found = of(user)
    return found is not None and found.confirmed_at is not None


def set_up(user: User) -> None:
    """A new secret, for an app to share; one that was never confirmed is forgotten. Commits."""
    is_open = (Authenticator.user_id == user.id, Authenticator.confirmed_at.is_(None))
    db.session.execute(delete(Authenticator).where(*is_open))
    made = Authenticator(id=new_id(), user_id=user.id)
    made.ciphertext = keyring().encrypt(pyotp.random_base32(), place_of(made))
    db.session.add(made)
    try:
        db.session.commit()
    except IntegrityError:  # twice at once, or it is on by now: the other one counts
        db.session.rollback()


def confirm(user: User, code: str) -> list[str]:
    """From now on it is asked at every sign-in; all others end. The recovery codes, which are shown once; none: the
    code is wrong. Commits."""
    found = of(user)
    if found is None or found.confirmed_at or not _takes(found, code):
        db.session.rollback()
        return []
    found.confirmed_at = now()
    factors.begin(user)
    audit.record("account.two_factor_on", user)
    changing.tell(user.email, "Two-factor sign-in is on", f"A code is asked beside your password. {changing.NOT_YOU}")
    return _new_codes(user)


def remove(user: User) -> None:
    """Commits."""
    db.session.execute(delete(Authenticator).where(Authenticator.user_id == user.id))
    factors.removed(user)
    audit.record("account.two_factor_off", user)
    left = "Your passkeys are asked for now." if factors.any_of(user) else "Your password is enough now."
    changing.tell(user.email, "Two-factor sign-in is off", f"{left} {changing.NOT_YOU}")
    db.session.commit()


def renew_codes(user: User) -> list[str]:
    """Those of before are worth nothing any more. Commits."""
    audit.record("account.recovery_codes_made", user)
    return _new_codes(user)


def passes(user: User, code: str) -> bool:
    """Is it a code of their app, or a recovery code? It is used up then. Commits."""
    found = of(user)
    is_good = (found is not None and found.confirmed_at is not None and _takes(found, code)) or _recovers(user, code)
    db.session.commit()
    return is_good


def codes_left(user: User) -> int:
    unused = (RecoveryCode.user_id == user.id, RecoveryCode.used_at.is_(None))
    return db.session.scalar(select(func.count()).where(*unused)) or 0


def to_share(found: Authenticator) -> str:
    """For an app to be set up with; empty where the encryption key is gone: then one begins anew."""
    try:
        return secret_of(found)
    except Unreadable:
        return ""


def secret_of(found: Authenticator) -> str:
    """Raises Unreadable."""
    return keyring().decrypt(found.ciphertext, place_of(found))


def qr_code(user: User, secret: str) -> Markup:
    """As SVG, dark on light whatever the theme: cameras want it so."""
    address = pyotp.TOTP(secret).provisioning_uri(name=user.email, issuer_name="Dataelan")
    drawn = segno.make(address, error="m").svg_inline(scale=4, border=3, light="white", svgclass="qr", lineclass=None)
    return Markup(drawn)  # noqa: S704  (of squares alone)


def place_of(found: Authenticator) -> Place:
    return Place(None, found.id, "authenticator", "")


def _takes(found: Authenticator, code: str) -> bool:
    try:
        app = pyotp.TOTP(secret_of(found), interval=STEP)
    except Unreadable:  # the encryption key is gone: recovery codes still lead in
        return False
    said, step = re.sub(r"\s", "", code), int(time.time()) // STEP
    good = [one for one in (step + n for n in AROUND) if secrets.compare_digest(app.generate_otp(one), _ascii(said))]
    if not good:
        return False
    newer = (Authenticator.id == found.id, Authenticator.last_step < good[0])
    moved = update(Authenticator).where(*newer).values(last_step=good[0]).returning(Authenticator.id)
    return db.session.scalar(moved.execution_options(synchronize_session=False)) is not None


def _recovers(user: User, code: str) -> bool:
    this = (RecoveryCode.user_id == user.id, RecoveryCode.code_hash == _hash(code), RecoveryCode.used_at.is_(None))
    used = update(RecoveryCode).where(*this).values(used_at=func.now()).returning(RecoveryCode.id)
    if db.session.scalar(used.execution_options(synchronize_session=False)) is None:
        return False
    audit.record("account.recovery_code_used", user)
    changing.tell(user.email, "A recovery code was used", f"{codes_left(user)} are left. {changing.NOT_YOU}")
    return True


def _new_codes(user: User) -> list[str]:
    db.session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    codes = [_grouped(base64.b32encode(secrets.token_bytes(15)).decode().lower()) for _ in range(RECOVERY_CODES)]
    db.session.add_all([RecoveryCode(user_id=user.id, code_hash=_hash(code)) for code in codes])
    db.session.commit()
    return codes


def _grouped(code: str) -> str:
    return "-".join(re.findall("....", code))


def _hash(code: str) -> str:
    return digest(re.sub(r"[\s-]", "", code).lower())


def _ascii(said: str) -> str:
    """compare_digest takes no other text."""
    return said if said.isascii() else ""
