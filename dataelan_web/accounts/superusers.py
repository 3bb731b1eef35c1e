"""A blueprint for superusers. To everybody else there is nothing at its addresses."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, url_for
from flask_login import current_user

from .. import access
from ..extensions import login
from ..web import redirect


def for_superusers(name: str, import_name: str) -> Blueprint:
    bp = Blueprint(name, import_name, url_prefix="/admin")

    @bp.before_request
    def enter() -> Any:
        if not current_user.is_authenticated:
            return login.unauthorized()
        if access.lacks_a_factor():
            return redirect(url_for("account.show_needed"))
        access.require_superuser()
        return None

    return bp
