"""How good answers are: checks, and what people think."""

from __future__ import annotations

import uuid

from flask import abort, request
from werkzeug.wrappers import Response

from .. import access
from ..models import Batch, BatchCheck, BatchState, CheckKind
from ..once import done_once
from ..prompts.refusals import Refused
from ..trash.kinds import undo_url
from ..web import redirect, toast
from . import page, results, scores
from .blueprint import bp
from .draft_routes import show_setup
from .forms import CheckForm
from .result_routes import show_answer, show_results

SCORED = {
    BatchState.RUNNING: " Answers are scored in a moment.",
    BatchState.PAUSED: " Answers are scored when the batch goes on.",
}
"""When, of a batch that has begun."""


@bp.post("/batches/<uuid:id>/checks")
@done_once()
def add_check(id: uuid.UUID) -> Response:
    batch, form = page.editable(id), CheckForm()
    if not form.validate():
        return _refused(batch, form)
    kind, text = CheckKind(form.kind.data), form.text.data or ""
    try:
        scores.add_check(batch, kind, text, form.judge.data or "", loosely=bool(form.loosely.data))
    except Refused as refused:
        form.form_errors = [str(refused)]
        return _refused(batch, form)
    toast(f"The check is added.{SCORED.get(batch.state, '')}")
    return redirect(page.address(batch))


@bp.post("/batches/<uuid:id>/checks/<uuid:check_id>/deletion")
def remove_check(id: uuid.UUID, check_id: uuid.UUID) -> Response:
    batch = page.editable(id)
    check = access.editable(BatchCheck, check_id)
    if check.batch_id != batch.id:
        abort(404)
    scores.remove_check(batch, check)
    toast("The check is in the trash, and its scores with it.", undo=undo_url(check))
    return redirect(page.address(batch))


@bp.post("/batches/<uuid:id>/judges")
def ask_judges_again(id: uuid.UUID) -> Response:
    batch = page.editable(id)
    scores.ask_judges_again(batch)
    return redirect(page.address(batch))


@bp.post("/batches/<uuid:id>/answers/<int(max=99999):position>/<int(max=9):model>/score")
def score(id: uuid.UUID, position: int, model: int) -> Response:
    """`score`: 1 to 5, or 0 to take it back. Then the next answer is shown."""
    batch = page.editable(id)
    found = results.cell_at(batch, position, model) or abort(404)
    after = results.neighbours(batch, found.cell, request.form.get("show", ""))[1]
    try:
        scores.give(batch, found.cell, request.form.get("score", -1, type=int))
    except Refused as refused:
        return show_answer(batch, position, model, 422, str(refused))
    at = after if after is not None and request.form.get("score") != "0" else found.cell
    return redirect(results.address(batch, at, request.form.get("show", "")))


def _refused(batch: Batch, form: CheckForm) -> Response:
    shown = show_setup if batch.state is BatchState.DRAFT else show_results
    return shown(batch, 422, check_form=form)
