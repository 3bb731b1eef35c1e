"""Pages of routing rules: the list in the order of evaluation, one rule's form, its rehearsal, and a dry run."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from flask import Response as FlaskResponse
from flask import request
from flask_login import current_user
from werkzeug.wrappers import Response

from ... import access, place
from ...extensions import db
from ...fields import offered
from ...models import ModelType, Project, RoutingRule
from ...once import done_once
from ...web import redirect, render, toast, with_toast
from ..blueprint import bp, id_in, operators_bp, url
from . import beside, drafts, overview
from .drafts import NO_MODELS, Draft, Refused
from .dry_run import DryRunForm, plan_for
from .forms import RuleForm
from .reach import ASKED, ORIGINS, SCANNED, Filter
from .rehearsal import SIZES, rehearse


@operators_bp.get("/hub/rules")
@bp.get("/hub/rules")
def rules_page() -> Response:
    place.require_see()
    return _list()


@operators_bp.get("/hub/rules/new")
@bp.get("/hub/rules/new")
def rule_new() -> Response:
    """`from`: a rule to begin with, as a copy. Nothing is saved yet."""
    place.require_administer()
    if not (original := request.args.get("from")):
        return _page(RuleForm(project_id=_project_asked_for()))
    form = RuleForm.of(Draft.of(place.administered(RoutingRule, id_in(original))))
    form.name, form.priority = f"{form.name[:190]} (copy)", ""
    return _page(form)


@operators_bp.post("/hub/rules")
@bp.post("/hub/rules")
@done_once()
def rule_create() -> Response:
    place.require_administer()
    return _save(RuleForm.read(request.form), None)


@operators_bp.get("/hub/rules/<uuid:id>")
@bp.get("/hub/rules/<uuid:id>")
def rule(id: uuid.UUID) -> Response:
    row = place.administered(RoutingRule, id)
    return _page(RuleForm.of(Draft.of(row)), row)


@operators_bp.post("/hub/rules/<uuid:id>")
@bp.post("/hub/rules/<uuid:id>")
def rule_change(id: uuid.UUID) -> Response:
    row = place.administered(RoutingRule, id)
    return _save(RuleForm.read(request.form), row)


@operators_bp.post("/hub/rules/draft")
@bp.post("/hub/rules/draft")
def rule_draft() -> Response:
    """The form with a condition or a model more or less, or with models found. Saves nothing."""
    row, form = _edited(), RuleForm.read(request.form)
    form.change(request.form.get("change", ""), request.form.get("new_condition", ""))
    return _page(form, row)


@operators_bp.post("/hub/rules/preview")
@bp.post("/hub/rules/preview")
def rule_preview() -> Response:
    """What the rule says as it is typed, and what stands against it. Saves nothing."""
    row, form = _edited(), RuleForm.read(request.form)
    return _page(form, row, fragment="preview")


@operators_bp.post("/hub/rules/rehearsal")
@bp.post("/hub/rules/rehearsal")
def rule_rehearsal() -> Response:
    """The draft against the last `runs` runs, of those that `asked` and `origin` leave. Saves and sends nothing."""
    row, form = _edited(), RuleForm.read(request.form)
    view = beside.view_of(form, row)
    wanted = request.form.get("runs", "", type=str)
    size = int(wanted) if wanted in map(str, SIZES) else SIZES[0]
    is_ready = not view.problems and NO_MODELS not in view.to_do
    which = Filter(_one_of(ASKED, "asked"), _one_of(ORIGINS, "origin"))
    tried = rehearse(view.draft, row, place.organization(), size, which) if is_ready else None
    return _page(form, row, fragment="rehearsal", rehearsal=tried, size=size, which=which, is_unready=not is_ready)


@operators_bp.post("/hub/rules/<uuid:id>/place")
@bp.post("/hub/rules/<uuid:id>/place")
def rule_place(id: uuid.UUID) -> Response:
    """`before`: the rule that it is to be tried before; empty: after all others of its scope."""
    row, before = place.administered(RoutingRule, id), request.form.get("before")
    try:
        number, count = drafts.place(row, place.organization(), id_in(before) if before else None)
    except Refused as refused:
        return with_toast(_list(409), str(refused), "danger")
    return _list(announcement=f"“{row.name}” is number {number} of {count} now.")


@operators_bp.post("/hub/rules/<uuid:id>/enablement")
@bp.post("/hub/rules/<uuid:id>/enablement")
def rule_enablement(id: uuid.UUID) -> Response:
    """`is_enabled`: yes or no."""
    row = place.administered(RoutingRule, id)
    drafts.set_enabled(row, request.form.get("is_enabled") == "yes")
    word = "is in use" if row.is_enabled else "is switched off: prompts pass it by"
    return _list(announcement=f"“{row.name}” {word}.")


@operators_bp.post("/hub/rules/<uuid:id>/deletion")
@bp.post("/hub/rules/<uuid:id>/deletion")
def rule_deletion(id: uuid.UUID) -> Response:
    row = place.administered(RoutingRule, id)
    drafts.delete(row)
    return _list(deleted=row, undo_url=place.undo_url("rule", id))


@bp.post("/hub/rules/dry-run")
def rule_dry_run() -> Response:
    """Which model would answer this prompt? Nothing is sent."""
    access.require(access.SEE)
    form = _dry_run_form()
    project = access.visible(Project, id_in(form.project_id.data))
    if not form.validate_on_submit():
        return _list(422, fragment="dry_run", dry_run=form)
    kind, needs = ModelType(form.model_type.data), frozenset(form.needs.data or ())
    made = plan_for(form.prompt(), kind, needs, project, current_user)
    return _list(fragment="dry_run", dry_run=form, receipt=made.receipt)


def _edited() -> RoutingRule | None:
    """The rule whose form was sent; None: a new one."""
    place.require_administer()
    id = request.form.get("rule_id")
    return place.administered(RoutingRule, id_in(id)) if id else None


def _one_of(choices: Sequence[tuple[str, str]], field: str) -> str:
    """What was sent, where it is one of these; otherwise the first."""
    sent = request.form.get(field, "")
    return sent if sent in dict(choices) else choices[0][0]


def _project_asked_for() -> str:
    id = request.args.get("project")
    return str(place.visible(Project, id_in(id)).id) if id else ""


def _save(form: RuleForm, row: RoutingRule | None) -> Response:
    draft, unread = form.draft()
    if unread:
        return _page(form, row, 422)
    try:
        saved = drafts.save(draft, place.organization(), current_user.id, row)
    except Refused as refused:
        return _page(form, row, 422, refused=refused.problems)
    toast(f"“{saved.name}” is saved{'' if saved.is_enabled else ', and switched off'}.", "good")
    return redirect(url("rules_page"))


def _page(
    form: RuleForm, row: RoutingRule | None = None, status: int = 200, *, fragment: str = "rule", **context: Any
) -> FlaskResponse:
    view = beside.view_of(form, row, is_final=status == 422)
    page = {
        "rehearsal": None,
        "sizes": SIZES,
        "size": SIZES[1],
        "asked": ASKED,
        "origins": ORIGINS,
        "which": Filter(),
        "is_unready": False,
        "q": "" if form.focus == "q" else request.form.get("q", "").strip()[:100],
        "crumbs": [("Routing rules", url("rules_page"))],
        **beside.choices(),
        **context,
    }
    page["offered"] = beside.found(form, page["q"]) if fragment == "rule" else []
    return render("hub/rules/rule.html", fragment, status=status, view=view, form=form, row=row, **page)


def _list(status: int = 200, *, fragment: str = "rules", **context: Any) -> FlaskResponse:
    page = {"announcement": "", "deleted": None, "receipt": None, **context}
    if not place.is_operators():  # who has no project to plan a prompt of
        page["dry_run"] = page.get("dry_run") or _dry_run_form(is_empty=True)
    page["groups"] = overview.groups() if fragment == "rules" else []
    page["strategies"] = beside.STRATEGIES
    page["scanned"] = SCANNED
    return render("hub/rules/rules.html", fragment, status=status, can_edit=place.may_administer(), **page)


def _dry_run_form(*, is_empty: bool = False) -> DryRunForm:
    form = DryRunForm(formdata=None) if is_empty else DryRunForm()
    projects = db.session.execute(
        access.scoped(Project).with_only_columns(Project.id, Project.name).order_by(Project.name)
    )
    form.project_id.choices = offered((str(id), name) for id, name in projects)
    return form
