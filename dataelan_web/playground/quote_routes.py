from __future__ import annotations

import uuid

from flask import request
from flask_login import current_user
from werkzeug.wrappers import Response

from .. import access
from ..models import PromptSession
from . import composer
from .blueprint import bp
from .quotes import kept, reckoning, shown
from .quotes.where import in_session


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
