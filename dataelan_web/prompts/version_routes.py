"""Versions: their history, what differs between two of them, and how a new one comes to be."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response as FlaskResponse
from flask import request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from .. import access
from ..extensions import db
from ..models import Template
from ..once import done_once
from ..web import page_number, redirect, toast
from . import differences, drafts, labels, lists, page, proposals, sources, usage, versions
from .blueprint import bp
from .content import Content
from .forms import ChangeForm
from .refusals import Overtaken, Refused
from .sources import DRAFT, Named

PAGE = 50


@bp.get("/prompts/<uuid:id>/versions")
def history(id: uuid.UUID) -> Response:
    template, number = page.visible(id), page_number()
    rows, has_more = lists.versions_of(template, number, PAGE)
    return page.show(
        template,
        "versions.html",
        "versions",
        versions=rows,
        protected=labels.protected(template),
        usage=usage.of(template),
        newer_url=url_for("prompts.history", id=id, page=number - 1) if number > 1 else None,
        older_url=url_for("prompts.history", id=id, page=number + 1) if has_more else None,
    )


@bp.get("/prompts/<uuid:id>/versions/<int(max=999999999):number>")
def version(id: uuid.UUID, number: int) -> Response:
    template = page.visible(id)
    found = versions.numbered(template, number)
    content, offered = Content.of(found.content), sorted({*labels.USUAL, *labels.of(template)})
    return page.show(template, "version.html", "versions", version=found, content=content, offered=offered)


@bp.get("/prompts/<uuid:id>/differences")
def difference(id: uuid.UUID) -> Response:
    """Between any two: `before` and `after` are versions, `draft`, or proposals (p2)."""
    template = page.visible(id)
    newest = str(template.newest) if template.newest else DRAFT
    before, after = (sources.resolve(template, request.args.get(side) or newest) for side in ("before", "after"))
    found = differences.between(before.content, after.content)
    is_same = before.content.digest == after.content.digest
    offered = [DRAFT, *map(str, range(template.newest, max(template.newest - 100, 0), -1))]
    sides: dict[str, Any] = {"before": before, "after": after, "is_same": is_same}
    return page.show(template, "difference.html", "versions", differences=found, offered=offered, **sides)


@bp.get("/prompts/<uuid:id>/publication")
def publication(id: uuid.UUID) -> Response:
    """What would be published, before it is: one's draft, or as `source` says an old version again."""
    template = page.editable(id)
    named = sources.resolve(template, request.args.get("source", DRAFT))
    form = ChangeForm(formdata=None, source=named.spec, seen=template.newest, message=_first_words(template, named))
    return _publication(template, named, form)


@bp.post("/prompts/<uuid:id>/versions")
@done_once()
def publish(id: uuid.UUID) -> Response:
    """And let `label` stand for it, where one is named."""
    template, form = page.editable(id), ChangeForm()
    named = sources.resolve(template, form.source.data or DRAFT)
    is_drafted = named.spec == DRAFT or not drafts.mine(template).differs
    try:
        label = _label(template, form)
        _need_same(named, form)
        seen = sources.number_in(form.seen.data or "")
        made = versions.publish(template, named.content, form.message.data or "", seen, current_user.id)
        _point(template, label, made.number)
    except Refused as refused:
        return _refused(id, form, refused)
    if is_drafted:  # what else one is writing stays
        drafts.settle(template, named.content.settled)
    db.session.commit()
    toast(f"Version {made.number} is published{f', and “{label}” stands for it' if label else ''}.", "good")
    return redirect(url_for("prompts.version", id=id, number=made.number))


@bp.post("/prompts/<uuid:id>/proposals")
@done_once()
def propose(id: uuid.UUID) -> Response:
    """A draft or an old version, to be published; with `moves`, a version, to let the label stand for it."""
    template, form = page.editable(id), ChangeForm()
    named = sources.resolve(template, form.source.data or DRAFT)
    try:
        label, message = _label(template, form), form.message.data or ""
        _need_same(named, form)
        if label and named.source.number and "moves" in request.form:
            chosen = versions.numbered(template, named.source.number)
            made = proposals.propose_move(template, label, chosen, message)
        else:
            made = proposals.propose_draft(template, named.content, message, label)
    except Refused as refused:
        return _refused(id, form, refused)
    others = proposals.reviewers(template, made)
    told = "Whoever may decide it has been told." if others else "Nobody else could decide it, so you may."
    toast(f"It is proposed. {told}", "good")
    return redirect(url_for("prompts.proposal", id=id, number=made.number))


def _label(template: Template, form: ChangeForm) -> str:
    if not form.validate():
        raise Refused(" ".join(word for words in form.errors.values() for word in words))
    return labels.checked(form.label.data) if form.label.data else ""


def _need_same(named: Named, form: ChangeForm) -> None:
    if form.digest.data and form.digest.data != named.content.digest:
        raise Overtaken("Your draft was changed meanwhile, in another window. Look at what differs now.")


def _point(template: Template, label: str, number: int) -> None:
    if not label:
        return
    if not labels.may_move(template, label):
        raise Refused(f"“{label}” is protected: owners and admins move it. Propose this instead.")
    labels.move(template, label, number, labels.of(template).get(label))


def _refused(id: uuid.UUID, form: ChangeForm, refused: Refused) -> FlaskResponse:
    db.session.rollback()
    template = page.editable(id)
    if "moves" in request.form:
        toast(str(refused), "danger")
        return redirect(url_for("prompts.history", id=id))  # type: ignore[return-value]
    named = sources.resolve(template, form.source.data or DRAFT)
    form.seen.data = str(template.newest)  # what the page shows now is what is agreed to next
    return _publication(template, named, form, 409 if isinstance(refused, Overtaken) else 422, str(refused))


def _publication(
    template: Template, named: Named, form: ChangeForm, status: int = 200, problem: str = ""
) -> FlaskResponse:
    newest = versions.newest(template)
    content = Content.of(newest.content) if newest else None
    context: dict[str, Any] = {
        "is_same": bool(newest and newest.digest == named.content.digest),
        "problems": named.content.problems,
        "differences": differences.between(content, named.content),
        "protected": [name for name, is_protected in labels.protected(template).items() if is_protected],
        "offered": sorted({*labels.USUAL, *labels.of(template)}),
        "may_move_protected": access.may(access.ADMINISTER, template),
    }
    return page.show(
        template, "publication.html", "edit", None, status, named=named, form=form, newest=newest, problem=problem,
        **context,
    )  # fmt: skip


def _first_words(template: Template, named: Named) -> str:
    if named.source.number:
        return f"Back to version {named.source.number}"
    return "" if template.newest else "First version"
