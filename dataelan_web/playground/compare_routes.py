from __future__ import annotations

import uuid

from flask import abort, g, jsonify, request, url_for
from flask_login import current_user
from sqlalchemy.orm import joinedload
from werkzeug.wrappers import Response

from .. import access, audit
from ..executions import conversation
from ..executions.keeper import cancel
from ..extensions import db
from ..models import Comparison, ComparisonRun, Execution, PromptSession
from ..storage import Unavailable
from ..trash.discarding import discard
from ..web import known_as, piece, redirect, render, toast, wants_fragment
from . import composer
from .blueprint import bp
from .compare import board, choosing, differences, forms, listing, quoting, starting, votes
from .compare.stream import events as event_stream
from .forms import PromptForm
from .quotes import reckoning, shown
from .still_seen import while_seen
from .stream import as_they_come


@bp.get("/sessions/<uuid:id>/comparisons/new")
def new_comparison(id: uuid.UUID) -> Response:
    """`model`: a column each; without, those of the time before."""
    session = _session(id)
    return _composer(session, forms.fresh(session, request.args.getlist("model")))


@bp.post("/sessions/<uuid:id>/comparisons/draft")
def draft_comparison(id: uuid.UUID) -> Response:
    """A column more (`add`) or less (`remove`). Writes nothing; the address says which there are, for a reload."""
    session = _session(id)
    form = forms.CompareForm(session)
    form.change(request.form.get("add", ""), request.form.get("remove", ""))
    names = [column.model.data for column in form.columns]
    url = url_for("playground.new_comparison", id=session.id, model=names)
    return known_as(_composer(session, form, fragment="pick"), url)


@bp.post("/sessions/<uuid:id>/comparisons/quote")
def quote_comparison(id: uuid.UUID) -> Response:
    """What all columns would cost together. Writes nothing."""
    session = _session(id)
    form = forms.CompareForm(session)
    files = reckoning.files_of(request.form.getlist("quoted_files"))
    if not reckoning.is_whole(form, files):
        return shown.nothing()
    return piece("playground/compare/quote.html", sum=quoting.reckon(session, form, files, current_user.id))


@bp.post("/sessions/<uuid:id>/comparisons")
def create_comparison(id: uuid.UUID) -> Response:
    session = _session(id)
    form = forms.CompareForm(session)
    if not form.validate_on_submit():
        return _composer(session, form, fragment="form", status=422)
    try:
        made = starting.compare(session, form, current_user.id)
    except Unavailable as problem:
        abort(503, str(problem))
    return redirect(url_for("playground.comparison", id=made.id))


@bp.get("/comparisons/<uuid:id>")
def comparison(id: uuid.UUID) -> Response:
    """`a`, `b`: the answers that are held against each other (differences.between)."""
    return _shown(access.visible(Comparison, id), fragment="differences")


@bp.get("/comparisons/<uuid:id>/row")
def comparison_row(id: uuid.UUID) -> Response:
    """As its session tells of it, which asks while it runs."""
    found = access.visible(Comparison, id)
    shown_run = db.session.get(Execution, found.shown_id, options=[joinedload(Execution.prompt)]) or abort(404)
    listing.tell([shown_run])
    return piece("playground/compare/_row.html", execution=shown_run, organization=g.organization)


@bp.get("/comparisons/<uuid:id>/states")
def comparison_states(id: uuid.UUID) -> Response:
    """Is it over? For a page that nobody looks at (static/runs.js): {id: state}. Nothing of its single answers."""
    found = access.visible(Comparison, id)
    return jsonify({str(id): "running" if board.board(found).is_open else "answered"})


@bp.get("/comparisons/<uuid:id>/events")
def comparison_events(id: uuid.UUID) -> Response:
    found = access.visible(Comparison, id)
    can_edit = access.may(access.EDIT, found)
    db.session.commit()  # hold no connection while streaming
    return as_they_come(while_seen(event_stream(id, can_edit), Comparison, id))


@bp.post("/comparisons/<uuid:id>/cancellation")
def cancel_comparison(id: uuid.UUID) -> Response:
    found = access.editable(Comparison, id)
    for run_id in board.open_ids(board.board(found)):
        cancel(run_id)
    audit.record("comparison.cancelled", found, g.organization.id)
    db.session.commit()
    return _shown(found)


@bp.post("/comparisons/<uuid:id>/retry")
def retry_comparison(id: uuid.UUID) -> Response:
    found = access.editable(Comparison, id)
    run = _run(found)
    if run.execution.is_open or run.is_gone:
        abort(422, "Only an answer that has ended, and is not in the trash, can be asked for again.")
    starting.retry(found, run, current_user.id, request.form.get("submission", ""))
    return _shown(found)


@bp.post("/comparisons/<uuid:id>/choice")
def choose_answer(id: uuid.UUID) -> Response:
    """The best answer. It may be changed."""
    found = access.editable(Comparison, id)
    run = _run(found)
    if not run.is_whole or board.board(found).holds_back:
        abort(422, "Only a whole answer can be the best, and of a blind comparison only when all are there.")
    choosing.choose(found, run, current_user.id)
    return _shown(found)


@bp.post("/comparisons/<uuid:id>/continuation")
def continue_from(id: uuid.UUID) -> Response:
    """The session goes on with this answer."""
    found = access.editable(Comparison, id)
    run = _run(found)
    if not run.is_whole or not found.is_revealed:
        abort(422, "Choose a whole answer first; then the conversation can go on from it.")
    choosing.go_on(found, run)
    return redirect(url_for("playground.show", id=found.session_id))


@bp.post("/comparisons/<uuid:id>/deletion")
def delete_comparison(id: uuid.UUID) -> Response:
    """All its answers go into the trash, those that were asked for again too."""
    found = access.editable(Comparison, id)
    if board.board(found).is_open:
        abort(409, "It is still running. Stop it first.")
    for run in found.runs:
        if not run.is_gone:
            discard(run.execution)
    toast("The comparison’s answers are in the trash.")
    return redirect(url_for("playground.show", id=found.session_id))


def _session(id: uuid.UUID) -> PromptSession:
    session = access.editable(PromptSession, id)
    if not conversation.continues(session):
        abort(404, "Only sessions for text and code compare models.")
    return session


def _run(found: Comparison) -> ComparisonRun:
    """The answer that the form names; 404 where there is none."""
    place, turn = (request.form.get(name, -1, type=int) for name in ("place", "turn"))
    return board.board(found).run_at(place, turn) or abort(404)


def _composer(session: PromptSession, form: PromptForm, fragment: str | None = None, status: int = 200) -> Response:
    g.project = session.project
    told = composer.context(session, form)
    return render(
        "playground/compare/new.html",
        fragment,
        status=status,
        session=session,
        offered={model["value"]: model for _, models in told["model_options"]["groups"] for model in models},
        votes=[] if fragment and wants_fragment() else votes.of_project(session.project),
        **told,
    )


def _shown(found: Comparison, fragment: str = "board") -> Response:
    g.project = found.session.project
    told = board.context(found, can_edit=access.may(access.EDIT, found))
    a, b = (request.args.get(name, "") for name in ("a", "b"))
    return render("playground/compare/board.html", fragment, **told, **differences.between(told["board"], a, b))
