"""Limits that are used: what was spent of them, what is held, and the ledger behind it, without running a prompt."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from dataelan_web import quota
from dataelan_web.executions import branches
from dataelan_web.extensions import db
from dataelan_web.models import (
    NANO,
    Attempt,
    Budget,
    BudgetPeriod,
    Execution,
    ExecutionBody,
    Hold,
    Increase,
    LedgerEntry,
    Organization,
    Origin,
    Outcome,
    Pace,
    Payer,
    RateLimit,
    Reservation,
    Scope,
    State,
    User,
    Window,
    new_id,
    now,
)

from . import people


def limit(cast: people.Cast, scope: Scope, subject_id: uuid.UUID, amount: int = 50 * NANO, **more: Any) -> Budget:
    """$50 a month, unless said otherwise. Commits."""
    window = more.pop("window", Window.MONTH)
    budget = quota.set_limit(db.session, cast.organization.id, scope, subject_id, window, amount, **more)
    db.session.commit()
    return budget


def rate(organization_id: uuid.UUID | None, scope: Scope, subject_id: uuid.UUID, **paces: int) -> RateLimit:
    """Of an organization, or the operator's. Commits."""
    values = {name: paces.get(name) for name in ("requests_per_minute", "tokens_per_minute", "parallel")}
    made = quota.set_rate(db.session, organization_id, scope, subject_id, **values)
    db.session.commit()
    assert made
    return made


def period(budget: Budget, spent: int = 0, *, at: datetime | None = None) -> BudgetPeriod:
    """The window that lies around `at`, with this much spent in it. Commits."""
    home = db.session.get(Organization, budget.organization_id) if budget.organization_id else None
    start, end = quota.window_of(budget.window, at or now(), ZoneInfo(home.time_zone if home else "UTC"))
    values = {"id": new_id(), "created_at": start, "budget_id": budget.id, "starts_at": start, "ends_at": end}
    made = insert(BudgetPeriod).values(**values, spent=spent, reserved=0, opening=0, alerted=0)
    db.session.execute(
        made.on_conflict_do_update(
            index_elements=["budget_id", "starts_at"], set_={"spent": spent} if spent else {"alerted": 0}
        )
    )
    db.session.commit()
    return db.session.scalars(
        select(BudgetPeriod)
        .where(BudgetPeriod.budget_id == budget.id, BudgetPeriod.starts_at == start)
        .execution_options(populate_existing=True)
    ).one()


def run(cast: people.Cast, person: User | None = None, state: State = State.COMPLETED, **values: Any) -> Execution:
    made = Execution(
        id=new_id(),
        organization_id=cast.organization.id,
        project_id=cast.project.id,
        session=cast.session if person else None,
        continues_id=branches.newest(cast.session) if person else None,
        user_id=person.id if person else None,
        origin=Origin.PLAYGROUND if person else Origin.GATEWAY,
        state=state,
        body=ExecutionBody(request={"messages": []}),
    )
    for name, value in values.items():
        setattr(made, name, value)
    db.session.add(made)
    db.session.commit()
    return made


def attempt(execution: Execution, model: str = "model", outcome: Outcome = Outcome.COMPLETED, **values: Any) -> Attempt:
    made = Attempt(
        id=new_id(),
        execution_id=execution.id,
        number=1,
        model_name=model,
        provider_name="Own",
        payer=Payer.ORGANIZATION,
        outcome=outcome,
        **values,
    )
    db.session.add(made)
    db.session.commit()
    return made


def charge(
    cast: people.Cast, amount: int, person: User | None = None, model: str = "model", *, tokens: int = 0, **values: Any
) -> LedgerEntry:
    """One run that cost this much, in the ledger now. Commits."""
    made = LedgerEntry(
        organization_id=cast.organization.id,
        attempt_id=attempt(run(cast, person), model, **values).id,
        payer=Payer.ORGANIZATION,
        amount=amount,
        tokens=tokens,
    )
    db.session.add(made)
    db.session.commit()
    return made


def held(cast: people.Cast, budget: Budget, amount: int, person: User | None = None) -> Execution:
    """A running prompt that holds this much of the limit's window now. Commits."""
    window = period(budget)
    running = run(cast, person, State.RUNNING)
    sent = attempt(running, outcome=Outcome.SENT)
    window.reserved += amount
    db.session.add(
        Reservation(
            attempt_id=sent.id,
            execution_id=running.id,
            amount=amount,
            expires_at=now() + timedelta(minutes=20),
            holds=[Hold(period_id=window.id, amount=amount)],
        )
    )
    db.session.commit()
    return running


def asked(
    cast: people.Cast,
    limit: Budget | RateLimit,
    person: User,
    amount: int = 5 * NANO,
    reason: str = "",
    pace: Pace | None = None,
) -> Increase:
    """An open request for more. Commits."""
    made = Increase(organization_id=cast.organization.id, asked=amount, reason=reason, asked_by=person.id, pace=pace)
    made.budget_id, made.rate_id = (None, limit.id) if pace else (limit.id, None)
    db.session.add(made)
    db.session.commit()
    return made


def nothing_of_the_operators() -> None:
    """Its limits hold for every test that shares this Dataelan. Commits."""
    db.session.rollback()
    for table in (Budget, RateLimit):
        db.session.execute(delete(table).where(table.organization_id.is_(None)))
    db.session.commit()
