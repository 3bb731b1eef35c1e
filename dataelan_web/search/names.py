"""What has a name, by it: every word of what was typed somewhere in it."""

from __future__ import annotations

from typing import Any

from flask_login import current_user
from sqlalchemy import ColumnElement, Select, and_, case, func, select, true
from sqlalchemy.orm import contains_eager

from .. import access
from ..extensions import db
from ..models import Batch, DeclaredAction, Model, Project, PromptSession, Provider, RoutingRule, Star, Template
from ..text import ESCAPE, like

WORDS = 8


def sessions(typed: str, limit: int) -> list[PromptSession]:
    """Starred ones first, then those that begin so, then the latest; without a word, starred ones and the latest."""
    starred = select(Star.session_id).where(Star.user_id == current_user.id)
    order = (case((PromptSession.id.in_(starred), 0), else_=1), _begins(PromptSession.title, typed))
    query: Select[Any] = access.scoped(PromptSession).options(contains_eager(PromptSession.project))
    if not typed.strip():
        query = query.where(PromptSession.archived_at.is_(None))
    found = query.where(_fits(PromptSession.title, typed)).order_by(*order, PromptSession.updated_at.desc())
    return list(db.session.scalars(found.limit(limit)))


def projects(typed: str, limit: int) -> list[Project]:
    query = access.scoped(Project).where(_fits(Project.name, typed))
    order = (_begins(Project.name, typed), func.lower(Project.name))
    return list(db.session.scalars(query.order_by(*order).limit(limit)))


def prompts(typed: str, limit: int) -> list[Template]:
    return _latest(Template, Template.updated_at, typed, limit)


def batches(typed: str, limit: int) -> list[Batch]:
    return _latest(Batch, Batch.created_at, typed, limit)


def actions(typed: str, limit: int) -> list[DeclaredAction]:
    query = access.scoped(DeclaredAction).options(contains_eager(DeclaredAction.project))
    return _by_name(query, DeclaredAction.name, typed, limit)


def providers(typed: str, limit: int) -> list[Provider]:
    return _by_name(access.scoped(Provider), Provider.name, typed, limit)


def models(typed: str, limit: int) -> list[Model]:
    return _by_name(access.scoped(Model).options(contains_eager(Model.provider)), Model.name, typed, limit)


def rules(typed: str, limit: int) -> list[RoutingRule]:
    return _by_name(access.scoped(RoutingRule), RoutingRule.name, typed, limit)


def _by_name(query: Select[Any], name: Any, typed: str, limit: int) -> list[Any]:
    """Those that begin so, then by the alphabet."""
    found = query.where(_fits(name, typed)).order_by(_begins(name, typed), func.lower(name))
    return list(db.session.scalars(found.limit(limit)))


def _latest(model: Any, time: Any, typed: str, limit: int) -> list[Any]:
    """Those that begin so, then the latest."""
    query = access.scoped(model).options(contains_eager(model.project)).where(_fits(model.name, typed))
    return list(db.session.scalars(query.order_by(_begins(model.name, typed), time.desc()).limit(limit)))


def _fits(name: Any, typed: str) -> ColumnElement[bool]:
    return and_(true(), *(name.ilike(like(word), escape=ESCAPE) for word in typed.split()[:WORDS]))


def _begins(name: Any, typed: str) -> ColumnElement[int]:
    start = like(typed.strip())[1:]
    return case((name.ilike(start, escape=ESCAPE), 0), else_=1)
