from __future__ import annotations

import uuid

from flask import Response as FlaskResponse
from flask import request, url_for
from werkzeug.wrappers import Response

from .. import access
from ..fields import id_in
from ..models import Asset, Execution, PromptSession
from ..projects import totals
from ..trash.discarding import discard
from ..trash.kinds import undo_url
from ..web import redirect, render, toast, wants_fragment, with_toast
from . import page
from .blueprint import bp


@bp.post("/sessions/<uuid:id>/deletion")
def delete_session(id: uuid.UUID) -> Response:
    session = access.editable(PromptSession, id)
    discard(session)
    toast(f"“{session.title}” is in the trash.", undo=undo_url(session))
    return redirect(url_for("projects.show", id=session.project_id))


@bp.post("/executions/<uuid:id>/deletion")
def delete_run(id: uuid.UUID) -> Response:
    run = access.editable(Execution, id)
    if run.is_open:
        return with_toast(FlaskResponse("", 409), "It is still running. Stop it first.", "warn")
    discard(run)
    if not wants_fragment():
        toast("The run is in the trash.", undo=undo_url(run))
        home = url_for("organizations.home")
        return redirect(url_for("playground.show", id=run.session_id) if run.session_id else home)
    sums = totals.of_session(run.session) if run.session else totals.Totals()
    answer = render("playground/_run_deleted.html", execution=run, totals=sums)
    return with_toast(answer, "The run is in the trash.", undo=undo_url(run))


@bp.post("/assets/<uuid:id>/deletion")
def delete_asset(id: uuid.UUID) -> Response:
    """`run`: the card that it is shown in; a kept one is in none."""
    file = access.editable(Asset, id)
    if file.is_kept:
        return _unkept(file)
    run = access.visible(Execution, id_in(request.form.get("run")))
    discard(file)
    if not wants_fragment():
        toast(f"“{file.name}” is in the trash.", undo=undo_url(file))
        return redirect(url_for("playground.execution", id=run.id))
    return with_toast(page.card(run), f"“{file.name}” is in the trash.", undo=undo_url(file))


def _unkept(file: Asset) -> Response:
    discard(file)
    words = f"“{file.name}” is in the trash."
    if wants_fragment():
        return with_toast(FlaskResponse(""), words, undo=undo_url(file))
    toast(words, undo=undo_url(file))
    return redirect(url_for("playground.files", id=file.project_id))
