"""The people of one project: members who were let in, and guests who see nothing else."""

from __future__ import annotations

import uuid

from flask import abort, g, request
from flask_login import current_user
from werkzeug.wrappers import Response

from .. import access
from ..fields import id_in
from ..models import Collaborator, Project, ProjectRole
from ..once import done_once
from ..web import with_toast
from . import collaborating, inviting, throttle
from .blueprint import bp
from .forms import PROJECT_ROLES, InviteForm
from .invitation_routes import TOO_MANY
from .inviting import Made, NotInvited
from .pages import guest_form, people_page


@bp.get("/projects/<uuid:id>/people")
def project_people(id: uuid.UUID) -> Response:
    return people_page(access.visible(Project, id))


@bp.post("/projects/<uuid:id>/people")
def let_in(id: uuid.UUID) -> Response:
    project = access.administered(Project, id)
    user = collaborating.let_in(project, id_in(request.form.get("user")), _role())
    return with_toast(people_page(project), f"{user.name} was let in.", "good")


@bp.post("/projects/<uuid:id>/people/<uuid:collaborator_id>/role")
def change_collaborator(id: uuid.UUID, collaborator_id: uuid.UUID) -> Response:
    project, collaborator = _both(id, collaborator_id)
    role = _role()
    user = collaborating.change_role(collaborator, project, role)
    return with_toast(people_page(project), f"{user.name}: {PROJECT_ROLES[role].lower()}.", "good")


@bp.post("/projects/<uuid:id>/people/<uuid:collaborator_id>/removal")
def let_out(id: uuid.UUID, collaborator_id: uuid.UUID) -> Response:
    project, collaborator = _both(id, collaborator_id)
    user = collaborating.let_out(collaborator, project)
    return with_toast(people_page(project), f"{user.name} is out of this project.", "good")


@bp.post("/projects/<uuid:id>/invitations")
@done_once(tells_secret=True)
def invite_guest(id: uuid.UUID) -> Response:
    project = access.administered(Project, id)
    form = guest_form()
    if not form.validate_on_submit():
        return people_page(project, 422, form=form)
    if wait := throttle.blocked("invites", str(current_user.id), throttle.INVITATIONS):
        form.emails.errors = [TOO_MANY.format(wait // 60 + 1)]
        return people_page(project, 429, form=form)
    made, refused = _invite_all(project, form)
    if refused:
        form.emails.data, form.emails.errors = "\n".join(refused), [f"{who} {why}" for who, why in refused.items()]
    return people_page(project, 422 if refused and not made else 201, form=form if refused else None, made=made)


def _invite_all(project: Project, form: InviteForm) -> tuple[list[Made], dict[str, str]]:
    made, refused = [], {}
    for address in form.addresses:
        try:
            role = ProjectRole(form.role.data)
            made.append(inviting.invite(g.organization, current_user, address, role, project))
        except NotInvited as problem:
            refused[address] = str(problem)
    throttle.count("invites", str(current_user.id), len(form.addresses))
    return made, refused


def _both(id: uuid.UUID, collaborator_id: uuid.UUID) -> tuple[Project, Collaborator]:
    project, collaborator = access.administered(Project, id), access.administered(Collaborator, collaborator_id)
    if collaborator.project_id != project.id:
        abort(404)
    return project, collaborator


def _role() -> ProjectRole:
    try:
        return ProjectRole(request.form.get("role", ""))
    except ValueError:
        abort(422, "There is no such role.")
