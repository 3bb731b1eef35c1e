"""A page of what was found: only runs that the signed-in person may see, each with the words that made it fit."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import g
from flask_login import current_user
from sqlalchemy import Select, case, func, null, select
from sqlalchemy.orm import joinedload, selectinload, undefer

from .. import access
from ..extensions import db
from ..models import Execution, ExecutionBody, Project, PromptSession, Star, User
from ..models.search import facet
from .excerpts import READ, Piece, excerpt, has
from .filters import Filters
from .walk import OutOfTime, Place, Query, candidates
from .words import Wanted, wanted

PAGE = 20
MOST_SESSIONS = 500
"""Sessions with a star or a tag that are looked into, the latest first."""


@dataclass(frozen=True)
class Hit:
    run: Execution
    asked: list[Piece]
    answered: list[Piece]
    person: str


@dataclass(frozen=True)
class Found:
    wanted: Wanted
    hits: list[Hit] = field(default_factory=list)
    further: str = ""
    """Where the next page begins."""
    searched_to: datetime | None = None
    """Only what is newer was looked at so far, and the page is not full: whoever shows this goes on from there."""


def find(filters: Filters, shown: int = 0) -> Found:
    """`shown`: how many of its page were found before, by a search that this one goes on with."""
    size = max(PAGE - shown, 1)
    asked = wanted(filters.q)
    if asked.is_empty and not filters.is_narrow:
        return Found(asked)
    seen, searched_to = list[Execution](), None
    try:
        for step in candidates(_query(filters, asked)):
            seen += _visible(step)
            if len(seen) > size:
                break
    except OutOfTime as end:
        searched_to = end.place
    page = seen[:size]
    if len(seen) > size:
        return Found(asked, _hits(page, asked), _place(page[-1].created_at, page[-1].id))
    if searched_to is None:
        return Found(asked, _hits(page, asked))
    said = searched_to[0].astimezone(ZoneInfo(g.organization.time_zone)) if len(page) < size else None
    return Found(asked, _hits(page, asked), _place(*searched_to), said)


def _query(filters: Filters, asked: Wanted) -> Query:
    since, before = filters.days(ZoneInfo(g.organization.time_zone))
    facets = [[facet("p", id) for id in ids] for ids in _projects(filters)]
    if kind := filters.model_type:
        facets.append([facet("t", kind.value)])
    if person := filters.person_id:
        facets.append([facet("a", person)])
    if filters.error:
        facets.append([facet("e")])
    return Query(g.organization.id, asked, facets, _sessions(filters), since, before, filters.place)


def _projects(filters: Filters) -> list[list[uuid.UUID]]:
    """Those that are asked for; and a guest's, so that nobody walks through what is not theirs to see."""
    groups = [[filters.project_id]] if filters.project_id else []
    if g.role is None:
        groups.append(list(db.session.scalars(access.scoped(Project).with_only_columns(Project.id))))
    return groups


def _sessions(filters: Filters) -> list[uuid.UUID] | None:
    if not (filters.starred or filters.tag):
        return None
    query: Select[Any] = access.scoped(PromptSession).with_only_columns(PromptSession.id)
    if filters.starred:
        query = query.where(PromptSession.id.in_(select(Star.session_id).where(Star.user_id == current_user.id)))
    if filters.tag:
        query = query.where(PromptSession.tags.contains([filters.tag]))
    return list(db.session.scalars(query.order_by(PromptSession.updated_at.desc()).limit(MOST_SESSIONS)))


def _visible(step: Sequence[Place]) -> list[Execution]:
    """In the order of the walk."""
    query = access.scoped(Execution).where(Execution.id.in_([id for _, id in step]), Execution.repairs_id.is_(None))
    there = {
        run.id: run
        for run in db.session.scalars(
            query.options(
                joinedload(Execution.prompt),
                joinedload(Execution.session).joinedload(PromptSession.project),
                joinedload(Execution.project),
                selectinload(Execution.model),
                undefer(Execution.blind_in),
            )
        )
    }
    return [there[id] for _, id in step if id in there]


def _hits(page: Sequence[Execution], asked: Wanted) -> list[Hit]:
    ids = [run.id for run in page]
    message = case((Execution.prompt_id.is_(None), ExecutionBody.request["messages"][-1]), else_=null())
    rows = db.session.execute(
        select(ExecutionBody.id, func.left(ExecutionBody.text, READ), message)
        .join(Execution, Execution.id == ExecutionBody.id)
        .where(ExecutionBody.id.in_(ids))
    )
    said = {id: (text, message) for id, text, message in rows} if ids else {}
    users = {run.user_id for run in page if run.user_id}
    names = dict(db.session.execute(select(User.id, User.name).where(User.id.in_(users))).all()) if users else {}
    return [_hit(run, *said.get(run.id, ("", None)), asked, names.get(run.user_id, "")) for run in page]  # type: ignore[arg-type]


def _hit(run: Execution, answer: str, message: dict[str, Any] | None, asked: Wanted, person: str) -> Hit:
    parts = (message or {}).get("parts", ())
    prompt = run.prompt.text if run.prompt else " ".join(part.get("text", "") for part in parts)
    is_in_answer = has(answer, asked)
    return Hit(
        run,
        excerpt(prompt, asked, 120 if is_in_answer else 260),
        excerpt(answer, asked, 260 if is_in_answer else 120, is_markdown=True),
        person,
    )


def _place(at: datetime, id: uuid.UUID) -> str:
    return f"{at.isoformat()}_{id}"
