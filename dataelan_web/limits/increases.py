"""More of a limit for a while: asked for, granted or declined, withdrawn. Every verb commits and is in the audit.

What is asked of an organization's own limits, its owners and admins answer; of the operator's, superusers do.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import g
from flask_login import current_user
from sqlalchemy import select
from sqlalchemy.orm import contains_eager, joinedload

from .. import access, audit
from ..executions.refused import stopped_by
from ..extensions import db
from ..models import (
    Answer,
    Budget,
    Collaborator,
    Execution,
    GatewayToken,
    Increase,
    Pace,
    Project,
    ProjectRole,
    RateLimit,
    Scope,
)
from ..models import limits as verbs
from . import place, telling
from .subjects import Subject, names_of

LISTED = 50
EAGERLY = (
    contains_eager(Increase.budget),
    contains_eager(Increase.rate),
    joinedload(Increase.asker),
    joinedload(Increase.answerer),
)
"""What a request is shown with."""


class Refused(Exception):
    """It cannot be done, and the message says why."""


@dataclass(frozen=True)
class Grant:
    """`amount` more, in the limit's unit, until then."""

    amount: int
    expires_at: datetime
    note: str = ""


def may_ask(limit: Budget | RateLimit) -> bool:
    """Who may run prompts that it counts; of the operator's limits members alone, for guests do not see them."""
    if g.role is not None or limit.organization_id is None:
        return access.may(access.EDIT)
    mine = select(Collaborator.id).join(Project, Project.id == Collaborator.project_id)
    mine = mine.where(
        Collaborator.user_id == current_user.id,
        Collaborator.role == ProjectRole.EDITOR,
        Project.organization_id == g.organization.id,
    )
    if limit.scope is Scope.PROJECT:
        mine = mine.where(Project.id == limit.subject_id)
    elif limit.scope is Scope.TOKEN:
        of_token = select(GatewayToken.project_id).where(GatewayToken.id == limit.subject_id)
        mine = mine.where(Project.id == of_token.scalar_subquery())
    return db.session.scalar(mine.limit(1)) is not None


def hidden_behind(run: Execution) -> Budget | RateLimit | None:
    """The limit of the operator's that stopped this run, where it counts other organizations too, and so has no page in
    this one."""
    id, pace = stopped_by(run) or (None, None)
    limit = (db.session.get(RateLimit, id) if pace else db.session.get(Budget, id)) if id else None
    return limit if limit is not None and limit.deleted_at is None and place.is_hidden(limit) else None


def ask(limit: Budget | RateLimit, pace: Pace | None, amount: int, reason: str) -> Increase:
    """One open request a person and limit, and of a rate a pace. Raises Refused."""
    table = type(limit)
    still_there = table.id == limit.id, table.deleted_at.is_(None)
    one_at_a_time = select(table.id).where(*still_there).with_for_update(key_share=True)
    if db.session.scalar(one_at_a_time) is None:
        raise Refused("The limit was deleted meanwhile.")
    if my_open(limit, pace):
        raise Refused("You have asked for more of this limit already. Withdraw that request to ask anew.")
    increase = Increase(
        organization_id=g.organization.id,
        **_named(limit, pace),
        asked=amount,
        reason=reason,
        asked_by=current_user.id,
    )
    db.session.add(increase)
    db.session.flush()
    audit.record("increase.asked", increase, **_told(increase), amount=amount)
    telling.asked(increase, _subject(limit))
    db.session.commit()
    return increase


def approve(increase: Increase, grant: Grant) -> None:
    """Raises Refused where another was quicker, or it was withdrawn."""
    done = verbs.approve(db.session, increase.id, current_user.id, grant.amount, grant.expires_at, grant.note)
    _close(increase, done, amount=grant.amount, until=grant.expires_at.isoformat())


def decline(increase: Increase, note: str) -> None:
    """Raises Refused, as `approve` does."""
    _close(increase, verbs.decline(db.session, increase.id, current_user.id, note))


def withdraw(increase: Increase) -> None:
    """By who asked. Raises Refused where it was answered before."""
    _close(increase, verbs.withdraw(db.session, increase.id, current_user.id))


def my_open(limit: Budget | RateLimit, pace: Pace | None) -> Increase | None:
    of_it = (getattr(Increase, name) == value for name, value in _named(limit, pace).items())
    mine = (Increase.asked_by == current_user.id, Increase.answer == Answer.ASKED)
    return db.session.scalars(select(Increase).where(*of_it, *mine)).first()


def to_answer() -> list[Increase]:
    """Open requests: for owners and admins all of them, for others their own; for superusers those of the operator's
    limits. Oldest first."""
    query = place.seen(Increase).where(Increase.answer == Answer.ASKED)
    if not place.may_administer():
        query = query.where(Increase.asked_by == current_user.id)
    return list(db.session.scalars(query.options(*EAGERLY).order_by(Increase.id).limit(LISTED)))


def story_of(limit: Budget | RateLimit) -> list[Increase]:
    """Newest first; of a limit of the operator's that counts several organizations, for superusers alone."""
    of_it = Increase.budget_id if isinstance(limit, Budget) else Increase.rate_id
    query = place.seen(Increase).where(of_it == limit.id).options(*EAGERLY)
    return list(db.session.scalars(query.order_by(Increase.id.desc()).limit(LISTED)))


def _close(increase: Increase, done: bool, **detail: Any) -> None:
    db.session.refresh(increase)
    if not done:
        word = f"It was {increase.answer.value} already{_by(increase)}."
        db.session.rollback()
        raise Refused(word)
    audit.record(f"increase.{increase.answer.value}", increase, **_told(increase), **detail)
    if increase.answer is not Answer.WITHDRAWN:
        telling.answered(increase, _subject(increase.of))
    db.session.commit()


def _by(increase: Increase) -> str:
    return f" by {increase.answerer.name}" if increase.answerer and increase.answerer.id != current_user.id else ""


def _named(limit: Budget | RateLimit, pace: Pace | None) -> dict[str, Any]:
    """The columns of an Increase that say what it is of."""
    return {"rate": limit, "pace": pace} if isinstance(limit, RateLimit) else {"budget": limit}


def _told(increase: Increase) -> dict[str, str]:
    """What the audit log says of its limit."""
    counted = {"pace": increase.pace.value} if increase.pace else {"unit": increase.counted_in.value}
    return {"limit": str(increase.of.id), **counted}


def _subject(limit: Budget | RateLimit) -> Subject:
    return names_of([(limit.scope, limit.subject_id)])[limit.scope, limit.subject_id]
