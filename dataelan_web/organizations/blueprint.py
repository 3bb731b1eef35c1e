"""A blueprint whose routes lie inside an organization: signed in, a member or guest, or 404."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Blueprint, g, request, url_for
from flask_login import current_user
from sqlalchemy import update

from .. import access, audit, errors
from ..extensions import db, login
from ..models import Organization, Role, User, now
from ..web import redirect

SEEN_EVERY = timedelta(minutes=5)
SUSPENDED = "Nothing in it is lost. Ask whoever looks after Dataelan for you."
WHILE_DELETED = (
    "organizations.restore",
    "organizations.export",
    "dashboards.show_export",
    "dashboards.export_file",
    "dashboards.cancel_export",
)
"""What the owners of a deleted organization may still do in it."""


class OrganizationDeleted(Exception):
    """It waits for its end, and this is no way to take it back."""

    def __init__(self, organization: Organization):
        super().__init__()
        self.organization = organization


def inside_organization(name: str, import_name: str) -> Blueprint:
    bp = Blueprint(name, import_name, url_prefix="/o/<slug>")

    @bp.url_value_preprocessor
    def take_slug(endpoint: str | None, values: dict[str, Any] | None) -> None:
        g.slug = (values or {}).pop("slug", "")

    @bp.url_defaults
    def give_slug(endpoint: str, values: dict[str, Any]) -> None:
        if "organization" in g:
            values.setdefault("slug", g.organization.slug)

    @bp.before_request
    def enter() -> Any:
        if not current_user.is_authenticated:
            return login.unauthorized()
        organization = access.enter_organization(g.slug, stays=True)
        if organization.deleted_at and not (g.role is Role.OWNER and request.endpoint in WHILE_DELETED):
            raise OrganizationDeleted(organization)
        if not access.is_enough_for(organization):
            return redirect(url_for("account.show_needed", slug=organization.slug))
        if organization.suspended_at:
            return errors.show(403, title=f"{organization.name} is suspended", text=SUSPENDED)
        _note_that_they_are_here()
        return None

    return bp


def _note_that_they_are_here() -> None:
    """With what people do, not with what they look at: that writes nothing."""
    last = current_user.last_seen_at
    if request.method == "POST" and audit.impersonator() is None and (last is None or now() - last > SEEN_EVERY):
        seen = update(User).where(User.id == current_user.id).values(last_seen_at=now())
        db.session.execute(seen.execution_options(synchronize_session="fetch"))
        db.session.commit()
