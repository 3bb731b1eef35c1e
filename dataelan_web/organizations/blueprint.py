"""A blueprint whose routes lie inside an organization: signed in, a member or guest, or 404."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, g
from flask_login import current_user

from .. import access
from ..extensions import login


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
        access.enter_organization(g.slug)
        return None

    return bp
