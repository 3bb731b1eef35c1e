from __future__ import annotations

import uuid
from typing import Any

from flask import Response as FlaskResponse
from flask import request, url_for
from werkzeug.wrappers import Response

from .. import access
from ..models import Import, Project
from ..once import done_once
from ..organizations.blueprint import inside_organization
from ..playground.sending import clean_name
from ..web import redirect, render
from . import bringing_in, staging
from .formats import FORMATS
from .reading import Refused, read

bp = inside_organization("imports", __name__)


@bp.get("/projects/<uuid:id>/imports/new")
def new_import(id: uuid.UUID) -> Response:
    return _form(access.editable(Project, id))


@bp.post("/projects/<uuid:id>/imports")
@done_once()
def create_import(id: uuid.UUID) -> Response:
    """Reads the file and shows what is in it; no session is made yet."""
    project, file = access.editable(Project, id), request.files.get("file")
    if file is None or not file.filename:
        return _form(project, 422, problem="Choose the file first.")
    try:
        found = read(file.read())
    except Refused as refused:
        return _form(project, 422, problem=f"“{clean_name(file.filename)}”: {refused}")
    made = staging.stage(project, clean_name(file.filename), found)
    return _preview(project, made, 201, left_out=found.left_out)


@bp.get("/projects/<uuid:id>/imports/<uuid:import_id>")
def show_import(id: uuid.UUID, import_id: uuid.UUID) -> Response:
    project = access.editable(Project, id)
    brought = staging.own(project, import_id)
    return _progress(project, brought) if brought.confirmed_at else _preview(project, brought)


@bp.post("/projects/<uuid:id>/imports/<uuid:import_id>")
def bring_in(id: uuid.UUID, import_id: uuid.UUID) -> Response:
    """The first time with the `take`n ones; then, until all are there, to go on."""
    project = access.editable(Project, id)
    brought = staging.own(project, import_id)
    if brought.confirmed_at is None:
        taken = {int(text) for text in request.form.getlist("take") if text.isdecimal() and len(text) < 9}
        staging.choose(brought, taken)
    bringing_in.go_on(brought)
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect(url_for("imports.show_import", id=project.id, import_id=brought.id))
    return _progress(project, brought)


def _form(project: Project, status: int = 200, **context: Any) -> FlaskResponse:
    return render("imports/new.html", status=status, project=project, **context)


def _preview(project: Project, brought: Import, status: int = 200, **context: Any) -> FlaskResponse:
    count, _, runs = staging.counts(brought)
    return render(
        "imports/preview.html",
        status=status,
        project=project,
        brought=brought,
        source=FORMATS[brought.source].name,
        lines=staging.lines(brought),
        known=staging.already_here(brought),
        count=count,
        runs=runs,
        **context,
    )


def _progress(project: Project, brought: Import) -> FlaskResponse:
    count, done, runs = staging.counts(brought)
    return render(
        "imports/progress.html",
        "progress",
        project=project,
        brought=brought,
        source=FORMATS[brought.source].name,
        count=count,
        done=done,
        runs=runs,
        lines=staging.lines(brought) if done == count else [],
    )
