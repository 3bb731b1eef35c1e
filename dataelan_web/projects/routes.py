from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from flask import Response as FlaskResponse
from flask import abort, g, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from .. import access, audit
from ..accounts.sign_up import create_project
from ..extensions import db
from ..limits import glance
from ..models import GatewayToken, Project, User, now
from ..organizations.blueprint import inside_organization
from ..trash.discarding import discard
from ..trash.kinds import undo_url
from ..web import redirect, render, toast, wants_fragment, with_toast
from . import session_list, totals
from .forms import ChangeForm, GatewayForm, ProjectForm, TokenForm

bp = inside_organization("projects", __name__)


@bp.post("/projects")
def create() -> Response:
    access.require(access.EDIT)
    form = ProjectForm()
    if not form.validate_on_submit():
        toast(" ".join(word for words in form.errors.values() for word in words), "danger")
        return redirect(url_for("organizations.home"))
    project = create_project(g.organization, current_user, str(form.name.data), form.description.data or "")
    audit.record("project.created", project)
    db.session.commit()
    return redirect(url_for("projects.show", id=project.id))


@bp.get("/projects/<uuid:id>")
def show(id: uuid.UUID) -> Response:
    project = access.visible(Project, id)
    filters = session_list.Filters.of(request.args)
    found, further = session_list.search(project, filters)
    return render(
        "projects/project.html",
        "sessions",
        project=project,
        stats=None if wants_fragment() else totals.of_project(project),
        glance=glance.in_project(project),
        sessions=found,
        filters=filters,
        tags=session_list.tags_of(project),
        shows=session_list.SHOWS,
        sorts=session_list.SORTS,
        can_edit=access.may(access.EDIT, project),
        older_url=url_for("projects.show", id=id, **filters.said, after=further) if further else None,
    )


@bp.post("/projects/<uuid:id>/deletion")
def delete(id: uuid.UUID) -> Response:
    project = access.administered(Project, id)
    discard(project)
    toast(f"“{project.name}” is in the trash, and its tokens are refused.", undo=undo_url(project))
    return redirect(url_for("organizations.home"))


@bp.post("/projects/<uuid:id>/name")
def rename(id: uuid.UUID) -> Response:
    """Name, description and instructions."""
    project = access.editable(Project, id)
    form = ChangeForm()
    if not form.validate_on_submit():
        toast(" ".join(word for words in form.errors.values() for word in words), "danger")
        return redirect(url_for("projects.show", id=project.id))
    project.name, project.description = str(form.name.data), form.description.data or ""
    project.instructions = form.instructions.data or ""
    audit.record("project.renamed", project)
    db.session.commit()
    return redirect(url_for("projects.show", id=project.id))


@bp.get("/projects/<uuid:id>/tokens")
def tokens(id: uuid.UUID) -> Response:
    return _tokens(access.visible(Project, id))


@bp.post("/projects/<uuid:id>/tokens")
def create_token(id: uuid.UUID) -> Response:
    project = access.editable(Project, id)
    form = TokenForm()
    if not form.validate_on_submit():
        return _tokens(project, form=form, status=422)
    token, secret = GatewayToken.issue(project, current_user.id, str(form.label.data))
    if form.expires_in.data:
        token.expires_at = now() + timedelta(days=int(form.expires_in.data))
    db.session.add(token)
    db.session.flush()
    audit.record("token.created", token, g.organization.id)
    db.session.commit()
    return _tokens(project, secret=secret, status=201)


@bp.post("/projects/<uuid:id>/tokens/<uuid:token_id>/revocation")
def revoke_token(id: uuid.UUID, token_id: uuid.UUID) -> Response:
    project = access.editable(Project, id)
    token = access.editable(GatewayToken, token_id)
    if token.project_id != project.id:
        abort(404)
    token.revoked_at = token.revoked_at or now()
    audit.record("token.revoked", token, g.organization.id)
    db.session.commit()
    return with_toast(_tokens(project), f"“{token.label}” is refused from now on.", "good")


@bp.post("/projects/<uuid:id>/gateway")
def change_gateway(id: uuid.UUID) -> Response:
    """How long answers are stored, and what becomes of a call whose program goes away."""
    project = access.editable(Project, id)
    form = GatewayForm()
    if not form.validate_on_submit():
        return _tokens(project, gateway_form=form, status=422)
    project.cache_seconds, project.reads_on = int(form.cache_seconds.data), form.reads_on.data == "yes"
    audit.record("project.gateway_changed", project)
    db.session.commit()
    return with_toast(_tokens(project), "It holds from the next call on.", "good")


def _tokens(
    project: Project,
    form: TokenForm | None = None,
    gateway_form: GatewayForm | None = None,
    status: int = 200,
    **context: Any,
) -> FlaskResponse:
    now_set = {"cache_seconds": str(project.cache_seconds), "reads_on": "yes" if project.reads_on else "no"}
    rows = db.session.execute(
        access.scoped(GatewayToken)
        .add_columns(User.name)
        .outerjoin(User, User.id == GatewayToken.created_by)
        .where(GatewayToken.project_id == project.id)
        .order_by(GatewayToken.revoked_at.is_not(None), GatewayToken.created_at.desc())
    ).all()
    for token, creator in rows:
        token.creator_name = creator
    return render(
        "projects/tokens.html",
        "tokens",
        status=status,
        project=project,
        tokens=[token for token, _ in rows],
        form=form or TokenForm(formdata=None),
        gateway_form=gateway_form or GatewayForm(formdata=None, data=now_set),
        can_edit=access.may(access.EDIT, project),
        base_url=f"{request.host_url}v1",
        example_model="auto",
        **context,
    )
