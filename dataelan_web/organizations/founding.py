"""A new organization, by anybody who is signed in: also by who belongs to none at the moment."""

from __future__ import annotations

from flask import Blueprint, url_for
from flask_login import current_user, login_required
from werkzeug.wrappers import Response

from .. import access, audit
from ..accounts.sign_up import create_organization, create_project
from ..extensions import db
from ..members import throttle
from ..models import OrganizationKind
from ..once import done_once
from ..web import redirect, render, toast
from .forms import FoundingForm

MOST = 20
"""New organizations of one person in an hour."""

founding = Blueprint("founding", __name__, url_prefix="/organizations")


@founding.get("/new")
@login_required
def new() -> Response:
    return _form(FoundingForm(formdata=None))


@founding.post("/new")
@login_required
@done_once()
def create() -> Response:
    form = FoundingForm()
    if not form.validate_on_submit():
        return _form(form, 422)
    if wait := throttle.blocked("founding", str(current_user.id), MOST):
        form.name.errors = [f"You made many organizations lately. Go on in {wait // 60 + 1} minutes."]
        return _form(form, 429)
    throttle.count("founding", str(current_user.id))
    organization = create_organization(current_user, str(form.name.data), OrganizationKind(form.kind.data))
    create_project(organization, current_user, "First project")
    audit.record("organization.created", organization, organization.id, kind=organization.kind.value)
    db.session.commit()
    toast(f"{organization.name} is there, and you own it.", "good")
    if organization.kind is OrganizationKind.SOLO:
        return redirect(url_for("organizations.home", slug=organization.slug))
    return redirect(url_for("members.show", slug=organization.slug))


def _form(form: FoundingForm, status: int = 200) -> Response:
    mine = access.organizations_of(current_user)
    return render("organizations/new.html", "form", status=status, form=form, mine=mine)
