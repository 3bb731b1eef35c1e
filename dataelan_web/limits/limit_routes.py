"""Pages of limits: all one may see, one of them, and the forms that make, change and delete them."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response as FlaskResponse
from flask import request
from werkzeug.wrappers import Response

from ..models import Budget
from ..once import done_once
from ..place import undo_url
from ..web import redirect, render, toast
from . import asked, balance, changes, draft, increases, page, place, words
from .blueprint import bp, operators_bp
from .forms import ChangeForm, LimitForm
from .subjects import names_of, usual


@operators_bp.get("/limits")
@bp.get("/limits")
def overview() -> Response:
    groups, is_cut = balance.groups()
    return render(
        "limits/balance.html",
        groups=groups,
        is_operators=place.is_operators(),
        is_cut=is_cut,
        asked=asked.shown(increases.to_answer()),
        can_edit=place.may_administer(),
    )


@operators_bp.get("/limits/new")
@bp.get("/limits/new")
def new() -> Response:
    """`subject`: what to begin with, as subjects.Subject.key has it."""
    place.require_administer()
    subject = request.args.get("subject", "")
    return _form(LimitForm(formdata=None, subject=subject, scope=subject.partition(":")[0] or usual()))


@operators_bp.post("/limits/draft")
@bp.post("/limits/draft")
def draft_anew() -> Response:
    """The form with what there is to choose of another kind, or with what was searched for. Saves nothing."""
    place.require_administer()
    return _form(LimitForm())


@operators_bp.post("/limits/preview")
@bp.post("/limits/preview")
def preview() -> Response:
    """What the limit says as it is typed, and what stands against it. Saves nothing."""
    place.require_administer()
    if not (id := request.form.get("limit_id", type=uuid.UUID)):
        return _form(LimitForm(), fragment="preview")
    return _form(ChangeForm(place.administered(Budget, id)), fragment="preview")


@operators_bp.post("/limits")
@bp.post("/limits")
@done_once()
def create() -> Response:
    place.require_administer()
    form = LimitForm()
    subject = form.chosen()
    if not form.validate_on_submit() or subject is None:
        return _form(form, 422)
    try:
        budget = changes.create(subject, form.counted_in, form.chosen_window, form.terms)
    except changes.Exists:
        return _form(form, 422)
    toast(f"{words.size(budget.limit, budget.unit, budget.window)} on {subject.title}: it counts from now on.", "good")
    return redirect(place.url("limit", id=budget.id))


@operators_bp.get("/limits/<uuid:id>")
@bp.get("/limits/<uuid:id>")
def limit(id: uuid.UUID) -> Response:
    budget = place.visible(Budget, id)
    view = page.view_of(budget)
    return render(
        "limits/limit.html",
        budget=budget,
        view=view,
        line=view.line,
        asked=asked.shown(view.story),
        can_edit=place.may_administer(budget),
        can_ask=not place.is_operators() and increases.may_ask(budget),
        crumbs=[("Limits", place.url("overview"))],
    )


@operators_bp.get("/limits/<uuid:id>/edit")
@bp.get("/limits/<uuid:id>/edit")
def edit(id: uuid.UUID) -> Response:
    return _form(ChangeForm.of(place.administered(Budget, id)))


@operators_bp.post("/limits/<uuid:id>")
@bp.post("/limits/<uuid:id>")
def change(id: uuid.UUID) -> Response:
    budget = place.administered(Budget, id)
    form = ChangeForm(budget)
    if not form.validate_on_submit():
        return _form(form, 422)
    changes.change(budget, form.terms)
    toast("The limit was changed.", "good")
    return redirect(place.url("limit", id=id))


@operators_bp.post("/limits/<uuid:id>/deletion")
@bp.post("/limits/<uuid:id>/deletion")
def delete(id: uuid.UUID) -> Response:
    budget = place.administered(Budget, id)
    subject = names_of([(budget.scope, budget.subject_id)])[budget.scope, budget.subject_id]
    changes.delete(budget)
    toast(f"The limit on {subject.title} is in the trash: it counts nothing.", undo=undo_url("limit", id))
    return redirect(place.url("overview"))


def _form(form: LimitForm | ChangeForm, status: int = 200, fragment: str = "form") -> FlaskResponse:
    is_final = status == 422
    budget = form.budget if isinstance(form, ChangeForm) else None
    context: dict[str, Any] = {"budget": budget, "crumbs": [("Limits", place.url("overview"))]}
    if isinstance(form, ChangeForm):
        made = draft.of_change(form, is_final=is_final)
        context["crumbs"].append((made.subject.title if made.subject else "", place.url("limit", id=form.budget.id)))
    else:
        made = draft.of_new(form, is_final=is_final)
    return render("limits/form.html", fragment, status=status, form=form, draft=made, **context)
