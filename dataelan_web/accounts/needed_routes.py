"""Where somebody comes to who is signed in by a password alone, before an organization that wants more, or before the
administration where the operator does."""

from __future__ import annotations

from flask import abort, request, url_for
from flask_login import current_user, login_required
from werkzeug.wrappers import Response

from .. import access
from ..web import render
from . import factors, passkeys, signing_in
from .account_routes import account


@account.get("/needed")
@login_required
def show_needed() -> Response:
    """`slug`: of the organization; none of the administration."""
    mine = [one for one in access.organizations_of(current_user) if one.deleted_at is None]
    wanted = next((one for one in mine if one.slug == request.args.get("slug")), None)
    if wanted is None and not (current_user.is_superuser and "slug" not in request.args):
        abort(404)
    return render(
        "accounts/needed.html",
        name=wanted.name if wanted else "the administration",
        place_url=url_for("organizations.home", slug=wanted.slug) if wanted else url_for("admin.start"),
        is_needed=wanted.needs_two_factor if wanted else access.lacks_a_factor(),
        others=[one for one in mine if one is not wanted and access.is_enough_for(one)],
        has_any=factors.any_of(current_user),
        is_two_factor=signing_in.here().is_two_factor,
        place=passkeys.place(),
    )
