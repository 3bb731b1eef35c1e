"""What one does with a draft: it is kept as one types, run, compared, dropped, and taken along into a session."""

from __future__ import annotations

import uuid
from typing import Any

from flask import request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from ..extensions import db
from ..once import done_once
from ..web import redirect, toast
from . import drafts, editor_form, editor_page, opening, page, quoting, running, sources, versions
from .blueprint import bp
from .refusals import Refused
from .running import Source

PUBLISH = "publish"


@bp.post("/prompts/<uuid:id>/draft")
def keep_draft(id: uuid.UUID) -> Response:
    """`change`: what a button does to the form; without one it was only typed in, and is kept."""
    template, written = page.editable(id), editor_form.read(request.form)
    change = request.form.get("change", "")
    written = editor_form.changed(written, change)
    try:
        draft = drafts.keep(template, written.content, written.values, written.said)
    except Refused as refused:
        return editor_page.not_kept(template, written, str(refused))
    db.session.commit()
    if change == PUBLISH:
        return redirect(url_for("prompts.publication", id=id))
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect(editor_page.address(template))
    opened = change.removeprefix("kind:")
    return editor_page.show(template, draft, "editor" if change else "kept", shown=written.shown, opened=opened)


@bp.post("/prompts/<uuid:id>/draft/removal")
def drop_draft(id: uuid.UUID) -> Response:
    template = page.editable(id)
    drafts.drop(template)
    db.session.commit()
    toast("Your draft is dropped; this is what is published.", undo=url_for("prompts.take_back_draft", id=id))
    return redirect(editor_page.address(template))


@bp.post("/prompts/<uuid:id>/draft/restoration")
def take_back_draft(id: uuid.UUID) -> Response:
    template = page.editable(id)
    is_back = drafts.take_back(template)
    db.session.commit()
    toast(
        "Your draft is back." if is_back else "There is none to take back: you began another.",
        "good" if is_back else "warn",
    )
    return redirect(editor_page.address(template))


@bp.post("/prompts/<uuid:id>/runs")
def run(id: uuid.UUID) -> Response:
    """The draft, kept and asked; with `compare`, the version `against` is asked the same."""
    template, written = page.editable(id), editor_form.read(request.form)
    asked = [Source(written.content)]
    if "compare" in request.form:
        number = sources.number_in(request.form.get("against", ""))
        asked.insert(0, Source.of(versions.numbered(template, number)))
    told: dict[str, Any] = {"together": uuid.uuid4(), "submission": request.form.get("submission", "")}
    told |= {"actions": request.form.getlist("actions")}
    try:
        draft = drafts.keep(template, written.content, written.values, written.said)
        executions = running.ask_all(template, asked, written.values, written.said, **told)
    except Refused as refused:
        return editor_page.not_run(template, written, refused)
    quoting.keep(executions[-1], current_user.id, request.form.get("quote", ""))
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect(editor_page.address(template))
    return editor_page.started(template, draft, executions, written.shown)


@bp.post("/prompts/<uuid:id>/sessions")
@done_once()
def open_session(id: uuid.UUID) -> Response:
    """A session that goes on from the draft, with its values."""
    template, written = page.editable(id), editor_form.read(request.form)
    try:
        session = opening.session_of(template, written.content, written.values, current_user.id)
    except Refused as refused:
        return editor_page.not_run(template, written, refused)
    return redirect(url_for("playground.show", id=session.id))
