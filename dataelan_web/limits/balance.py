"""The limits one may see, each with how it stands, what holds it and where it leads, grouped by what they are on."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import contains_eager

from .. import access, quota
from ..extensions import db
from ..models import (
    Budget,
    BudgetPeriod,
    Execution,
    Hold,
    RateLimit,
    Reservation,
    ReservationState,
    Scope,
    now,
)
from ..quota import Standing
from . import place, words
from .bar import Bar, bar_of
from .speeds import Speed, speeds
from .subjects import KINDS, Subject, chosen_from, kind_here, names_of
from .words import Forecast

MOST = 500
"""Limits on one page."""
HOLDERS = 200


@dataclass(frozen=True)
class Holder:
    """A running execution, and what it holds of a limit."""

    execution: Execution
    amount: int


@dataclass
class Line:
    """One limit as a page shows it."""

    standing: Standing
    subject: Subject
    bar: Bar
    resets_in: str
    """6 d; empty: never."""
    resets_at: str
    forecast: Forecast | None
    holders: list[Holder] = field(default_factory=list)

    @property
    def budget(self) -> Budget:
        return self.standing.budget

    @property
    def is_operators(self) -> bool:
        return self.budget.organization_id is None


@dataclass
class Group:
    title: str
    why: str
    lines: list[Line] = field(default_factory=list)
    speeds: list[Speed] = field(default_factory=list)


def groups() -> tuple[list[Group], bool]:
    """(what the signed-in person may see, the tightest of each group first, without empty groups; is there more?)"""
    budgets = db.session.scalars(place.seen(Budget).order_by(Budget.id).limit(MOST)).all()
    rates = db.session.scalars(place.seen(RateLimit).order_by(RateLimit.id).limit(MOST)).all()
    rows: list[Budget | RateLimit] = [*budgets, *rates]
    names = names_of((row.scope, row.subject_id) for row in rows)
    kinds = {scope: kind_here(scope) for scope in (*chosen_from(), *KINDS)}
    made = {scope: Group(kind.many, kind.why) for scope, kind in kinds.items()}
    operators = Group("The operator’s", "set on this organization by whoever runs this Dataelan")

    def group_of(row: Budget | RateLimit) -> Group:
        is_from_above = row.organization_id is None and not place.is_operators()
        return operators if is_from_above else made[row.scope]

    for line in with_holders(lines(budgets, names)):
        group_of(line.budget).lines.append(line)
    for speed in speeds(rates, names):
        group_of(speed.rate).speeds.append(speed)
    found = [group for group in (*made.values(), operators) if group.lines or group.speeds]
    for group in found:
        group.lines.sort(key=lambda line: (-line.standing.percent, line.subject.name.lower(), line.budget.id))
        group.speeds.sort(key=lambda speed: (speed.subject.name.lower(), speed.rate.id))
    return found, max(len(budgets), len(rates)) == MOST


def lines(budgets: Sequence[Budget], names: dict[tuple[Scope, uuid.UUID], Subject] | None = None) -> list[Line]:
    names = names if names is not None else names_of((budget.scope, budget.subject_id) for budget in budgets)
    at = now()
    return [
        _line(standing, names[standing.budget.scope, standing.budget.subject_id], at)
        for standing in quota.standing(db.session, budgets)
    ]


def stands(limit: Budget | RateLimit) -> Line | Speed:
    """How one stands."""
    return lines([limit])[0] if isinstance(limit, Budget) else speeds([limit])[0]


def tightest(lines: Iterable[Line]) -> Line | None:
    """The one that will stop something first: hard ones before soft ones, then what is used most of."""
    return max(lines, key=lambda line: (line.budget.is_hard, line.standing.percent), default=None)


def with_holders(lines: list[Line]) -> list[Line]:
    """… and what runs at the moment, where something is held: one query for all, with the session that access joins.
    What organizations run is not for the operator to look into."""
    held = {line.budget.id: line for line in lines if line.standing.reserved}
    if not held or place.is_operators():
        return lines
    rows = db.session.execute(
        access.scoped(Execution)
        .join(Reservation, Reservation.execution_id == Execution.id)
        .join(Hold, Hold.reservation_id == Reservation.id)
        .join(BudgetPeriod, BudgetPeriod.id == Hold.period_id)
        .options(contains_eager(Execution.session))
        .add_columns(Hold.amount, BudgetPeriod.budget_id, BudgetPeriod.starts_at)
        .where(Reservation.state == ReservationState.HELD, BudgetPeriod.budget_id.in_(held))
        .order_by(Hold.amount.desc(), Hold.id)
        .limit(HOLDERS)
    )
    for execution, amount, budget_id, starts_at in rows:
        line = held[budget_id]
        if starts_at == line.standing.starts_at:
            line.holders.append(Holder(execution, amount))
    return lines


def _line(standing: Standing, subject: Subject, at: datetime) -> Line:
    ends, zone = standing.ends_at, standing.zone
    return Line(
        standing,
        subject,
        bar_of(standing, at),
        words.span((ends - at).total_seconds()) if ends else "",
        words.exact_time(ends, zone) if ends else "",
        words.forecast(standing, zone, at),
    )
