"""The calls of declared actions: what waits for approval, each call's card and page, and what people decide."""

from __future__ import annotations

import uuid

from flask import Response as FlaskResponse
from flask import abort, g, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from .. import access
from ..acting import deciding
from ..acting.telling import project_of
from ..extensions import db
from ..models import ActionCall, Approval, Project
from ..web import redirect, render, toast, wants_fragment, with_toast
from . import cards, lists
from .blueprint import bp

SOMEBODY_WAS_QUICKER = "Somebody was quicker: this is how it stands."


@bp.get("/projects/<uuid:project_id>/approvals")
def approvals(project_id: uuid.UUID) -> Response:
    g.project = project = access.visible(Project, project_id)
    return render("actions/approvals.html", project=project, calls=lists.waiting(project))


@bp.get("/projects/<uuid:project_id>/calls")
def calls(project_id: uuid.UUID) -> Response:
    """`before`: calls before this one."""
    g.project = project = access.visible(Project, project_id)
    found, older = lists.calls(project, before=request.args.get("before", type=uuid.UUID))
    older_url = url_for("actions.calls", project_id=project.id, before=older) if older else None
    return render("actions/calls.html", project=project, calls=found, older_url=older_url)


@bp.get("/calls/<uuid:id>")
def call(id: uuid.UUID) -> Response:
    """`seen`: the stamp of what asks; nothing is answered while it is the same. `part`: the card, or the log."""
    found = access.visible(ActionCall, id, *cards.CALL)
    if wants_fragment() and request.args.get("seen") == cards.stamp(found):
        return FlaskResponse("", 204)
    return _card(found, "log" if request.args.get("part") == "log" else "card")


@bp.post("/calls/<uuid:id>/approval")
def approve(id: uuid.UUID) -> Response:
    found = _decidable(id)
    if deciding.approve(found, current_user):
        return _decided(found, f"“{found.name}” is approved.", "good")
    return _decided(found, SOMEBODY_WAS_QUICKER)


@bp.post("/calls/<uuid:id>/refusal")
def decline(id: uuid.UUID) -> Response:
    found = _decidable(id)
    if deciding.decline(found, current_user, request.form.get("reason", "")):
        return _decided(found, f"“{found.name}” is declined: nothing is done.")
    return _decided(found, SOMEBODY_WAS_QUICKER)


@bp.post("/calls/<uuid:id>/retry")
def retry(id: uuid.UUID) -> Response:
    found = access.editable(ActionCall, id, *cards.CALL)
    if deciding.deliver_again(found):
        return _decided(found, f"“{found.name}” is delivered once more.", "good")
    return _decided(found, SOMEBODY_WAS_QUICKER)


def may_decide(call: ActionCall) -> bool:
    """Who may approve was said by the version that was offered; what changed since is for those who declare."""
    by_editors = call.version is not None and call.version.approval is Approval.EDITORS
    return access.may(access.EDIT if by_editors else access.ADMINISTER, call)


bp.add_app_template_test(may_decide, "decidable")


def _decidable(id: uuid.UUID) -> ActionCall:
    found = access.visible(ActionCall, id, *cards.CALL)
    return found if may_decide(found) else abort(403)


def _decided(call: ActionCall, words: str, tone: str = "neutral") -> Response:
    db.session.expire(call)
    if wants_fragment():
        return with_toast(_card(access.visible(ActionCall, call.id, *cards.CALL)), words, tone)
    toast(words, tone)
    return redirect(url_for("actions.call", id=call.id))


def _card(call: ActionCall, part: str = "card") -> FlaskResponse:
    g.project = project = project_of(call)
    can_be_sent = call.version is not None and call.version.url and call.arguments is not None
    return render(
        "actions/call.html",
        part,
        call=call,
        project=project,
        payload=cards.pretty(call) if can_be_sent else None,
        crumbs=[
            (project.name, url_for("projects.show", id=project.id)),
            ("Actions", url_for("actions.index", project_id=project.id)),
        ],
    )
