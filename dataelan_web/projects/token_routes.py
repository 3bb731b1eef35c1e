"""The gateway tokens of one project: its people's own, and those that service accounts have here."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response as FlaskResponse
from flask import abort, request
from flask_login import current_user
from werkzeug.wrappers import Response

from .. import access, audit
from ..accounts.lately import proven_lately
from ..extensions import db
from ..models import GatewayToken, Project
from ..once import done_once
from ..web import render, with_toast
from . import tokens as verbs
from .blueprint import bp
from .forms import GatewayForm, TokenForm


@bp.get("/projects/<uuid:id>/tokens")
def tokens(id: uuid.UUID) -> Response:
    return _tokens(access.visible(Project, id))


@bp.post("/projects/<uuid:id>/tokens")
@proven_lately
@done_once(tells_secret=True)
def create_token(id: uuid.UUID) -> Response:
    project = access.editable(Project, id)
    form = TokenForm()
    if not form.validate_on_submit() or not form.knows(project):
        return _tokens(project, form=form, status=422)
    token, secret = verbs.issue(project, str(form.label.data), verbs.Scoped(form.names, form.days))
    db.session.commit()
    return _tokens(project, secret=secret, first=verbs.first_call(token), status=201)


@bp.get("/projects/<uuid:id>/tokens/<uuid:token_id>/first-call")
def first_call(id: uuid.UUID, token_id: uuid.UUID) -> Response:
    project, token = access.visible(Project, id), access.visible(GatewayToken, token_id)
    if token.project_id != project.id:
        abort(404)
    return render("projects/_first_call.html", first=verbs.first_call(token))


@bp.post("/projects/<uuid:id>/tokens/<uuid:token_id>/rotation")
@proven_lately
@done_once(tells_secret=True)
def rotate_token(id: uuid.UUID, token_id: uuid.UUID) -> Response:
    project, token = _both(id, token_id)
    if token.created_by != current_user.id and not access.may(access.ADMINISTER):
        abort(403)  # whoever rotates one holds it afterwards, and it carries its maker's right
    secret = verbs.rotate(token, request.form.get("grace", "24"))
    db.session.commit()
    return _tokens(project, secret=secret, rotated=token)


@bp.post("/projects/<uuid:id>/tokens/<uuid:token_id>/revocation")
def revoke_token(id: uuid.UUID, token_id: uuid.UUID) -> Response:
    project, token = _both(id, token_id)
    verbs.revoke(token)
    db.session.commit()
    return with_toast(_tokens(project), f"“{token.label}” is refused from now on.", "good")


@bp.post("/projects/<uuid:id>/gateway")
def change_gateway(id: uuid.UUID) -> Response:
    """How long answers are stored, and what becomes of a call whose program goes away."""
    project = access.editable(Project, id)
    form = GatewayForm()
    if not form.validate_on_submit():
        return _tokens(project, gateway_form=form, status=422)
    before: dict[str, Any] = {"cache_seconds": project.cache_seconds, "reads_on": project.reads_on}
    project.cache_seconds, project.reads_on = int(form.cache_seconds.data), form.reads_on.data == "yes"
    after: dict[str, Any] = {"cache_seconds": project.cache_seconds, "reads_on": project.reads_on}
    audit.record("project.gateway_changed", project, before=before, **after)
    db.session.commit()
    return with_toast(_tokens(project), "It holds from the next call on.", "good")


def _both(id: uuid.UUID, token_id: uuid.UUID) -> tuple[Project, GatewayToken]:
    """A service account's token is for owners and admins to change."""
    project, token = access.editable(Project, id), access.editable(GatewayToken, token_id)
    if token.project_id != project.id:
        abort(404)
    if token.service_account_id is not None:
        access.require(access.ADMINISTER)
    return project, token


def _tokens(
    project: Project,
    form: TokenForm | None = None,
    gateway_form: GatewayForm | None = None,
    status: int = 200,
    **context: Any,
) -> FlaskResponse:
    now_set = {"cache_seconds": str(project.cache_seconds), "reads_on": "yes" if project.reads_on else "no"}
    return render(
        "projects/tokens.html",
        "tokens",
        status=status,
        project=project,
        tokens=verbs.lines(GatewayToken.project_id == project.id),
        form=form or TokenForm(formdata=None),
        gateway_form=gateway_form or GatewayForm(formdata=None, data=now_set),
        graces=verbs.GRACES,
        can_edit=access.may(access.EDIT, project),
        base_url=f"{request.host_url}v1",
        example_model="auto",
        **context,
    )
