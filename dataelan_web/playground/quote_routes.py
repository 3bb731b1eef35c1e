from __future__ import annotations

import uuid

from flask import request
from flask_login import current_user
from werkzeug.wrappers import Response

from .. import access
from ..models import PromptSession
from ..web import piece
from . import composer
from .blueprint import bp
from .quotes import kept, reckoning, words


@bp.post("/sessions/<uuid:id>/quote")
def quote(id: uuid.UUID) -> Response:
    """What the prompt in the composer would cost, take and meet. Writes nothing; a POST because it has a body."""
    session = access.editable(PromptSession, id)
    form = composer.submitted(session)
    files = reckoning.files_of(request.form.getlist("quoted_files"))
    if not reckoning.is_whole(form, files):
        return piece("playground/quotes/quote.html")
    prompt = reckoning.prompt_of(session, form, files)
    found = reckoning.reckon(session, prompt, form.requested, current_user.id)
    return piece(
        "playground/quotes/quote.html",
        reckoning=found,
        said=words.said(found),
        record=kept.record(session),
        token=kept.seal(session, current_user.id, form, len(files) + len(form.referenced), found),
        is_chosen_by_rule=form.requested == "auto" or (found.foresight.plan.rule and found.foresight.plan.rule.id),
    )
