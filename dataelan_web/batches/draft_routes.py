"""A project's batches, and a batch before it begins."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response as FlaskResponse
from flask import request, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response

from .. import access
from ..extensions import db
from ..fields import id_in, offered
from ..models import Batch, BatchRow, Project, Template, TemplateVersion
from ..once import done_once
from ..playground.sending import clean_name
from ..prompts.content import Content
from ..prompts.editor_form import SETTINGS
from ..prompts.refusals import Refused
from ..web import page_number, redirect, toast
from . import drafting, estimate, page, results, sheet
from .blueprint import bp
from .forms import CheckForm, NewForm, SetupForm

PAGE = 25
PREVIEWED = 5


@bp.get("/projects/<uuid:project_id>/batches")
def index(project_id: uuid.UUID) -> Response:
    project, number = access.visible(Project, project_id), page_number()
    entries, has_more = results.of(project, number, PAGE)
    newer = url_for("batches.index", project_id=project.id, page=number - 1) if number > 1 else None
    older = url_for("batches.index", project_id=project.id, page=number + 1) if has_more else None
    return page.show(project, "index.html", entries=entries, newer_url=newer, older_url=older)


@bp.get("/projects/<uuid:project_id>/batches/new")
def new(project_id: uuid.UUID) -> Response:
    """`prompt`: a saved prompt's id, with `@` and a version's number where it is not the newest."""
    project, chosen = access.editable(Project, project_id), request.args.get("prompt", "")
    if chosen:
        drafting.version_of(access.visible(Template, id_in(chosen.partition("@")[0])), chosen.partition("@")[2])
    return _new(project, NewForm(formdata=None, prompt=chosen))


@bp.post("/projects/<uuid:project_id>/batches")
@done_once()
def create(project_id: uuid.UUID) -> Response:
    project, form = access.editable(Project, project_id), NewForm()
    if not form.validate():
        return _new(project, form, 422)
    try:
        content, version = _prompt(project, form)
        found, file_name = _sheet(form)
        batch = drafting.create(project, _name(form, version, file_name), content, found, file_name, version)
    except (Refused, sheet.Refused) as refused:
        return _new(project, form, 422, problem=str(refused))
    return redirect(page.address(batch))


@bp.post("/batches/<uuid:id>/setup")
def setup(id: uuid.UUID) -> Response:
    """What each column is for, and which models are asked; answered with what that may cost."""
    batch, form = page.editable(id), SetupForm()
    if not form.validate():
        return show_setup(batch, 422, problem=next(iter(form.errors.values()))[0])
    try:
        drafting.change(
            batch,
            str(form.name.data),
            {name: request.form.get(f"map-{name}", "") for name in Content.of(batch.content).names},
            form.said.data or "",
            form.expected.data or "",
            request.form.getlist("model"),
            form.at_once.data or 8,
        )
    except Refused as refused:
        return show_setup(batch, 422, problem=str(refused))
    return show_setup(batch) if request.htmx else redirect(page.address(batch))  # type: ignore[attr-defined]


@bp.post("/batches/<uuid:id>/copies")
@done_once()
def copy(id: uuid.UUID) -> Response:
    made = drafting.copy(page.editable(id))
    toast("The same rows and checks again, with the newest version of the prompt.")
    return redirect(page.address(made))


def show_setup(batch: Batch, status: int = 200, **more: Any) -> FlaskResponse:
    rows = select(BatchRow).where(BatchRow.batch_id == batch.id).order_by(BatchRow.position).limit(PREVIEWED)
    more.setdefault("check_form", CheckForm(formdata=None))
    return page.show(
        batch.project,
        "setup.html",
        "setup",
        status,
        batch,
        rows=db.session.scalars(rows).all(),
        unmapped=drafting.unmapped(batch),
        estimate=estimate.of(batch),
        model_options=page.models_for(batch),
        most_models=drafting.MOST_MODELS,
        **more,
    )


def _new(project: Project, form: NewForm, status: int = 200, problem: str = "") -> FlaskResponse:
    saved = drafting.versions(project)
    choices = [(str(template.id), f"{template.name} (v{number})") for template, number in saved]
    chosen = form.prompt.data or ""
    if "@" in chosen and (known := dict(choices).get(chosen.partition("@")[0])):
        choices.insert(0, (chosen, f"{known.rpartition(' (')[0]} (v{chosen.partition('@')[2][:9]})"))
    form.prompt.choices = offered([*choices, ("", "Write one here")])
    return page.show(project, "new.html", "new", status, form=form, problem=problem, has_saved=bool(saved))


def _prompt(project: Project, form: NewForm) -> tuple[Content, TemplateVersion | None]:
    """404 for a saved prompt that is not here. Raises Refused."""
    chosen, _, number = (form.prompt.data or "").partition("@")
    if not chosen:
        return drafting.written(form.text.data or "", {name: form[name].data for name in ("system", *SETTINGS)}), None
    try:
        template = access.visible(Template, uuid.UUID(chosen))
    except ValueError:
        raise Refused("Choose a prompt.") from None
    if template.project_id != project.id or not template.newest:
        raise Refused("Choose a prompt of this project that was published.")
    version = drafting.version_of(template, number)
    return Content.of(version.content), version


def _sheet(form: NewForm) -> tuple[sheet.Sheet, str]:
    """What was uploaded, or else pasted. Raises sheet.Refused."""
    file = request.files.get("file")
    if file is not None and file.filename:
        try:
            return sheet.read(file.read(sheet.LARGEST + 1)), clean_name(file.filename)
        except sheet.Refused as refused:
            raise sheet.Refused(f"“{clean_name(file.filename)}”: {refused}") from None
    if not (form.pasted.data or "").strip():
        raise sheet.Refused("Choose a CSV, or paste rows: the first names the columns.")
    return sheet.read_text(form.pasted.data or ""), ""


def _name(form: NewForm, version: TemplateVersion | None, file_name: str) -> str:
    template = db.session.get(Template, version.template_id) if version else None
    what = template.name if template else (form.text.data or "A batch").strip().split("\n")[0][:60]
    return form.name.data or (f"{what}: {file_name}" if file_name else what)
