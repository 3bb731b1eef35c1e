"""The token in each form, which no other site can know: a random secret of the session, as it is.

Flask-WTF hashes and signs its own with SHA-1 and leaves no choice. It takes what is in no cookie of this session for
forged either way, so there is nothing left for a signature to prove; these two functions stand in the place of its own.
"""

from __future__ import annotations

import hmac
import json
import secrets

import flask_wtf.csrf
from flask import session
from itsdangerous import BadData
from itsdangerous.encoding import base64_decode
from wtforms import ValidationError

FIELD = "csrf_token"
BYTES = 32
LONGEST = 200


def made(*_: object, **__: object) -> str:
    """This session's token, made with the first form."""
    if FIELD not in session:
        session[FIELD] = secrets.token_urlsafe(BYTES)
    return str(session[FIELD])


def check(said: str | None, *_: object, **__: object) -> None:
    """Raises ValidationError for whatever is not this session's token."""
    known = str(session.get(FIELD, ""))
    if not said or not known:
        raise ValidationError("A token is missing, in the form or in the session.")
    if len(said) > LONGEST or not any(_same(one, known) for one in (said, _of_before(said))):
        raise ValidationError("The token is not of this session.")


def _same(said: str, known: str) -> bool:
    return hmac.compare_digest(said.encode("utf-8", "replace"), known.encode())


def _of_before(said: str) -> str:
    """The secret in a token that Flask-WTF made before 29 November 2026, in a form that is open since. Who knows it has
    seen the form: the signature is not asked for."""
    try:
        return str(json.loads(base64_decode(said.partition(".")[0])))
    except (BadData, ValueError):
        return ""


def init_app() -> None:
    """Before Flask-WTF is bound."""
    flask_wtf.csrf.generate_csrf = made
    flask_wtf.csrf.validate_csrf = check
