from __future__ import annotations

import uuid
from typing import Any

from flask import Response as FlaskResponse
from flask import request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from .. import access
from ..models import Execution
from ..once import done_once
from ..playground import conversation
from ..web import redirect, render, toast, wants_fragment, with_toast
from . import comments
from .blueprint import bp


@bp.get("/executions/<uuid:id>/comments")
def show_comments(id: uuid.UUID) -> Response:
    """`edit`: the one to change. `fold`: away with them."""
    run = access.visible(Execution, id, *conversation.CARD)
    if not wants_fragment():
        return _run_page(run)
    if "fold" in request.args:
        return render("sharing/_talk.html", execution=run, can_comment=access.may(access.EDIT, run))
    return _talk(run, edited=request.args.get("edit", type=uuid.UUID))


@bp.post("/executions/<uuid:id>/comments")
@done_once()
def comment(id: uuid.UUID) -> Response:
    run = access.editable(Execution, id, *conversation.CARD)
    text = request.form.get("text", "")
    try:
        made = comments.write(run, text)
    except comments.Refused as refused:
        return _talk(run, 422, text=text, problem=str(refused))
    return _talk(run, 201, new=made.id) if wants_fragment() else _run_page(run)


@bp.post("/executions/<uuid:id>/comments/<uuid:comment_id>")
def change_comment(id: uuid.UUID, comment_id: uuid.UUID) -> Response:
    run = access.editable(Execution, id, *conversation.CARD)
    found, text = comments.one_of(run, comment_id), request.form.get("text", "")
    try:
        comments.change(found, text)
    except comments.Refused as refused:
        return _talk(run, 422, edited=found.id, text=text, problem=str(refused))
    return _talk(run) if wants_fragment() else _run_page(run)


@bp.post("/executions/<uuid:id>/comments/<uuid:comment_id>/deletion")
def delete_comment(id: uuid.UUID, comment_id: uuid.UUID) -> Response:
    run = access.editable(Execution, id, *conversation.CARD)
    comments.remove(comments.one_of(run, comment_id))
    undo = url_for("sharing.restore_comment", id=run.id, comment_id=comment_id)
    if wants_fragment():
        return with_toast(_talk(run), "The comment is deleted.", undo=undo)
    toast("The comment is deleted.", undo=undo)
    return _run_page(run)


@bp.post("/executions/<uuid:id>/comments/<uuid:comment_id>/restoration")
def restore_comment(id: uuid.UUID, comment_id: uuid.UUID) -> Response:
    run = access.editable(Execution, id, *conversation.CARD)
    comments.restore(comments.deleted_or_not(run, comment_id))
    toast("The comment is back.", "good")
    return _run_page(run)


def _talk(run: Execution, status: int = 200, **context: Any) -> FlaskResponse:
    run = conversation.read(run.id)
    return render(
        "sharing/_talk.html",
        status=status,
        execution=run,
        comments=comments.of(run),
        me=current_user.id,
        can_comment=access.may(access.EDIT, run),
        can_remove=access.may(access.ADMINISTER),
        **context,
    )


def _run_page(run: Execution) -> Response:
    return redirect(url_for("playground.execution", id=run.id, _anchor=f"run-{run.id}-talk"))
