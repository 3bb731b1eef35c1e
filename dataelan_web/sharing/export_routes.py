from __future__ import annotations

import json
import re
import uuid
from typing import Any

from flask import Response as FlaskResponse
from flask import abort, request
from sqlalchemy.orm import joinedload
from werkzeug.wrappers import Response

from .. import access
from ..actions.cards import reply
from ..executions import branches
from ..models import Execution, PromptSession
from ..playground import sending
from ..playground.compare.hiding import refuse_blind
from ..storage import Unavailable
from ..web import render
from . import gateway_call, provider_call, session_document, session_markdown, snippets, timeline
from .blueprint import bp

TYPES = {
    "txt": "text/plain",
    "md": "text/markdown",
    "json": "application/json",
    "sh": "text/x-shellscript",
    "py": "text/x-python",
}
LARGEST_SHOWN = 30_000
"""Characters; longer code is only downloaded."""


@bp.get("/sessions/<uuid:id>/export/<any(md, json):form>")
def export_session(id: uuid.UUID, form: str) -> Response:
    """The branch that is shown: the newest, or `run`'s. With `branches=all` every branch, in order of time."""
    session = access.visible(PromptSession, id, joinedload(PromptSession.forked_from))
    run = request.args.get("run", type=uuid.UUID)
    end = (branches.end_of(session, run) if run else None) or branches.newest(session)
    which = () if request.args.get("branches") == "all" else timeline.on_branch(session, end)
    return _file(_written(session, timeline.cards(session, *which), form), session.title, form)


@bp.get("/executions/<uuid:id>/export/<any(txt, md, json, sh, py):form>")
def export_run(id: uuid.UUID, form: str) -> Response:
    """As `txt` the answer alone, as it was written: what is copied."""
    run = access.visible(Execution, id, *timeline.RUN)
    refuse_blind(run)
    if form == "txt":
        return _file(reply(run) or run.body.text, _name(run), form)
    if form in ("sh", "py"):
        call = _call(run) or abort(404)
        written = snippets.curl if form == "sh" else snippets.python
        return _file(written(call, _address(call)), _name(run), form)
    title = "A run of a batch" if run.batch_id else "A run through the gateway"
    session = run.session or PromptSession(
        id=run.id, title=title, model_type=run.model_type, tags=[], created_at=run.created_at
    )
    return _file(_written(session, [run], form), _name(run), form)


@bp.get("/executions/<uuid:id>/code")
def code(id: uuid.UUID) -> Response:
    """The run as cURL and as Python, to copy."""
    run = access.visible(Execution, id, *timeline.RUN)
    refuse_blind(run)
    call = _call(run)
    shown = {"sh": snippets.curl(call, _address(call)), "py": snippets.python(call, _address(call))} if call else {}
    return render("sharing/code.html", "dialog", execution=run, call=call, code=shown, largest=LARGEST_SHOWN)


def _call(run: Execution) -> gateway_call.Call | None:
    try:
        return gateway_call.repeats(run) or provider_call.repeats(run)
    except Unavailable as problem:
        abort(503, str(problem))


def _written(session: PromptSession, cards: Any, form: str) -> str:
    if form == "md":
        return session_markdown.markdown(session, cards)
    return json.dumps(session_document.document(session, cards), indent=1, ensure_ascii=False)


def _address(call: gateway_call.Call) -> str:
    return call.url or f"{request.host_url.rstrip('/')}{call.path}"


def _name(run: Execution) -> str:
    words = run.prompt.text if run.prompt else ""
    return " ".join(words.split())[:60] or f"run {run.id}"


def _file(text: str, title: str, form: str) -> Response:
    """To be saved, never shown: what is in it was written by people and models."""
    response = FlaskResponse(text.encode("utf-8", "replace"), content_type=f"{TYPES[form]}; charset=utf-8")
    stem = re.sub(r'[\\/:*?"<>|]+', "-", title)[:100].strip(" .-") or "session"
    sending.name_it(response, f"{stem}.{form}", "attachment")
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response
