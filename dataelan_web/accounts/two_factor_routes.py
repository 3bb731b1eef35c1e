"""Two-factor sign-in: set up, confirmed and switched off under one's account, and asked after the password."""

from __future__ import annotations

from typing import Any

from flask import url_for
from flask_login import current_user, login_required
from werkzeug.wrappers import Response

from ..models import User, Way
from ..once import done_once
from ..web import redirect, render, toast
from . import landing, passkeys, second_step, signing_in, two_factor
from .account_routes import account
from .forms import CodeForm, OffForm, ProofForm
from .proving import WRONG, is_proven, problem_of_code
from .routes import bp


@bp.route("/login/code", methods=["GET", "POST"])
def code() -> Response:
    user, next_url = second_step.whose()
    if user is None:
        return redirect(url_for("accounts.login"))
    form = CodeForm()
    if not form.validate_on_submit() or not passes(user, form):
        return code_page(user, form, 422 if form.is_submitted() else 200)
    signing_in.begin(user, Way.PASSWORD, is_two_factor=True)
    return redirect(next_url or landing.of(user))


@account.get("/two-factor")
@login_required
def show_two_factor() -> Response:
    return _page()


@account.post("/two-factor")
@login_required
def set_up_two_factor() -> Response:
    form = ProofForm()
    if not form.validate_on_submit() or not is_proven(form):
        return _page(422, proof_form=form)
    if not two_factor.is_on(current_user):
        two_factor.set_up(current_user)
    return redirect(url_for("account.show_two_factor"))


@account.post("/two-factor/confirmation")
@login_required
@done_once(tells_secret=True)
def confirm_two_factor() -> Response:
    form = CodeForm()
    codes = two_factor.confirm(current_user, str(form.code.data)) if form.validate_on_submit() else []
    return _page(codes=codes) if codes else _page(422, code_form=_wrong(form))


@account.post("/two-factor/recovery-codes")
@login_required
@done_once(tells_secret=True)
def renew_recovery_codes() -> Response:
    form = CodeForm()
    if not form.validate_on_submit() or not passes(current_user, form):
        return _page(422, code_form=form)
    return _page(codes=two_factor.renew_codes(current_user))


@account.post("/two-factor/removal")
@login_required
def turn_off_two_factor() -> Response:
    form = OffForm()
    if not form.validate_on_submit() or not passes(current_user, form):
        return _page(422, off_form=form)
    two_factor.remove(current_user)
    toast("Two-factor sign-in is off.", "good")
    return redirect(url_for("account.show"))


def code_page(user: User, form: CodeForm, status: int) -> Response:
    """What they have beside their password, to be shown now."""
    has = {"has_app": two_factor.is_on(user), "has_passkeys": bool(passkeys.of(user))}
    return render("accounts/code.html", "form", status, form=form, place=passkeys.place(), **has)


def passes(user: User, form: CodeForm | OffForm) -> bool:
    """The code in it counts. Says so in it, if not. Commits."""
    if problem := problem_of_code(user, str(form.code.data)):
        form.code.errors = [problem]
    return not problem


def _wrong(form: CodeForm | OffForm) -> CodeForm | OffForm:
    form.code.errors = form.code.errors or [WRONG]
    return form


def _page(status: int = 200, codes: list[str] | None = None, **forms: Any) -> Response:
    found = two_factor.of(current_user)
    is_on = found is not None and found.confirmed_at is not None
    empty: dict[str, Any] = {"proof_form": ProofForm(formdata=None)}
    empty |= {"code_form": CodeForm(formdata=None), "off_form": OffForm(formdata=None)}
    secret = two_factor.to_share(found) if found and not is_on else ""
    return render(
        "accounts/two_factor.html",
        "two_factor",
        status=status,
        is_on=is_on,
        secret=secret,
        qr_code=two_factor.qr_code(current_user, secret) if secret else "",
        codes=codes or [],
        left=two_factor.codes_left(current_user) if is_on else 0,
        has_passkeys=bool(passkeys.of(current_user)),
        place=passkeys.place(),
        **empty | forms,
    )
