"""The refused person's view: which limit stopped a run, how it stands now, and what can be done about it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flask import g
from flask_login import current_user
from sqlalchemy import select

from .. import access
from ..extensions import db
from ..models import Answer, Budget, Execution, Increase, Scope, State
from . import place
from .balance import Line, lines
from .increases import may_ask
from .subjects import names_of


@dataclass(frozen=True)
class Refusal:
    """`line` is None where its amounts are not for the signed-in person."""

    title: str
    line: Line | None
    budget: Budget
    may_raise: bool = False
    may_ask: bool = False
    asked: Increase | None = None
    """One's own request for more that is open."""
    raised: Increase | None = None
    """More was granted since."""


def tell(executions: Iterable[Execution]) -> None:
    """Give each run that a limit stopped its `refusal`."""
    stopped = [one for one in executions if one.refused_by and one.state is State.FAILED]
    if not stopped:
        return
    ids = {one.refused_by for one in stopped}
    seen = db.session.scalars(access.scoped(Budget).where(Budget.id.in_(ids))).all()
    shown = {line.budget.id: line for line in lines(seen)}
    hidden = db.session.scalars(select(Budget).where(Budget.id.in_(ids - shown.keys()))).all()
    titles = {budget.id: _only_whose(budget) for budget in hidden}
    asked = [budget for budget in hidden if place.is_hidden(budget)]
    budgets = {line.budget.id: line.budget for line in shown.values()} | {budget.id: budget for budget in asked}
    rights = {id: (access.may(access.ADMINISTER, budget), may_ask(budget)) for id, budget in budgets.items()}
    story = _story(budgets)
    titles |= {id: _whose(line) for id, line in shown.items()}
    for one in stopped:
        if (id := one.refused_by) in budgets:
            told = _refusal(one, titles[id], shown.get(id), budgets[id], *rights[id], story[id])
            one.refusal = told  # type: ignore[attr-defined]
        elif id in titles:
            one.refusal = Refusal(titles[id], None, next(one for one in hidden if one.id == id))  # type: ignore[attr-defined]


def _refusal(
    run: Execution,
    title: str,
    line: Line | None,
    budget: Budget,
    may_raise: bool,
    asks: bool,
    story: Sequence[Increase],
) -> Refusal:
    mine = (one for one in story if one.answer is Answer.ASKED and one.asked_by == current_user.id)
    granted = (one for one in story if one.answered_at and one.answered_at > run.created_at and one.granted)
    return Refusal(title, line, budget, may_raise, asks, next(mine, None), next(granted, None))


def _whose(line: Line) -> str:
    whose = "The operator’s limit on this organization" if line.is_operators else f"The limit on {line.subject.title}"
    return f"{whose} stopped this"


def _story(budget_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, list[Increase]]:
    """What of each is open or was granted, the newest first, as far as it was asked from here."""
    told: dict[uuid.UUID, list[Increase]] = {id: [] for id in budget_ids}
    counting = Increase.answer.in_((Answer.ASKED, Answer.APPROVED))
    mine = Increase.organization_id == g.organization.id
    query = select(Increase).where(Increase.budget_id.in_(told), mine, counting).order_by(Increase.id.desc())
    for increase in db.session.scalars(query):
        told[increase.budget_id].append(increase)
    return told


def _only_whose(budget: Budget) -> str:
    """Whose limit it is, in general words, where more is not for these eyes."""
    if budget.organization_id is None:
        return "A limit of whoever runs this Dataelan stopped this"
    if budget.scope is Scope.MEMBER:
        subject = names_of([(budget.scope, budget.subject_id)])[budget.scope, budget.subject_id]
        return f"The limit on {subject.name} stopped this"
    return "A limit of the organization stopped this"
