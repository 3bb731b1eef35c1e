"""Limits and rates are made, changed and deleted; one made in the middle of its window counts all of it."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select, text, update

from dataelan_web import quota
from dataelan_web.extensions import db
from dataelan_web.models import (
    Answer,
    Attempt,
    Budget,
    BudgetPeriod,
    EntryKind,
    Execution,
    Increase,
    LedgerEntry,
    Payer,
    RateLimit,
    Scope,
    Unit,
    Window,
    new_id,
    now,
)
from tests import people
from tests.conftest import wait_until

from .steps import (
    attempt,
    drifted,
    execution,
    let_the_window_end,
    limit,
    line,
    periods,
    reserve,
    settle,
    state_of,
    subjects,
)

Key = tuple[uuid.UUID, uuid.UUID, uuid.UUID]
"""A key, its provider and a model."""


def spent(cast: people.Cast, amount: int, tokens: int = 0, ago: timedelta | None = None, **of: object) -> uuid.UUID:
    """A call that was charged, before any limit counted it."""
    run = execution(cast)
    token = of.pop("token_id", None)
    made = attempt(run.id, **of)
    entry = line(cast.organization.id, amount, tokens)
    entry.attempt_id, entry.payer = made, of.get("payer", Payer.ORGANIZATION)  # type: ignore[assignment]
    entry.kind = EntryKind.CHARGE
    db.session.add(entry)
    if ago:
        entry.created_at = now() - ago + timedelta(seconds=1)
        db.session.execute(update(Attempt).where(Attempt.id == made).values(started_at=now() - ago))
    db.session.execute(update(Execution).where(Execution.id == run.id).values(token_id=token))
    db.session.commit()
    return made


def opened(cast: people.Cast, scope: Scope, subject: uuid.UUID, window: Window = Window.MONTH, **values: object) -> int:
    """What a new limit on this subject begins with."""
    owner = values.pop("owner", cast.organization.id)
    budget = quota.set_limit(db.session, owner, scope, subject, window, 10**9, **values)  # type: ignore[arg-type]
    db.session.commit()
    ((opening, used, reserved),) = periods(budget)
    assert (opening, reserved) == (used, 0)
    assert not drifted(budget)
    quota.delete_limit(db.session, budget)
    db.session.commit()
    return opening


def test_a_limit_made_in_mid_window_counts_the_window(acme: people.Cast, rival: people.Cast) -> None:
    spent(acme, 30, 300)
    spent(acme, 40, 400)
    spent(rival, 500)
    assert opened(acme, Scope.ORGANIZATION, acme.organization.id) == 70
    assert opened(acme, Scope.PROJECT, acme.project.id, unit=Unit.TOKENS) == 700
    assert opened(acme, Scope.MEMBER, acme.mia.id, unit=Unit.REQUESTS) == 2
    assert opened(acme, Scope.MEMBER, acme.adam.id) == 0
    assert opened(acme, Scope.ORGANIZATION, acme.organization.id, Window.TOTAL) == 70


def test_it_counts_what_began_in_the_window_only(acme: people.Cast) -> None:
    """As a hold charges the window in which it was made."""
    spent(acme, 30, ago=timedelta(days=400))
    made = spent(acme, 40)
    assert opened(acme, Scope.ORGANIZATION, acme.organization.id) == 40
    last_month = now() - timedelta(days=32)  # it ended in this one
    db.session.execute(update(Attempt).where(Attempt.id == made).values(started_at=last_month))
    db.session.commit()
    assert opened(acme, Scope.ORGANIZATION, acme.organization.id) == 0
    assert opened(acme, Scope.ORGANIZATION, acme.organization.id, Window.TOTAL) == 70


def test_it_counts_by_the_subject_and_by_who_paid(acme: people.Cast, rival: people.Cast) -> None:
    key = people.own_provider(acme, "http://127.0.0.1:9/v1")
    model = people.own_model(acme, key, "m")
    of = {"api_key_id": key.id, "provider_id": key.provider_id, "model_id": model.id}
    spent(acme, 1, **of)
    spent(acme, 20, payer=Payer.PLATFORM)
    spent(acme, 0, 300, payer=Payer.NOBODY)
    for scope, subject in (
        (Scope.KEY, key.id),
        (Scope.PROVIDER, key.provider_id),
        (Scope.MODEL, model.id),
    ):
        assert opened(acme, scope, subject) == 1
    mine = (Scope.ORGANIZATION, acme.organization.id)
    assert opened(acme, *mine) == 21
    assert opened(acme, *mine, owner=None) == 20
    assert opened(acme, *mine, owner=None, unit=Unit.REQUESTS) == 2
    assert opened(acme, *mine, owner=None, unit=Unit.TOKENS) == 300


def test_corrections_are_counted_as_money_and_not_as_requests(acme: people.Cast) -> None:
    made = spent(acme, 30, 100)
    db.session.execute(update(Attempt).where(Attempt.id == made).values(ended_at=now()))
    quota.correct(db.session, made, -10, "The invoice says so", acme.olivia.id)
    db.session.commit()
    assert opened(acme, Scope.ORGANIZATION, acme.organization.id) == 20
    assert opened(acme, Scope.ORGANIZATION, acme.organization.id, unit=Unit.REQUESTS) == 1


def test_the_opening_is_within_what_is_spent(acme: people.Cast) -> None:
    spent(acme, 60)
    budget = limit(acme, 100)
    settle(acme, reserve(acme, 40), 25)
    with pytest.raises(quota.OverLimit):
        reserve(acme, 16)
    assert periods(budget) == [(60, 85, 0)]
    assert not drifted(budget)


def test_a_limit_is_changed_in_place(acme: people.Cast) -> None:
    budget = limit(acme, 100, alerts=[90])
    settle(acme, reserve(acme, 40), 30)
    assert budget.updated_at is None
    again = limit(acme, 200, is_hard=False)
    assert (again.id, again.limit, again.is_hard, again.alerts) == (budget.id, 200, False, [90])
    changed_at = again.updated_at
    assert changed_at is not None
    assert limit(acme, 200, is_hard=False).updated_at == changed_at
    assert limit(acme, 200, is_hard=False, alerts=[50, 100]).alerts == [50, 100]
    assert state_of(budget) == (30, 0)


def test_a_new_limit_tells_at_the_usual_steps_and_knows_who_made_it(acme: people.Cast) -> None:
    budget = limit(acme, 100, created_by=acme.olivia.id)
    assert (budget.alerts, budget.created_by, budget.is_hard) == ([50, 80, 100], acme.olivia.id, True)


def test_units_windows_and_owners_are_limits_of_their_own(acme: people.Cast) -> None:
    made = [
        limit(acme, 100, window=window, unit=unit, owner=owner)
        for window in (Window.DAY, Window.MONTH)
        for unit in Unit
        for owner in (acme.organization.id, None)
    ]
    assert len({budget.id for budget in made}) == 12


def test_two_people_who_set_the_same_limit_at_once_make_one(app: Flask, acme: people.Cast) -> None:
    organization_id, broken = acme.organization.id, list[Exception]()
    gate = threading.Barrier(8)

    def make(amount: int) -> None:
        with app.app_context():
            gate.wait()
            try:
                quota.set_limit(db.session, organization_id, Scope.ORGANIZATION, organization_id, Window.DAY, amount)
                db.session.commit()
            except Exception as error:
                broken.append(error)

    threads = [threading.Thread(target=make, args=(amount,)) for amount in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not broken
    (budget,) = db.session.scalars(select(Budget).where(Budget.subject_id == organization_id))
    assert len(periods(budget)) == 1


def test_a_limit_that_is_deleted_while_calls_are_held_against_it_is_simply_gone(acme: people.Cast) -> None:
    budget, other = limit(acme, 100), limit(acme, 100, Scope.PROJECT)
    held, voided = reserve(acme, 40), reserve(acme, 40)
    quota.delete_limit(db.session, budget)
    db.session.commit()
    settle(acme, held, 30)
    quota.void(db.session, voided)
    assert state_of(other) == (30, 40)
    quota.void(db.session, voided)
    quota.commit(db.session)
    assert state_of(other) == (30, 0)


def test_a_limit_that_is_deleted_between_reading_and_holding_it_stops_nothing(acme: people.Cast) -> None:
    budget = limit(acme, 100)
    counted = quota.applicable(db.session, quota.Subjects(
        acme.organization.id, acme.project.id, None, None, None, None, None, Payer.NOBODY))  # fmt: skip
    quota.delete_limit(db.session, budget)
    db.session.commit()
    id = execution(acme).id
    quota.reserve(db.session, counted, id, attempt(id), quota.Use(1_000))
    quota.commit(db.session)


def test_a_limit_made_anew_is_no_way_around_it(acme: people.Cast) -> None:
    budget = limit(acme, 100)
    settle(acme, reserve(acme, 80), 80)
    quota.delete_limit(db.session, budget)
    db.session.commit()
    limit(acme, 100)
    with pytest.raises(quota.OverLimit, match=r"0\.00000002 left"):
        reserve(acme, 21)


def test_a_rate_is_made_changed_and_deleted(acme: people.Cast) -> None:
    def rate(**paces: int | None) -> RateLimit | None:
        names = ("requests_per_minute", "tokens_per_minute", "parallel")
        values = {name: paces.get(name) for name in names}
        made = quota.set_rate(db.session, acme.organization.id, Scope.PROJECT, acme.project.id, **values)
        db.session.commit()
        return made

    first = rate(requests_per_minute=60)
    assert first
    second = rate(tokens_per_minute=10**12, parallel=2)
    assert second
    assert (second.id, second.requests_per_minute, second.parallel) == (first.id, None, 2)
    assert rate() is None
    assert rate() is None
    count = select(func.count()).select_from(RateLimit).where(RateLimit.subject_id == acme.project.id)
    assert db.session.scalar(count) == 0


def test_what_is_deleted_takes_its_limits_and_rates_along(acme: people.Cast) -> None:
    gone, stays = uuid.uuid4(), uuid.uuid4()
    for subject in (gone, stays):
        for unit in Unit:
            quota.set_limit(db.session, acme.organization.id, Scope.KEY, subject, Window.DAY, 1, unit)
        quota.set_rate(
            db.session,
            acme.organization.id,
            Scope.KEY,
            subject,
            requests_per_minute=1,
            tokens_per_minute=None,
            parallel=None,
        )
    quota.forget(db.session, gone)
    db.session.commit()
    for table, each in ((Budget, 3), (RateLimit, 1)):
        left = db.session.scalars(select(table.subject_id).where(table.subject_id.in_([gone, stays]))).all()
        assert left == [stays] * each


def test_the_ledger_names_what_a_limit_may_be_made_on(acme: people.Cast) -> None:
    """A line says who paid; who called, with what, is said by its attempt and its execution."""
    made = spent(acme, 5)
    assert db.session.scalar(select(LedgerEntry.payer).where(LedgerEntry.attempt_id == made)) is Payer.ORGANIZATION


def test_what_a_call_reads_of_its_limits_is_what_pages_read(acme: people.Cast) -> None:
    """Two queries know what a limit is: a function of the database, for calls, and one for whoever asks by id."""
    acme.organization.time_zone = "Asia/Kathmandu"
    made = [limit(acme, 100 * place, window=window) for place, window in enumerate(Window, 1)]
    made.append(limit(acme, 7, Scope.MEMBER, Window.DAY, Unit.TOKENS, is_hard=False))
    made.append(limit(acme, 8, unit=Unit.REQUESTS, owner=None))
    settle(acme, reserve(acme, 5, 3, subjects(acme, Payer.PLATFORM)), 4, 2)
    db.session.add(Increase(organization_id=acme.organization.id, budget_id=made[0].id, asked=9, granted=9,
                            answer=Answer.APPROVED, expires_at=now() + timedelta(hours=1)))  # fmt: skip
    let_the_window_end(made[1])
    read = quota.applicable(db.session, subjects(acme, Payer.PLATFORM)).limits
    mine = [budget.id for budget in made]  # the platform may have others, of another test
    assert {one for one in read if one.id in mine} == set(quota.limits_of(db.session, mine))
    assert list(read) == sorted(read, key=lambda one: one.id)


def test_limits_that_go_with_their_subjects_are_locked_in_the_order_of_all(app: Flask, acme: people.Cast) -> None:
    """Else a call that holds the first of them and waits for the second, and who deletes them, wait for each other."""
    ids, rows = sorted(new_id() for _ in range(2)), []
    for id, scope, subject in ((ids[1], Scope.PROJECT, acme.project.id), (ids[0], Scope.MEMBER, acme.mia.id)):
        of = {"organization_id": acme.organization.id, "window": Window.TOTAL, "limit": 100}
        db.session.add(Budget(id=id, scope=scope, subject_id=subject, **of))
        db.session.add(BudgetPeriod(id=id, budget_id=id, starts_at=now()))
        db.session.commit()
        rows.insert(0, select(BudgetPeriod.id).where(BudgetPeriod.budget_id == id))
    subjects_gone, done = (acme.project.id, acme.mia.id), threading.Event()

    def forget() -> None:
        with app.app_context():
            quota.forget(db.session, *subjects_gone)
            db.session.commit()
            done.set()

    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ILIKE '%budget%'")
    with db.engine.connect() as call, db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as look:
        call.execute(rows[0].with_for_update(key_share=True))
        other = threading.Thread(target=forget)
        other.start()
        wait_until(lambda: look.scalar(waiting), 10)
        call.execute(text("SET LOCAL lock_timeout = '300ms'"))
        call.execute(rows[1].with_for_update(key_share=True))
        call.rollback()
    other.join(10)
    assert done.is_set()
