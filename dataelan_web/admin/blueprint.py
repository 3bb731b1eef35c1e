"""A blueprint for superusers. To everybody else there is nothing at its addresses."""

from __future__ import annotations

from typing import Any

from flask import Blueprint
from flask_login import current_user

from .. import access
from ..extensions import login

bp = Blueprint("admin", __name__, url_prefix="/admin")


@bp.before_request
def enter() -> Any:
    if not current_user.is_authenticated:
        return login.unauthorized()
    access.require_superuser()
    return None
