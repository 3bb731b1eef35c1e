"""Inviting people into the organization, and what becomes of the invitations that wait. Those to one project too."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response as FlaskResponse
from flask import g
from flask_login import current_user
from werkzeug.wrappers import Response

from .. import access
from ..accounts import lately
from ..models import Invitation, Project, Role
from ..once import done_once
from ..web import with_toast
from . import inviting, managing, throttle
from .blueprint import bp
from .inviting import Made, NotInvited
from .pages import invite_form, members_page, people_page

TOO_MANY = "That were many invitations for one hour. Go on in {} minutes."


@bp.post("/invitations")
@done_once(tells_secret=True)
def invite() -> Response:
    access.require(access.ADMINISTER)
    form = invite_form()
    if not form.validate_on_submit():
        return members_page(422, form=form)
    if Role(form.role.data) in managing.WITH_POWER:
        lately.require()
    if wait := throttle.blocked("invites", str(current_user.id), throttle.INVITATIONS):
        form.emails.errors = [TOO_MANY.format(wait // 60 + 1)]
        return members_page(429, form=form)
    made, refused = invite_all(form.addresses, Role(form.role.data))
    if refused:
        form.emails.data, form.emails.errors = "\n".join(refused), [f"{who} {why}" for who, why in refused.items()]
    return members_page(422 if refused and not made else 201, form=form if refused else None, made=made)


@bp.post("/invitations/<uuid:id>/renewal")
@done_once(tells_secret=True)
def renew(id: uuid.UUID) -> Response:
    invitation = access.administered(Invitation, id)
    if invitation.role in managing.WITH_POWER:
        lately.require()
    if wait := throttle.blocked("invites", str(current_user.id), throttle.INVITATIONS):
        return _shown(invitation, 429, problem=TOO_MANY.format(wait // 60 + 1))
    try:
        made = inviting.renew(invitation, current_user)
    except NotInvited as problem:
        return _shown(invitation, 422, problem=f"{invitation.email} {problem}")
    throttle.count("invites", str(current_user.id))
    return _shown(invitation, 201, made=[made])


@bp.post("/invitations/<uuid:id>/revocation")
def revoke(id: uuid.UUID) -> Response:
    invitation = access.administered(Invitation, id)
    was_open = inviting.revoke(invitation)
    said = f"The invitation of {invitation.email} leads nowhere now." if was_open else "It was accepted or taken back."
    return with_toast(_shown(invitation), said, "good" if was_open else "neutral")


def _shown(invitation: Invitation, status: int = 200, **context: Any) -> FlaskResponse:
    """The page that it stands on: that of members, or of the project that it is for."""
    if invitation.project_id:
        return people_page(access.administered(Project, invitation.project_id), status, **context)
    return members_page(status, **context)


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
