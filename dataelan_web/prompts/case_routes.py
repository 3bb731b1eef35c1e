"""Saved cases, and the answers of one or two contents to them side by side."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from flask import Response as FlaskResponse
from flask import abort, request, url_for
from werkzeug.wrappers import Response

from .. import access
from ..extensions import db
from ..models import Execution, Template, TemplateCase, TemplateRun
from ..once import done_once
from ..trash.kinds import undo_url
from ..web import redirect, toast
from . import answers, cases, drafts, editor_form, page, running, sources
from .answers import Table
from .blueprint import bp
from .forms import CaseForm
from .refusals import Refused

MOST_COLUMNS = 3


@bp.get("/prompts/<uuid:id>/cases")
def all_cases(id: uuid.UUID) -> Response:
    """`source`: what the answers are of; up to three of them."""
    return _cases(page.visible(id), request.args.getlist("source"))


@bp.post("/prompts/<uuid:id>/cases/answers")
def run_cases(id: uuid.UUID) -> Response:
    """Ask for the answers that are missing."""
    template, specs = page.editable(id), request.form.getlist("source")
    table = table_of(template, specs)
    try:
        answers.ask_missing(template, table, request.form.get("submission", ""))
    except Refused as refused:
        db.session.rollback()
        abort(422, str(refused))
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect(url_for("prompts.all_cases", id=id, source=specs))
    return _cases(template, specs)


@bp.get("/prompts/<uuid:id>/cases/new")
def new_case(id: uuid.UUID) -> Response:
    """`run`: with the values, and as what is expected the answer, of that run."""
    template, values = page.editable(id), dict[str, str]()
    form = CaseForm(formdata=None)
    if run_id := request.args.get("run", type=uuid.UUID):
        execution = access.visible(Execution, run_id)
        run = db.session.get(TemplateRun, execution.id)
        if run is None or run.template_id != template.id:
            abort(404)
        values, form.said.data, form.expected.data = run.values, run.said, execution.body.text
    return _form(template, form, values)


@bp.post("/prompts/<uuid:id>/cases")
@done_once()
def add_case(id: uuid.UUID) -> Response:
    return _save(page.editable(id), None)


@bp.get("/prompts/<uuid:id>/cases/<uuid:case_id>")
def case(id: uuid.UUID, case_id: uuid.UUID) -> Response:
    template = page.editable(id)
    found = _case(template, case_id)
    return _form(template, CaseForm(formdata=None, obj=found), found.values, found)


@bp.post("/prompts/<uuid:id>/cases/<uuid:case_id>")
def change_case(id: uuid.UUID, case_id: uuid.UUID) -> Response:
    template = page.editable(id)
    return _save(template, _case(template, case_id))


@bp.post("/prompts/<uuid:id>/cases/<uuid:case_id>/deletion")
def delete_case(id: uuid.UUID, case_id: uuid.UUID) -> Response:
    template = page.editable(id)
    found = _case(template, case_id)
    cases.delete(template, found)
    toast(f"The case “{found.name}” is in the trash; its answers are still among the runs.", undo=undo_url(found))
    return redirect(url_for("prompts.all_cases", id=id))


def table_of(template: Template, specs: list[str]) -> Table:
    named = [sources.resolve(template, spec) for spec in dict.fromkeys(specs[:MOST_COLUMNS])]
    return answers.table(template, cases.of(template), [(one.title, one.source) for one in named])


def _cases(template: Template, specs: list[str]) -> FlaskResponse:
    usual = str(template.newest) if template.newest else sources.DRAFT
    specs = list(dict.fromkeys(specs[:MOST_COLUMNS])) or [usual]
    table = table_of(template, specs)
    offered = [sources.DRAFT, *map(str, range(template.newest, max(template.newest - 100, 0), -1))]
    return page.show(
        template,
        "cases.html",
        "cases",
        "answers",
        table=table,
        specs=specs,
        offered=offered if access.may(access.EDIT, template) else offered[1:],
        usual_cost=running.usual_cost(template, [column.source.content.digest for column in table.columns]),
        submission=uuid.uuid4().hex,
    )


def _case(template: Template, id: uuid.UUID) -> TemplateCase:
    found = access.visible(TemplateCase, id)
    if found.template_id != template.id:
        abort(404)
    return found


def _save(template: Template, found: TemplateCase | None) -> FlaskResponse:
    form, content = CaseForm(), drafts.mine(template).content
    names = dict.fromkeys((*content.names, *editor_form.names_in(request.form)))
    values = editor_form.values_in(request.form, names)
    values = {name: value for name, value in values.items() if value}
    if not form.validate_on_submit():
        return _form(template, form, values, found, 422)
    fields = (str(form.name.data), values, editor_form.clean(form.said.data or ""), form.expected.data or "")
    try:
        if found is None:
            cases.add(template, *fields)
        else:
            cases.change(template, found, *fields)
    except Refused as refused:
        form.form_errors = [str(refused)]
        return _form(page.editable(template.id), form, values, found, 422)
    toast(f"The case “{form.name.data}” is saved.", "good")
    return redirect(url_for("prompts.all_cases", id=template.id))  # type: ignore[return-value]


def _form(
    template: Template,
    form: CaseForm,
    values: Mapping[str, str],
    found: TemplateCase | None = None,
    status: int = 200,
) -> FlaskResponse:
    content = drafts.mine(template).content
    return page.show(
        template, "case.html", "cases", None, status, form=form, case=found, values=values, content=content
    )
