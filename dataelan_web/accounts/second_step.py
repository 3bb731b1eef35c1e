"""Between the password and the code: nobody is signed in yet, and the cookie says whose password was right."""

from __future__ import annotations

import time
import uuid

from flask import request, session

from ..extensions import db
from ..models import User
from ..web import local_path

KEY = "password_was_right"
WAITS = 10 * 60
"""Seconds until the password is asked again."""


def begin(user: User) -> None:
    session.clear()
    session[KEY] = [str(user.id), user.session_key, int(time.time()), local_path(request.args.get("next", ""))]


def whose() -> tuple[User | None, str]:
    """(the person, where they were going)"""
    id, session_key, at, next_url = session.get(KEY) or ("", "", 0, "")
    if not 0 <= time.time() - at + 60 <= WAITS:
        return None, ""
    user = db.session.get(User, uuid.UUID(id))
    is_theirs = user is not None and user.session_key == session_key and user.disabled_at is None
    return user if is_theirs else None, local_path(next_url)
