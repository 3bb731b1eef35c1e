"""A limit that does not agree with the ledger is seen: by a metric, a notice, and a page that mends it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import delete, func, select, update

from dataelan_web import quota
from dataelan_web.executions import bookkeeping
from dataelan_web.executions.bookkeeping import check_books
from dataelan_web.extensions import db
from dataelan_web.jobs.queue import store
from dataelan_web.models import (
    AuditEvent,
    Budget,
    BudgetPeriod,
    LedgerDrift,
    Membership,
    Notice,
    Role,
    Scope,
    Unit,
    Window,
)

from . import people
from .quota.steps import limit, state_of
from .quota.test_books import drifting, ended, turn  # noqa: F401  (fixtures)
from .test_admin import sue  # noqa: F401  (a fixture)
from .test_metrics import measured, told, value  # noqa: F401  (a fixture)

# ruff: noqa: F811  (fixtures are arguments)


@pytest.fixture(autouse=True)
def clean(context: None) -> Iterator[None]:
    """What other tests left, this file has nothing to do with."""
    quota.mend(db.session)
    db.session.execute(delete(LedgerDrift))
    db.session.commit()
    yield
    db.session.rollback()
    quota.mend(db.session)
    db.session.execute(delete(LedgerDrift))
    db.session.commit()


def look_again() -> list[quota.Drift]:
    """A minute later."""
    store().delete(bookkeeping.TURN)
    return check_books()


def row_of(budget: Budget) -> LedgerDrift | None:
    db.session.rollback()
    query = select(LedgerDrift).join(BudgetPeriod).where(BudgetPeriod.budget_id == budget.id)
    return db.session.scalars(query).one_or_none()


def test_a_metric_says_how_many_windows_drift(measured: Flask, drifting: Budget, turn: None) -> None:
    assert value(told(measured), "dataelan_ledger_drift_windows") == 0
    look_again()
    assert value(told(measured), "dataelan_ledger_drift_windows") == 1
    bookkeeping.mend_books()
    assert value(told(measured), "dataelan_ledger_drift_windows") == 0


def test_superusers_are_told_of_each_drift_once_and_since_when_it_is(
    acme: people.Cast, sue: people.Browser, drifting: Budget, turn: None
) -> None:
    person = sue.person  # type: ignore[attr-defined]
    db.session.add(Membership(organization_id=acme.organization.id, user_id=person.id, role=Role.MEMBER))
    db.session.commit()

    def notices() -> list[Notice]:
        db.session.rollback()
        mine = select(Notice).where(Notice.user_id == person.id, Notice.kind == bookkeeping.KIND)
        return list(db.session.scalars(mine))

    look_again()
    first = row_of(drifting)
    assert first is not None
    id, since = first.id, first.created_at
    (notice,) = notices()
    assert "spent 170, by the ledger 100" in notice.body
    assert notice.path == "/admin/books"
    look_again()
    again = row_of(drifting)
    assert again is not None
    assert (again.id, again.created_at) == (id, since)
    assert len(notices()) == 1
    everybody = select(func.count()).select_from(Notice).where(Notice.kind == bookkeeping.KIND)
    others = db.session.scalar(everybody.where(Notice.user_id.in_([acme.mia.id, acme.olivia.id])))
    assert others == 0, "they are no superusers"
    bookkeeping.mend_books()
    look_again()
    assert row_of(drifting) is None
    db.session.execute(update(BudgetPeriod).where(BudgetPeriod.budget_id == drifting.id).values(spent=1))
    db.session.commit()
    look_again()
    assert len(notices()) == 2, "it is another one"


def test_what_agrees_again_by_itself_is_forgotten(drifting: Budget, turn: None) -> None:
    look_again()
    assert row_of(drifting) is not None
    quota.mend(db.session)
    db.session.commit()
    look_again()
    assert row_of(drifting) is None


def test_a_page_says_what_drifted_by_how_much_and_a_button_mends_it_with_a_line_of_the_log(
    acme: people.Cast, sue: people.Browser, drifting: Budget, turn: None
) -> None:
    assert "Every limit agrees with the ledger" in sue.get("/admin/books").text
    assert "not agree with the ledger" not in sue.get("/admin/queue").text
    look_again()
    assert "1 window of a limit does not agree with the ledger" in sue.get("/admin/queue").text
    page = sue.get("/admin/books").text
    for words in (acme.organization.name, "Organization, a month", "too much", "Spent", "Held"):
        assert words in page, words
    assert "Spent before the limit was made" not in page, "that agrees"
    assert sue.submit("/admin/books/mending").status_code == 204
    assert state_of(drifting) == (100, 30)
    assert row_of(drifting) is None
    assert "Every limit agrees with the ledger" in sue.get("/admin/books").text
    (event,) = db.session.scalars(select(AuditEvent).where(AuditEvent.subject_id == drifting.id))
    assert (event.action, event.actor_id) == ("limit.mended", sue.person.id)  # type: ignore[attr-defined]
    assert "spent 170, by the ledger 100" in event.detail["drift"]


# -- what was spent before the limit was made ---------------------------------------------------------


@pytest.fixture
def late(acme: people.Cast) -> Budget:
    """A limit that was made after a call of 70, and has counted one of 30 since."""
    first = limit(acme, 1_000, scope=Scope.PROJECT)
    ended(acme, 70)
    db.session.execute(delete(Budget).where(Budget.id == first.id))
    budget = quota.set_limit(
        db.session, acme.organization.id, Scope.PROJECT, acme.project.id, Window.MONTH, 1_000, Unit.USD
    )
    db.session.commit()
    ended(acme, 30)
    return budget


def period(budget: Budget) -> BudgetPeriod:
    db.session.rollback()
    return db.session.scalars(select(BudgetPeriod).where(BudgetPeriod.budget_id == budget.id)).one()


@pytest.mark.parametrize("wrong", [0, 69, 500])
def test_a_wrong_opening_is_found_and_mended_though_all_else_agrees_with_it(
    app: Flask, late: Budget, turn: None, wrong: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (period(late).opening, period(late).spent) == (70, 100)
    assert late.id not in {one.budget_id for one in everything()}
    made_long_ago(late)
    row = period(late)
    row.opening, row.spent = wrong, wrong + 30
    db.session.commit()
    assert late.id not in {one.budget_id for one in quota.drift(db.session)}, "spent = opening + the calls since"
    (found,) = [one for one in everything() if one.budget_id == late.id]
    assert (found.opening, found.opening_by_the_ledger, found.spent_by_the_ledger) == (wrong, 70, 100)
    assert app.test_cli_runner().invoke(args=["ledger", "verify"]).exit_code == 1
    store().delete(f"{bookkeeping.TURN}:openings")
    a_few = len(quota.first_windows(db.session)) // 5 + 1
    monkeypatch.setattr(bookkeeping, "OPENINGS", a_few)  # in five turns, however many there are by now
    for _ in range(6):
        if late.id in {one.budget_id for one in look_again()}:
            break
    kept = row_of(late)
    assert kept is not None
    assert (kept.opening, kept.opening_by_the_ledger) == (wrong, 70)
    assert late.id in {one.budget_id for one in look_again()}, "it is not forgotten while others are looked at"
    bookkeeping.mend_books()
    assert (period(late).opening, period(late).spent) == (70, 100)
    assert late.id not in {one.budget_id for one in everything()}


def made_long_ago(budget: Budget) -> None:
    """Ten minutes: what was written in the minute in which a limit is made may count or not. Its calls of before
    were an hour ago; those since are of now."""
    db.session.execute(
        db.text(
            "ALTER TABLE ledger_entries DISABLE TRIGGER USER;"
            "UPDATE ledger_entries SET created_at = created_at - interval '1 hour' WHERE amount = 70"
            " AND organization_id = :home;"
            "ALTER TABLE ledger_entries ENABLE TRIGGER USER"
        ),
        {"home": budget.organization_id},
    )
    ago = func.now() - db.text("interval '10 minutes'")
    db.session.execute(update(Budget).where(Budget.id == budget.id).values(created_at=ago))
    db.session.execute(update(BudgetPeriod).where(BudgetPeriod.budget_id == budget.id).values(created_at=ago))
    db.session.commit()


def everything() -> list[quota.Drift]:
    found = quota.drift(db.session, openings=quota.wrong_openings(db.session, quota.first_windows(db.session)))
    db.session.rollback()
    return found


def test_a_line_that_was_written_while_the_limit_was_made_is_no_drift(late: Budget) -> None:
    """Nobody knows whether it saw it: both are right."""
    row = period(late)
    for opening in (0, 70):
        row = period(late)
        row.opening, row.spent = opening, opening + 30
        db.session.commit()
        assert late.id not in {one.budget_id for one in everything()}
    row = period(late)
    row.opening, row.spent = 71, 101
    db.session.commit()
    assert late.id in {one.budget_id for one in everything()}
