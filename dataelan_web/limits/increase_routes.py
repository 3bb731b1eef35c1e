"""Asking for more of a limit, and the answers."""

from __future__ import annotations

import uuid

from flask import Response as FlaskResponse
from flask import abort, request, url_for
from flask_login import current_user
from sqlalchemy.orm import contains_eager, joinedload
from werkzeug.wrappers import Response

from .. import access
from ..models import Budget, Execution, Increase
from ..once import done_once
from ..web import redirect, render, toast, with_toast
from . import amounts, asked, balance, increases, place, words
from .blueprint import bp, operators_bp
from .forms import AskForm, GrantForm, NoteForm
from .increases import Grant, Refused
from .needed import more_for

NO_END = "This limit has no windows that end: choose a day."
ASKED = "You have asked. {} are told, and you are told what they answer."


@bp.get("/limits/<uuid:id>/increases/new")
def ask_form(id: uuid.UUID) -> Response:
    """`run`: the execution that it refused; by it one may ask for more of a limit that one may not see."""
    budget, run = _askable(id)
    return _asking(budget, run, None)


@bp.post("/limits/<uuid:id>/increases")
@done_once()
def ask(id: uuid.UUID) -> Response:
    """`run`: as above."""
    budget, run = _askable(id)
    form = AskForm(budget.unit)
    if not form.validate_on_submit():
        return _asking(budget, run, form, 422)
    try:
        increases.ask(budget, form.more, form.reason.data or "")
    except Refused as refused:
        form.amount.errors = [str(refused)]
        return _asking(budget, run, form, 422)
    toast(ASKED.format("The owners and admins" if budget.organization_id else "Those who run this Dataelan"), "good")
    return redirect(_home_of(budget))


@operators_bp.post("/increases/<uuid:id>/approval")
@bp.post("/increases/<uuid:id>/approval")
def approve(id: uuid.UUID) -> Response:
    increase = _answerable(id)
    form = GrantForm(increase.budget.unit, increases.zone_of(increase.budget))
    is_fine = form.validate_on_submit()
    ends = increases.ends(increase.budget, form.until.data) if is_fine else None
    if not is_fine or ends is None:
        form.until.errors = form.until.errors if not is_fine else [NO_END]
        return _answered(increase, status=422, form=form)
    try:
        increases.approve(increase, Grant(form.more, ends, form.note.data or ""))
    except Refused as refused:
        return _answered(increase, str(refused), "danger", 409)
    return _answered(increase, f"{words.amount(form.more, increase.budget.unit)} more is granted.")


@operators_bp.post("/increases/<uuid:id>/refusal")
@bp.post("/increases/<uuid:id>/refusal")
def decline(id: uuid.UUID) -> Response:
    increase, form = _answerable(id), NoteForm()
    if not form.validate_on_submit():
        abort(422, "The note is too long.")
    try:
        increases.decline(increase, form.note.data or "")
    except Refused as refused:
        return _answered(increase, str(refused), "danger", 409)
    return _answered(increase, "The request was declined.")


@bp.post("/increases/<uuid:id>/withdrawal")
def withdraw(id: uuid.UUID) -> Response:
    """By who asked, and nobody else."""
    increase = access.visible(Increase, id, *TOLD)
    if increase.asked_by != current_user.id:
        abort(403)
    try:
        increases.withdraw(increase)
    except Refused as refused:
        return _answered(increase, str(refused), "danger", 409)
    return _answered(increase, "Your request is withdrawn.")


TOLD = (contains_eager(Increase.budget), joinedload(Increase.asker), joinedload(Increase.answerer))


def _answerable(id: uuid.UUID) -> Increase:
    increase = place.administered(Increase, id, *TOLD)
    place.require_administer(increase.budget)
    return increase


def _askable(id: uuid.UUID) -> tuple[Budget, Execution | None]:
    """With the run that the question is about, if this limit stopped it; 404 for a run that may not be seen."""
    run_id = request.values.get("run", type=uuid.UUID)
    run = access.visible(Execution, run_id, joinedload(Execution.body)) if run_id else None
    run = run if run and run.refused_by == id else None
    budget = (increases.hidden_behind(run) if run else None) or access.visible(Budget, id)
    if not increases.may_ask(budget):
        abort(403)
    return budget, run


def _asking(budget: Budget, run: Execution | None, form: AskForm | None, status: int = 200) -> FlaskResponse:
    (line,) = balance.lines([budget])
    is_hidden = place.is_hidden(budget)
    offer, need = more_for(line, run, is_hidden=is_hidden)
    form = form or AskForm(
        budget.unit,
        formdata=None,
        amount=amounts.typed(budget.unit, offer) if offer else "",
        run=str(run.id) if run else "",
    )
    mine = increases.my_open(budget.id)
    return render(
        "limits/ask.html",
        "form",
        status=status,
        budget=budget,
        line=None if is_hidden else line,
        form=form,
        run=run,
        need=need,
        back=_home_of(budget),
        asked=asked.shown([mine] if mine else []),
        crumbs=[("Limits", url_for("limits.overview"))]
        + ([] if is_hidden else [(line.subject.title, _home_of(budget))]),
    )


def _home_of(budget: Budget) -> str:
    """Its page, where there is one for who asks."""
    return place.url("overview") if place.is_hidden(budget) else place.url("limit", id=budget.id)


def _answered(
    increase: Increase, word: str = "", tone: str = "good", status: int = 200, form: GrantForm | None = None
) -> Response:
    """The request as it is now, and with it how its limit stands; a page of its own without htmx."""
    if not request.htmx and status != 422:  # type: ignore[attr-defined]
        toast(word, tone)
        return redirect(_home_of(increase.budget))
    (one,), (line,) = asked.shown([increase], form), balance.lines([increase.budget])
    line_seen = None if place.is_hidden(increase.budget) else line
    response = render("limits/answered.html", "answered", status=status, one=one, line=line_seen, focus=status != 422)
    return with_toast(response, word, tone) if word else response
