"""The files of a project: kept in it, looked at, and attached to a prompt."""

from __future__ import annotations

import uuid

from flask import Response as FlaskResponse
from flask import g, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from .. import access, audit
from ..extensions import db
from ..fields import id_in
from ..models import Asset, Project, PromptSession
from ..web import redirect, render, toast, wants_fragment, with_toast
from . import shelf
from .blueprint import bp


@bp.get("/projects/<uuid:id>/files")
def files(id: uuid.UUID) -> Response:
    project = access.visible(Project, id)
    before = request.args.get("before")
    found, further = shelf.files_of(project, id_in(before) if before else None)
    return render(
        "playground/shelf.html",
        project=project,
        files=found,
        can_edit=access.may(access.EDIT, project),
        older_url=url_for("playground.files", id=id, before=further) if further else None,
    )


@bp.get("/sessions/<uuid:id>/files")
def choose_file(id: uuid.UUID) -> Response:
    """The project's files, to attach one to the next prompt of a session."""
    session = access.editable(PromptSession, id)
    found, further = shelf.files_of(session.project)
    return render("playground/choose_file.html", "dialog", session=session, files=found, has_more=bool(further))


@bp.post("/assets/<uuid:id>/keeping")
def keep_asset(id: uuid.UUID) -> Response:
    """Among the files of its project."""
    file = access.editable(Asset, id)
    kept = shelf.keep(file, current_user.id)
    if kept:
        audit.record("file.kept", kept, g.organization.id)
    db.session.commit()
    words = f"“{kept.name}” is now among the project’s files." if kept else "It is already among the project’s files."
    if wants_fragment():
        return with_toast(FlaskResponse(""), words, "good")
    toast(words, "good")
    return redirect(url_for("playground.files", id=file.project_id))
