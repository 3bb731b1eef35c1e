from __future__ import annotations

import uuid

from flask import Response as FlaskResponse
from flask import abort, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from .. import access
from ..executions import waiting
from ..extensions import db
from ..models import Project, PromptSession
from ..once import done_once
from ..storage import Unavailable
from ..web import redirect, toast, wants_fragment, with_toast
from . import asking, composer, conversation, organizing, page, starts
from .blueprint import bp
from .forms import SessionForm, TitleForm
from .quotes import kept


@bp.post("/projects/<uuid:project_id>/sessions")
@done_once()
def create(project_id: uuid.UUID) -> Response:
    """A new session; with `text`, its first prompt is asked at once."""
    project = access.editable(Project, project_id)
    form = SessionForm()
    if not form.validate_on_submit():
        toast(" ".join(word for words in form.errors.values() for word in words), "danger")
        return redirect(url_for("projects.show", id=project.id))
    session = asking.new_session(project, form, current_user.id)
    first = composer.first(session)
    if first.text.data and first.validate():
        run = asking.ask(session, first, current_user.id, is_first=True)
        kept.keep(run, kept.asked_first(project.id, current_user.id, form), request.form.get("quote", ""))
        return redirect(url_for("playground.show", id=run.session_id))
    db.session.commit()
    if first.text.data:
        return page.page(session, first, status=422)  # with every word of it, and why
    return redirect(url_for("playground.show", id=session.id))


@bp.get("/sessions/<uuid:id>")
def show(id: uuid.UUID) -> Response:
    """`before`, `after`: further cards of the `branch` that ends with this run, for htmx. `run`: the card to open it
    at."""
    session = access.visible(PromptSession, id)
    before, after, branch, run = (
        request.args.get(name, type=uuid.UUID) for name in ("before", "after", "branch", "run")
    )
    if wants_fragment() and branch and (before or after):
        further = conversation.before if before else conversation.after
        return page.more(session, further(session, before or after or session.id, branch))
    form = composer.filled(session)
    starter = request.args.get("starter", type=int)
    if starter is not None:
        form.text.data = starts.starter(session, starter)
    return page.page(session, form, at=run or before or after)


@bp.post("/sessions/<uuid:id>/title")
def rename(id: uuid.UUID) -> Response:
    session = access.editable(PromptSession, id)
    form = TitleForm()
    if not form.validate_on_submit():
        return with_toast(FlaskResponse("", 422), "A session needs a title.", "danger")
    organizing.rename(session, str(form.title.data))
    if request.htmx:  # type: ignore[attr-defined]
        return FlaskResponse("", 204)
    return redirect(url_for("playground.show", id=session.id))


@bp.post("/sessions/<uuid:id>/executions")
def create_execution(id: uuid.UUID) -> Response:
    session = access.editable(PromptSession, id)
    form = composer.submitted(session)
    if not form.validate_on_submit():
        return page.page(session, form, fragment="form", status=422)
    try:
        execution = asking.ask(session, form, current_user.id)
        asked = kept.asked_in_session(session, current_user.id, form, len(form.uploads))
        kept.keep(execution, asked, request.form.get("quote", ""))
    except waiting.Full as full:
        form.text.errors = [str(full)]
        return page.page(session, form, fragment="form", status=422)
    except Unavailable as problem:
        abort(503, str(problem))
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect(url_for("playground.show", id=session.id))
    return page.started(execution)
