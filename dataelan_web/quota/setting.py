"""Limits and rates are made, changed, and go with their subjects. The caller commits."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, SQLColumnExpression, and_, case, delete, func, select, true
from sqlalchemy.dialects.postgresql import insert

from ..models import (
    APIKey,
    Attempt,
    Budget,
    BudgetPeriod,
    EntryKind,
    Execution,
    LedgerEntry,
    Organization,
    Payer,
    RateLimit,
    Scope,
    Unit,
    Window,
    now,
)
from ..models.base import DbSession
from .limits import Limit, limits_of
from .subjects import OPERATORS
from .walking import Walk, by_index

USED: dict[Unit, Any] = {
    Unit.USD: LedgerEntry.amount,
    Unit.TOKENS: LedgerEntry.tokens,
    Unit.REQUESTS: case((LedgerEntry.kind == EntryKind.CHARGE, 1), else_=0),
}
"""What a line of the ledger counts as."""
SPENT_BY: dict[Scope, Any] = {
    Scope.ORGANIZATION: LedgerEntry.organization_id,
    Scope.PROJECT: Execution.project_id,
    Scope.MEMBER: Execution.user_id,
    Scope.TOKEN: Execution.token_id,
    Scope.KEY: Attempt.api_key_id,
    Scope.PROVIDER: Attempt.provider_id,
    Scope.MODEL: Attempt.model_id,
}

BEYOND = timedelta(days=2)
"""What is written while the lines are read counts too, and clocks differ."""

Row = TypeVar("Row", Budget, RateLimit)


def set_limit(
    session: DbSession,
    organization_id: uuid.UUID | None,
    scope: Scope,
    subject_id: uuid.UUID,
    window: Window,
    limit: int,
    unit: Unit = Unit.USD,
    is_hard: bool | None = True,
    alerts: Sequence[int] | None = None,
    created_by: uuid.UUID | None = None,
) -> Budget:
    """Make or change a budget; `limit` in its unit, `is_hard` (None: as it is, or hard), `alerts` in percent (None: as
    they are, or the usual ones).

    A new one counts what the ledger says of its window so far: a monthly limit made on the 15th counts the month.
    Lowering one under what is spent breaks nothing; it only refuses what comes. Without an organization it is the
    operator's.
    """
    which = {
        "organization_id": organization_id,
        "scope": scope,
        "subject_id": subject_id,
        "window": window,
        "unit": unit,
    }
    values: dict[str, Any] = {"limit": limit}
    values |= {"is_hard": is_hard} if is_hard is not None else {}
    values |= {"alerts": list(alerts)} if alerts is not None else {}
    budget, is_new = _made_or_found(session, Budget, which, {**values, "created_by": created_by})
    if is_new:
        _open(session, budget)
    else:
        _change(budget, values)
    session.flush()
    show_on_key(session, budget, limit)
    return budget


def show_on_key(session: DbSession, budget: Budget, limit: int | None) -> None:
    """A key's page shows its daily limit from the key's own row (hub/keys/keeping.py)."""
    is_daily = budget.window is Window.DAY and budget.unit is Unit.USD
    key = session.get(APIKey, budget.subject_id) if budget.scope is Scope.KEY and is_daily else None
    if key is not None:
        key.daily_quota = limit


def set_rate(
    session: DbSession,
    organization_id: uuid.UUID | None,
    scope: Scope,
    subject_id: uuid.UUID,
    *,
    requests_per_minute: int | None,
    tokens_per_minute: int | None,
    parallel: int | None,
    created_by: uuid.UUID | None = None,
) -> RateLimit | None:
    """Make or change how fast a subject may ask; without any number there is no such limit any more."""
    which = {"organization_id": organization_id, "scope": scope, "subject_id": subject_id}
    values = {
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "parallel": parallel,
    }
    if not any(values.values()):
        session.execute(delete(RateLimit).where(*_are(RateLimit, which)))
        return None
    rate, is_new = _made_or_found(session, RateLimit, which, {**values, "created_by": created_by})
    if not is_new:
        _change(rate, values)
    session.flush()
    return rate


def forget(session: DbSession, *subject_ids: uuid.UUID) -> None:
    """Every limit and rate of subjects that are deleted, those in the trash too: for good, as their subjects go."""
    erase(session, Budget.subject_id.in_(subject_ids))
    rates = delete(RateLimit).where(RateLimit.subject_id.in_(subject_ids))
    session.execute(rates.execution_options(synchronize_session=False))


def erase(session: DbSession, which: ColumnElement[bool]) -> None:
    """Such budgets for good, with their windows and increases; what was spent stays in the ledger. Their windows are
    locked first, in the one order in which every call locks them."""
    session.flush()
    ids = session.scalars(select(Budget.id).where(which).order_by(Budget.id).with_for_update()).all()
    windows = select(BudgetPeriod.id).where(BudgetPeriod.budget_id.in_(ids))
    session.execute(windows.order_by(BudgetPeriod.budget_id, BudgetPeriod.starts_at).with_for_update())
    gone = delete(Budget).where(Budget.id.in_(ids))
    session.execute(gone.execution_options(synchronize_session=False))


def _made_or_found(
    session: DbSession, table: type[Row], which: dict[str, Any], values: dict[str, Any]
) -> tuple[Row, bool]:
    """The row, and whether it is new. Two people at once make one; what is in the trash is none."""
    made = session.scalar(insert(table).values(**which, **values).on_conflict_do_nothing().returning(table.id))
    found = select(table).where(*_are(table, which)).execution_options(populate_existing=True)
    return session.scalars(found).one(), made is not None


def _are(table: type[Budget | RateLimit], which: dict[str, Any]) -> list[ColumnElement[bool]]:
    return [*(getattr(table, name) == value for name, value in which.items()), table.deleted_at.is_(None)]


def _change(row: Budget | RateLimit, values: dict[str, Any]) -> None:
    if any(getattr(row, name) != value for name, value in values.items()):
        for name, value in values.items():
            setattr(row, name, value)
        row.updated_at = now()


def _open(session: DbSession, budget: Budget) -> None:
    """Its first window, with what was spent in it before."""
    (limit,) = limits_of(session, [budget.id])
    used = used_since(session, limit)
    session.add(
        BudgetPeriod(
            created_at=func.clock_timestamp(),  # by the clock that lines of the ledger go by (openings)
            budget_id=budget.id,
            starts_at=limit.starts_at,
            ends_at=limit.ends_at,
            opening=used,
            spent=used,
            reserved=0,
        )
    )


def counts_for(
    scope: Scope, unit: Unit, organization_id: uuid.UUID | SQLColumnExpression[Any] | None, subject_id: Any
) -> ColumnElement[bool]:
    """Is this line of the ledger, with its attempt and execution, of a call that such a limit counts? Without an
    organization it is the operator's. The ids may be columns."""
    if organization_id is not None:
        counted: ColumnElement[bool] = LedgerEntry.organization_id == organization_id
    else:
        counted = LedgerEntry.payer.in_([payer for payer in Payer if unit in OPERATORS[payer]])
    subject = SPENT_BY.get(scope)
    return and_(counted, subject == subject_id if subject is not None else true())


def counts_everybody(scope: Scope) -> bool:
    """Does a limit of the operator's on such a subject count what several organizations use?"""
    return scope is not Scope.ORGANIZATION


def first_of_all(session: DbSession) -> datetime:
    """When there was an organization: hardly a line of the ledger is older."""
    return session.scalar(select(func.min(Organization.created_at))) or now()


def used_since(session: DbSession, limit: Limit, *which: ColumnElement[bool]) -> int:
    """What the ledger says of calls that began in this window, by the rules that the limit counts by; of `which` lines.
    Everybody's may be too many for one statement, so those are read piece by piece, the newest last."""
    asked = (
        select(func.coalesce(func.sum(USED[limit.unit]), 0))
        .join(Attempt, Attempt.id == LedgerEntry.attempt_id)
        .where(
            counts_for(limit.scope, limit.unit, limit.organization_id, limit.subject_id),
            LedgerEntry.created_at >= limit.starts_at,
            Attempt.started_at >= limit.starts_at,
            *which,
        )
    )
    if limit.organization_id is not None or not counts_everybody(limit.scope):
        return int(session.scalar(asked.join(Execution, Execution.id == Attempt.execution_id)) or 0)

    def read(since: datetime, to: datetime) -> tuple[int, ...]:
        piece = asked.where(LedgerEntry.created_at >= since, LedgerEntry.created_at < to)
        return (int(by_index(session, piece)[0][0]),)

    walk = Walk(limit.starts_at, now() + BEYOND, (0,))
    return walk.goes_on(first_of_all(session), read, math.inf).sums[0]
