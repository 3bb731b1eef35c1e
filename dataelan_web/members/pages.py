"""The two pages of people, as every act on them answers: the organization's members, and who is in one project."""

from __future__ import annotations

from typing import Any

from flask import Response as FlaskResponse
from flask import g, request

from .. import access
from ..models import OrganizationKind, Project
from ..web import page_number, render
from . import inviting, lists
from .forms import PROJECT_ROLES, ROLES, InviteForm


def members_page(status: int = 200, form: InviteForm | None = None, **context: Any) -> FlaskResponse:
    q, number = request.args.get("q", "").strip()[:200], page_number()
    found, total = lists.members(q, number)
    can_manage = access.may(access.ADMINISTER)
    gives = lists.roles_to_give()
    if form is None and can_manage:
        form = invite_form(formdata=None)
    return render(
        "members/members.html",
        "members",
        status=status,
        lines=found,
        total=total,
        counts=lists.counts(),
        guests=lists.guests(q) if number == 1 else [],
        invitations=inviting.open_here(g.organization.id) if can_manage and not q and number == 1 else [],
        q=q,
        page=number,
        pages=-(-total // lists.PAGE),
        form=form,
        gives=gives,
        roles=ROLES,
        can_manage=can_manage,
        mails=inviting.mails(),
        **context,
    )


def invite_form(**options: Any) -> InviteForm:
    return InviteForm(roles=[(role.value, ROLES[role]) for role in lists.roles_to_give()], **options)


def people_page(project: Project, status: int = 200, form: InviteForm | None = None, **context: Any) -> FlaskResponse:
    can_manage = access.may(access.ADMINISTER)
    return render(
        "members/project_people.html",
        "people",
        status=status,
        project=project,
        people=lists.collaborators(project),
        members=lists.counts()["members"] if g.role is not None else None,
        offered=lists.to_be_let_in(project) if can_manage else [],
        invitations=inviting.open_here(g.organization.id, project.id) if can_manage else [],
        form=(form or guest_form(formdata=None)) if can_manage else None,
        roles=PROJECT_ROLES,
        can_manage=can_manage,
        mails=inviting.mails(),
        takes_guests=g.organization.kind is not OrganizationKind.SOLO,
        **context,
    )


def guest_form(**options: Any) -> InviteForm:
    return InviteForm(roles=[(role.value, text) for role, text in PROJECT_ROLES.items()], **options)
