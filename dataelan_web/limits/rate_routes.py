"""The forms of limits on how fast: requests and tokens a minute, and how many at the same time."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response as FlaskResponse
from flask import request
from werkzeug.wrappers import Response

from ..models import RateLimit
from ..once import done_once
from ..place import undo_url
from ..web import redirect, render, toast
from . import asked, changes, draft, increases, place
from .blueprint import bp, operators_bp
from .forms import RateChangeForm, RateForm
from .speeds import speeds
from .subjects import usual


@operators_bp.get("/limits/rates/new")
@bp.get("/limits/rates/new")
def new_rate() -> Response:
    """`subject`: what to begin with, as subjects.Subject.key has it."""
    place.require_administer()
    subject = request.args.get("subject", "")
    return _form(RateForm(formdata=None, subject=subject, scope=subject.partition(":")[0] or usual()))


@operators_bp.post("/limits/rates/draft")
@bp.post("/limits/rates/draft")
def draft_rate() -> Response:
    """The form with what there is to choose of another kind. Saves nothing."""
    place.require_administer()
    return _form(RateForm())


@operators_bp.post("/limits/rates/preview")
@bp.post("/limits/rates/preview")
def preview_rate() -> Response:
    """What it says as it is typed. Saves nothing."""
    place.require_administer()
    if not (id := request.form.get("rate_id", type=uuid.UUID)):
        return _form(RateForm(), fragment="preview")
    return _form(RateChangeForm(), place.administered(RateLimit, id), fragment="preview")


@operators_bp.post("/limits/rates")
@bp.post("/limits/rates")
@done_once()
def create_rate() -> Response:
    place.require_administer()
    form = RateForm()
    subject = form.chosen()
    if not form.validate_on_submit() or subject is None:
        return _form(form, status=422)
    try:
        changes.create_rate(subject, form.speeds)
    except changes.Exists:
        return _form(form, status=422)
    toast(f"How fast {subject.title} may ask is limited from now on.", "good")
    return redirect(place.url("overview"))


@operators_bp.get("/limits/rates/<uuid:id>")
@bp.get("/limits/rates/<uuid:id>")
def rate(id: uuid.UUID) -> Response:
    row = place.administered(RateLimit, id)
    return _form(RateChangeForm.of(row), row)


@operators_bp.post("/limits/rates/<uuid:id>")
@bp.post("/limits/rates/<uuid:id>")
def change_rate(id: uuid.UUID) -> Response:
    row, form = place.administered(RateLimit, id), RateChangeForm()
    if not form.validate_on_submit():
        return _form(form, row, 422)
    changes.change_rate(row, form.speeds)
    toast("The limit was changed.", "good")
    return redirect(place.url("overview"))


@operators_bp.post("/limits/rates/<uuid:id>/deletion")
@bp.post("/limits/rates/<uuid:id>/deletion")
def delete_rate(id: uuid.UUID) -> Response:
    changes.delete_rate(place.administered(RateLimit, id))
    toast("The limit is in the trash: it counts nothing.", undo=undo_url("rate", id))
    return redirect(place.url("overview"))


def _form(
    form: RateForm | RateChangeForm, rate: RateLimit | None = None, status: int = 200, fragment: str = "form"
) -> FlaskResponse:
    is_final = status == 422
    made = draft.of_rate(form, is_final=is_final) if isinstance(form, RateForm) else _changed(form, rate, is_final)
    crumbs = [("Limits", place.url("overview"))]
    told: dict[str, Any] = {"speed": None, "asked": ()}
    if rate is not None and fragment == "form":
        (told["speed"],), told["asked"] = speeds([rate]), asked.shown(increases.story_of(rate))
    return render("limits/rate.html", fragment, status=status, form=form, draft=made, rate=rate, crumbs=crumbs, **told)


def _changed(form: RateChangeForm, rate: RateLimit | None, is_final: bool) -> Any:
    if rate is None:
        raise LookupError("a limit that exists is changed")
    return draft.of_rate_change(form, rate, is_final=is_final)
