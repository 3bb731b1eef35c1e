from __future__ import annotations

import io
import uuid
from typing import Any

from flask import Response as FlaskResponse
from flask import abort, jsonify, request, send_file, url_for
from flask_login import current_user
from sqlalchemy.orm import selectinload
from werkzeug.wrappers import Response

from .. import access, audit
from ..executions import branches, waiting
from ..executions.conversation import continues
from ..executions.keeper import cancel as request_cancel
from ..extensions import db
from ..limits import refusals
from ..limits.trail import trail
from ..models import Execution, ModelType, Project, PromptSession, State
from ..models.actions import tick as tick_item
from ..sharing import comments
from ..storage import Unavailable
from ..web import partial, redirect, render, wants_fragment, with_toast
from . import asking, conversation, files, page
from .blueprint import bp
from .compare.hiding import refuse_blind
from .forms import LONGEST, RewordForm
from .quotes import kept, shown
from .quotes.where import in_session
from .still_seen import while_seen
from .stream import as_they_come
from .stream import events as event_stream


@bp.get("/executions/<uuid:id>")
def execution(id: uuid.UUID) -> Response:
    found = access.visible(Execution, id, *conversation.CARD)
    if found.blind_in:
        return redirect(url_for("playground.comparison", id=found.blind_in))
    branches.tell([found])
    refusals.tell([found])
    return render(
        "playground/run.html",
        "execution",
        execution=found,
        session=found.session,
        held=kept.of(found),
        trail=trail(found),
        comments=comments.of(found),
        me=current_user.id,
        can_comment=access.may(access.EDIT, found),
        can_remove=access.may(access.ADMINISTER),
        can_edit=access.may(access.EDIT, found) and (found.session_id is not None or found.template_run is not None),
    )


@bp.get("/sessions/<uuid:id>/states")
def states(id: uuid.UUID) -> Response:
    """How the session's latest runs stand, for a page that nobody looks at: {id: state}."""
    session = access.visible(PromptSession, id)
    return jsonify({str(id): state.value for id, state in conversation.states(session)})


@bp.get("/executions/<uuid:id>/events")
def events(id: uuid.UUID) -> Response:
    found = access.visible(Execution, id)
    refuse_blind(found)
    can_edit, is_markdown = access.may(access.EDIT, found), found.model_type is not ModelType.VOICE
    db.session.commit()  # hold no connection while streaming
    return as_they_come(while_seen(event_stream(id, can_edit, is_markdown=is_markdown), Execution, id))


@bp.get("/executions/<uuid:id>/actions/<int:position>/file")
def action_file(id: uuid.UUID, position: int) -> Response:
    """What was found in an answer, to save: never shown by a browser, whatever it holds."""
    found = access.visible(Execution, id, selectinload(Execution.actions))
    action = next((action for action in found.actions if action.position == position), None)
    file = files.file_of(action) if action else None
    if file is None:
        abort(404)
    return _attachment(file.content, file.media_type, file.name)


@bp.get("/executions/<uuid:id>/files.zip")
def answer_files(id: uuid.UUID) -> Response:
    """Everything in an answer that is a file."""
    found = access.visible(Execution, id, selectinload(Execution.actions))
    if not any(files.file_of(action) for action in found.actions):
        abort(404)
    return _attachment(files.archive(found.actions), "application/zip", f"answer-{found.created_at:%Y%m%d-%H%M%S}.zip")


def _attachment(content: bytes, media_type: str, name: str) -> Response:
    response = send_file(io.BytesIO(content), media_type, as_attachment=True, download_name=name)
    response.headers["Content-Security-Policy"] = "sandbox"
    return response


@bp.post("/executions/<uuid:id>/actions/<int:position>/items/<int:item>")
def tick(id: uuid.UUID, position: int, item: int) -> Response:
    """An item of a checklist is done, or not after all: the form says which (`done`: yes or nothing)."""
    found = access.editable(Execution, id, *conversation.CARD)
    if not tick_item(db.session, found.id, position, item, done=request.form.get("done") == "yes"):
        abort(404)
    audit.record("checklist.ticked", found, position=position, item=item)
    db.session.commit()
    db.session.refresh(found, ["actions"])
    return render("playground/run.html", "actions", execution=found, session=found.session, can_edit=True)


@bp.post("/executions/<uuid:id>/cancellation")
def cancel(id: uuid.UUID) -> Response:
    found = access.editable(Execution, id)
    refuse_blind(found)
    state = request_cancel(found.id)
    if state is None:
        return with_toast(FlaskResponse("", 200), "It had already ended.")
    audit.record("execution.cancelled", found)
    db.session.commit()
    if state is State.CANCELLED and wants_fragment():  # it had not begun, and may have no stream that would tell
        card = page.card(found).get_data(as_text=True)
        return FlaskResponse(partial(f"#run-{found.id}", card, "outerHTML"))
    return FlaskResponse("", 200)


@bp.post("/executions/<uuid:id>/retry")
def retry(id: uuid.UUID) -> Response:
    earlier = access.editable(Execution, id, *conversation.CARD)
    refuse_blind(earlier)
    session = access.editable(PromptSession, earlier.session_id) if earlier.session_id else None
    project = session.project if session else access.editable(Project, earlier.project_id)
    again = asking.again(earlier, project, session, current_user.id, request.form.get("submission", ""))
    if elsewhere := _elsewhere(earlier, again):
        return elsewhere
    if session and continues(session):
        return page.branched(again, session)
    return page.started(again, once=f"retry-{earlier.id}")


@bp.get("/executions/<uuid:id>/rewording")
def rewording(id: uuid.UUID) -> Response:
    """The prompt of a conversation as a form, to say it otherwise."""
    found, _ = _spoken(id)
    return render("playground/rewording.html", "form", execution=found, form=RewordForm(text=found.prompt.text))


@bp.post("/executions/<uuid:id>/rewording")
def reword(id: uuid.UUID) -> Response:
    """The prompt in other words: a branch beside it."""
    found, session = _spoken(id)
    form = RewordForm()
    if not form.validate_on_submit():
        return render("playground/rewording.html", "form", status=422, execution=found, form=form)
    try:
        run = asking.reworded(found, session, str(form.text.data), current_user.id, str(form.submission.data or ""))
    except Unavailable as problem:
        abort(503, str(problem))
    return _elsewhere(found, run) or page.branched(run, session)


@bp.post("/executions/<uuid:id>/rewording/quote")
def quote_rewording(id: uuid.UUID) -> Response:
    """What the branch would cost, take and meet. Writes nothing."""
    found, session = _spoken(id)
    form = RewordForm()
    if not form.validate():
        return shown.nothing()
    prompt, _ = waiting.in_place_of(found, asking.otherwise(found, str(form.text.data), found.prompt.assets))
    return shown.line(in_session(session), prompt, found.requested, current_user.id)


def _spoken(id: uuid.UUID) -> tuple[Any, PromptSession]:
    """A run whose prompt a person wrote in a conversation; 404 for any other."""
    found = access.editable(Execution, id, *conversation.CARD)
    refuse_blind(found)
    session = access.editable(PromptSession, found.session_id) if found.session_id else None
    waits = found.is_open and found.waits_for_id
    is_spoken = found.prompt and not waits and found.body.request["messages"][-1]["role"] == "user"
    if not session or not continues(session) or not is_spoken:
        abort(404)
    return found, session


def _elsewhere(earlier: Execution, run: Execution) -> Response | None:
    """Where one goes on who cannot be shown the new run in the earlier one's place; nothing for who can."""
    if page.is_its_own(earlier):  # of which all else is about that run: its address, its quote, its comments
        return redirect(url_for("playground.execution", id=run.id))
    return None if request.htmx else redirect(_place_of(run))  # type: ignore[attr-defined]


def _place_of(execution: Execution) -> str:
    """Where one goes on from it."""
    if execution.session_id:
        return url_for("playground.show", id=execution.session_id)
    made = execution.template_run
    return url_for("prompts.show", id=made.template_id) if made else url_for("organizations.home")


@bp.post("/executions/<uuid:id>/tool-results")
def answer_tools(id: uuid.UUID) -> Response:
    """What the tools that an answer called have to say: one `result` a call."""
    earlier = access.editable(Execution, id, *conversation.CARD)
    refuse_blind(earlier)
    results = [text.replace("\r\n", "\n").strip() for text in request.form.getlist("result")]
    if earlier.session is None or earlier.state is not State.COMPLETED or not earlier.body.tool_calls:
        abort(422, "This answer waits for no tool.")
    if len(results) != len(earlier.body.tool_calls) or not all(results):
        abort(422, "Write what each tool answered; for nothing, write “nothing”.")
    if sum(len(text.encode()) for text in results) > LONGEST:
        abort(422, "What the tools answered is larger than 2 MB. Shorten it.")
    again = asking.answer_tools(earlier, earlier.session, results, current_user.id)
    return _elsewhere(earlier, again) or page.branched(again, earlier.session)
