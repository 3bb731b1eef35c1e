"""Where somebody comes to who is signed in by a password alone, before an organization that wants more."""

from __future__ import annotations

from flask import abort, request
from flask_login import current_user, login_required
from werkzeug.wrappers import Response

from .. import access
from ..web import render
from . import factors, passkeys, signing_in
from .account_routes import account


@account.get("/needed")
@login_required
def show_needed() -> Response:
    """`slug`: of the organization."""
    mine = [one for one in access.organizations_of(current_user) if one.deleted_at is None]
    wanted = next((one for one in mine if one.slug == request.args.get("slug")), None) or abort(404)
    return render(
        "accounts/needed.html",
        wanted=wanted,
        others=[one for one in mine if one is not wanted and access.is_enough_for(one)],
        has_any=factors.any_of(current_user),
        is_two_factor=signing_in.here().is_two_factor,
        place=passkeys.place(),
    )
