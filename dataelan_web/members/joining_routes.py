"""What an invitation's link opens, for whoever holds it: with an account, without one, or with another."""

from __future__ import annotations

from flask import Blueprint, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from ..accounts import signing_in
from ..accounts.sign_up import find
from ..models import Invitation, Way
from ..web import redirect, render, toast
from . import inviting, throttle
from .forms import JoinForm
from .inviting import NotAccepted

TOO_MANY = "Many links that lead nowhere were tried from here. Try again in {} minutes."

joining = Blueprint("joining", __name__)


@joining.get(f"{inviting.PATH}<secret>")
def show(secret: str) -> Response:
    if wait := _blocked():
        return _nowhere(TOO_MANY.format(wait // 60 + 1), 429)
    try:
        invitation = inviting.held(secret)
    except NotAccepted as problem:
        throttle.count("links", request.remote_addr or "")
        return _nowhere(str(problem))
    return _show(invitation, secret, JoinForm(formdata=None))


@joining.post(f"{inviting.PATH}<secret>")
def accept(secret: str) -> Response:
    if wait := _blocked():
        return _nowhere(TOO_MANY.format(wait // 60 + 1), 429)
    try:
        invitation = inviting.held(secret)
        if current_user.is_authenticated:
            inviting.accept(invitation, current_user)
            return _inside(invitation)
        form = JoinForm()
        if find(invitation.email) or not form.validate_on_submit():
            return _show(invitation, secret, form, 422)
        user = inviting.accept_as_new(invitation, str(form.name.data), str(form.password.data))
    except NotAccepted as problem:
        throttle.count("links", request.remote_addr or "")
        return _nowhere(str(problem))
    signing_in.begin(user, Way.PASSWORD)
    return _inside(invitation)


def _show(invitation: Invitation, secret: str, form: JoinForm, status: int = 200) -> Response:
    return render(
        "members/join.html",
        "form",
        status=status,
        invitation=invitation,
        place=inviting.place_of(invitation),
        form=form,
        secret=secret,
        has_account=find(invitation.email) is not None,
        signed_in_as=current_user.email if current_user.is_authenticated else "",
        is_mine=current_user.is_authenticated and current_user.email == invitation.email,
    )


def _nowhere(why: str, status: int = 404) -> Response:
    return render("members/no_invitation.html", status=status, why=why)


def _inside(invitation: Invitation) -> Response:
    toast(f"Welcome to {inviting.place_of(invitation)}.", "good")
    slug = invitation.organization.slug
    if invitation.project_id:
        return redirect(url_for("projects.show", slug=slug, id=invitation.project_id))
    return redirect(url_for("organizations.home", slug=slug))


def _blocked() -> int:
    return throttle.blocked("links", request.remote_addr or "", throttle.WRONG_LINKS)
