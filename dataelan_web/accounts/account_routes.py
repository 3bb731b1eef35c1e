"""One's own account: name, address, password, and where one is signed in."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, abort, g, request, url_for
from flask_login import current_user, login_required
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response

from .. import access, audit
from ..extensions import db
from ..models import Proof
from ..once import done_once
from ..web import redirect, render, toast
from . import browsers, changing, passkeys, signing_in, throttle, two_factor
from .forms import AddressForm, NameForm, PasswordForm
from .lately import proven_lately
from .proving import is_proven
from .sign_up import AddressTaken

account = Blueprint("account", __name__, url_prefix="/account")
TAKEN = "There is an account with this address."
LETTERS, HOUR = 5, 3600
"""To addresses that one wants to have, an hour."""


@account.get("")
@login_required
def show() -> Response:
    return _page()


@account.post("/name")
@login_required
def rename() -> Response:
    form = NameForm()
    if not form.validate_on_submit():
        return _page(422, name_form=form)
    changing.rename(current_user, str(form.name.data))
    return _back("Your name was changed.")


@account.post("/address")
@login_required
@done_once()
def change_address() -> Response:
    form = AddressForm()
    if not form.validate_on_submit() or not is_proven(form):
        return _page(422, address_form=form)
    email = str(form.email.data)
    if changing.mails():
        if wait := throttle.spend("new-address", str(current_user.id), LETTERS, HOUR):
            form.email.errors = [f"That were many links for one hour. Go on in {-(-wait // 60)} minutes."]
            return _page(429, address_form=form)
        changing.ask_for_address(current_user, email)
        return _back(f"A link was sent to {email}. Your address changes when you open it there.")
    try:
        changing.change_address(current_user, email)
    except AddressTaken:
        form.email.errors = [TAKEN]
        return _page(422, address_form=form)
    signing_in.keep_this(current_user)
    db.session.commit()
    return _back("Your address was changed. You are signed out everywhere else.")


@account.get("/address/<secret>")
def show_address(secret: str) -> Response:
    link = changing.held(secret, Proof.ADDRESS)
    return render("accounts/address.html", status=200 if link else 404, link=link, secret=secret)


@account.post("/address/<secret>")
def confirm_address(secret: str) -> Response:
    try:
        user = changing.confirm_address(secret)
    except AddressTaken:
        user = None
    if user is None:
        return render("accounts/address.html", status=404, link=None)
    toast(f"Your address is {user.email} now. Sign in with it.", "good")
    return redirect(url_for("accounts.login"))


@account.post("/password")
@login_required
def change_password() -> Response:
    form = PasswordForm()
    if not form.validate_on_submit() or not is_proven(form):
        return _page(422, password_form=form)
    changing.change_password(current_user, str(form.password.data))
    return _back("Your password was changed. You are signed out everywhere else.")


@account.post("/sign-ins/<uuid:id>/revocation")
@login_required
@proven_lately
def end_sign_in(id: uuid.UUID) -> Response:
    row = signing_in.end(current_user, id)
    if row is None:
        abort(404)
    audit.record("account.sign_in_ended", current_user, browser=browsers.described(row.agent), where=row.address)
    db.session.commit()
    return _back("That browser is signed out.")


@account.post("/sign-ins/revocation")
@login_required
@proven_lately
def end_others() -> Response:
    signing_in.end_others(current_user)
    audit.record("account.sign_ins_ended", current_user)
    db.session.commit()
    return _back("You are signed out everywhere else.")


@account.before_request
def _come_from() -> None:
    """Beside the account the sidebar shows the organization that one came from, or the first."""
    if current_user.is_authenticated:
        mine = [one for one in access.organizations_of(current_user) if not one.deleted_at and access.opens(one)]
        from_here = [one for one in mine if one.slug == request.args.get("in")]
        for organization in (from_here or mine)[:1]:
            access.enter_organization(organization.slug)


@account.url_defaults
def _remember(endpoint: str, values: dict[str, Any]) -> None:
    if "organization" in g:
        values.setdefault("in", g.organization.slug)


def _page(status: int = 200, **forms: FlaskForm) -> Response:
    empty = {
        "name_form": NameForm(formdata=None, name=current_user.name),
        "address_form": AddressForm(formdata=None),
        "password_form": PasswordForm(formdata=None),
    }
    return render(
        "accounts/account.html" if access.through() is None else "accounts/through.html",
        "account",
        status=status,
        sign_ins=[(one, browsers.described(one.agent)) for one in signing_in.of(current_user)],
        here=signing_in.here(),
        mails=changing.mails(),
        has_two_factor=two_factor.is_on(current_user),
        passkeys=passkeys.of(current_user),
        place=passkeys.place(),
        **empty | forms,
    )


def _back(said: str) -> Response:
    toast(said, "good")
    return redirect(url_for("account.show"))
