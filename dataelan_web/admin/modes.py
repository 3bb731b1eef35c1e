"""Maintenance and read-only: who is turned away, with which words; and how the mode is set.

What runs goes on: workers ask nobody. Superusers come in and do what they like. Programs are told by the gateway, which
asks beside the token whose it is (gateway/tokens.py).
"""

from __future__ import annotations

from flask import Flask, request
from flask_login import current_user
from werkzeug.wrappers import Response

from .. import access, api_errors, audit, errors, modes, page_hooks
from ..extensions import db
from ..models import Mode, User, now

OPEN_TO_ALL = (
    "static",
    "health.up",
    "health.ready",
    "metrics.show",
    "accounts.login",
    "sso.find",
    "sso.link",
    "accounts.code",
    "accounts.passkey",
    "accounts.passkey_options",
    "accounts.second_passkey",
    "accounts.second_passkey_options",
    "accounts.logout",
)
"""Whoever signs in may be a superuser, and who is signed in may go."""
READING = ("GET", "HEAD", "OPTIONS")
TITLES = {Mode.READ_ONLY: "Nothing can be changed just now", Mode.MAINTENANCE: "Dataelan is being looked after"}
WORDS = {
    Mode.READ_ONLY: "All that is there can be read. What runs goes on to its end. Try again in a few minutes.",
    Mode.MAINTENANCE: "It will be back soon. Nothing is lost, and what runs goes on to its end.",
}


def init_app(app: Flask) -> None:
    page_hooks.before_page(app, _turn_away)
    app.context_processor(lambda: {"mode_words": _shown()})


def set_to(mode: Mode, words: str, by: User) -> None:
    """Commits. It holds for every request that comes after."""
    row = modes.row()
    before = {"mode": row.mode.value, "words": row.words}
    row.mode, row.words, row.since, row.set_by = mode, words, now(), by.id
    modes.remember(mode)
    audit.record("platform.mode_set", row, before=before, mode=mode.value, words=words)
    db.session.commit()


def said(mode: Mode) -> str:
    """To whoever meets it."""
    return modes.words() or WORDS[mode]


def _turn_away() -> Response | None:
    if request.endpoint in OPEN_TO_ALL or request.path.startswith(api_errors.PATHS):
        return None
    is_super = current_user.is_authenticated and (access.is_superuser(current_user) or audit.impersonator() is not None)
    mode = modes.current()
    if mode is Mode.OPEN or is_super or (mode is Mode.READ_ONLY and request.method in READING):
        return None
    answer = errors.show(503, title=TITLES[mode], text=said(mode))
    answer.headers["Retry-After"] = str(modes.RETRY_AFTER)
    return answer


def _shown() -> tuple[str, str] | None:
    """(title, words), for a banner on every page; None where it is open."""
    mode = modes.current() if current_user.is_authenticated else Mode.OPEN
    return None if mode is Mode.OPEN else (TITLES[mode], said(mode))
