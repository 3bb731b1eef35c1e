"""The page of members: who is here and as what; changing that, removing, leaving."""

from __future__ import annotations

import uuid

from flask import abort, g, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from .. import access
from ..accounts import lately
from ..accounts.lately import proven_lately
from ..extensions import db
from ..models import Membership, Role
from ..web import redirect, toast, with_toast
from . import managing
from .blueprint import bp
from .pages import members_page

NEEDS_OWNER = "An organization keeps an owner. Make somebody else an owner first."


@bp.get("/members")
def show() -> Response:
    access.require(access.SEE)
    return members_page()


@bp.post("/members/<uuid:id>/role")
@proven_lately
def change_role(id: uuid.UUID) -> Response:
    membership = access.administered(Membership, id)
    role = _role(request.form.get("role", ""))
    try:
        managing.change_role(membership, role, current_user)
    except managing.LastOwner:
        return members_page(422, problem=NEEDS_OWNER)
    if membership.user_id == current_user.id and role not in (Role.OWNER, Role.ADMIN):
        return redirect(url_for("members.show"))
    db.session.refresh(g.organization)
    g.role = managing.role_of(g.organization.id, current_user.id)
    said = f"{membership.user.name} is {'an' if role.value[0] in 'AO' else 'a'} {role.value.lower()} now."
    return with_toast(members_page(), said, "good")


@bp.post("/members/<uuid:id>/removal")
def remove(id: uuid.UUID) -> Response:
    membership = access.administered(Membership, id)
    name, is_me = membership.user.name, membership.user_id == current_user.id
    if is_me:
        abort(403)  # one leaves, which asks differently
    if membership.role in managing.WITH_POWER:
        lately.require()  # or who sits at another's desk would be the only one left
    try:
        revoked = managing.remove(membership, current_user)
    except managing.LastOwner:
        return members_page(422, problem=NEEDS_OWNER)
    tokens = f", and {revoked} gateway token{'' if revoked == 1 else 's'} of theirs refused" if revoked else ""
    return with_toast(members_page(), f"{name} was removed{tokens}.", "good")


@bp.post("/departure")
def leave() -> Response:
    """Members and guests alike."""
    name = g.organization.name
    try:
        managing.leave(g.organization, current_user)
    except managing.LastOwner:
        toast(f"You are the last owner of {name}. {NEEDS_OWNER}", "danger")
        return redirect(url_for("members.show"))
    toast(f"You left {name}.", "good")
    return redirect(url_for("accounts.start"))


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        abort(422, "There is no such role.")
