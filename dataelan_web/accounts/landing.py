"""Where somebody comes to who is signed in and goes nowhere in particular."""

from __future__ import annotations

from flask import session, url_for

from .. import access
from ..models import User
from ..web import local_path

GOING = "going_to"


def note(next_url: str) -> None:
    """Where they were going, while they set up what leads there."""
    session[GOING] = local_path(next_url)


def where_they_were_going() -> str:
    """Told once; empty: nowhere in particular."""
    return local_path(session.pop(GOING, ""))


def of(user: User) -> str:
    organizations = access.organizations_of(user)
    if not organizations:
        return url_for("founding.new")
    first = min(organizations, key=lambda one: (one.deleted_at is not None, not access.leads_to(one)))
    return url_for("organizations.home", slug=first.slug)
