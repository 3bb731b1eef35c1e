"""Limits go to the trash and come back. The caller commits.

In the trash a limit holds nobody up: calls do not read it. What was held against it is settled there as ever, so its
windows go on agreeing with the ledger; only what begins meanwhile is not held. So when it comes back, its window of now
is counted anew, as that of a limit which is made in the middle of one: opening = what the ledger says of calls that are
not held against it.
"""

from __future__ import annotations

import uuid

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.dialects.postgresql import insert

from ..models import Budget, BudgetPeriod, Hold, LedgerEntry, RateLimit, Reservation, new_id
from ..models.base import DbSession
from .limits import Limit, limits_of
from .setting import USED, show_on_key, used_since


class Replaced(Exception):
    """Another limit has the place of the one that should come back."""


def delete_limit(session: DbSession, budget: Budget, by: uuid.UUID | None = None) -> None:
    """Into the trash, with its windows and increases. Calls that read it before may still be held against it."""
    budget.discard(by)
    show_on_key(session, budget, None)
    session.flush()


def delete_rate(session: DbSession, rate: RateLimit, by: uuid.UUID | None = None) -> None:
    rate.discard(by)
    session.flush()


def restore_limit(session: DbSession, budget: Budget) -> None:
    """It counts what was spent in its window meanwhile. Only what runs at this moment, and was begun while it was in
    the trash, is not counted. Raises Replaced."""
    place = Budget.scope == budget.scope, Budget.window == budget.window, Budget.unit == budget.unit
    _must_be_free(session, budget, *place)
    budget.restore()
    session.flush()
    (limit,) = limits_of(session, [budget.id])
    _count_anew(session, limit)
    show_on_key(session, budget, budget.limit)


def restore_rate(session: DbSession, rate: RateLimit) -> None:
    """Its minute is counted from now on. Raises Replaced."""
    _must_be_free(session, rate, RateLimit.scope == rate.scope)
    rate.restore()
    session.flush()


def _must_be_free(session: DbSession, row: Budget | RateLimit, *place: ColumnElement[bool]) -> None:
    table = type(row)
    owner = table.organization_id.is_not_distinct_from(row.organization_id)
    living = select(table.id).where(table.subject_id == row.subject_id, owner, table.deleted_at.is_(None), *place)
    if session.scalar(living.limit(1)):
        raise Replaced


def _count_anew(session: DbSession, limit: Limit) -> None:
    """Its window is locked first: who settles what is held against it comes before, with the line, or after."""
    new = {"id": new_id(), "created_at": func.clock_timestamp(), "budget_id": limit.id}
    new |= {"starts_at": limit.starts_at, "ends_at": limit.ends_at}
    new |= dict.fromkeys(("opening", "spent", "reserved", "alerted"), 0)
    session.execute(insert(BudgetPeriod).values(new).on_conflict_do_nothing())
    of_now = BudgetPeriod.budget_id == limit.id, BudgetPeriod.starts_at == limit.starts_at
    found = select(BudgetPeriod).where(*of_now).with_for_update(key_share=True)
    period = session.scalars(found.execution_options(populate_existing=True)).one()
    charged = select(func.sum(USED[limit.unit])).select_from(LedgerEntry).where(_is_held(period.id))
    period.opening = used_since(session, limit, ~_is_held(period.id))
    period.spent = period.opening + int(session.scalar(charged) or 0)
    period.counted_at = func.clock_timestamp()  # by the clock that lines of the ledger go by (openings)
    session.flush()


def _is_held(period_id: uuid.UUID) -> ColumnElement[bool]:
    """Is this line of the ledger of a call that is held against the window?"""
    held = select(Hold.id).join(Reservation, Reservation.id == Hold.reservation_id)
    held = held.where(Hold.period_id == period_id, Reservation.attempt_id == LedgerEntry.attempt_id)
    return exists(held.correlate(LedgerEntry))
