"""The ledger is append-only, and what limits say agrees with it; where it does not, that is told and mended openly."""

from __future__ import annotations

import logging
import uuid

import pytest
from flask import Flask
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import IntegrityError

from dataelan_web import quota
from dataelan_web.executions import bookkeeping
from dataelan_web.executions.bookkeeping import check_books
from dataelan_web.extensions import db
from dataelan_web.models import (
    Attempt,
    AuditEvent,
    Budget,
    BudgetPeriod,
    Execution,
    LedgerEntry,
    Price,
    Scope,
    State,
    Unit,
    Window,
    now,
)
from tests import people

from .steps import (
    USD,
    attempt,
    charge,
    drifted,
    execution,
    ledger,
    let_the_window_end,
    limit,
    lines,
    reserve,
    settle,
    state_of,
)


def ended(cast: people.Cast, amount: int, tokens: int = 0) -> uuid.UUID:
    """A call that is over, and charged."""
    made = reserve(cast, amount, tokens)
    settle(cast, made, amount, tokens)
    db.session.execute(update(Attempt).where(Attempt.id == made).values(ended_at=now(), cost=amount))
    db.session.commit()
    return made


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE ledger_entries SET amount = 0 WHERE attempt_id = :id",
        "UPDATE ledger_entries SET note = 'x' WHERE attempt_id = :id",
        "DELETE FROM ledger_entries WHERE attempt_id = :id",
        "TRUNCATE ledger_entries",
        "TRUNCATE attempts CASCADE",
        "DELETE FROM attempts WHERE id = :id",
        "DELETE FROM executions WHERE id = (SELECT execution_id FROM attempts WHERE id = :id)",
    ],
)
def test_nothing_that_was_written_into_the_ledger_goes(change: str, acme: people.Cast) -> None:
    limit(acme, 100)
    made = ended(acme, 40)
    with pytest.raises(IntegrityError, match=r"append-only|violates foreign key"):
        db.session.execute(text(change), {"id": made})
    db.session.rollback()
    assert lines(made) == [(40, 0, "")]


def test_a_price_that_the_ledger_names_cannot_be_deleted(acme: people.Cast) -> None:
    """Complaint 4: what was paid for can be explained for as long as it is in the books."""
    model = people.own_model(acme, people.own_provider(acme, "http://127.0.0.1:9/v1"), "m", input=1, output=1)
    (price,) = model.prices
    id = execution(acme).id
    entry = charge(acme.organization.id, 5)._replace(price_id=price.id)
    quota.settle(db.session, attempt(id, price_id=price.id), entry)
    db.session.commit()
    with pytest.raises(IntegrityError, match="ledger_entries"):
        db.session.execute(delete(Price).where(Price.id == price.id))
    db.session.rollback()


# -- corrections -----------------------------------------------------------------------------------


def test_a_correction_is_a_further_line_that_counts_where_the_call_did(acme: people.Cast) -> None:
    money, tokens = limit(acme, 1_000), limit(acme, 1_000, unit=Unit.TOKENS)
    requests = limit(acme, 10, unit=Unit.REQUESTS)
    made = ended(acme, 100, 50)
    let_the_window_end(money)
    quota.correct(db.session, made, -30, "The invoice says so", acme.olivia.id, tokens=5)
    db.session.commit()
    assert lines(made) == [(100, 50, ""), (-30, 5, "The invoice says so")]
    assert [state_of(one) for one in (money, tokens, requests)] == [(70, 0), (55, 0), (1, 0)]
    of_attempt = db.session.get_one(Attempt, made)
    of_execution = db.session.get_one(Execution, of_attempt.execution_id)
    assert of_attempt.cost == of_execution.cost == ledger(acme) == 70
    assert not drifted(money, tokens, requests)
    entry = db.session.scalars(
        select(LedgerEntry).where(LedgerEntry.attempt_id == made, LedgerEntry.note == "The invoice says so")
    ).one()
    assert (entry.created_by, entry.organization_id) == (acme.olivia.id, acme.organization.id)


def test_what_was_of_unknown_cost_can_be_charged_later(acme: people.Cast) -> None:
    id = execution(acme).id
    made = attempt(id, ended_at=now())
    db.session.commit()
    quota.correct(db.session, made, 25, "By the provider's invoice", None)
    db.session.commit()
    assert db.session.get_one(Execution, id).cost == 25
    assert ledger(acme) == 25


def test_a_correction_cannot_bring_a_call_below_nothing_nor_touch_one_that_goes_on(acme: people.Cast) -> None:
    budget = limit(acme, 100)
    made, running = ended(acme, 40), reserve(acme, 10)
    for id, amount in ((made, -41), (running, 5)):
        with pytest.raises(ValueError, match=r"less than nothing|has not ended"):
            quota.correct(db.session, id, amount, "Wrong", None)
        db.session.rollback()
    assert state_of(budget) == (40, 10)


def test_a_call_is_corrected_when_its_run_is_over_whose_worker_would_write_another_sum(acme: people.Cast) -> None:
    made = ended(acme, 40)
    run = db.session.get_one(Execution, db.session.get_one(Attempt, made).execution_id)
    run.state = State.RUNNING
    db.session.commit()
    with pytest.raises(ValueError, match="has not ended"):
        quota.correct(db.session, made, 5, "By the invoice", None)
    db.session.rollback()
    run.state = State.COMPLETED
    quota.correct(db.session, made, 5, "By the invoice", None)
    assert run.cost == 45


def test_the_operator_corrects_a_run_by_command_with_a_line_of_the_log(app: Flask, acme: people.Cast) -> None:
    budget = limit(acme, 10 * USD)
    made = ended(acme, 4 * USD)
    run = db.session.get_one(Attempt, made).execution_id
    number = db.session.get_one(Attempt, made).number

    def correct(*words: str) -> str:
        return str(app.test_cli_runner().invoke(args=["ledger", "correct", *words, "--note", "The invoice"]).output)

    assert correct(str(run), "--less", "1.50") == f"Call {number} of {run} cost $2.50 now.\n"
    assert correct(str(run), "--more", "0.25", "--call", str(number)) == f"Call {number} of {run} cost $2.75 now.\n"
    assert (state_of(budget), ledger(acme)) == ((2_750_000_000, 0), 2_750_000_000)
    assert [amount for amount, _, _ in lines(made)] == [4 * USD, -1_500_000_000, 250_000_000]
    logged = select(AuditEvent.detail).where(AuditEvent.organization_id == acme.organization.id)
    details = db.session.scalars(logged.where(AuditEvent.action == "ledger.corrected").order_by(AuditEvent.id)).all()
    assert [detail["nano_usd"] for detail in details] == [-1_500_000_000, 250_000_000]
    assert details[0]["run"] == str(run)
    for words, why in (
        ((str(run), "--less", "99"), "cannot come to less than nothing"),
        ((str(run), "--more", "x"), "Enter"),
        ((str(run),), "Say --more or --less"),
        ((str(run), "--more", "1", "--call", "0"), "Say which with --call"),
        ((str(uuid.uuid4()), "--more", "1"), "There is no such run"),
    ):
        assert why in correct(*words)
    assert state_of(budget) == (2_750_000_000, 0)
    assert not drifted(budget)


# -- do they agree? --------------------------------------------------------------------------------


@pytest.fixture
def turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ours to look, whatever the worker beside the tests did lately."""
    monkeypatch.setattr(bookkeeping, "TURN", f"test:{uuid.uuid4()}")


@pytest.fixture
def drifting(acme: people.Cast) -> Budget:
    """A limit whose window says more than was spent, and holds what nobody holds."""
    budget = limit(acme, 1_000)
    ended(acme, 100)
    reserve(acme, 30)
    db.session.execute(
        update(BudgetPeriod)
        .where(BudgetPeriod.budget_id == budget.id)
        .values(spent=170, reserved=BudgetPeriod.reserved + 5)
    )
    db.session.commit()
    return budget


def test_drift_is_found_told_and_not_mended_by_itself(
    drifting: Budget, turn: None, caplog: pytest.LogCaptureFixture
) -> None:
    (found,) = drifted(drifting)
    assert (found.spent, found.spent_by_the_ledger, found.reserved, found.held) == (170, 100, 35, 30)
    assert (found.scope, found.window, found.unit) == (Scope.ORGANIZATION, Window.MONTH, Unit.USD)
    with caplog.at_level(logging.ERROR):
        assert drifting.id in {one.budget_id for one in check_books()}
        assert check_books() == []  # the next turn is in a minute
    assert [record for record in caplog.records if record.getMessage().startswith("ledger.drift")]
    assert state_of(drifting) == (170, 35)
    quota.mend(db.session)
    db.session.commit()


def test_the_command_finds_drift_and_mends_it_with_a_note(app: Flask, drifting: Budget) -> None:
    run = app.test_cli_runner()
    verified = run.invoke(args=["ledger", "verify"])
    assert verified.exit_code == 1
    assert f"budget {drifting.id}" in verified.stderr
    mended = run.invoke(args=["ledger", "mend"])
    assert "were mended" in mended.stdout
    assert state_of(drifting) == (100, 30)
    verified = run.invoke(args=["ledger", "verify"])
    assert (verified.exit_code, verified.stdout) == (0, "Every limit agrees with the ledger.\n")
    (event,) = db.session.scalars(select(AuditEvent).where(AuditEvent.subject_id == drifting.id))
    assert event.action == "limit.mended"
    assert "spent 170, by the ledger 100" in event.detail["drift"]


def test_windows_that_ended_long_ago_are_looked_at_only_when_asked(drifting: Budget, turn: None) -> None:
    let_the_window_end(drifting)
    assert drifting.id not in {one.budget_id for one in check_books()}
    assert drifted(drifting)
    quota.mend(db.session)
    db.session.commit()
    assert not drifted(drifting)
