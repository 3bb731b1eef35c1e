from __future__ import annotations

import uuid

from flask import Response, abort, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response as AnyResponse

from .. import access
from ..extensions import db
from ..models import Asset, Execution, PromptSession
from ..storage import Unavailable
from ..web import redirect, wants_fragment
from . import asking, conversation, page, sending
from .blueprint import bp
from .display import varied_of


@bp.get("/assets/<uuid:id>")
def asset(id: uuid.UUID) -> Response:
    """A file of a prompt or of an answer; with `?download`, to be saved under its name."""
    found = access.visible(Asset, id)
    db.session.expunge(found)
    db.session.commit()  # hold no connection while it is sent
    try:
        return sending.answer(
            found,
            wanted=request.range,
            if_range=request.if_range,
            known=request.if_none_match,
            download="download" in request.args,
            is_head=request.method == "HEAD",
        )
    except Unavailable as problem:
        abort(503, str(problem))


@bp.post("/assets/<uuid:id>/variations")
def vary(id: uuid.UUID) -> AnyResponse:
    """The same prompt and settings once more, with a picture that was made to work from. `place`: of the button."""
    picture = access.editable(Asset, id)
    first = access.editable(Execution, picture.execution_id, *conversation.CARD) if picture.execution_id else None
    if first is None or first.session_id is None or not varied_of(picture, first):
        abort(422, "Variations are made of a picture that a session's prompt made.")
    session = access.editable(PromptSession, first.session_id)
    try:
        run = asking.varied(picture, first, session, current_user.id, request.form.get("submission", ""))
    except Unavailable as problem:
        abort(503, str(problem))
    if page.is_its_own(first):
        return redirect(url_for("playground.execution", id=run.id))
    if not wants_fragment():
        return redirect(url_for("playground.show", id=session.id))
    return page.started(run, once=f"vary-{'large-' if request.form.get('place') else ''}{picture.id}")
