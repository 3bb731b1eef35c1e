"""The tightest limit at a glance: one thin bar on the pages of work, and the way to all of them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from flask import g
from flask_login import current_user
from sqlalchemy import and_, or_

from .. import access
from ..extensions import db
from ..models import Budget, Project, Scope
from .balance import MOST, Line, lines, tightest

NEARLY = 80
"""Percent from which on a limit is worth a look, whose it may be."""
MOST_ALERTS = 4


def at_home() -> list[Line]:
    """The organization's tightest, and one's own: none, one or both."""
    return _usual(_on((Scope.ORGANIZATION, g.organization.id), (Scope.MEMBER, current_user.id)))


def mine() -> list[Line]:
    """The organization's tightest, and all of one's own, the tightest first."""
    found = _on((Scope.ORGANIZATION, g.organization.id), (Scope.MEMBER, current_user.id))
    own = [line for line in found if line.budget.scope is Scope.MEMBER]
    usual = [line for line in _usual(found) if line not in own]
    return [*usual, *sorted(own, key=lambda line: (-line.budget.is_hard, -line.standing.percent))]


def alerts() -> list[Line]:
    """These, and of the others that one may see those that are nearly used up, the tightest first."""
    found = lines(db.session.scalars(access.scoped(Budget).order_by(Budget.id).limit(MOST)).all())
    usual = _usual(line for line in found if line.budget.subject_id in (g.organization.id, current_user.id))
    near = [line for line in found if line not in usual and line.standing.percent >= NEARLY]
    return [*usual, *sorted(near, key=lambda line: (-line.budget.is_hard, -line.standing.percent))[:MOST_ALERTS]]


def _usual(lines: Iterable[Line]) -> list[Line]:
    found = list(lines)
    mine = [line for line in found if line.budget.scope is Scope.MEMBER]
    everyone = [line for line in found if line.budget.scope is Scope.ORGANIZATION]
    return [line for line in (tightest(everyone), tightest(mine)) if line]


def in_project(project: Project) -> Line | None:
    """The tightest of those that count what the signed-in person asks in it."""
    subjects = ((Scope.ORGANIZATION, g.organization.id), (Scope.PROJECT, project.id), (Scope.MEMBER, current_user.id))
    return tightest(_on(*subjects))


def _on(*subjects: tuple[Scope, uuid.UUID]) -> list[Line]:
    on_any = or_(*(and_(Budget.scope == scope, Budget.subject_id == id) for scope, id in subjects))
    return lines(db.session.scalars(access.scoped(Budget).where(on_any)).all())
