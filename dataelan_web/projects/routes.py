from __future__ import annotations

import uuid

from flask import g, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from .. import access, audit
from ..accounts.sign_up import create_project
from ..extensions import db
from ..limits import glance
from ..models import Project
from ..once import done_once
from ..trash.discarding import discard
from ..trash.kinds import undo_url
from ..web import redirect, render, toast, wants_fragment
from . import session_list, totals
from .blueprint import bp
from .forms import ChangeForm, ProjectForm


@bp.post("/projects")
@done_once()
def create() -> Response:
    access.require(access.EDIT)
    form = ProjectForm()
    if not form.validate_on_submit():
        toast(" ".join(word for words in form.errors.values() for word in words), "danger")
        return redirect(url_for("organizations.home"))
    project = create_project(g.organization, current_user, str(form.name.data), form.description.data or "")
    audit.record("project.created", project)
    db.session.commit()
    return redirect(url_for("projects.show", id=project.id))


@bp.get("/projects/<uuid:id>")
def show(id: uuid.UUID) -> Response:
    project = access.visible(Project, id)
    filters = session_list.Filters.of(request.args)
    found, further = session_list.search(project, filters)
    return render(
        "projects/project.html",
        "sessions",
        project=project,
        stats=None if wants_fragment() else totals.of_project(project),
        glance=glance.in_project(project),
        sessions=found,
        filters=filters,
        tags=session_list.tags_of(project),
        shows=session_list.SHOWS,
        sorts=session_list.SORTS,
        can_edit=access.may(access.EDIT, project),
        older_url=url_for("projects.show", id=id, **filters.said, after=further) if further else None,
    )


@bp.post("/projects/<uuid:id>/deletion")
def delete(id: uuid.UUID) -> Response:
    project = access.administered(Project, id)
    discard(project)
    toast(f"“{project.name}” is in the trash, and its tokens are refused.", undo=undo_url(project))
    return redirect(url_for("organizations.home"))


CHANGED = ("name", "description", "instructions")


@bp.post("/projects/<uuid:id>/name")
def rename(id: uuid.UUID) -> Response:
    """Name, description and instructions."""
    project = access.editable(Project, id)
    form = ChangeForm()
    if not form.validate_on_submit():
        toast(" ".join(word for words in form.errors.values() for word in words), "danger")
        return redirect(url_for("projects.show", id=project.id))
    before = {name: getattr(project, name) for name in CHANGED}
    project.name, project.description = str(form.name.data), form.description.data or ""
    project.instructions = form.instructions.data or ""
    audit.record("project.changed", project, before=before, **{name: getattr(project, name) for name in CHANGED})
    db.session.commit()
    return redirect(url_for("projects.show", id=project.id))
