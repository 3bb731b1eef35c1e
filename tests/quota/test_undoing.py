"""Limits in the trash and out of it: they hold nobody up there, and come back with what was spent meanwhile."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, text, update

from dataelan_web import quota
from dataelan_web.extensions import db
from dataelan_web.models import Budget, BudgetPeriod, Increase, RateLimit, Scope, Unit, Window, now
from tests import people
from tests.conftest import wait_until

from .steps import (
    attempt,
    drifted,
    execution,
    let_the_window_end,
    limit,
    periods,
    reserve,
    settle,
    state_of,
    subjects,
    void,
)

AN_HOUR = timedelta(hours=1)


def discard(budget: Budget, cast: people.Cast) -> None:
    quota.delete_limit(db.session, budget, cast.olivia.id)
    db.session.commit()


def restore(budget: Budget) -> None:
    quota.restore_limit(db.session, budget)
    db.session.commit()


def test_in_the_trash_it_holds_nobody_up_and_is_counted_by_nothing(acme: people.Cast) -> None:
    budget = limit(acme, 100)
    settle(acme, reserve(acme, 90), 90)
    with pytest.raises(quota.OverLimit):
        reserve(acme, 20)
    discard(budget, acme)
    assert (budget.deleted_at is not None, budget.deleted_by) == (True, acme.olivia.id)
    read = quota.applicable(db.session, subjects(acme))
    assert budget.id not in {one.id for one in read.limits}
    assert quota.used_percent(db.session, subjects(acme)) == 0
    settle(acme, reserve(acme, 500), 500)
    assert state_of(budget) == (90, 0)
    assert not drifted(budget)


def test_what_is_held_while_it_is_deleted_is_settled_and_given_back(acme: people.Cast) -> None:
    budget = limit(acme, 100)
    held, voided = reserve(acme, 40), reserve(acme, 40)
    discard(budget, acme)
    settle(acme, held, 30)
    assert state_of(budget) == (30, 40)
    void(voided)
    assert state_of(budget) == (30, 0)
    assert not drifted(budget)


def test_a_call_that_read_it_before_is_not_refused_by_it(acme: people.Cast) -> None:
    budget = limit(acme, 100)
    counted = quota.applicable(db.session, subjects(acme))
    discard(budget, acme)
    id = execution(acme).id
    made = attempt(id)
    quota.reserve(db.session, counted, id, made, quota.Use(1_000))
    quota.commit(db.session)
    settle(acme, made, 10)
    assert not drifted(budget)


def test_it_comes_back_with_what_was_spent_meanwhile(acme: people.Cast) -> None:
    budget = limit(acme, 100)
    settle(acme, reserve(acme, 30), 30)
    running = reserve(acme, 20)  # held against it all the time
    discard(budget, acme)
    settle(acme, reserve(acme, 25), 25)  # held against nothing
    unheard = reserve(acme, 5)
    restore(budget)
    assert periods(budget) == [(25, 55, 20)]
    assert not drifted(budget)
    settle(acme, running, 15)
    assert periods(budget) == [(25, 70, 0)]
    settle(acme, unheard, 5)  # it began while nobody counted: as with a limit made anew
    assert periods(budget) == [(25, 70, 0)]
    assert not drifted(budget)
    with pytest.raises(quota.OverLimit, match=r"0\.00000003 left"):
        reserve(acme, 31)
    assert (budget.deleted_at, budget.deleted_by) == (None, None)


@pytest.mark.parametrize("unit", Unit)
def test_it_counts_in_its_own_unit(acme: people.Cast, unit: Unit) -> None:
    budget = limit(acme, 10_000, unit=unit)
    settle(acme, reserve(acme, 30, 300), 30, 300)
    discard(budget, acme)
    other = limit(acme, 10_000, Scope.PROJECT, unit=Unit.REQUESTS)  # for the lines of tokens to be written
    settle(acme, reserve(acme, 40, 400), 40, 400)
    restore(budget)
    one = quota.Use(40, 400).of(unit)
    assert periods(budget) == [(one, quota.Use(30, 300).of(unit) + one, 0)]
    assert not drifted(budget, other)


def test_deleting_and_undoing_is_no_way_past_it(acme: people.Cast) -> None:
    budget = limit(acme, 100)
    reserve(acme, 80)
    for _ in range(3):
        discard(budget, acme)
        restore(budget)
    assert periods(budget) == [(0, 0, 80)]
    with pytest.raises(quota.OverLimit):
        reserve(acme, 21)


def test_a_window_that_began_meanwhile_is_counted_from_its_beginning(acme: people.Cast) -> None:
    budget = limit(acme, 100)
    settle(acme, reserve(acme, 70), 70)
    let_the_window_end(budget)
    discard(budget, acme)
    settle(acme, reserve(acme, 25), 25)
    restore(budget)
    assert periods(budget) == [(0, 70, 0), (95, 95, 0)], "as by a new one: all that began in the window"
    assert not drifted(budget)


def test_what_more_was_granted_comes_back_with_it(acme: people.Cast) -> None:
    budget = limit(acme, 100)
    more = {"asked": 50, "granted": 50, "answer": "approved", "expires_at": now() + AN_HOUR}
    db.session.add(Increase(organization_id=acme.organization.id, budget_id=budget.id, **more))
    db.session.commit()
    discard(budget, acme)
    restore(budget)
    (found,) = quota.limits_of(db.session, [budget.id])
    assert (found.limit, found.increased) == (150, 50)


def test_another_may_take_its_place_and_then_it_cannot_come_back(acme: people.Cast) -> None:
    budget = limit(acme, 100)
    discard(budget, acme)
    other = limit(acme, 200)
    assert other.id != budget.id
    with pytest.raises(quota.Replaced):
        quota.restore_limit(db.session, budget)
    db.session.rollback()
    discard(other, acme)
    restore(budget)
    assert quota.set_limit(
        db.session, acme.organization.id, Scope.ORGANIZATION, acme.organization.id, Window.MONTH, 300
    ).id == budget.id, "what is set is what lives"  # fmt: skip
    db.session.rollback()


def test_its_opening_is_held_against_the_ledger_like_any_other(acme: people.Cast) -> None:
    budget = limit(acme, 100)
    settle(acme, reserve(acme, 30), 30)
    discard(budget, acme)
    settle(acme, reserve(acme, 25), 25)
    restore(budget)
    of = BudgetPeriod.budget_id == budget.id
    # As if all of it had been long ago: what was held against it is no part of its opening then, either.
    db.session.execute(update(BudgetPeriod).where(of).values(counted_at=now() + AN_HOUR))
    db.session.commit()
    mine = [one for one in quota.first_windows(db.session) if one.budget_id == budget.id]
    assert len(mine) == 1
    assert not quota.wrong_openings(db.session, mine)
    db.session.execute(update(BudgetPeriod).where(of).values(opening=24, spent=54))
    db.session.commit()
    db.session.expire_all()
    (wrong,) = quota.wrong_openings(db.session, mine)
    assert (wrong.opening, wrong.by_the_ledger) == (24, 25)


def test_a_rate_comes_and_goes_likewise(acme: people.Cast) -> None:
    def rate(most: int) -> RateLimit:
        place = acme.organization.id, Scope.PROJECT, acme.project.id
        made = quota.set_rate(db.session, *place, requests_per_minute=most, tokens_per_minute=None, parallel=None)
        assert made
        db.session.commit()
        return made

    first = rate(60)
    quota.delete_rate(db.session, first, acme.olivia.id)
    db.session.commit()
    assert not quota.applicable(db.session, subjects(acme)).rates
    second = rate(30)
    assert second.id != first.id
    with pytest.raises(quota.Replaced):
        quota.restore_rate(db.session, first)
    db.session.rollback()
    quota.delete_rate(db.session, second, acme.olivia.id)
    quota.restore_rate(db.session, first)
    db.session.commit()
    assert [one.id for one in quota.applicable(db.session, subjects(acme)).rates] == [first.id]


def test_settling_while_it_comes_back_counts_once(app: Flask, acme: people.Cast) -> None:
    """Whoever locks the window first: the line counts as held against it, and not in the opening as well."""
    budget = limit(acme, 100)
    held = reserve(acme, 40)
    discard(budget, acme)
    budget_id, done = budget.id, threading.Event()

    def come_back() -> None:
        with app.app_context():
            quota.restore_limit(db.session, db.session.get_one(Budget, budget_id))
            db.session.commit()
            done.set()

    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ILIKE '%budget%'")
    window = select(BudgetPeriod.id).where(BudgetPeriod.budget_id == budget_id)
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as look:
        db.session.execute(window.with_for_update(key_share=True))  # as the settling below does, in its own order
        other = threading.Thread(target=come_back)
        other.start()
        wait_until(lambda: look.scalar(waiting), 10)
        settle(acme, held, 30)
        other.join(10)
    assert done.is_set()
    db.session.rollback()
    assert periods(budget) == [(0, 30, 0)]
    assert not drifted(budget)


def test_a_window_that_begins_while_its_limit_goes_for_good_fails_no_call(app: Flask, acme: people.Cast) -> None:
    """The first call of a window makes its row. Who deletes the limit at that moment comes first, or after."""
    budget, other = limit(acme, 100), limit(acme, 100, Scope.PROJECT)
    let_the_window_end(budget)
    counted = quota.applicable(db.session, subjects(acme))
    id = execution(acme).id
    made, failed, done = attempt(id), list[Exception](), threading.Event()
    db.session.commit()

    def ask() -> None:
        with app.app_context():
            try:
                quota.reserve(db.session, counted, id, made, quota.Use(20))
                quota.commit(db.session)
            except Exception as error:
                failed.append(error)
            done.set()

    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ILIKE '%quota_hold%'"
    )
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as look:
        quota.erase(db.session, Budget.id == budget.id)
        call = threading.Thread(target=ask)
        call.start()
        wait_until(lambda: look.scalar(waiting), 10)
        db.session.commit()
        call.join(10)
    assert done.is_set()
    assert not failed
    assert state_of(other) == (0, 20)
    settle(acme, made, 15)
    assert state_of(other) == (15, 0)
