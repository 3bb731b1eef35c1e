"""Asking for more of a limit, and the answers."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import cast

from flask import Response as FlaskResponse
from flask import abort, request, url_for
from flask_login import current_user
from sqlalchemy.orm import joinedload
from werkzeug.wrappers import Response

from .. import access
from ..executions.refused import stopped_by
from ..models import Budget, Execution, Increase, Measure, Pace, RateLimit
from ..once import done_once
from ..web import redirect, render, toast, with_toast
from . import amounts, asked, balance, increases, place, words
from .balance import Line
from .blueprint import bp, operators_bp
from .calendars import calendar_of
from .forms import AskForm, GrantForm, NoteForm
from .increases import Grant, Refused
from .needed import more_for
from .speeds import Speed

PACE = "<any(requests, tokens, parallel):pace>"
NO_END = "This limit has no windows that end: choose a day."
ASKED = "You have asked. {} are told, and you are told what they answer."


@bp.get("/limits/<uuid:id>/increases/new")
@bp.get(f"/limits/rates/<uuid:id>/{PACE}/increases/new")
def ask_form(id: uuid.UUID, pace: str = "") -> Response:
    """`run`: the execution that it refused; by it one may ask for more of a limit that one may not see."""
    return _asking(_askable(id, pace), None)


@bp.post("/limits/<uuid:id>/increases")
@bp.post(f"/limits/rates/<uuid:id>/{PACE}/increases")
@done_once()
def ask(id: uuid.UUID, pace: str = "") -> Response:
    """`run`: as above."""
    wanted = _askable(id, pace)
    form = AskForm(wanted.measure)
    if not form.validate_on_submit():
        return _asking(wanted, form, 422)
    try:
        increases.ask(wanted.limit, wanted.pace, form.more, form.reason.data or "")
    except Refused as refused:
        form.amount.errors = [str(refused)]
        return _asking(wanted, form, 422)
    who = "The owners and admins" if wanted.limit.organization_id else "Those who run this Dataelan"
    toast(ASKED.format(who), "good")
    return redirect(place.home_of(wanted.limit))


@operators_bp.post("/increases/<uuid:id>/approval")
@bp.post("/increases/<uuid:id>/approval")
def approve(id: uuid.UUID) -> Response:
    increase = _answerable(id)
    days = calendar_of(increase.of)
    form = GrantForm(increase.counted_in, days.zone)
    is_fine = form.validate_on_submit()
    ends = days.ends(form.until.data) if is_fine else None
    if not is_fine or ends is None:
        form.until.errors = form.until.errors if not is_fine else [NO_END]
        return _answered(increase, status=422, form=form)
    try:
        increases.approve(increase, Grant(form.more, ends, form.note.data or ""))
    except Refused as refused:
        return _answered(increase, str(refused), "danger", 409)
    return _answered(increase, f"{words.stated(form.more, increase.counted_in)} more is granted.")


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
    increase = access.visible(Increase, id, *increases.EAGERLY)
    if increase.asked_by != current_user.id:
        abort(403)
    try:
        increases.withdraw(increase)
    except Refused as refused:
        return _answered(increase, str(refused), "danger", 409)
    return _answered(increase, "Your request is withdrawn.")


@dataclass(frozen=True)
class Wanted:
    """What more is asked of; `run`: that which it stopped, if the question is about one."""

    limit: Budget | RateLimit
    pace: Pace | None
    run: Execution | None

    @property
    def measure(self) -> Measure:
        return self.pace or cast(Budget, self.limit).unit


def _answerable(id: uuid.UUID) -> Increase:
    increase = place.administered(Increase, id, *increases.EAGERLY)
    place.require_administer(increase.of)
    return increase


def _askable(id: uuid.UUID, called: str) -> Wanted:
    """404 for a run that may not be seen, and for what the rate does not limit."""
    pace = Pace(called) if called else None
    run_id = request.values.get("run", type=uuid.UUID)
    run = access.visible(Execution, run_id, joinedload(Execution.body)) if run_id else None
    run = run if run and stopped_by(run) == (id, pace) else None
    limit = (increases.hidden_behind(run) if run else None) or _seen(id, pace)
    if not increases.may_ask(limit):
        abort(403)
    if isinstance(limit, RateLimit) and pace not in limit.paces:
        abort(404)
    return Wanted(limit, pace, run)


def _seen(id: uuid.UUID, pace: Pace | None) -> Budget | RateLimit:
    return access.visible(RateLimit, id) if pace else access.visible(Budget, id)


def _asking(wanted: Wanted, form: AskForm | None, status: int = 200) -> FlaskResponse:
    limit, run, measure = wanted.limit, wanted.run, wanted.measure
    stands, is_hidden = balance.stands(limit), place.is_hidden(limit)
    offer, need = more_for(stands, measure, run, is_hidden=is_hidden)
    form = form or AskForm(
        measure,
        formdata=None,
        amount=amounts.typed(measure, offer) if offer else "",
        run=str(run.id) if run else "",
    )
    mine = increases.my_open(limit, wanted.pace)
    home = [] if is_hidden or wanted.pace else [(stands.subject.title, place.home_of(limit))]
    return render(
        "limits/ask.html",
        "form",
        status=status,
        wanted=wanted,
        size="" if is_hidden else words.size_of(limit, measure),
        **_stands(stands, is_hidden=is_hidden),
        form=form,
        need=need,
        asked=asked.shown([mine] if mine else []),
        crumbs=[("Limits", url_for("limits.overview")), *home],
    )


def _stands(stands: Line | Speed, *, is_hidden: bool) -> dict[str, Line | Speed | None]:
    """How a limit stands, as templates show a budget and a rate; neither, where it is not for these eyes."""
    is_line = isinstance(stands, Line)
    return {
        "line": stands if is_line and not is_hidden else None,
        "speed": None if is_line or is_hidden else stands,
    }


def _answered(
    increase: Increase, word: str = "", tone: str = "good", status: int = 200, form: GrantForm | None = None
) -> Response:
    """The request as it is now, and with it how its limit stands; a page of its own without htmx."""
    if not request.htmx and status != 422:  # type: ignore[attr-defined]
        toast(word, tone)
        return redirect(place.home_of(increase.of))
    (one,), stands = asked.shown([increase], form), balance.stands(increase.of)
    seen = _stands(stands, is_hidden=one.is_hidden)
    response = render("limits/answered.html", "answered", status=status, one=one, **seen, focus=status != 422)
    return with_toast(response, word, tone) if word else response
