"""More of a limit for a while: asked for, granted or declined, withdrawn. Every verb commits and is in the audit.

What is asked of an organization's own limits, its owners and admins answer; of the operator's, superusers do.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import g
from flask_login import current_user
from sqlalchemy import select
from sqlalchemy.orm import contains_eager, joinedload

from .. import access, audit, quota
from ..extensions import db
from ..models import (
    Answer,
    Budget,
    Collaborator,
    Execution,
    GatewayToken,
    Increase,
    Project,
    ProjectRole,
    Scope,
    now,
)
from ..models import limits as verbs
from ..quota import Standing
from . import place, telling
from .subjects import Subject, names_of

LISTED = 50
TOTAL_ENDS_IN = timedelta(days=30)
"""Where a limit has no windows, more of it is offered for so long."""


class Refused(Exception):
    """It cannot be done, and the message says why."""


@dataclass(frozen=True)
class Grant:
    """`amount` more, in the limit's unit, until then."""

    amount: int
    expires_at: datetime
    note: str = ""


def may_ask(budget: Budget) -> bool:
    """Who may run prompts that it counts; of the operator's limits members alone, for guests do not see them."""
    if g.role is not None or budget.organization_id is None:
        return access.may(access.EDIT)
    mine = select(Collaborator.id).join(Project, Project.id == Collaborator.project_id)
    mine = mine.where(
        Collaborator.user_id == current_user.id,
        Collaborator.role == ProjectRole.EDITOR,
        Project.organization_id == g.organization.id,
    )
    if budget.scope is Scope.PROJECT:
        mine = mine.where(Project.id == budget.subject_id)
    elif budget.scope is Scope.TOKEN:
        of_token = select(GatewayToken.project_id).where(GatewayToken.id == budget.subject_id)
        mine = mine.where(Project.id == of_token.scalar_subquery())
    return db.session.scalar(mine.limit(1)) is not None


def hidden_behind(run: Execution) -> Budget | None:
    """The limit of the operator's that stopped this run, where it counts other organizations too, and so has no page in
    this one."""
    budget = db.session.get(Budget, run.refused_by) if run.refused_by else None
    return budget if budget is not None and place.is_hidden(budget) else None


def ask(budget: Budget, amount: int, reason: str) -> Increase:
    """One open request a person and limit. Raises Refused."""
    one_at_a_time = select(Budget.id).where(Budget.id == budget.id).with_for_update(key_share=True)
    if db.session.scalar(one_at_a_time) is None:
        raise Refused("The limit was deleted meanwhile.")
    if my_open(budget.id):
        raise Refused("You have asked for more of this limit already. Withdraw that request to ask anew.")
    increase = Increase(
        organization_id=g.organization.id,
        budget=budget,
        asked=amount,
        reason=reason,
        asked_by=current_user.id,
    )
    db.session.add(increase)
    db.session.flush()
    audit.record("increase.asked", increase, limit=str(budget.id), amount=amount, unit=budget.unit.value)
    telling.asked(increase, _subject(budget))
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


def my_open(budget_id: uuid.UUID) -> Increase | None:
    mine = (Increase.budget_id == budget_id, Increase.asked_by == current_user.id, Increase.answer == Answer.ASKED)
    return db.session.scalars(select(Increase).where(*mine)).first()


def to_answer() -> list[Increase]:
    """Open requests: for owners and admins all of them, for others their own; for superusers those of the operator's
    limits. Oldest first."""
    query = place.seen(Increase).where(Increase.answer == Answer.ASKED)
    if not place.may_administer():
        query = query.where(Increase.asked_by == current_user.id)
    query = query.options(contains_eager(Increase.budget), joinedload(Increase.asker))
    return list(db.session.scalars(query.order_by(Increase.id).limit(LISTED)))


def story_of(budget: Budget) -> list[Increase]:
    """Newest first; of a limit of the operator's that counts several organizations, for superusers alone."""
    query = place.seen(Increase).where(Increase.budget_id == budget.id)
    query = query.options(joinedload(Increase.asker), joinedload(Increase.answerer), contains_eager(Increase.budget))
    return list(db.session.scalars(query.order_by(Increase.id.desc()).limit(LISTED)))


def usual_last_day(standing: Standing) -> date:
    """The last day that is offered for a grant: the window's, where it has an end."""
    ends_at = standing.ends_at or now() + TOTAL_ENDS_IN
    return (ends_at - timedelta(microseconds=1)).astimezone(standing.zone).date()


def zone_of(budget: Budget) -> ZoneInfo:
    """By whose calendar it goes."""
    (standing,) = quota.standing(db.session, [budget])
    return standing.zone


def ends(budget: Budget, last_day: date | None) -> datetime | None:
    """When a grant ends: with that day, or else with this window. None: such a window has no end."""
    (standing,) = quota.standing(db.session, [budget])
    if last_day is None or (standing.ends_at and last_day == usual_last_day(standing)):
        return standing.ends_at  # which is not midnight where the organization has moved to another time zone
    return datetime.combine(last_day + timedelta(days=1), time(), standing.zone).astimezone(UTC)


def _close(increase: Increase, done: bool, **detail: Any) -> None:
    db.session.refresh(increase)
    if not done:
        word = f"It was {increase.answer.value} already{_by(increase)}."
        db.session.rollback()
        raise Refused(word)
    audit.record(f"increase.{increase.answer.value}", increase, limit=str(increase.budget_id), **detail)
    if increase.answer is not Answer.WITHDRAWN:
        telling.answered(increase, _subject(increase.budget))
    db.session.commit()


def _by(increase: Increase) -> str:
    return f" by {increase.answerer.name}" if increase.answerer and increase.answerer.id != current_user.id else ""


def _subject(budget: Budget) -> Subject:
    return names_of([(budget.scope, budget.subject_id)])[budget.scope, budget.subject_id]
