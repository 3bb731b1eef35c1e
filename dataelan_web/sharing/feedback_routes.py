from __future__ import annotations

import uuid

from flask import abort, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from .. import access
from ..models import Execution
from ..playground import conversation
from ..trash.kinds import kind_of
from ..web import redirect, render, wants_fragment, with_toast
from . import feedback
from .blueprint import bp


@bp.post("/executions/<uuid:id>/feedback")
def rate(id: uuid.UUID) -> Response:
    """`vote`: up, down or none. `note`: what to say with it; without the field, what was said before stays."""
    run = access.visible(Execution, id, *conversation.CARD)
    vote, note = request.values.get("vote"), request.values.get("note")
    note = note.strip() if note is not None else None
    if run.is_open or vote not in ("up", "down", "none"):
        abort(422, "A run can be rated, up or down, when it has ended.")
    if note and len(note) > feedback.LONGEST_NOTE:
        return _answer(run, 422, note=note, problem=f"A note has at most {feedback.LONGEST_NOTE:,} letters.")
    if vote != "none":
        feedback.rate(run, current_user.id, is_good=vote == "up", note=note)
        return _answer(run)
    return _withdraw(run)


def _withdraw(run: Execution) -> Response:
    """Its note can be brought back."""
    mine = feedback.tally(run).mine
    undo = ""
    if mine is not None and mine.note:
        undo = url_for("sharing.rate", id=run.id, vote="up" if mine.is_good else "down", note=mine.note)
    feedback.withdraw(run, current_user.id)
    return _answer(run, undo=undo)


def _answer(run: Execution, status: int = 200, undo: str = "", **context: str) -> Response:
    if not wants_fragment() and status == 200:
        return redirect(kind_of(run).url(run))
    found = conversation.read(run.id)
    answer = render("sharing/_feedback.html", status=status, execution=found, is_answer=True, **context)
    return with_toast(answer, "Your rating and its note are gone.", undo=undo) if undo else answer
