"""The pages of who forgot their password."""

from __future__ import annotations

from flask import Blueprint, abort, request, url_for
from werkzeug.wrappers import Response

from ..web import redirect, render, toast
from . import changing, resetting
from .forms import ForgottenForm, ResetForm

forgotten = Blueprint("forgotten", __name__)


@forgotten.get("/forgot")
def show() -> Response:
    return _asked(ForgottenForm(formdata=None))


@forgotten.post("/forgot")
def ask() -> Response:
    if not changing.mails():
        abort(404)
    form = ForgottenForm()
    if not form.validate_on_submit():
        return _asked(form, 422)
    if wait := resetting.ask(str(form.email.data), request.remote_addr or ""):
        form.email.errors = [f"Many links were asked for from here. Try again in {-(-wait // 60)} minutes."]
        return _asked(form, 429)
    return _asked(form, sent_to=str(form.email.data))


@forgotten.get(f"{resetting.PATH}<secret>")
def choose(secret: str) -> Response:
    return _chosen(ResetForm(formdata=None), secret, 200)


@forgotten.post(f"{resetting.PATH}<secret>")
def reset(secret: str) -> Response:
    form = ResetForm()
    if not form.validate_on_submit() or not resetting.reset(secret, str(form.password.data)):
        return _chosen(form, secret, 422)
    toast("Your password was changed, and you are signed out everywhere. Sign in with the new one.", "good")
    return redirect(url_for("accounts.login"))


def _asked(form: ForgottenForm, status: int = 200, sent_to: str = "") -> Response:
    mails = changing.mails()
    return render("accounts/forgot.html", "form", status=status, form=form, sent_to=sent_to, mails=mails)


def _chosen(form: ResetForm, secret: str, status: int) -> Response:
    link = resetting.held(secret)
    return render("accounts/reset.html", "form", status=status if link else 404, form=form, link=link, secret=secret)
