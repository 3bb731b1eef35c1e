from __future__ import annotations

import uuid
from contextlib import suppress
from typing import Any

from flask import Response as FlaskResponse
from flask import g, request, url_for
from werkzeug.wrappers import Response

from .. import access
from ..extensions import db
from ..models import Project, Template
from ..once import done_once
from ..web import page_number, redirect, render, toast
from . import editor_page, from_run, lists, page, pasting, templates
from .blueprint import bp
from .content import Content
from .examples import EXAMPLES
from .forms import NewForm, SettingsForm
from .refusals import Refused

PAGE = 50


@bp.get("/projects/<uuid:project_id>/prompts")
def index(project_id: uuid.UUID) -> Response:
    return _list(access.visible(Project, project_id))


@bp.post("/projects/<uuid:project_id>/prompts")
@done_once()
def create(project_id: uuid.UUID) -> Response:
    """`example`: one to begin with; `execution`: a run of a session that it is made of."""
    project, form = access.editable(Project, project_id), NewForm()
    content = _begin_with(form)
    if not form.validate_on_submit():
        return _not_created(project, form)
    try:
        template = templates.create(project, str(form.name.data), form.description.data or "", content)
    except Refused as refused:
        db.session.rollback()
        form.name.errors = [str(refused)]
        return _not_created(access.editable(Project, project_id), form)
    if not form.execution.data and (missing := pasting.left_out(form.pasted.data or "")):
        toast(f"It is pasted without {', '.join(missing)}: a saved prompt has none of these.", "warn")
    return redirect(url_for("prompts.show", id=template.id))


@bp.get("/executions/<uuid:id>/prompt")
def from_session(id: uuid.UUID) -> Response:
    """A prompt of a session, to be kept as a template."""
    execution = from_run.editable(id)
    form = NewForm(formdata=None, execution=str(id), name=from_run.name_of(execution))
    return _from_run(execution, form)


@bp.get("/prompts/<uuid:id>")
def show(id: uuid.UUID) -> Response:
    """The editor; with `run`, it has the values of that run."""
    template, run = page.visible(id), request.args.get("run", type=uuid.UUID)
    return editor_page.show(template, editor_page.with_values_of(template, run) if run else None)


@bp.post("/prompts/<uuid:id>/settings")
def change(id: uuid.UUID) -> Response:
    template, form = page.editable(id), SettingsForm()
    if not form.validate_on_submit():
        return editor_page.show(template, status=422, settings=form)
    try:
        templates.change(template, str(form.name.data), str(form.called.data), form.description.data or "")
    except Refused as refused:
        form.form_errors = [str(refused)]
        return editor_page.show(page.editable(id), status=422, settings=form)
    toast("Saved.", "good")
    return redirect(url_for("prompts.show", id=template.id))


@bp.post("/prompts/<uuid:id>/deletion")
def delete(id: uuid.UUID) -> Response:
    template = page.editable(id)
    templates.delete(template)
    return redirect(url_for("prompts.index", project_id=template.project_id))


@bp.post("/prompts/<uuid:id>/restoration")
def restore(id: uuid.UUID) -> Response:
    template = access.trashed(Template, id)
    try:
        templates.restore(template)
    except Refused as refused:
        toast(f"{refused} Try again.", "danger")
        return redirect(url_for("prompts.index", project_id=access.trashed(Template, id).project_id))
    toast(f"“{template.name}” is back.", "good")
    return redirect(url_for("prompts.show", id=template.id))


def _begin_with(form: NewForm) -> Content:
    if form.execution.data:
        execution = from_run.editable(from_run.id_in(form.execution.data))
        return from_run.content_of(execution, with_conversation=form.with_conversation.data)
    if form.pasted.data and form.pasted.data.strip():
        with suppress(ValueError):  # the form tells of it
            return pasting.read(form.pasted.data)
    return EXAMPLES[form.example.data].content if form.example.data in EXAMPLES else Content()


def _not_created(project: Project, form: NewForm) -> FlaskResponse:
    if form.execution.data:
        return _from_run(from_run.editable(from_run.id_in(form.execution.data)), form, 422)
    return _list(project, form, 422)


def _from_run(execution: Any, form: NewForm, status: int = 200) -> FlaskResponse:
    g.project = project = from_run.project_of(execution)
    content = from_run.content_of(execution)
    earlier = from_run.earlier_turns(execution)
    values = {"execution": execution, "form": form, "content": content, "earlier": earlier}
    return render("prompts/from_run.html", status=status, project=project, **values)


def _list(project: Project, form: NewForm | None = None, status: int = 200) -> FlaskResponse:
    number, words = page_number(), request.args.get("q", "").strip()[:100]
    lines, has_more = lists.of(project, words, number, PAGE)
    g.project = project
    return render(
        "prompts/index.html",
        "prompts" if status == 200 else None,
        status=status,
        project=project,
        lines=lines,
        q=words,
        form=form or NewForm(formdata=None),
        examples=EXAMPLES,
        deleted=templates.just_deleted(project),
        can_edit=access.may(access.EDIT, project),
        newer_url=url_for("prompts.index", project_id=project.id, page=number - 1, q=words) if number > 1 else None,
        older_url=url_for("prompts.index", project_id=project.id, page=number + 1, q=words) if has_more else None,
    )
