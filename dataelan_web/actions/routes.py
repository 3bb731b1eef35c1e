"""A project's declared actions: listed, declared, changed, tried, switched and deleted."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response as FlaskResponse
from flask import g, request, url_for
from flask_login import current_user
from sqlalchemy.orm import joinedload
from werkzeug.wrappers import Response

from .. import access
from ..acting import declaring, delivering
from ..models import DeclaredAction, Project
from ..notify.posting import AddressRefused
from ..once import done_once
from ..trash.discarding import discard
from ..trash.kinds import undo_url
from ..web import redirect, render, toast, with_toast
from . import lists
from .blueprint import bp
from .forms import ActionForm


@bp.get("/projects/<uuid:project_id>/actions")
def index(project_id: uuid.UUID) -> Response:
    g.project = project = access.visible(Project, project_id)
    return render("actions/index.html", project=project, lines=lists.declared(project))


@bp.get("/projects/<uuid:project_id>/actions/new")
def new(project_id: uuid.UUID) -> Response:
    return _form(access.administered(Project, project_id), ActionForm.new())


@bp.post("/projects/<uuid:project_id>/actions")
@done_once(tells_secret=True)
def create(project_id: uuid.UUID) -> Response:
    project, form = access.administered(Project, project_id), ActionForm()
    if not form.validate_on_submit():
        return _form(project, form, status=422)
    try:
        action, secret = declaring.create(project, form.draft, current_user.id)
    except (declaring.Refused, AddressRefused) as refused:
        return _form(project, _refused(form, refused), status=422)
    return _page(action, 201, secret=secret, is_new=True)


@bp.post("/projects/<uuid:project_id>/actions/check")
def check(project_id: uuid.UUID) -> Response:
    """What is wrong with what is typed so far, beside the fields."""
    access.administered(Project, project_id)
    form = ActionForm()
    form.validate()
    return render("actions/checked.html", form=form)


@bp.get("/actions/<uuid:id>")
def show(id: uuid.UUID) -> Response:
    return _page(access.visible(DeclaredAction, id, *_WHOLE))


@bp.get("/actions/<uuid:id>/edit")
def edit(id: uuid.UUID) -> Response:
    action = access.administered(DeclaredAction, id, *_WHOLE)
    return _form(action.project, ActionForm.of(action.version), action)


@bp.post("/actions/<uuid:id>")
@done_once(tells_secret=True)
def change(id: uuid.UUID) -> Response:
    action, form = access.administered(DeclaredAction, id, *_WHOLE), ActionForm()
    if not form.validate_on_submit():
        return _form(action.project, form, action, 422)
    before = action.number
    try:
        secret = declaring.change(action, form.draft, current_user.id)
    except (declaring.Refused, AddressRefused) as refused:
        return _form(action.project, _refused(form, refused), action, 422)
    word = f"Saved as version {action.number}." if action.number > before else "Nothing was changed."
    toast(word, "good")
    return _page(action, secret=secret)


@bp.post("/actions/<uuid:id>/state")
def state(id: uuid.UUID) -> Response:
    """`is_enabled`: yes or no."""
    action = access.administered(DeclaredAction, id, *_WHOLE)
    declaring.set_enabled(action, request.form.get("is_enabled") == "yes")
    word = "is offered again" if action.is_enabled else "is switched off: no model is offered it"
    return with_toast(_page(action), f"“{action.name}” {word}.", "good")


@bp.post("/actions/<uuid:id>/secret")
@done_once(tells_secret=True)
def rotate(id: uuid.UUID) -> Response:
    action = access.administered(DeclaredAction, id, *_WHOLE)
    return _page(action, secret=declaring.rotate(action))


@bp.post("/actions/<uuid:id>/test")
@done_once()
def test(id: uuid.UUID) -> Response:
    action = access.administered(DeclaredAction, id, *_WHOLE)
    sent = delivering.send_test(action, current_user.id)
    return _page(access.administered(DeclaredAction, id, *_WHOLE), result=sent[0] if sent else None)


@bp.post("/actions/<uuid:id>/deletion")
def delete(id: uuid.UUID) -> Response:
    action = access.administered(DeclaredAction, id)
    discard(action)
    toast(f"“{action.name}” is in the trash. No model is offered it.", undo=undo_url(action))
    return redirect(url_for("actions.index", project_id=action.project_id))


_WHOLE = (joinedload(DeclaredAction.project), joinedload(DeclaredAction.version))


def _refused(form: ActionForm, refused: declaring.Refused | AddressRefused) -> ActionForm:
    field = refused.field if isinstance(refused, declaring.Refused) else "url"
    form[field].errors = [str(refused)]
    return form


def _form(project: Project, form: ActionForm, action: DeclaredAction | None = None, status: int = 200) -> FlaskResponse:
    g.project = project
    crumbs = [(project.name, url_for("projects.show", id=project.id)), _crumb(project)]
    return render("actions/form.html", "form", status=status, project=project, form=form, action=action, crumbs=crumbs)


def _page(action: DeclaredAction, status: int = 200, **context: Any) -> FlaskResponse:
    """`secret`: a new one, shown once. `result`: of a test that was just sent."""
    g.project = project = action.project
    calls, _ = lists.calls(project, action)
    page: dict[str, Any] = {
        "action": action,
        "version": action.version,
        "project": project,
        "calls": calls,
        "attempts": lists.attempts(action),
        "overlap_ends_at": declaring.overlap_ends_at(action.version.receiver) if action.version.receiver else None,
        "crumbs": [(project.name, url_for("projects.show", id=project.id)), _crumb(project)],
    }
    return render("actions/show.html", "action", status=status, **(page | context))


def _crumb(project: Project) -> tuple[str, str]:
    return "Actions", url_for("actions.index", project_id=project.id)
