"""The refused person's view: which limit stopped a run, how it stands now, and what can be done about it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flask_login import current_user
from sqlalchemy import select

from .. import access
from ..extensions import db
from ..models import Answer, Budget, Execution, Increase, Scope, State
from .balance import Line, lines
from .increases import may_ask
from .subjects import names_of


@dataclass(frozen=True)
class Refusal:
    """`line` is None where its amounts are not for the signed-in person."""

    title: str
    line: Line | None
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
    rights = {id: (access.may(access.ADMINISTER, line.budget), may_ask(line.budget)) for id, line in shown.items()}
    story = _story(shown)
    for one in stopped:
        if (id := one.refused_by) in shown:
            one.refusal = _refusal(one, shown[id], *rights[id], story[id])  # type: ignore[attr-defined]
        elif id in titles:
            one.refusal = Refusal(titles[id], None)  # type: ignore[attr-defined]


def _refusal(run: Execution, line: Line, may_raise: bool, asks: bool, story: Sequence[Increase]) -> Refusal:
    whose = "The operator’s limit on this organization" if line.is_operators else f"The limit on {line.subject.title}"
    mine = (one for one in story if one.answer is Answer.ASKED and one.asked_by == current_user.id)
    granted = (one for one in story if one.answered_at and one.answered_at > run.created_at and one.granted)
    return Refusal(f"{whose} stopped this", line, may_raise, asks, next(mine, None), next(granted, None))


def _story(budget_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, list[Increase]]:
    """What of each is open or was granted, the newest first."""
    told: dict[uuid.UUID, list[Increase]] = {id: [] for id in budget_ids}
    counting = Increase.answer.in_((Answer.ASKED, Answer.APPROVED))
    query = select(Increase).where(Increase.budget_id.in_(told), counting).order_by(Increase.id.desc())
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
