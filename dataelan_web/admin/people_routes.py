from __future__ import annotations

import uuid

from flask import request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from ..accounts import browsers, impersonating, landing, passkeys, signing_in
from ..accounts.proving import is_proven
from ..models import User
from ..web import page_number, redirect, render, toast
from . import people
from .blueprint import bp
from .forms import ActingForm, SuperuserForm
from .people import NotYourself


@bp.get("/people")
def show_people() -> Response:
    q, only, page = request.args.get("q", "")[:200], request.args.get("only", ""), page_number()
    rows, is_more = people.found(q, only, page)
    return render(
        "admin/people.html", "found", rows=rows, q=q, only=only, page=page, is_more=is_more, sorts=people.SORTS
    )


@bp.get("/people/<uuid:id>")
def show_person(id: uuid.UUID) -> Response:
    return _person(people.person(id))


@bp.post("/people/<uuid:id>/state")
def switch_person(id: uuid.UUID) -> Response:
    """`is_enabled`: yes, or nothing."""
    user, is_enabled = people.person(id), request.form.get("is_enabled") == "yes"
    try:
        people.set_disabled(user, not is_enabled, current_user)
    except NotYourself as problem:
        return _back(user, str(problem), "danger")
    return _back(user, f"{user.name} can sign in again." if is_enabled else f"{user.name} is switched off.")


@bp.post("/people/<uuid:id>/superuser")
def make_superuser(id: uuid.UUID) -> Response:
    """`is_superuser`: yes, or nothing."""
    user, form, wanted = people.person(id), SuperuserForm(), request.form.get("is_superuser") == "yes"
    if not form.validate_on_submit() or not is_proven(form):
        return _person(user, 422, superuser_form=form)
    try:
        people.set_superuser(user, wanted, current_user)
    except NotYourself as problem:
        return _back(user, str(problem), "danger")
    return _back(user, f"{user.name} is {'a' if wanted else 'no'} superuser{'' if wanted else ' any more'}.")


@bp.post("/people/<uuid:id>/sign-ins/revocation")
def end_sign_ins(id: uuid.UUID) -> Response:
    user = people.person(id)
    people.end_sign_ins(user)
    return _back(user, f"{user.name} is signed out everywhere.")


@bp.post("/people/<uuid:id>/acting")
def act_as(id: uuid.UUID) -> Response:
    user, form = people.person(id), ActingForm()
    if not form.validate_on_submit() or not is_proven(form):
        return _person(user, 422, acting_form=form)
    impersonating.begin(signing_in.here(), current_user, user, str(form.reason.data))
    return redirect(landing.of(user))


def _person(user: User, status: int = 200, **forms: object) -> Response:
    empty = {"superuser_form": SuperuserForm(formdata=None), "acting_form": ActingForm(formdata=None)}
    return render(
        "admin/person.html",
        "person",
        status=status,
        about=people.all_of(user),
        described=browsers.described,
        is_me=user.id == current_user.id,
        has_passkeys=bool(passkeys.of(current_user)),
        passkeys_at=passkeys.place(),
        **empty | forms,
    )


def _back(user: User, said: str, tone: str = "good") -> Response:
    toast(said, tone)
    return redirect(url_for("admin.show_person", id=user.id))
