"""What an answer says otherwise than the one before it."""

from __future__ import annotations

import uuid

from sqlalchemy import or_, select
from sqlalchemy.orm import joinedload
from werkzeug.wrappers import Response

from .. import access
from ..executions import branches
from ..extensions import db
from ..models import Execution, ExecutionBody
from ..web import render
from .blueprint import bp
from .compare.differences import difference
from .compare.hiding import refuse_blind


@bp.get("/executions/<uuid:id>/changes")
def changes(id: uuid.UUID) -> Response:
    run = access.visible(Execution, id, joinedload(Execution.body), joinedload(Execution.session))
    refuse_blind(run)
    before = _before(run)
    found = difference(before.body.text, run.body.text) if before else None
    return render("playground/changes.html", "dialog", execution=run, before=before, difference=found)


def _before(run: Execution) -> Execution | None:
    """The answer to the same prompt, or to other words in its place, that was there already; else the one that this
    run continues."""
    is_beside = Execution.continues_id.is_not_distinct_from(run.continues_id) & ~branches.is_compared()
    return db.session.scalars(
        select(Execution)
        .join(ExecutionBody)
        .where(
            Execution.session_id == run.session_id,
            Execution.id < run.id,
            Execution.deleted_at.is_(None),
            Execution.repairs_id.is_(None),
            ExecutionBody.text != "",
            or_(is_beside, Execution.id == run.continues_id),
        )
        .options(joinedload(Execution.body))
        .order_by(Execution.id.desc())
        .limit(1)
    ).first()
