"""What is in an organization's trash, the last deleted first: a few lines of each kind, merged."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, tuple_
from sqlalchemy.orm import joinedload

from .. import access, place
from ..extensions import db
from ..models import (
    IN_TRASH,
    Annotation,
    Asset,
    Batch,
    BatchCheck,
    Budget,
    Comment,
    Execution,
    Origin,
    Project,
    PromptSession,
    RateLimit,
    RoutingRule,
    SavedView,
    Template,
    TemplateCase,
    User,
    Webhook,
    now,
)
from .kinds import KINDS, Kind

PAGE = 50
WAYS = {Origin.BATCH: "in a batch", Origin.JUDGE: "in a batch", Origin.PLAYGROUND: "of a saved prompt"}
OF_ADMINS = (Budget, RateLimit, RoutingRule, Webhook)
OF_ALL = (Project, *OF_ADMINS)
"""In nothing smaller than the organization."""
OPTIONS = {
    PromptSession: (joinedload(PromptSession.project),),
    Batch: (joinedload(Batch.project),),
    Execution: (joinedload(Execution.prompt), joinedload(Execution.session), joinedload(Execution.project)),
    TemplateCase: (joinedload(TemplateCase.template),),
    BatchCheck: (joinedload(BatchCheck.batch),),
    Comment: (joinedload(Comment.execution).options(joinedload(Execution.session), joinedload(Execution.project)),),
}


@dataclass(frozen=True)
class Line:
    kind: Kind
    row: Any
    title: str
    place: str
    """What it was in."""
    by: str
    days_left: int


def lines(kind: str = "", before: str = "") -> tuple[list[Line], str]:
    """(a page of them, where the next begins or nothing)"""
    listed = kinds()
    chosen = [one for one in listed if one.name == kind] or listed
    rows = [(one, row) for one in chosen for row in _rows(one, _cursor(before))]
    rows.sort(key=lambda pair: (pair[1].deleted_at, pair[1].id), reverse=True)
    page, rest = rows[:PAGE], rows[PAGE:]
    names = _names([row.deleted_by for _, row in page])
    further = f"{page[-1][1].deleted_at.isoformat()}_{page[-1][1].id}" if rest else ""
    return [_line(one, row, names) for one, row in page], further


def kinds() -> list[Kind]:
    """What there may be in this trash, for the signed-in person."""
    if place.is_operators():
        return [kind for kind in KINDS.values() if kind.is_operators]
    hidden = () if access.may(access.ADMINISTER) else OF_ADMINS
    return [kind for kind in KINDS.values() if kind.model not in hidden]


def kinds_to_choose(chosen: str) -> list[Kind]:
    """Those of which there is something in it; and the one that is listed, though there be nothing."""
    listed = kinds()
    holds = db.session.execute(select(*(place.in_trash(kind.model).exists() for kind in listed))).one()
    return [kind for kind, is_there in zip(listed, holds, strict=True) if is_there or kind.name == chosen]


def _rows(kind: Kind, before: tuple[datetime, uuid.UUID] | None) -> Sequence[Any]:
    model = kind.model
    query = place.in_trash(model).options(*OPTIONS.get(model, ()))
    if before:
        query = query.where(tuple_(model.deleted_at, model.id) < before)
    return db.session.scalars(query.order_by(model.deleted_at.desc(), model.id.desc()).limit(PAGE + 1)).all()


def _cursor(text: str) -> tuple[datetime, uuid.UUID] | None:
    """Where a page ended; None for what is no such place."""
    at, _, id = text.partition("_")
    try:
        return datetime.fromisoformat(at).astimezone(), uuid.UUID(id)
    except (ValueError, OverflowError):
        return None


def _names(ids: Sequence[uuid.UUID | None]) -> dict[uuid.UUID | None, str]:
    wanted = {id for id in ids if id}
    return dict(db.session.execute(select(User.id, User.name).where(User.id.in_(wanted))).all()) if wanted else {}


def _line(kind: Kind, row: Any, names: dict[uuid.UUID | None, str]) -> Line:
    left = math.ceil((row.deleted_at + IN_TRASH - now()) / timedelta(days=1))
    return Line(kind, row, kind.title(row), _place(row), names.get(row.deleted_by, "somebody"), left)


def _place(row: Any) -> str:
    if isinstance(row, Execution):
        return (
            row.session.title if row.session else f"{row.project.name}, {WAYS.get(row.origin, 'through the gateway')}"
        )
    if isinstance(row, Comment):
        return _place(row.execution)
    if isinstance(row, TemplateCase):
        return row.template.name
    if isinstance(row, BatchCheck):
        return row.batch.name
    if isinstance(row, SavedView):
        return "The dashboard, for everyone" if row.is_shared else "Your dashboard"
    if isinstance(row, Annotation):
        return "The dashboard"
    if isinstance(row, OF_ALL):
        return ""
    if isinstance(row, PromptSession | Template | Batch):
        return row.project.name
    if isinstance(row, Asset) and row.is_kept:
        return f"Kept in its project, {row.media_type}"
    if isinstance(row, Asset):
        return f"A file that a model made, {row.media_type}" if row.execution_id else f"Attached, {row.media_type}"
    return str(row)
