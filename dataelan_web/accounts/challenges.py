"""The random bytes that a passkey signs: for one browser, one purpose, five minutes, and one answer.

The signed cookie holds it, so that a page that is only looked at writes nothing; what the cookie cannot know, that it
was answered already, is a row.
"""

from __future__ import annotations

import base64
import secrets
import time

from flask import session

from ..extensions import db
from ..models import SpentChallenge

KEY = "challenge"
LASTS = 5 * 60
AHEAD = 60
"""Seconds that the clock of another machine, which issued it, may be ahead."""


def issue(purpose: str) -> bytes:
    """The one before is worth nothing any more."""
    challenge = secrets.token_bytes(32)
    session[KEY] = [purpose, base64.b64encode(challenge).decode(), int(time.time())]
    return challenge


def take(purpose: str) -> bytes | None:
    """That of this browser, for this purpose; None: there is none, it is too old, or it was answered before, with
    another copy of the cookie. The caller commits."""
    issued_for, encoded, at = session.pop(KEY, None) or ("", "", 0)
    if issued_for != purpose or not -AHEAD <= time.time() - at <= LASTS:
        return None
    challenge = base64.b64decode(encoded)
    return challenge if db.session.execute(SpentChallenge.spend(challenge)).rowcount else None  # type: ignore[attr-defined]
