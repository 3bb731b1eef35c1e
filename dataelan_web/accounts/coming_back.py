"""Somebody who deleted their account has signed in again, within its 30 days: they are not in, but may take it back."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable

from flask import session

from ..extensions import db
from ..models import User, Way

KEY = "may_come_back"
WAITS = 10 * 60
"""Seconds until they have to sign in again for it."""


def note(user: User, ways: Iterable[Way], is_two_factor: bool) -> None:
    session[KEY] = [str(user.id), user.session_key, int(time.time()), is_two_factor, *ways]


def whose() -> tuple[User | None, list[Way], bool]:
    """(the person, what they showed, signed in by two factors?). None: nobody, or it is over for good."""
    id, session_key, at, is_two_factor, *ways = session.get(KEY) or ("", "", 0, False)
    if not 0 <= time.time() - at + 60 <= WAITS:
        return None, [], False
    user = db.session.get(User, uuid.UUID(id))
    may = user is not None and user.session_key == session_key and user.deleted_at and not user.purged_at
    return (user, [Way(way) for way in ways], is_two_factor) if may else (None, [], False)


def forget() -> None:
    session.pop(KEY, None)
