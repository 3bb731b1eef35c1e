"""What holds for everybody at this moment: open, read-only, or maintenance. One row, which superusers change."""

from __future__ import annotations

from flask import g
from sqlalchemy import select

from .extensions import db
from .models import Mode, PlatformMode

MODE = select(PlatformMode.mode).limit(1).scalar_subquery()
"""Asked beside who is signed in, or whose token it is: a request costs no question more."""
RETRY_AFTER = 120
"""Seconds after which whoever is turned away may ask again."""


def remember(mode: Mode | None) -> None:
    """What was asked along with something else."""
    g.mode = mode or Mode.OPEN


def current() -> Mode:
    """Asked at most once a request."""
    if "mode" not in g:
        remember(db.session.scalar(select(PlatformMode.mode)))
    found: Mode = g.mode
    return found


def row() -> PlatformMode:
    return db.session.scalars(select(PlatformMode)).one()


def words() -> str:
    """Why, and until when; empty where it is open, or nobody said."""
    return row().words if current() is not Mode.OPEN else ""
