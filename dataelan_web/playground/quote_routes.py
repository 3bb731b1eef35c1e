from __future__ import annotations

import uuid

from flask import request
from flask_login import current_user
from werkzeug.wrappers import Response

from .. import access
from ..models import Project, PromptSession
from . import asking, composer
from .blueprint import bp
from .forms import SessionForm
from .quotes import kept, reckoning, shown
from .quotes.where import before_a_session, in_session


@bp.post("/sessions/<uuid:id>/quote")
def quote(id: uuid.UUID) -> Response:
    """What the prompt in the composer would cost, take and meet. Writes nothing; a POST because it has a body."""
    session = access.editable(PromptSession, id)
    form = composer.submitted(session)
    files = reckoning.files_of(request.form.getlist("quoted_files"))
    if not reckoning.is_whole(form, files):
        return shown.nothing()
    prompt = reckoning.prompt_of(session, form, files)
    asked = kept.asked_in_session(session, current_user.id, form, len(files))
    return shown.quote(in_session(session), prompt, form.requested, current_user.id, asked)


@bp.post("/projects/<uuid:project_id>/quote")
def quote_first(project_id: uuid.UUID) -> Response:
    """The same of a prompt that a session would begin with (playground.create)."""
    project, form = access.editable(Project, project_id), SessionForm()
    if not form.validate():
        return shown.nothing()
    session = asking.begun(project, form, current_user.id)
    first = composer.first(session)
    if not reckoning.is_whole(first, ()):
        return shown.nothing()
    asked = kept.asked_first(project.id, current_user.id, form)
    requested, where = str(session.settings["model"]), before_a_session(project, session.model_type)
    return shown.quote(where, first.prompt((), ()), requested, current_user.id, asked)
