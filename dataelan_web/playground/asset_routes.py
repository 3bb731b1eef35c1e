from __future__ import annotations

import uuid

from flask import Response, abort, request

from .. import access
from ..extensions import db
from ..models import Asset
from ..storage import Unavailable
from . import sending
from .blueprint import bp


@bp.get("/assets/<uuid:id>")
def asset(id: uuid.UUID) -> Response:
    """A file of a prompt or of an answer; with `?download`, to be saved under its name."""
    found = access.visible(Asset, id)
    db.session.expunge(found)
    db.session.commit()  # hold no connection while it is sent
    try:
        return sending.answer(
            found,
            wanted=request.range,
            if_range=request.if_range,
            known=request.if_none_match,
            download="download" in request.args,
            is_head=request.method == "HEAD",
        )
    except Unavailable as problem:
        abort(503, str(problem))
