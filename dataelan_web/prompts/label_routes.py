"""Labels: moved with the difference in view, taken away, protected, and what each has stood for."""

from __future__ import annotations

import uuid

from flask import Response as FlaskResponse
from flask import abort, request, url_for
from werkzeug.wrappers import Response

from .. import access
from ..extensions import db
from ..models import Template
from ..once import done_once
from ..web import redirect, toast
from . import differences, labels, page, sources, versions
from .blueprint import bp
from .content import Content
from .refusals import Overtaken, Refused


@bp.get("/prompts/<uuid:id>/labels")
def point(id: uuid.UUID) -> Response:
    """What would change for programs, before `name` stands for the version `to` (the newest, where none is said)."""
    template = page.editable(id)
    to = request.args.get("to") or str(template.newest)
    return _move_page(template, request.args.get("name", labels.PRODUCTION), sources.number_in(to))


@bp.post("/prompts/<uuid:id>/labels")
@done_once()
def move_label(id: uuid.UUID) -> Response:
    """`seen`: what it stood for on the page; empty: it was not there."""
    template, name = page.editable(id), request.form.get("name", "")
    to, seen = sources.number_in(request.form.get("to", "")), sources.number_in(request.form.get("seen", ""))
    try:
        name = labels.checked(name)
        number = versions.numbered(template, to).number
        labels.move(template, name, number, seen if seen >= 0 else None)
    except Refused as refused:
        db.session.rollback()
        status = 409 if isinstance(refused, Overtaken) else 422
        return _move_page(page.editable(id), name, to, status, str(refused))
    db.session.commit()
    toast(f"“{name}” stands for version {number} now.", "good")
    return redirect(url_for("prompts.history", id=id))


@bp.get("/prompts/<uuid:id>/labels/<name>")
def label(id: uuid.UUID, name: str) -> Response:
    template = page.visible(id)
    moves = labels.history(template, name)
    if not moves:
        abort(404)
    is_protected = labels.protected(template).get(name, False)
    return page.show(template, "label.html", "versions", name=name, moves=moves, is_protected=is_protected)


@bp.post("/prompts/<uuid:id>/labels/<name>/removal")
def remove_label(id: uuid.UUID, name: str) -> Response:
    template = page.editable(id)
    labels.remove(template, name)
    back_url = url_for("prompts.put_back_label", id=id, name=name)
    toast(f"“{name}” is gone: programs that ask for it are refused.", undo=back_url)
    return redirect(url_for("prompts.history", id=id))


@bp.post("/prompts/<uuid:id>/labels/<name>/return")
def put_back_label(id: uuid.UUID, name: str) -> Response:
    """It stands again for what it stood for when it was taken away."""
    template = page.editable(id)
    try:
        number = labels.put_back(template, name)
    except Refused as refused:
        db.session.rollback()
        abort(409, str(refused))
    toast(f"“{name}” stands for version {number} again.", "good")
    return redirect(url_for("prompts.history", id=id))


@bp.post("/prompts/<uuid:id>/labels/<name>/protection")
def protect_label(id: uuid.UUID, name: str) -> Response:
    """`is_protected`: yes or no; for all prompts of the project."""
    template = page.editable(id)
    access.require(access.ADMINISTER, template)
    try:
        name = labels.checked(name)
    except Refused:
        abort(404)
    is_protected = request.form.get("is_protected") == "yes"
    labels.protect(template, name, is_protected)
    word = "owners and admins only move it" if is_protected else "everybody who may write prompts moves it"
    toast(f"“{name}”: {word}, in this project.", "good")
    return redirect(url_for("prompts.history", id=id))


def _move_page(template: Template, name: str, to: int, status: int = 200, problem: str = "") -> FlaskResponse:
    after = versions.numbered(template, to)
    try:
        name = labels.checked(name)
    except Refused as refused:
        status, problem = 422, problem or str(refused)
    standing = labels.of(template).get(name)
    before = versions.numbered(template, standing) if standing else None
    first, second = Content.of(before.content) if before else Content(messages=()), Content.of(after.content)
    return page.show(
        template,
        "move.html",
        "versions",
        None,
        status,
        name=name,
        before=before,
        after=after,
        differences=differences.between(first, second),
        is_protected=labels.protected(template).get(name, False),
        may_move=labels.may_move(template, name),
        problem=problem,
    )
