"""The refused person's view: which limit stopped a run, how it stands now, and what can be done about it."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from flask import g
from flask_login import current_user
from sqlalchemy import select

from .. import access
from ..executions.refused import stopped_by
from ..extensions import db
from ..models import Answer, Budget, Execution, Increase, Pace, RateLimit, Scope, State
from . import place
from .balance import Line, lines
from .increases import may_ask
from .speeds import Speed, speeds
from .subjects import Subject, names_of

Row = TypeVar("Row", Budget, RateLimit)
Stop = tuple[uuid.UUID, Pace | None]
"""The id of a budget, or that of a rate and which pace of it."""


@dataclass(frozen=True)
class Refusal:
    """Of a budget it has a `line`, of a rate a `speed`; neither where its amounts are not for the signed-in person."""

    title: str
    limit: Budget | RateLimit
    line: Line | None = None
    speed: Speed | None = None
    may_raise: bool = False
    may_ask: bool = False
    asked: Increase | None = None
    """One's own request for more that is open."""
    raised: Increase | None = None
    """More was granted since."""
    declined: Increase | None = None
    """The last that one asked for oneself since, where nothing came of it."""
    pace: Pace | None = None
    """What of a rate was met."""

    @property
    def home(self) -> str:
        """Where the limit is seen."""
        return place.home_of(self.limit)

    @property
    def raise_url(self) -> str:
        return place.url("edit" if self.pace is None else "rate", id=self.limit.id)


def tell(executions: Iterable[Execution]) -> None:
    """Give each run that a limit stopped its `refusal`."""
    stops = {one: stop for one in executions if one.state is State.FAILED and (stop := stopped_by(one))}
    if not stops:
        return
    told = _by(Budget, {id for id, pace in stops.values() if pace is None}, lines)
    told |= _by(RateLimit, {id for id, pace in stops.values() if pace is not None}, speeds)
    story = _story(one.limit.id for one in told.values() if one.line or one.speed or one.may_ask)
    for run, (id, pace) in stops.items():
        if id in told:
            run.refusal = _since(replace(told[id], pace=pace), run, story[id, pace])  # type: ignore[attr-defined]


def _by(
    table: type[Row], ids: set[uuid.UUID], stand: Callable[[Sequence[Row]], Sequence[Line | Speed]]
) -> dict[uuid.UUID, Refusal]:
    """What there is to say of each of these limits, as far as it is for the signed-in person."""
    if not ids:
        return {}
    limits = db.session.scalars(select(table).where(table.id.in_(ids), table.deleted_at.is_(None))).all()
    seen = set(db.session.scalars(access.scoped(table).with_only_columns(table.id).where(table.id.in_(ids))))
    stands = stand([limit for limit in limits if limit.id in seen])
    shown = {one.budget.id if isinstance(one, Line) else one.rate.id: one for one in stands}
    return {limit.id: _refusal(limit, shown.get(limit.id)) for limit in limits}


def _refusal(limit: Budget | RateLimit, shown: Line | Speed | None) -> Refusal:
    if shown is None and not place.is_hidden(limit):
        return Refusal(_only_whose(limit), limit)
    title = _whose(limit, shown.subject) if shown else _only_whose(limit)
    line, speed = (shown, None) if isinstance(shown, Line) else (None, shown)
    return Refusal(title, limit, line, speed, access.may(access.ADMINISTER, limit), may_ask(limit))


def _since(refusal: Refusal, run: Execution, story: Sequence[Increase]) -> Refusal:
    """With what became of what was asked after the run."""
    mine = [one for one in story if one.asked_by == current_user.id]
    answered = [one for one in story if one.answered_at and one.answered_at > run.created_at]
    asked = next((one for one in mine if one.answer is Answer.ASKED), None)
    raised = next((one for one in answered if one.granted), None)
    last = None if asked or raised else next((one for one in answered if one in mine), None)
    return replace(refusal, asked=asked, raised=raised, declined=last)


def _story(ids: Iterable[uuid.UUID]) -> dict[Stop, list[Increase]]:
    """What of each is open or was answered, the newest first, as far as it was asked from here."""
    told, wanted = defaultdict[Stop, list[Increase]](list), list(ids)
    of_them = Increase.budget_id.in_(wanted) | Increase.rate_id.in_(wanted)
    mine = (Increase.organization_id == g.organization.id, Increase.answer != Answer.WITHDRAWN)
    query = select(Increase).where(of_them, *mine)
    for increase in db.session.scalars(query.order_by(Increase.id.desc())) if wanted else ():
        told[increase.budget_id or increase.rate_id or increase.id, increase.pace].append(increase)
    return told


def _whose(limit: Budget | RateLimit, subject: Subject) -> str:
    is_operators = limit.organization_id is None
    whose = "The operator’s limit on this organization" if is_operators else f"The limit on {subject.title}"
    return f"{whose} stopped this"


def _only_whose(limit: Budget | RateLimit) -> str:
    """Whose limit it is, in general words, where more is not for these eyes."""
    if limit.organization_id is None:
        return "A limit of whoever runs this Dataelan stopped this"
    if limit.scope is Scope.MEMBER:
        subject = names_of([(limit.scope, limit.subject_id)])[limit.scope, limit.subject_id]
        return f"The limit on {subject.name} stopped this"
    return "A limit of the organization stopped this"
