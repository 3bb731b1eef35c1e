from __future__ import annotations

import io
import uuid
from dataclasses import replace

from flask import Response as FlaskResponse
from flask import abort, g, request, send_file, stream_with_context, url_for
from flask_login import current_user
from sqlalchemy.orm import selectinload
from werkzeug.wrappers import Response

from .. import access, audit
from ..executions.keeper import cancel as request_cancel
from ..executions.prompts import from_json
from ..executions.submit import Request, submit
from ..extensions import db
from ..models import Execution, ModelType, Origin, Project, Prompt, PromptSession, new_id
from ..organizations.blueprint import inside_organization
from ..projects import totals
from ..web import redirect, render, toast, with_toast
from . import conversation, files
from .connect import is_newcomer, newcomer
from .forms import PromptForm, SessionForm, TitleForm, remembered
from .options import model_options
from .stream import events as event_stream

bp = inside_organization("playground", __name__)


@bp.post("/projects/<uuid:project_id>/sessions")
def create(project_id: uuid.UUID) -> Response:
    """A new session; with `text`, its first prompt is asked at once."""
    project = access.editable(Project, project_id)
    form = SessionForm()
    if not form.validate_on_submit():
        toast(" ".join(word for words in form.errors.values() for word in words), "danger")
        return redirect(url_for("projects.show", id=project.id))
    session = _new_session(project, form)
    first = PromptForm()
    if first.text.data and not first.validate():
        return _page(session, first, status=422)  # with every word of it, and why
    if first.text.data:
        _ask(session, first)
    return redirect(url_for("playground.show", id=session.id))


@bp.get("/sessions/<uuid:id>")
def show(id: uuid.UUID) -> Response:
    session = access.visible(PromptSession, id)
    before = request.args.get("before", type=uuid.UUID)
    executions, older = conversation.runs(session, before)
    if before and request.htmx:  # type: ignore[attr-defined]
        return render("playground/older.html", session=session, executions=executions, older_url=_older(session, older))
    form = PromptForm(formdata=None, data=remembered(session))
    return _page(session, form, executions=executions, older_url=_older(session, older))


@bp.post("/sessions/<uuid:id>/title")
def rename(id: uuid.UUID) -> Response:
    session = access.editable(PromptSession, id)
    form = TitleForm()
    if not form.validate_on_submit():
        return with_toast(FlaskResponse("", 422), "A session needs a title.", "danger")
    session.title = str(form.title.data)
    db.session.commit()
    if request.htmx:  # type: ignore[attr-defined]
        return FlaskResponse("", 204)
    return redirect(url_for("playground.show", id=session.id))


@bp.post("/sessions/<uuid:id>/executions")
def create_execution(id: uuid.UUID) -> Response:
    session = access.editable(PromptSession, id)
    form = PromptForm()
    if not form.validate_on_submit():
        return _page(session, form, fragment="form", status=422)
    execution = _ask(session, form)
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect(url_for("playground.show", id=session.id))
    return _started(execution)


@bp.get("/executions/<uuid:id>")
def execution(id: uuid.UUID) -> Response:
    found = access.visible(Execution, id, *conversation.CARD)
    return render(
        "playground/run.html",
        "execution",
        execution=found,
        session=found.session,
        can_edit=access.may(access.EDIT, found) and found.session_id is not None,
    )


@bp.get("/executions/<uuid:id>/events")
def events(id: uuid.UUID) -> Response:
    found = access.visible(Execution, id)
    can_edit = access.may(access.EDIT, found)
    db.session.commit()  # hold no connection while streaming
    body = stream_with_context(event_stream(found.id, can_edit))
    return FlaskResponse(body, mimetype="text/event-stream", headers={"X-Accel-Buffering": "no"})


@bp.get("/executions/<uuid:id>/actions/<int:position>/file")
def action_file(id: uuid.UUID, position: int) -> Response:
    """What was found in an answer, to save: never shown by a browser, whatever it holds."""
    found = access.visible(Execution, id, selectinload(Execution.actions))
    action = next((action for action in found.actions if action.position == position), None)
    file = files.file_of(action) if action else None
    if file is None:
        abort(404)
    response = send_file(io.BytesIO(file.content), file.media_type, as_attachment=True, download_name=file.name)
    response.headers["Content-Security-Policy"] = "sandbox"
    return response


@bp.post("/executions/<uuid:id>/cancellation")
def cancel(id: uuid.UUID) -> Response:
    found = access.editable(Execution, id)
    state = request_cancel(found.id)
    audit.record("execution.cancelled", found)
    db.session.commit()
    response = FlaskResponse("", 200)
    return response if state else with_toast(response, "It had already ended.")


@bp.post("/executions/<uuid:id>/retry")
def retry(id: uuid.UUID) -> Response:
    """The same prompt once more, as it was asked, with the conversation that came before it."""
    earlier = access.editable(Execution, id, *conversation.CARD)
    session = access.editable(PromptSession, earlier.session_id) if earlier.session_id else None
    again = submit(
        Request(
            project=session.project if session else access.editable(Project, earlier.project_id),
            prompt=replace(from_json(earlier.body.request), stream=True),
            origin=Origin.PLAYGROUND,
            requested=earlier.requested,
            user_id=current_user.id,
            session=session,
            asked=earlier.prompt,
            model_type=earlier.model_type,
        )
    )
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect(url_for("playground.show", id=session.id) if session else url_for("organizations.home"))
    return _started(again)


def _new_session(project: Project, form: SessionForm) -> PromptSession:
    session = PromptSession(id=new_id(), project=project, created_by=current_user.id)
    session.title = form.title.data or _title(form.text.data or "")
    session.model_type = ModelType(form.model_type.data or "TEXT")
    session.settings = {"model": form.model.data or "auto"}
    db.session.add(session)
    db.session.commit()
    return session


def _ask(session: PromptSession, form: PromptForm) -> Execution:
    text = str(form.text.data)
    session.remember(**form.settings)
    if session.title in ("First session", "New session"):
        session.title = _title(text)
    submission = form.submission.data or ""
    return submit(
        Request(
            project=session.project,
            prompt=form.prompt(conversation.so_far(session)),
            origin=Origin.PLAYGROUND,
            requested=form.settings["model"],
            user_id=current_user.id,
            session=session,
            asked=Prompt(session_id=session.id, author_id=current_user.id, text=text),
            model_type=session.model_type,
            idempotency_key=f"form:{current_user.id}:{submission}"[:200] if submission else None,
        )
    )


def _started(execution: Execution) -> Response:
    """A new run's card for the end of the list, and a composer ready for the next prompt."""
    card = db.session.scalars(
        db.select(Execution).where(Execution.id == execution.id).options(*conversation.CARD)
    ).one()
    return render(
        "playground/session.html",
        "started",
        status=201,
        execution=card,
        session=card.session,
        totals=totals.of_session(card.session) if card.session else totals.Totals(),
        form=PromptForm(formdata=None, data={"submission": uuid.uuid4().hex}),
        can_edit=True,
    )


def _page(
    session: PromptSession,
    form: PromptForm,
    fragment: str | None = None,
    status: int = 200,
    executions: list[Execution] | None = None,
    older_url: str | None = None,
) -> Response:
    if executions is None:
        executions, older = conversation.runs(session)
        older_url = _older(session, older)
    form.submission.data = uuid.uuid4().hex
    g.project = session.project
    return render(
        "playground/session.html",
        fragment,
        status=status,
        session=session,
        totals=totals.of_session(session),
        executions=executions,
        older_url=older_url,
        model_options=model_options(session.project),
        chosen=form.model.data or "auto",
        form=form,
        can_edit=access.may(access.EDIT, session),
        newcomer=newcomer() if is_newcomer(session) else None,
    )


def _older(session: PromptSession, before: uuid.UUID | None) -> str | None:
    return url_for("playground.show", id=session.id, before=before) if before else None


def _title(text: str) -> str:
    """The first words of a prompt."""
    line = " ".join(text.split())
    return (line[:60].rsplit(" ", 1)[0] + "…" if len(line) > 60 else line) or "New session"
