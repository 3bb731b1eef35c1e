"""Where somebody comes to who is signed in and goes nowhere in particular."""

from __future__ import annotations

from flask import url_for

from .. import access
from ..models import User


def of(user: User) -> str:
    organizations = access.organizations_of(user)
    if not organizations:
        return url_for("founding.new")
    first = min(organizations, key=lambda one: (one.deleted_at is not None, not access.leads_to(one)))
    return url_for("organizations.home", slug=first.slug)
