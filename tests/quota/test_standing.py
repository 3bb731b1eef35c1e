"""How budgets stand, and where they are going."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import event, text, update

from dataelan_web import quota
from dataelan_web.extensions import db
from dataelan_web.models import Answer, Budget, BudgetPeriod, Increase, Organization, Scope, Unit, Window, now
from dataelan_web.quota import Standing
from tests import people

from .steps import limit, reserve, settle

DAY = timedelta(days=1)


def standing(budget: Budget) -> Standing:
    db.session.rollback()
    (found,) = quota.standing(db.session, [budget])
    return found


def of_an_old_organization(cast: people.Cast, window: Window = Window.MONTH, **values: object) -> Budget:
    db.session.execute(
        update(Organization)
        .where(Organization.id == cast.organization.id)
        .values(created_at=now() - timedelta(days=3_000))
    )
    return limit(cast, 1_000, window=window, **values)


def gone(budget: Budget, share: float, spent: int) -> None:
    """So much of the window has gone, and so much was spent in it."""
    shift = text(
        "UPDATE budget_periods SET starts_at = now() - :share * interval '30 days',"
        " ends_at = now() + (1 - :share) * interval '30 days', spent = :spent WHERE budget_id = :id AND ends_at > now()"
    )
    db.session.execute(shift, {"share": share, "spent": spent, "id": budget.id})
    db.session.commit()


def earlier(budget: Budget, *spent: int) -> None:
    """What was spent in the windows before, the latest first."""
    (period,) = db.session.query(BudgetPeriod).filter_by(budget_id=budget.id)
    for place, amount in enumerate(spent):
        ends_at = period.starts_at - place * 30 * DAY
        db.session.add(BudgetPeriod(budget_id=budget.id, starts_at=ends_at - 30 * DAY, ends_at=ends_at, spent=amount))
    db.session.commit()


def test_what_is_spent_held_and_left(acme: people.Cast) -> None:
    budget = limit(acme, 1_000)
    settle(acme, reserve(acme, 300), 250)
    reserve(acme, 100)
    db.session.add(
        Increase(organization_id=acme.organization.id, budget_id=budget.id, asked=400, granted=400,
                 answer=Answer.APPROVED, expires_at=now() + DAY)
    )  # fmt: skip
    db.session.commit()
    found = standing(budget)
    assert found.budget.id == budget.id
    assert (found.limit, found.increased, found.spent, found.reserved, found.left) == (1_400, 400, 250, 100, 1_050)
    assert found.percent == 25
    assert found.ends_at
    assert found.starts_at < now() < found.ends_at


def test_a_budget_that_nothing_was_counted_in_stands_at_nothing_in_its_window_of_now(acme: people.Cast) -> None:
    budget = limit(acme, 1_000, window=Window.WEEK, unit=Unit.REQUESTS)
    db.session.execute(text("DELETE FROM budget_periods WHERE budget_id = :id"), {"id": budget.id})
    db.session.commit()
    found = standing(budget)
    assert (found.spent, found.reserved, found.left, found.percent) == (0, 0, 1_000, 0)
    assert found.ends_at
    assert found.starts_at <= now() < found.ends_at
    assert found.starts_at.isoweekday() == 1


def test_above_a_limit_the_percentage_goes_on_and_nothing_is_left(acme: people.Cast) -> None:
    soft, none = limit(acme, 100, is_hard=False), limit(acme, 0, Scope.PROJECT)
    settle(acme, reserve(acme, 0), 250)
    assert (standing(soft).percent, standing(soft).left) == (250, 0)
    assert (standing(none).percent, standing(none).left) == (100, 0)


def test_many_budgets_are_read_at_once_in_their_order(acme: people.Cast, rival: people.Cast) -> None:
    budgets = [limit(cast, 10, window=window) for cast in (acme, rival) for window in Window]
    budgets.append(limit(acme, 10, owner=None))
    with statements() as made:
        found = quota.standing(db.session, budgets)
    assert [one.budget for one in found] == budgets
    assert len(made) == 1
    assert quota.standing(db.session, []) == []


@contextmanager
def statements() -> Iterator[list[str]]:
    made = list[str]()

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        made.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield made
    finally:
        event.remove(db.engine, "before_cursor_execute", note)


# -- forecasts -----------------------------------------------------------------------------------


def test_half_a_window_foretells_the_other_half(acme: people.Cast) -> None:
    budget = of_an_old_organization(acme)
    gone(budget, 0.5, 300)
    assert standing(budget).forecast == pytest.approx(600, abs=1)


def test_too_little_is_known_at_the_beginning_of_the_first_window(acme: people.Cast) -> None:
    budget = of_an_old_organization(acme)
    gone(budget, 0.05, 300)
    assert standing(budget).forecast is None


def test_an_organization_that_began_yesterday_is_not_measured_by_the_days_before(acme: people.Cast) -> None:
    budget = limit(acme, 1_000)
    gone(budget, 0.5, 100)
    assert standing(budget).forecast is None
    founded = update(Organization).where(Organization.id == acme.organization.id)
    db.session.execute(founded.values(created_at=now() - 5 * DAY))
    db.session.commit()
    assert standing(budget).forecast == pytest.approx(100 + 100 / 5 * 15, abs=2)


def test_at_the_beginning_the_past_speaks_and_at_the_end_the_present(acme: people.Cast) -> None:
    young, old = of_an_old_organization(acme), limit(acme, 1_000, Scope.PROJECT)
    gone(young, 0.01, 0)
    gone(old, 0.9, 90)
    earlier(young, 900, 700)
    earlier(old, 900, 700)
    assert standing(young).forecast == pytest.approx(800 * 0.99 * 0.99, abs=2)
    assert standing(old).forecast == pytest.approx(90 + (0.9 * 100 + 0.1 * 800) * 0.1, abs=2)


def test_windows_in_which_nothing_was_asked_count_as_nothing(acme: people.Cast) -> None:
    """They have no row, but they have passed."""
    budget = of_an_old_organization(acme)
    gone(budget, 0.01, 0)
    earlier(budget, 0, 0, 0, 800)
    empty = text("DELETE FROM budget_periods WHERE budget_id = :id AND spent = 0 AND ends_at < now()")
    db.session.execute(empty, {"id": budget.id})
    db.session.commit()
    assert standing(budget).forecast == pytest.approx(200 * 0.99 * 0.99, abs=2)


def test_what_never_ends_has_no_forecast(acme: people.Cast) -> None:
    budget = of_an_old_organization(acme, Window.TOTAL)
    settle(acme, reserve(acme, 10), 10)
    assert standing(budget).forecast is None


def test_a_forecast_is_of_whatever_is_counted(acme: people.Cast) -> None:
    budget = of_an_old_organization(acme, unit=Unit.TOKENS)
    gone(budget, 0.5, 7)
    assert standing(budget).forecast in (14, 15)
