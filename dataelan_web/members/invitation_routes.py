"""Inviting people into the organization, and what becomes of the invitations that wait. Those to one project too."""

from __future__ import annotations

import uuid

from flask import g, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from .. import access
from ..models import Invitation, Role
from ..web import redirect, toast, with_toast
from . import inviting, throttle
from .blueprint import bp
from .inviting import Made, NotInvited
from .routes import invite_form, page

TOO_MANY = "That were many invitations for one hour. Go on in {} minutes."


@bp.post("/invitations")
def invite() -> Response:
    access.require(access.ADMINISTER)
    form = invite_form()
    if not form.validate_on_submit():
        return page(422, form=form)
    if wait := throttle.blocked("invites", str(current_user.id), throttle.INVITATIONS):
        form.emails.errors = [TOO_MANY.format(wait // 60 + 1)]
        return page(429, form=form)
    made, refused = invite_all(form.addresses, Role(form.role.data))
    if refused:
        form.emails.data, form.emails.errors = "\n".join(refused), [f"{who} {why}" for who, why in refused.items()]
    return page(422 if refused and not made else 201, form=form if refused else None, made=made)


@bp.post("/invitations/<uuid:id>/renewal")
def renew(id: uuid.UUID) -> Response:
    invitation = access.administered(Invitation, id)
    try:
        made = inviting.renew(invitation, current_user)
    except NotInvited as problem:
        return page(422, problem=f"{invitation.email} {problem}")
    throttle.count("invites", str(current_user.id))
    return page(201, made=[made])


@bp.post("/invitations/<uuid:id>/revocation")
def revoke(id: uuid.UUID) -> Response:
    invitation = access.administered(Invitation, id)
    was_open = inviting.revoke(invitation)
    said = f"The invitation of {invitation.email} leads nowhere now." if was_open else "It was accepted or taken back."
    if invitation.project_id:
        toast(said, "good" if was_open else "neutral")
        return redirect(url_for("members.project_people", id=invitation.project_id))
    return with_toast(page(), said, "good" if was_open else "neutral")


def invite_all(addresses: list[str], role: Role) -> tuple[list[Made], dict[str, str]]:
    """(those that were made, address → why not)"""
    made, refused = [], {}
    for address in addresses:
        try:
            made.append(inviting.invite(g.organization, current_user, address, role))
        except NotInvited as problem:
            refused[address] = str(problem)
    throttle.count("invites", str(current_user.id), len(addresses))
    return made, refused
