from __future__ import annotations

import uuid
from typing import Any

from flask import Response as FlaskResponse
from flask import request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from .. import access
from ..fields import id_in
from ..models import Project, PromptSession
from ..once import done_once
from ..projects import session_list, totals
from ..web import redirect, render, toast, wants_fragment, with_toast
from . import conversation, forking, organizing
from .blueprint import bp


@bp.post("/sessions/<uuid:id>/star")
def star(id: uuid.UUID) -> Response:
    """`is_on`: yes or no. A star is the signed-in person's own."""
    session = access.visible(PromptSession, id)
    is_on = request.form.get("is_on") == "yes"
    organizing.star(session, current_user.id, is_on)
    if not wants_fragment():
        return _back(session)
    return render("playground/_star_answer.html", session=session, is_starred=is_on)


@bp.post("/sessions/<uuid:id>/archive")
def archive(id: uuid.UUID) -> Response:
    """`is_on`: yes or no."""
    session = access.editable(PromptSession, id)
    is_on = request.form.get("is_on") == "yes"
    organizing.archive(session, is_on)
    toast("Archived: it is in no list but the archive’s." if is_on else "Back from the archive.", "good")
    return _back(session)


@bp.post("/sessions/<uuid:id>/tags")
def tag(id: uuid.UUID) -> Response:
    """`tag`: in the form; or in the address, where one that was taken off is put back."""
    session = access.editable(PromptSession, id)
    typed = request.values.get("tag", "")
    try:
        organizing.tag(session, typed)
    except organizing.Refused as refused:
        return _tags(session, 422, problem=str(refused), typed=typed)
    return _tags(session)


@bp.post("/sessions/<uuid:id>/tags/removal")
def untag(id: uuid.UUID) -> Response:
    session = access.editable(PromptSession, id)
    name = request.form.get("tag", "")
    was_there = name in session.tags
    organizing.untag(session, name)
    answer = _tags(session)
    if not was_there:
        return answer
    told = f"The tag “{name}” is off.", "neutral", url_for("playground.tag", id=session.id, tag=name)
    if isinstance(answer, FlaskResponse):
        return with_toast(answer, *told)
    toast(*told)
    return answer


@bp.get("/sessions/<uuid:id>/tags")
def tags(id: uuid.UUID) -> Response:
    """The tags as a form, with those that the project knows: asked for when one begins to add one."""
    return _tags(access.editable(PromptSession, id), is_adding=True)


@bp.post("/sessions/<uuid:id>/forks")
@done_once()
def fork(id: uuid.UUID) -> Response:
    """`until`: the last card that goes along; without it, all."""
    session = access.editable(PromptSession, id)
    until = request.form.get("until")
    card = conversation.place_of(session, id_in(until)) if until else None
    made = forking.fork(session, card, current_user.id)
    toast("This is the fork. What you ask here leaves the other session as it is.", "good")
    return redirect(url_for("playground.show", id=made.id))


@bp.get("/sessions/<uuid:id>/project")
def moving(id: uuid.UUID) -> Response:
    """Where it can be moved to, and what that means."""
    session = access.editable(PromptSession, id)
    return render(
        "playground/moving.html",
        "dialog",
        session=session,
        projects=organizing.projects_to_move_to(session),
        totals=totals.of_session(session),
    )


@bp.post("/sessions/<uuid:id>/project")
def move(id: uuid.UUID) -> Response:
    session = access.editable(PromptSession, id)
    project = access.editable(Project, id_in(request.form.get("project_id")))
    organizing.move(session, project)
    toast(f"It is in “{project.name}” now.", "good")
    return _back(session)


def _tags(
    session: PromptSession, status: int = 200, *, is_adding: bool = True, **context: Any
) -> FlaskResponse | Response:
    if not wants_fragment() and request.method == "POST":
        return _back(session)
    known = session_list.tags_of(session.project) if is_adding else []
    offered = [name for name in known if name not in session.tags]
    can_edit = access.may(access.EDIT, session)
    return render(
        "playground/_tags.html",
        status=status,
        session=session,
        offered=offered,
        is_adding=is_adding,
        can_edit=can_edit,
        **context,
    )


def _back(session: PromptSession) -> Response:
    return redirect(url_for("playground.show", id=session.id))
