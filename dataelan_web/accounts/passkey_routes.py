"""Passkeys: added, renamed and removed under one's account, and a way to sign in: alone, or as second factor."""

from __future__ import annotations

import logging
import uuid
from typing import Any

from flask import Response as FlaskResponse
from flask import abort, request, url_for
from flask_login import current_user, login_required
from werkzeug.wrappers import Response

from ..models import Passkey, User, Way
from ..once import done_once
from ..web import redirect, render, with_toast
from . import browsers, factors, landing, passkeys, second_step, signing_in, throttle, two_factor
from .account_routes import account
from .forms import CodeForm, LoginForm, PasskeyForm, PasskeyNameForm, ProofForm
from .proving import is_proven
from .routes import SWITCHED_OFF, bp, login_page, next_place
from .two_factor_routes import code_page

log = logging.getLogger(__name__)
MOST, WINDOW = 300, 15 * 60
"""Answers from one address: an office's worth. None can be guessed, but each is work."""
UNNAMED = "Give it a name by which you know it, of at most 100 characters."
ONLY_WAY = "It is your only way in: you have no password. Add another passkey first."
NOT_NOW = "Many passkeys were tried from here. Try again in {} minutes."


@bp.post("/login/passkey/options")
def passkey_options() -> Response:
    """What the browser is to sign, with whichever passkey somebody chooses in it."""
    return _json(passkeys.to_use(passkeys.SIGN_IN))


@bp.post("/login/passkey")
def passkey() -> Response:
    form = LoginForm(formdata=None)
    try:
        user = _used(passkeys.SIGN_IN).user
    except passkeys.Refused as problem:
        form.form_errors = [str(problem)]
        return login_page(form, 422)
    if user.disabled_at is not None:
        form.form_errors = [SWITCHED_OFF]
        return login_page(form, 422)
    signing_in.begin(user, Way.PASSKEY, is_two_factor=True)
    return redirect(next_place() or landing.of(user))


@bp.post("/login/code/passkey/options")
def second_passkey_options() -> Response:
    user, _ = second_step.whose()
    return _json(passkeys.to_use(passkeys.second_step(user), user)) if user else abort(404)


@bp.post("/login/code/passkey")
def second_passkey() -> Response:
    user, next_url = second_step.whose()
    if user is None:
        return redirect(url_for("accounts.login"))
    try:
        _used(passkeys.second_step(user), user)
    except passkeys.Refused as problem:
        form = CodeForm(formdata=None)
        form.form_errors = [str(problem)]
        return code_page(user, form, 422)
    signing_in.begin(user, Way.PASSWORD, Way.PASSKEY, is_two_factor=True)
    return redirect(next_url or landing.of(user))


@account.post("/proof/options")
@login_required
def proof_options() -> Response:
    """For a form that asks for one's password, or for a passkey in its place."""
    return _json(passkeys.to_use(passkeys.proof(current_user), current_user))


@account.get("/passkeys")
@login_required
def show_passkeys() -> Response:
    return _page()


@account.post("/passkeys/new")
@login_required
def prepare_passkey() -> Response:
    form = ProofForm()
    if passkeys.place() is None or not form.validate_on_submit() or not is_proven(form):
        return _page(422, proof_form=form)
    name = browsers.described(str(request.user_agent))
    return _page(add_form=PasskeyForm(formdata=None, name=name), options=passkeys.to_add(current_user))


@account.post("/passkeys")
@login_required
def add_passkey() -> Response:
    form = PasskeyForm()
    if not form.validate_on_submit():
        return _page(422, problem=UNNAMED)
    try:
        codes = passkeys.add(current_user, str(form.name.data), str(form.credential.data))
    except passkeys.Refused as problem:
        return _page(422, problem=str(problem))
    next_url = landing.where_they_were_going()
    return with_toast(_page(codes=codes, next_url=next_url), f"“{form.name.data}” signs you in from now on.", "good")


@account.post("/passkeys/<uuid:id>/name")
@login_required
def rename_passkey(id: uuid.UUID) -> Response:
    row, form = _mine(id), PasskeyNameForm()
    if not form.validate_on_submit():
        return _page(422, problem=UNNAMED)
    passkeys.rename(row, str(form.name.data))
    return _page()


@account.post("/passkeys/<uuid:id>/removal")
@login_required
def remove_passkey(id: uuid.UUID) -> Response:
    row, form = _mine(id), ProofForm()
    if not form.validate_on_submit() or not is_proven(form):
        return _page(422, removed=row, remove_form=form)
    if passkeys.is_only_way(row):
        return _page(422, problem=ONLY_WAY)
    passkeys.remove(row)
    return with_toast(_page(), f"“{row.name}” was removed.", "good")


@account.post("/passkeys/recovery-codes")
@login_required
@done_once(tells_secret=True)
def renew_codes_by_proof() -> Response:
    """For who has no app whose code would do."""
    form = ProofForm()
    if not form.validate_on_submit() or not is_proven(form) or not factors.any_of(current_user):
        return _page(422, codes_form=form)
    return _page(codes=two_factor.renew_codes(current_user))


def _used(purpose: str, user: User | None = None) -> Passkey:
    """Raises passkeys.Refused."""
    if wait := throttle.spend("passkey", request.remote_addr or "", MOST, WINDOW):
        raise passkeys.Refused(NOT_NOW.format(-(-wait // 60)))
    try:
        return passkeys.used(purpose, request.form.get("credential", ""), user)
    except passkeys.Refused as problem:
        log.warning("a passkey is refused, from %s: %s", request.remote_addr, problem)
        raise


def _mine(id: uuid.UUID) -> Passkey:
    return passkeys.find(current_user, id) or abort(404)


def _json(text: str) -> Response:
    return FlaskResponse(text, content_type="application/json")


def _page(status: int = 200, codes: list[str] | None = None, **context: Any) -> FlaskResponse:
    """`options`: what the browser is to make now, with `add_form`; `removed`: which one `remove_form` is about."""
    empty = {name: ProofForm(formdata=None) for name in ("proof_form", "remove_form", "codes_form")}
    return render(
        "accounts/passkeys.html",
        "passkeys",
        status=status,
        passkeys=passkeys.of(current_user),
        place=passkeys.place(),
        most=passkeys.MOST,
        codes=codes or [],
        left=two_factor.codes_left(current_user),
        has_app=two_factor.is_on(current_user),
        **empty | context,
    )
