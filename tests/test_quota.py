"""Limits that hold: windows by the calendar, reserve and settle once, nothing overspent by any number at once."""

from __future__ import annotations

import random
import threading
import uuid
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select

from dataelan_web import quota
from dataelan_web.extensions import db
from dataelan_web.models import (
    Attempt,
    Budget,
    BudgetPeriod,
    Execution,
    ExecutionBody,
    Hold,
    LedgerEntry,
    Origin,
    Outcome,
    Payer,
    Reservation,
    ReservationState,
    Scope,
    State,
    Window,
    new_id,
)
from dataelan_web.models.base import NIL
from dataelan_web.quota import OverLimit, Subjects, Use, window_of

from . import people
from .test_playground import ask, fresh

USD = 1_000_000_000
MILLION = 1_000_000


def execution(cast: people.Cast) -> Execution:
    made = Execution(
        id=new_id(),
        organization_id=cast.organization.id,
        project_id=cast.project.id,
        origin=Origin.GATEWAY,
        state=State.COMPLETED,
        body=ExecutionBody(request={"messages": []}),
    )
    db.session.add(made)
    db.session.commit()
    return made


_numbers = iter(range(1, 10**9))


def attempt(execution_id: uuid.UUID) -> uuid.UUID:
    made = Attempt(
        id=new_id(),
        execution_id=execution_id,
        number=next(_numbers),
        model_name="m",
        provider_name="p",
        payer=Payer.ORGANIZATION,
        outcome=Outcome.SENT,
    )
    db.session.add(made)
    db.session.flush()
    return made.id


def subjects(cast: people.Cast, payer: Payer = Payer.ORGANIZATION) -> Subjects:
    return Subjects(cast.organization.id, cast.project.id, cast.mia.id, None, None, uuid.uuid4(), uuid.uuid4(), payer)


def limit(cast: people.Cast, amount: int, scope: Scope = Scope.ORGANIZATION, window: Window = Window.MONTH) -> Budget:
    subject = {Scope.ORGANIZATION: cast.organization.id, Scope.PROJECT: cast.project.id, Scope.MEMBER: cast.mia.id}
    budget = quota.set_limit(db.session, cast.organization.id, scope, subject[scope], window, amount)
    db.session.commit()
    return budget


def reserve(cast: people.Cast, amount: int) -> uuid.UUID:
    """An attempt with `amount` held, committed; or OverLimit, and nothing."""
    id = execution(cast).id
    made = attempt(id)
    try:
        quota.reserve(db.session, quota.applicable(db.session, subjects(cast)), id, made, Use(amount))
        db.session.commit()
    except OverLimit:
        db.session.rollback()
        raise
    return made


def settle(cast: people.Cast, attempt_id: uuid.UUID, amount: int) -> None:
    entry = LedgerEntry(organization_id=cast.organization.id, kind="charge", payer=Payer.ORGANIZATION, amount=amount)
    quota.settle(db.session, attempt_id, entry)
    db.session.commit()


def state_of(budget: Budget) -> tuple[int, int]:
    """(spent, reserved), over all windows."""
    db.session.rollback()
    sums = select(func.coalesce(func.sum(BudgetPeriod.spent), 0), func.coalesce(func.sum(BudgetPeriod.reserved), 0))
    spent, reserved = db.session.execute(sums.where(BudgetPeriod.budget_id == budget.id)).one()
    return int(spent), int(reserved)


def ledger(cast: people.Cast) -> int:
    mine = LedgerEntry.organization_id == cast.organization.id
    return int(db.session.scalar(select(func.sum(LedgerEntry.amount)).where(mine)) or 0)


# -- windows -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "now", "window", "start", "end"),
    [
        ("UTC", "2026-03-15T12:00", Window.DAY, "2026-03-15T00:00", "2026-03-16T00:00"),
        ("UTC", "2026-03-15T12:00", Window.WEEK, "2026-03-09T00:00", "2026-03-16T00:00"),
        ("UTC", "2026-12-31T23:59", Window.MONTH, "2026-12-01T00:00", "2027-01-01T00:00"),
        ("UTC", "2028-02-29T12:00", Window.MONTH, "2028-02-01T00:00", "2028-03-01T00:00"),
        # India and Nepal are not whole hours away; there the day has long begun.
        ("Asia/Kolkata", "2026-03-15T18:30", Window.DAY, "2026-03-15T18:30", "2026-03-16T18:30"),
        ("Asia/Kolkata", "2026-03-15T18:29", Window.DAY, "2026-03-14T18:30", "2026-03-15T18:30"),
        ("Asia/Kathmandu", "2026-03-15T18:15", Window.DAY, "2026-03-15T18:15", "2026-03-16T18:15"),
        ("Asia/Kathmandu", "2026-02-28T18:15", Window.MONTH, "2026-02-28T18:15", "2026-03-31T18:15"),
        # The day clocks go forward has 23 hours, the day they go back 25; weeks and months follow.
        ("Europe/Berlin", "2026-03-29T12:00", Window.DAY, "2026-03-28T23:00", "2026-03-29T22:00"),
        ("Europe/Berlin", "2026-10-25T12:00", Window.DAY, "2026-10-24T22:00", "2026-10-25T23:00"),
        ("Europe/Berlin", "2026-10-25T00:30", Window.DAY, "2026-10-24T22:00", "2026-10-25T23:00"),
        ("Europe/Berlin", "2026-10-25T01:30", Window.DAY, "2026-10-24T22:00", "2026-10-25T23:00"),
        ("Europe/Berlin", "2026-03-27T12:00", Window.WEEK, "2026-03-22T23:00", "2026-03-29T22:00"),
        ("Europe/Berlin", "2026-03-27T12:00", Window.MONTH, "2026-02-28T23:00", "2026-03-31T22:00"),
        ("America/New_York", "2026-11-01T12:00", Window.DAY, "2026-11-01T04:00", "2026-11-02T05:00"),
        ("Pacific/Kiritimati", "2026-03-31T10:00", Window.MONTH, "2026-03-31T10:00", "2026-04-30T10:00"),
        # In Cuba clocks go back over midnight: that day has two, and begins at the first.
        ("America/Havana", "2026-11-01T04:30", Window.DAY, "2026-11-01T04:00", "2026-11-02T05:00"),
        ("America/Havana", "2026-11-01T05:30", Window.DAY, "2026-11-01T04:00", "2026-11-02T05:00"),
        ("America/Havana", "2026-11-01T12:00", Window.DAY, "2026-11-01T04:00", "2026-11-02T05:00"),
    ],
)
def test_a_window_is_of_the_organizations_calendar(zone: str, now: str, window: Window, start: str, end: str) -> None:
    at, *expected = (datetime.fromisoformat(moment).replace(tzinfo=UTC) for moment in (now, start, end))
    assert window_of(window, at, ZoneInfo(zone)) == tuple(expected)


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "America/Havana", "Asia/Kolkata", "Africa/Cairo", "Australia/Lord_Howe"]
)
@pytest.mark.parametrize("window", [Window.DAY, Window.WEEK, Window.MONTH])
def test_windows_follow_each_other_without_gap_or_overlap(zone: str, window: Window) -> None:
    moment, last = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 10, tzinfo=UTC)
    current = window_of(window, moment, ZoneInfo(zone))
    while moment < last:
        moment += timedelta(minutes=30)
        start, end = window_of(window, moment, ZoneInfo(zone))
        assert end is not None
        assert start <= moment < end
        if (start, end) != current:
            assert start == current[1]
            current = (start, end)


def test_a_total_never_ends() -> None:
    start, end = window_of(Window.TOTAL, datetime(2026, 1, 1, tzinfo=UTC), ZoneInfo("Asia/Tokyo"))
    assert (start.year, end) == (1970, None)


def test_a_reservation_lies_in_the_organizations_own_day(acme: people.Cast) -> None:
    acme.organization.time_zone = "Asia/Kathmandu"
    budget = limit(acme, USD, window=Window.DAY)
    reserve(acme, 5)
    period = db.session.scalars(select(BudgetPeriod).where(BudgetPeriod.budget_id == budget.id)).one()
    assert period.starts_at.astimezone(ZoneInfo("Asia/Kathmandu")).strftime("%H:%M") == "00:00"


# -- one reservation -----------------------------------------------------------------------------


def test_what_is_reserved_is_held_and_what_is_settled_is_spent(acme: people.Cast) -> None:
    budget = limit(acme, 100)
    held = reserve(acme, 60)
    assert state_of(budget) == (0, 60)
    settle(acme, held, 25)
    assert state_of(budget) == (25, 0)
    assert ledger(acme) == 25


def test_settling_and_voiding_happen_once_in_any_order(acme: people.Cast) -> None:
    budget = limit(acme, 100)
    settled, voided = reserve(acme, 30), reserve(acme, 30)
    settle(acme, settled, 10)
    quota.void(db.session, voided)
    for id in (settled, voided, settled):
        quota.void(db.session, id)
    settle(acme, settled, 10)
    settle(acme, settled, 99)
    assert state_of(budget) == (10, 0)
    assert ledger(acme) == 10
    states = db.session.scalars(select(Reservation.state).where(Reservation.attempt_id.in_([settled, voided])))
    assert sorted(states) == [ReservationState.SETTLED, ReservationState.VOIDED]


def test_settling_without_a_charge_releases_all(acme: people.Cast) -> None:
    budget = limit(acme, 100)
    settle(acme, reserve(acme, 40), 0)
    assert state_of(budget) == (0, 0)


def test_a_bill_above_the_reservation_is_recorded_in_full(acme: people.Cast) -> None:
    budget = limit(acme, 100)
    settle(acme, reserve(acme, 90), 130)
    assert state_of(budget) == (130, 0)
    with pytest.raises(OverLimit, match=r"has \$0\.00 left"):
        reserve(acme, 1)


def test_a_refusal_by_one_budget_leaves_no_trace_in_any(acme: people.Cast) -> None:
    project = limit(acme, 1_000, Scope.PROJECT)
    member = limit(acme, 500, Scope.MEMBER, Window.DAY)
    organization = limit(acme, 50)
    reserve(acme, 40)
    counted = [state_of(budget) for budget in (project, member, organization)]
    holds = db.session.scalar(select(func.count()).select_from(Hold))
    with pytest.raises(OverLimit) as refusal:
        reserve(acme, 11)
    assert refusal.value.left == 10
    assert [state_of(budget) for budget in (project, member, organization)] == counted == [(0, 40)] * 3
    assert db.session.scalar(select(func.count()).select_from(Hold)) == holds
    reserve(acme, 10)


def test_lowering_a_limit_under_what_is_spent_only_refuses_what_comes(acme: people.Cast) -> None:
    budget = limit(acme, 100)
    settle(acme, reserve(acme, 60), 60)
    held = reserve(acme, 30)
    limit(acme, 10)
    with pytest.raises(OverLimit):
        reserve(acme, 1)
    settle(acme, held, 20)
    assert state_of(budget) == (80, 0)
    limit(acme, 81)
    reserve(acme, 1)


def test_a_soft_limit_counts_and_refuses_nothing(acme: people.Cast) -> None:
    budget = limit(acme, 10)
    budget.is_hard = False
    db.session.commit()
    settle(acme, reserve(acme, 50), 40)
    assert state_of(budget) == (40, 0)


def test_a_budget_of_zero_refuses_everything_that_costs(acme: people.Cast) -> None:
    limit(acme, 0)
    with pytest.raises(OverLimit):
        reserve(acme, 1)
    reserve(acme, 0)


def test_two_organizations_never_touch_each_others_money(acme: people.Cast, rival: people.Cast) -> None:
    ours, theirs = limit(acme, 100), limit(rival, 100)
    settle(acme, reserve(acme, 100), 100)
    assert state_of(theirs) == (0, 0)
    settle(rival, reserve(rival, 70), 70)
    assert (state_of(ours), state_of(theirs)) == ((100, 0), (70, 0))


def test_a_refusal_names_the_limit_what_is_left_and_when_it_resets(acme: people.Cast) -> None:
    limit(acme, 5 * USD)
    settle(acme, reserve(acme, 4 * USD), 3 * USD + 999_587_500)
    with pytest.raises(OverLimit) as refusal:
        reserve(acme, 2 * USD)
    message = refusal.value.message
    assert "organization's limit of $5.00 per month" in message
    assert "$1.0004125 left" in message
    assert "resets on 01" in message


@pytest.mark.parametrize(
    ("nano", "said"),
    [(0, "$0.00"), (5 * USD, "$5.00"), (412_500, "$0.0004125"), (1, "$0.000000001"), (1234 * USD, "$1,234.00")],
)
def test_money_is_said_exactly(nano: int, said: str) -> None:
    assert quota.usd(nano) == said


def test_spend_with_own_keys_is_not_on_the_platforms_budget(acme: people.Cast) -> None:
    budget = quota.set_limit(db.session, None, Scope.PLATFORM, NIL, Window.MONTH, 0)
    counted = [
        budget.id in {limit.id for limit in quota.applicable(db.session, subjects(acme, payer)).limits}
        for payer in (Payer.ORGANIZATION, Payer.PLATFORM, Payer.NOBODY)
    ]
    db.session.rollback()  # other tests share the platform
    assert counted == [False, True, False]


def test_one_budget_for_each_window_of_a_subject_counts(acme: people.Cast) -> None:
    day, month = limit(acme, 10, window=Window.DAY), limit(acme, 100, window=Window.MONTH)
    settle(acme, reserve(acme, 10), 10)
    with pytest.raises(OverLimit, match="per day"):
        reserve(acme, 1)
    assert (state_of(day), state_of(month)) == ((10, 0), (10, 0))


# -- many at once --------------------------------------------------------------------------------


def test_many_at_once_never_overspend_and_leave_nothing_reserved(app: Flask, acme: people.Cast) -> None:
    most, held, spent, threads, times = 2_000, 20, 9, 8, 40
    budget = limit(acme, most)
    nested = limit(acme, 10 * most, Scope.PROJECT)
    id, who, organization_id = execution(acme).id, subjects(acme), acme.organization.id
    sequential = (most - held) // spent + 1
    admitted, broken = [0] * threads, list[Exception]()

    def many(place: int) -> None:
        chance = random.Random(place)
        try:
            for _ in range(times):
                with app.app_context():
                    made = attempt(id)
                    try:
                        quota.reserve(db.session, quota.applicable(db.session, who), id, made, Use(held))
                        db.session.commit()
                    except OverLimit:
                        db.session.rollback()
                        continue
                    if chance.random() < 0.1:
                        quota.void(db.session, made)
                    else:
                        entry = LedgerEntry(
                            organization_id=organization_id, kind="charge", payer=Payer.ORGANIZATION, amount=spent
                        )
                        quota.settle(db.session, made, entry)
                        admitted[place] += 1
                    db.session.commit()
        except Exception as error:
            broken.append(error)

    running = [threading.Thread(target=many, args=(place,)) for place in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert not broken
    total, reserved = state_of(budget)
    assert reserved == 0
    assert total == ledger(acme) == sum(admitted) * spent
    assert state_of(nested) == (total, 0)
    assert total <= most
    assert sum(admitted) >= 0.95 * sequential


# -- any order -----------------------------------------------------------------------------------


class Money(RuleBasedStateMachine):
    """Two nested budgets against a model of a few lines. Q1–Q7 of the security notes."""

    cast: people.Cast

    @initialize(organization=st.integers(0, 100), project=st.integers(0, 100))
    def begin(self, organization: int, project: int) -> None:
        self.cast = people.cast("Model")
        self.budgets = [limit(self.cast, organization), limit(self.cast, project, Scope.PROJECT, Window.TOTAL)]
        self.limits = [organization, project]
        self.spent, self.held, self.over = 0, dict[uuid.UUID, int](), False
        self.ended = list[uuid.UUID]()
        self.execution_id, self.who = execution(self.cast).id, subjects(self.cast)

    @rule(amount=st.integers(1, 60))
    def reserves(self, amount: int) -> None:
        made = attempt(self.execution_id)
        fits = self.spent + sum(self.held.values()) + amount <= min(self.limits)
        try:
            quota.reserve(db.session, quota.applicable(db.session, self.who), self.execution_id, made, Use(amount))
        except OverLimit:
            db.session.rollback()
            assert not fits
        else:
            db.session.commit()
            assert fits
            self.held[made] = amount

    @precondition(lambda self: self.held)
    @rule(place=st.integers(0, 100), share=st.floats(0, 1))
    def settles(self, place: int, share: float) -> None:
        id = list(self.held)[place % len(self.held)]
        amount = int(self.held.pop(id) * share)
        settle(self.cast, id, amount)
        self.spent += amount
        self.ended.append(id)

    @precondition(lambda self: self.held)
    @rule(place=st.integers(0, 100))
    def voids(self, place: int) -> None:
        id = list(self.held)[place % len(self.held)]
        self.held.pop(id)
        quota.void(db.session, id)
        db.session.commit()
        self.ended.append(id)

    @precondition(lambda self: self.ended)
    @rule(place=st.integers(0, 100))
    def voids_again(self, place: int) -> None:
        quota.void(db.session, self.ended[place % len(self.ended)])
        db.session.commit()

    @rule(which=st.integers(0, 1), amount=st.integers(0, 120))
    def changes_a_limit(self, which: int, amount: int) -> None:
        budget = self.budgets[which]
        limit(self.cast, amount, budget.scope, budget.window)
        self.limits[which] = amount

    @invariant()
    def the_books_agree(self) -> None:
        for budget in self.budgets:
            assert state_of(budget) == (self.spent, sum(self.held.values()))
        assert ledger(self.cast) == self.spent


def test_any_order_of_events_keeps_the_books_in_balance(context: None) -> None:
    run_state_machine_as_test(
        Money,
        settings=settings(
            max_examples=60, stateful_step_count=9, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


# -- through the whole house ---------------------------------------------------------------------


@pytest.fixture
def priced(acme: people.Cast, simulated: str) -> str:
    """A model at the organization's own provider: $1 per million in, $1,000 per million out."""
    key = people.own_provider(acme, simulated)
    model = people.own_model(acme, key, "simulated-instant", input=USD, output=1_000 * USD)
    return f"{model.provider.slug}/simulated-instant"


def test_a_price_nobody_knows_is_refused_where_a_limit_applies(
    app: Flask, worker: object, acme: people.Cast, simulated: str
) -> None:
    model = people.own_model(acme, people.own_provider(acme, simulated), "simulated-instant")
    name = f"{model.provider.slug}/simulated-instant"
    run = fresh(ask(app, acme, "No limit", model=name))
    assert (run.state, run.cost) == (State.COMPLETED, None)
    limit(acme, 100 * USD)
    run = fresh(ask(app, acme, "A limit", model=name))
    assert (run.state, run.error_kind) == (State.FAILED, "billing")
    assert "price" in run.body.error
    assert "unknown" in run.body.error
    assert run.attempts == []
    assert run.cost == 0


def test_the_output_is_lowered_to_what_can_be_paid_and_said_so(
    app: Flask, worker: object, acme: people.Cast, priced: str
) -> None:
    budget = limit(acme, USD // 20)  # 5 cents pay for about 50 tokens
    run = fresh(ask(app, acme, "!simulate tokens=500\nA long story", model=priced))
    assert run.state is State.COMPLETED, run.body.error
    assert run.finish == "length"
    assert "The answer is limited to" in run.body.notice
    assert "organization's limit of $0.05" in run.body.notice
    assert 16 <= (run.tokens_out or 0) <= 50
    assert run.cost == ledger(acme) == state_of(budget)[0] <= USD // 20
    assert state_of(budget)[1] == 0


def test_a_prompt_that_cannot_be_paid_is_refused_and_sends_nothing(
    app: Flask, worker: object, acme: people.Cast, priced: str
) -> None:
    budget = limit(acme, USD // 1_000)
    run = fresh(ask(app, acme, "Hi", model=priced))
    assert (run.state, run.error_kind, run.attempts) == (State.FAILED, "billing", [])
    assert "limit of $0.001" in run.body.error
    assert [made["outcome"] for made in run.body.receipt["attempts"]] == ["refused"]
    assert state_of(budget) == (0, 0)


def test_a_provider_that_reports_more_than_was_bounded_is_charged_in_full_and_refuses_the_next(
    app: Flask, worker: object, acme: people.Cast, simulated: str
) -> None:
    model = people.own_model(
        acme, people.own_provider(acme, simulated), "simulated-instant", input=1_000 * USD, output=MILLION
    )
    name = f"{model.provider.slug}/simulated-instant"
    budget = limit(acme, 5 * USD)
    run = fresh(ask(app, acme, "!simulate tokens=5 cached=9000000\nHi", model=name))
    spent, reserved = state_of(budget)
    assert run.cost == spent == ledger(acme)
    assert reserved == 0
