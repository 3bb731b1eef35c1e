"""The page where a prompt is written and tried, and its parts."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from flask import Response, request, url_for

from .. import access
from ..acting.offering import on_offer
from ..extensions import db
from ..limits import refusals
from ..models import Execution, ModelType, Template, TemplateRun
from ..playground.chat_form import EFFORTS
from ..playground.conversation import CARD
from ..playground.options import model_options
from . import drafts, editor, editor_form, labels, lists, page
from .content import ROLES
from .drafts import Draft
from .editor_form import Written
from .forms import SettingsForm
from .refusals import Refused
from .variables import Kind

COMPARED_WITH = 30
"""Versions offered to be compared with; all others are on a page of their own."""


def show(
    template: Template,
    draft: Draft | None = None,
    fragment: str | None = None,
    status: int = 200,
    *,
    is_tried: bool = False,
    problem: str = "",
    settings: SettingsForm | None = None,
    shown: Sequence[str] = (),
    opened: str = "",
    tries: Sequence[Sequence[Execution]] | None = None,
) -> Response:
    """`shown`: what the browser has fields for (Editor.fields); `opened`: the one whose settings are looked at;
    `problem`: why it was not run."""
    draft = draft or drafts.mine(template)
    view = editor.of(draft, is_tried=is_tried)
    tries = lists.tried(template) if tries is None and fragment is None else tries or ()
    refusals.tell(run for together in tries for run in together)
    return page.show(
        template,
        "show.html",
        "edit",
        fragment,
        status,
        view=view,
        problem=problem,
        has_new_fields=view.fields != tuple(shown),
        opened=opened,
        settings=settings or SettingsForm(formdata=None, called=template.slug, obj=template),
        are_settings_open=settings is not None,
        tries=tries,
        submission=uuid.uuid4().hex,
        **(_choices(template, draft, fragment) if access.may(access.EDIT, template) else {}),
    )


def _choices(template: Template, draft: Draft, fragment: str | None) -> dict[str, Any]:
    """What the form offers; its answers to what is typed hold no model, and ask for none."""
    is_whole = fragment in (None, "editor")
    options = model_options(template.project, ModelType(draft.content.model_type)) if is_whole else {}
    choices: dict[str, Any] = {
        "efforts": EFFORTS.items(),
        "model_options": options,
        "chosen": draft.content.requested,
        "kinds": list(Kind),
        "roles": ROLES,
    }
    ticked = request.form.getlist("actions")
    offered = [(one, str(one.action_id) in ticked) for one in on_offer(template.project_id)] if is_whole else []
    return choices | {"against": against(template) if is_whole else [], "actions": offered}


def started(template: Template, draft: Draft, executions: Sequence[Execution], shown: Sequence[str]) -> Response:
    """The cards of runs that have just begun, to be put before the others."""
    ids = [execution.id for execution in executions]
    query = db.select(Execution).where(Execution.id.in_(ids)).order_by(Execution.id).options(*CARD)
    cards = list(db.session.scalars(query))
    return show(template, draft, "started", 201, shown=shown, tries=[cards])


def not_run(template: Template, written: Written, refused: Refused) -> Response:
    """Why it was not asked, at the values that are missing or wrong; one gets a field where it has none."""
    content = editor_form.with_fields(written.content, refused)
    if content.too_much:
        return not_kept(template, written, content.too_much)
    draft = drafts.keep(template, content, written.values, written.said)
    db.session.commit()
    return show(template, draft, "tried", 422, is_tried=True, problem=str(refused))


def not_kept(template: Template, written: Written, problem: str) -> Response:
    """What was written is too large: it stays in the browser, and only there."""
    draft = drafts.unkept(template, written.content, written.values, written.said)
    return show(template, draft, "kept", 422, problem=problem, shown=written.shown)


def with_values_of(template: Template, run_id: uuid.UUID) -> Draft:
    """One's draft, with the values of a run: to see what it would answer to what was really asked."""
    draft = drafts.mine(template)
    execution = access.visible(Execution, run_id)
    run = db.session.get(TemplateRun, execution.id)
    if run is None or run.template_id != template.id:
        return draft
    return replace(draft, values=run.values, said=run.said)


def against(template: Template) -> list[tuple[int, str]]:
    """Versions to compare a draft with: what production stands for first, then the newest."""
    names: dict[int, list[str]] = {}
    for name, number in labels.of(template).items():
        names.setdefault(number, []).append(name)
    recent = range(template.newest, max(template.newest - COMPARED_WITH, 0), -1)
    numbers = dict.fromkeys((*sorted(names, key=lambda number: labels.PRODUCTION not in names[number]), *recent))
    return [(number, f"v{number}{''.join(f', {name}' for name in names.get(number, ()))}") for number in numbers]


def address(template: Template) -> str:
    return url_for("prompts.show", id=template.id)
