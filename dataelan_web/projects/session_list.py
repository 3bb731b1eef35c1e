"""The sessions of a project: filtered, sorted, a page at a time from where the last one ended."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from flask_login import current_user
from sqlalchemy import Select, func, select, tuple_

from .. import access
from ..extensions import db
from ..models import ModelType, Project, PromptSession, Star
from ..text import ESCAPE, like
from . import lists

PAGE = 50
SHOWS = {"": "All", "mine": "Mine", "starred": "Starred", "archived": "Archived"}
SORTS = {"": "Last activity", "newest": "Newest", "title": "Title"}


@dataclass(frozen=True)
class Filters:
    """What is asked for, as the address has it; what makes no sense there is as good as nothing."""

    show: str = ""
    q: str = ""
    type: str = ""
    tag: str = ""
    sort: str = ""
    after: str = ""
    """Where the page before ended."""

    @classmethod
    def of(cls, arguments: Mapping[str, str]) -> Filters:
        return cls(**{field.name: arguments.get(field.name, "").strip()[:300] for field in fields(cls)})

    @property
    def said(self) -> dict[str, Any]:
        """For an address: only what was said."""
        return {name: value for name, value in vars(self).items() if value and name != "after"}

    @property
    def is_narrow(self) -> bool:
        return bool(self.q or self.type or self.tag or self.show)


def search(project: Project, filters: Filters) -> tuple[list[lists.SessionLine], str]:
    """(a page of them, where the next begins or nothing)"""
    query = _matching(project, filters)
    key, is_rising = _order(filters.sort)
    place: Any = tuple_(key, PromptSession.id)
    if cursor := _cursor(filters):
        query = query.where(place > cursor if is_rising else place < cursor)
    order = (key.asc(), PromptSession.id.asc()) if is_rising else (key.desc(), PromptSession.id.desc())
    rows = db.session.execute(query.add_columns(key.label("key")).order_by(*order).limit(PAGE + 1)).all()
    return lists.lines([row for row, _ in rows[:PAGE]]), _place(*rows[PAGE - 1]) if len(rows) > PAGE else ""


def _matching(project: Project, filters: Filters) -> Select[Any]:
    query = access.scoped(PromptSession).where(PromptSession.project_id == project.id)
    archived = PromptSession.archived_at
    query = query.where(archived.is_not(None) if filters.show == "archived" else archived.is_(None))
    if filters.show == "mine":
        query = query.where(PromptSession.created_by == current_user.id)
    if filters.show == "starred":
        starred = select(Star.session_id).where(Star.user_id == current_user.id)
        query = query.where(PromptSession.id.in_(starred))
    for word in filters.q.split()[:8]:
        query = query.where(PromptSession.title.ilike(like(word), escape=ESCAPE))
    if filters.type in list(ModelType):
        query = query.where(PromptSession.model_type == ModelType(filters.type))
    if filters.tag:
        query = query.where(PromptSession.tags.contains([filters.tag]))
    return query


def _order(sort: str) -> tuple[Any, bool]:
    """(what to sort by, does it rise?)"""
    if sort == "title":
        return func.lower(PromptSession.title), True
    return PromptSession.created_at if sort == "newest" else PromptSession.updated_at, False


def _place(session: PromptSession, key: datetime | str) -> str:
    return f"{session.id}_{key if isinstance(key, str) else key.isoformat()}"


def _cursor(filters: Filters) -> tuple[Any, uuid.UUID] | None:
    """Where the page before ended; None for what is no such place."""
    id, _, value = filters.after.partition("_")
    try:
        return (value if filters.sort == "title" else datetime.fromisoformat(value)), uuid.UUID(id)
    except ValueError:
        return None


def all_tags() -> list[str]:
    """Every tag in use in what the signed-in person may see, by name."""
    tag = func.jsonb_array_elements_text(PromptSession.tags).label("tag")
    return list(
        db.session.scalars(access.scoped(PromptSession).with_only_columns(tag).distinct().order_by(tag).limit(500))
    )


def tags_of(project: Project) -> list[str]:
    """Every tag in use in a project, by name."""
    tag = func.jsonb_array_elements_text(PromptSession.tags).label("tag")
    mine = PromptSession.project_id == project.id, PromptSession.deleted_at.is_(None)
    return list(db.session.scalars(select(tag).where(*mine).distinct().order_by(tag).limit(500)))
