"""A batch begins, pauses, goes on, is cancelled, asks again, and goes into the trash."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from flask import request, url_for
from werkzeug.wrappers import Response

from ..extensions import db
from ..models import Batch, BatchState
from ..prompts.refusals import Refused
from ..trash import discarding, kinds
from ..web import redirect, toast
from . import controls, page
from .blueprint import bp
from .draft_routes import show_setup
from .result_routes import show_results


@bp.post("/batches/<uuid:id>/start")
def start(id: uuid.UUID) -> Response:
    return _do(id, controls.start)


@bp.post("/batches/<uuid:id>/pause")
def pause(id: uuid.UUID) -> Response:
    return _do(id, controls.pause)


@bp.post("/batches/<uuid:id>/resume")
def resume(id: uuid.UUID) -> Response:
    return _do(id, controls.resume)


@bp.post("/batches/<uuid:id>/cancel")
def cancel(id: uuid.UUID) -> Response:
    return _do(id, controls.cancel)


@bp.post("/batches/<uuid:id>/retry")
def retry(id: uuid.UUID) -> Response:
    """`which`: failed or stopped."""
    return _do(id, lambda batch: controls.retry(batch, request.form.get("which", "failed")))


@bp.post("/batches/<uuid:id>/deletion")
def delete(id: uuid.UUID) -> Response:
    batch = page.editable(id)
    discarding.discard(batch)
    toast(f"The batch “{batch.name}” is in the trash.", undo=kinds.undo_url(batch))
    return redirect(url_for("batches.index", project_id=batch.project_id))


def _do(id: uuid.UUID, act: Callable[[Batch], object]) -> Response:
    batch = page.editable(id)
    try:
        act(batch)
    except Refused as refused:
        db.session.rollback()
        batch = page.editable(id)
        shown = show_setup if batch.state is BatchState.DRAFT else show_results
        return shown(batch, 422, problem=str(refused))
    return redirect(page.address(batch))
