"""The files of a project: kept in it, looked at, and attached to a prompt."""

from __future__ import annotations

import uuid

from flask import Response as FlaskResponse
from flask import abort, g, request, url_for
from flask_login import current_user
from sqlalchemy.orm import selectinload
from werkzeug.wrappers import Response

from .. import access, audit
from ..extensions import db
from ..fields import id_in
from ..models import Asset, Execution, Project, PromptSession
from ..storage import Unavailable
from ..web import redirect, render, toast, wants_fragment, with_toast
from . import shelf, uploads
from .blueprint import bp
from .files import file_of


@bp.get("/projects/<uuid:id>/files")
def files(id: uuid.UUID) -> Response:
    return _shelf(access.visible(Project, id))


@bp.post("/projects/<uuid:id>/files")
def add_files(id: uuid.UUID) -> Response:
    """Files from one's disk: at hand in every session of the project."""
    project = access.editable(Project, id)
    try:
        chosen = uploads.checked(request.files.getlist("files"), (), uploads.FOR_ANY, "a project", "a project")
        if not chosen:
            raise uploads.Refused("Choose the files first.")
        added = shelf.add(chosen, project, current_user.id)
    except uploads.Refused as refused:
        return _shelf(project, 422, str(refused))
    except Unavailable as problem:
        abort(503, str(problem))
    for kept in added:
        audit.record("file.kept", kept, g.organization.id)
    db.session.commit()
    words = {0: "They are among the project’s files already.", 1: "One file is added."}
    toast(words.get(len(added), f"{len(added)} files are added."), "good")
    return redirect(url_for("playground.files", id=project.id))


def _shelf(project: Project, status: int = 200, problem: str = "") -> FlaskResponse:
    before = request.args.get("before")
    found, further = shelf.files_of(project, id_in(before) if before else None)
    return render(
        "playground/shelf.html",
        status=status,
        problem=problem,
        project=project,
        files=found,
        can_edit=access.may(access.EDIT, project),
        older_url=url_for("playground.files", id=project.id, before=further) if further else None,
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
    return _kept(shelf.keep(file, current_user.id), file.project_id)


@bp.post("/executions/<uuid:id>/actions/<int:position>/keeping")
def keep_found(id: uuid.UUID, position: int) -> Response:
    """A block of code, a table … of an answer, among the files of its project."""
    run = access.editable(Execution, id, selectinload(Execution.actions))
    found = next((one for one in run.actions if one.position == position), None)
    file = file_of(found) if found else None
    if found is None or file is None:
        abort(404)
    project = run.session.project if run.session else run.project
    try:
        return _kept(shelf.keep_found(found, file, project, current_user.id), project.id)
    except Unavailable as problem:
        abort(503, str(problem))


def _kept(kept: Asset | None, project_id: uuid.UUID) -> Response:
    """Commits. `kept` None: it was there already."""
    if kept:
        audit.record("file.kept", kept, g.organization.id)
    db.session.commit()
    words = f"“{kept.name}” is now among the project’s files." if kept else "It is already among the project’s files."
    if wants_fragment():
        return with_toast(FlaskResponse(""), words, "good")
    toast(words, "good")
    return redirect(url_for("playground.files", id=project_id))
