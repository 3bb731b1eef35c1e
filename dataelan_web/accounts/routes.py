from __future__ import annotations

import logging
from typing import Any

from flask import Blueprint, abort, current_app, request, session, url_for
from flask_login import current_user, login_required, logout_user
from werkzeug.wrappers import Response

from .. import audit
from ..extensions import db
from ..models import PromptSession, User, Way, waste_a_hash
from ..web import local_path, redirect, render
from . import alike, changing, coming_back, confirming, factors, landing, passkeys, second_step, signing_in
from .forms import LoginForm, SignUpForm
from .sign_up import AddressTaken, Home, find, is_first, sign_up
from .throttle import blocked, failed, spend, succeeded

SWITCHED_OFF = "This account is switched off. Ask whoever looks after Dataelan for you."
UNCONFIRMED = "Confirm your address first: a link is in your mailbox. It works once, for a day."

bp = Blueprint("accounts", __name__)
log = logging.getLogger(__name__)
SIGN_UPS, HOUR = 50, 3600
"""From one address, an hour; also those of addresses that are somebody's, so that few can be asked for."""
REFUSAL_TAKES = 0.1
"""Seconds after the password was checked, which takes as long for an address that is nobody's."""


@bp.get("/")
def start() -> Response:
    if current_user.is_authenticated:
        return redirect(landing.of(current_user))
    return redirect(url_for("accounts.signup" if _is_first_visit() else "accounts.login"))


@bp.route("/signup", methods=["GET", "POST"])
def signup() -> Response:
    form = _sign_up_form()
    if not form.validate_on_submit():
        return _form("accounts/signup.html", form, is_first=_is_first_visit())
    if wait := spend("sign-up", request.remote_addr or "", SIGN_UPS, HOUR):
        form.form_errors = [f"Many accounts were made from here. Try again in {-(-wait // 60)} minutes."]
        return _form("accounts/signup.html", form, status=429)
    fields = str(form.email.data), str(form.password.data), str(form.name.data)
    if changing.mails():
        confirming.sign_up(*fields)
        return _form("accounts/signup.html", form, status=200, sent_to=fields[0])
    try:
        home = sign_up(*fields)
    except AddressTaken:
        form.email.errors = ["There is an account with this address. Sign in instead?"]
        return _form("accounts/signup.html", form)
    signing_in.begin(home.user, Way.PASSWORD)
    return redirect(_session_url(home))


@bp.route("/login", methods=["GET", "POST"])
def login() -> Response:
    if request.method == "GET" and coming_back.whose()[0]:
        return redirect(url_for("accounts.show_way_back"))
    form = LoginForm()
    if not form.validate_on_submit():
        return login_page(form)
    if wait := blocked(str(form.email.data), request.remote_addr or ""):
        return _told_to_wait(form, wait)
    user = _whose_password(form)
    if user is None:
        return login_page(form)
    if factors.any_of(user):
        second_step.begin(user)
        return redirect(url_for("accounts.code"))
    signing_in.begin(user, Way.PASSWORD)
    return redirect(next_place() or landing.of(user))


@bp.post("/logout")
@login_required
def logout() -> Response:
    signing_in.end(signing_in.here().user, signing_in.here().id)  # nor is a copy of the cookie worth anything any more
    db.session.commit()
    logout_user()
    session.clear()
    answer = redirect(url_for("accounts.login"))
    answer.headers["Clear-Site-Data"] = '"cache"'  # files of prompts, which the browser may keep while one is here
    return answer


def _sign_up_form() -> SignUpForm:
    """403 where nobody signs up by themselves."""
    settings = current_app.extensions["dataelan_settings"]
    if not settings.open_sign_up:
        abort(403, "Sign-up is closed here. Ask an administrator for an invitation.")
    return SignUpForm(domains=settings.sign_up_domains)


def _is_first_visit() -> bool:
    """Nobody has an account yet, and who comes may make one."""
    is_open = current_app.extensions["dataelan_settings"].open_sign_up
    return is_open and not current_user.is_authenticated and is_first()


def _told_to_wait(form: LoginForm, seconds: int) -> Response:
    log.warning("signing in is refused for a while to %s: too many wrong passwords", request.remote_addr)
    form.form_errors = [f"Too many wrong passwords. Try again in {-(-seconds // 60)} minutes."]
    return login_page(form, 429)


def _whose_password(form: LoginForm) -> User | None:
    email, password, address = str(form.email.data), str(form.password.data), request.remote_addr or ""
    user = find(email)
    if not (user.has_password(password) if user else waste_a_hash(password)) or user is None:
        with alike.taking(REFUSAL_TAKES):  # it is written down of whom there is alone
            failed(email, address)
            if user is not None:
                audit.record("account.sign_in_refused", user)
                db.session.commit()
            log.warning("a wrong password%s, from %s", "" if user else " of nobody", address)
        form.form_errors = ["This address and password do not match."]
        return None
    succeeded(email, address)
    if user.disabled_at is not None:
        form.form_errors = [SWITCHED_OFF]
        return None
    if confirming.is_awaited(user):
        confirming.ask(user)
        form.form_errors = [UNCONFIRMED]
        return None
    return user


def login_page(form: LoginForm, status: int = 422) -> Response:
    """What its passkey or password was refused for is in `form`."""
    return _form("accounts/login.html", form, status, place=passkeys.place())


def next_place() -> str:
    """Where they were going when they were asked to sign in; empty: nowhere in particular."""
    return local_path(request.args.get("next", ""))


def _form(template: str, form: LoginForm | SignUpForm, status: int = 422, **context: Any) -> Response:
    open_sign_up = current_app.extensions["dataelan_settings"].open_sign_up
    status = status if form.is_submitted() else 200
    return render(template, "form", status, form=form, can_sign_up=open_sign_up, next_url=next_place(), **context)


def _session_url(home: Home) -> str:
    session: PromptSession = home.session
    return url_for("playground.show", slug=home.organization.slug, id=session.id)
