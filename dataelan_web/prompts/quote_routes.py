from __future__ import annotations

import uuid

from flask import request
from flask_login import current_user
from werkzeug.wrappers import Response

from ..models import ModelType
from ..playground.quotes import shown, where
from . import editor_form, page, quoting, running
from .blueprint import bp
from .refusals import Refused
from .running import Source


@bp.post("/prompts/<uuid:id>/quote")
def quote(id: uuid.UUID) -> Response:
    """What the draft would cost, take and meet with these values. Writes nothing; a POST because it has a body."""
    template, written = page.editable(id), editor_form.read(request.form)
    try:
        prompt, run = running.made(template, Source(written.content), written.values, written.said)
    except Refused:
        return shown.nothing()
    place = where.of_template(template, ModelType(written.content.model_type))
    asked = quoting.asked(run, current_user.id)
    return shown.quote(place, prompt, written.content.requested, current_user.id, asked)
