"""What tests of limits do and look at: calls of an organization, held and settled without a provider."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select, text, update

from dataelan_web import quota
from dataelan_web.extensions import db
from dataelan_web.models import (
    NANO,
    Attempt,
    Budget,
    BudgetPeriod,
    Execution,
    ExecutionBody,
    LedgerEntry,
    Origin,
    Outcome,
    Payer,
    Scope,
    State,
    Unit,
    Window,
    new_id,
)
from dataelan_web.quota import OverLimit, Subjects, Use
from tests import people

USD = NANO
MILLION = 1_000_000

_numbers = iter(range(1, 10**9))


def execution(cast: people.Cast) -> Execution:
    made = Execution(
        id=new_id(),
        organization_id=cast.organization.id,
        project_id=cast.project.id,
        user_id=cast.mia.id,
        origin=Origin.GATEWAY,
        state=State.COMPLETED,
        body=ExecutionBody(request={"messages": []}),
    )
    db.session.add(made)
    db.session.commit()
    return made


def attempt(execution_id: uuid.UUID, **values: Any) -> uuid.UUID:
    made = Attempt(
        id=new_id(),
        execution_id=execution_id,
        number=next(_numbers),
        model_name="m",
        provider_name="p",
        payer=values.pop("payer", Payer.ORGANIZATION),
        outcome=Outcome.SENT,
        **values,
    )
    db.session.add(made)
    db.session.flush()
    return made.id


def subjects(cast: people.Cast, payer: Payer = Payer.ORGANIZATION, **named: uuid.UUID) -> Subjects:
    """Whom Mia's call in the project is counted against; the model and provider are nobody else's."""
    others = {"token_id": None, "key_id": None, "provider_id": uuid.uuid4(), "model_id": uuid.uuid4()} | named
    return Subjects(cast.organization.id, cast.project.id, cast.mia.id, **others, payer=payer)  # type: ignore[arg-type]


def limit(
    cast: people.Cast,
    amount: int,
    scope: Scope = Scope.ORGANIZATION,
    window: Window = Window.MONTH,
    unit: Unit = Unit.USD,
    **values: Any,
) -> Budget:
    subject = {Scope.ORGANIZATION: cast.organization.id, Scope.PROJECT: cast.project.id, Scope.MEMBER: cast.mia.id}
    owner = values.pop("owner", cast.organization.id)
    budget = quota.set_limit(db.session, owner, scope, subject[scope], window, amount, unit, **values)
    db.session.commit()
    return budget


def reserve(cast: people.Cast, amount: int = 0, tokens: int = 0, who: Subjects | None = None) -> uuid.UUID:
    """An attempt with this held, committed; or OverLimit, and nothing."""
    id = execution(cast).id
    made = attempt(id)
    try:
        quota.reserve(db.session, quota.applicable(db.session, who or subjects(cast)), id, made, Use(amount, tokens))
        quota.commit(db.session)
    except OverLimit:
        db.session.rollback()
        raise
    return made


def settle(cast: people.Cast, attempt_id: uuid.UUID, amount: int = 0, tokens: int = 0, note: str = "") -> bool:
    is_over = quota.settle(db.session, attempt_id, charge(cast.organization.id, amount, tokens, note))
    quota.commit(db.session)
    return is_over


def charge(organization_id: uuid.UUID, amount: int, tokens: int = 0, note: str = "") -> quota.Charge:
    return quota.Charge(organization_id, Payer.ORGANIZATION, amount, tokens, note=note)


def line(organization_id: uuid.UUID, amount: int, tokens: int = 0, note: str = "") -> LedgerEntry:
    return LedgerEntry(
        organization_id=organization_id,
        kind="charge",
        payer=Payer.ORGANIZATION,
        amount=amount,
        tokens=tokens,
        note=note,
    )


def void(attempt_id: uuid.UUID) -> None:
    quota.void(db.session, attempt_id)
    quota.commit(db.session)


def state_of(budget: Budget | uuid.UUID) -> tuple[int, int]:
    """(spent, reserved), over all windows."""
    db.session.rollback()
    id = budget if isinstance(budget, uuid.UUID) else budget.id
    sums = select(func.coalesce(func.sum(BudgetPeriod.spent), 0), func.coalesce(func.sum(BudgetPeriod.reserved), 0))
    spent, reserved = db.session.execute(sums.where(BudgetPeriod.budget_id == id)).one()
    return int(spent), int(reserved)


def periods(budget: Budget) -> list[tuple[int, int, int]]:
    """(opening, spent, reserved) of each window, in order."""
    rows = select(BudgetPeriod.opening, BudgetPeriod.spent, BudgetPeriod.reserved)
    found = db.session.execute(rows.where(BudgetPeriod.budget_id == budget.id).order_by(BudgetPeriod.starts_at))
    return [tuple(row) for row in found]


_seconds = iter(range(1, 10**9))


def let_the_window_end(budget: Budget) -> None:
    """As if it had been made a year and a day ago, and all that was counted by it; no two windows fall together."""
    ago = timedelta(days=366, seconds=next(_seconds))
    past = {"starts_at": BudgetPeriod.starts_at - ago, "ends_at": BudgetPeriod.ends_at - ago}
    db.session.execute(update(BudgetPeriod).where(BudgetPeriod.budget_id == budget.id).values(past))
    db.session.commit()


def ledger(cast: people.Cast) -> int:
    mine = LedgerEntry.organization_id == cast.organization.id
    return int(db.session.scalar(select(func.sum(LedgerEntry.amount)).where(mine)) or 0)


def lines(attempt_id: uuid.UUID) -> list[tuple[int, int, str]]:
    """(amount, tokens, note) of its lines in the ledger, in order."""
    rows = select(LedgerEntry.amount, LedgerEntry.tokens, LedgerEntry.note)
    found = db.session.execute(rows.where(LedgerEntry.attempt_id == attempt_id).order_by(LedgerEntry.id))
    return [tuple(row) for row in found]


def drifted(*budgets: Budget) -> list[quota.Drift]:
    db.session.rollback()
    return quota.drift(db.session, of=[budget.id for budget in budgets])


WATCH = """
CREATE OR REPLACE FUNCTION watch_limits() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    most bigint;
BEGIN
    SELECT b."limit" + coalesce((SELECT sum(i.granted) FROM budget_increases i WHERE i.budget_id = b.id
        AND i.answer = 'approved' AND (i.expires_at IS NULL OR i.expires_at > now())), 0)
    INTO most FROM budgets b WHERE b.id = NEW.budget_id AND b.is_hard;
    IF NEW.spent + NEW.reserved > most THEN
        RAISE EXCEPTION 'over the limit: % + % > %', NEW.spent, NEW.reserved, most;
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER watch_limits AFTER UPDATE ON budget_periods
FOR EACH ROW WHEN (NEW.reserved > OLD.reserved) EXECUTE FUNCTION watch_limits();
"""


@contextmanager
def watched() -> Iterator[None]:
    """The database itself refuses whatever would hold more than a limit has, whoever writes it."""
    db.session.execute(text(WATCH))
    db.session.commit()
    try:
        yield
    finally:
        db.session.rollback()
        db.session.execute(text("DROP TRIGGER watch_limits ON budget_periods"))
        db.session.commit()
