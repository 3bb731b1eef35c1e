"""Asking for more of a limit, and the answers."""

from __future__ import annotations

import uuid

from flask import Response as FlaskResponse
from flask import abort, g, request, url_for
from flask_login import current_user
from sqlalchemy.orm import contains_eager, joinedload
from werkzeug.wrappers import Response

from .. import access
from ..models import Budget, Execution, Increase
from ..once import done_once
from ..web import redirect, render, toast, with_toast
from . import amounts, asked, balance, increases, words
from .blueprint import bp
from .forms import AskForm, GrantForm, NoteForm
from .increases import Grant, Refused
from .needed import more_for

NO_END = "This limit has no windows that end: choose a day."


@bp.get("/limits/<uuid:id>/increases/new")
def ask_form(id: uuid.UUID) -> Response:
    """`run`: the execution that it refused."""
    budget = _askable(id)
    return _asking(budget, None)


@bp.post("/limits/<uuid:id>/increases")
@done_once()
def ask(id: uuid.UUID) -> Response:
    budget = _askable(id)
    form = AskForm(budget.unit)
    if not form.validate_on_submit():
        return _asking(budget, form, 422)
    try:
        increases.ask(budget, form.more, form.reason.data or "")
    except Refused as refused:
        form.amount.errors = [str(refused)]
        return _asking(budget, form, 422)
    toast("You have asked. The owners and admins are told, and you are told what they answer.", "good")
    return redirect(url_for("limits.limit", id=id))


@bp.post("/increases/<uuid:id>/approval")
def approve(id: uuid.UUID) -> Response:
    increase = _answerable(id)
    form = GrantForm(increase.budget.unit, g.organization.time_zone)
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
    increase = access.administered(Increase, id, *TOLD)
    access.require(access.ADMINISTER, increase.budget)
    return increase


def _askable(id: uuid.UUID) -> Budget:
    budget = access.visible(Budget, id)
    if not increases.may_ask(budget):
        abort(403)
    return budget


def _asking(budget: Budget, form: AskForm | None, status: int = 200) -> FlaskResponse:
    (line,) = balance.lines([budget])
    run = _refused_run(budget)
    offer, need = more_for(line, run)
    form = form or AskForm(
        budget.unit, formdata=None, amount=amounts.typed(budget.unit, offer), run=str(run.id) if run else ""
    )
    mine = increases.my_open(budget.id)
    return render(
        "limits/ask.html",
        "form",
        status=status,
        budget=budget,
        line=line,
        form=form,
        run=run,
        need=need,
        asked=asked.shown([mine] if mine else []),
        crumbs=[("Limits", url_for("limits.overview")), (line.subject.title, url_for("limits.limit", id=budget.id))],
    )


def _refused_run(budget: Budget) -> Execution | None:
    """The run that the question is about, if this limit stopped it; 404 for one that may not be seen."""
    id = request.values.get("run", type=uuid.UUID)
    run = access.visible(Execution, id, joinedload(Execution.body)) if id else None
    return run if run and run.refused_by == budget.id else None


def _answered(
    increase: Increase, word: str = "", tone: str = "good", status: int = 200, form: GrantForm | None = None
) -> Response:
    """The request as it is now, and with it how its limit stands; a page of its own without htmx."""
    if not request.htmx and status != 422:  # type: ignore[attr-defined]
        toast(word, tone)
        return redirect(url_for("limits.limit", id=increase.budget_id))
    (one,), (line,) = asked.shown([increase], form), balance.lines([increase.budget])
    response = render("limits/answered.html", "answered", status=status, one=one, line=line, focus=status != 422)
    return with_toast(response, word, tone) if word else response
