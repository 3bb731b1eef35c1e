"""Reserve, settle, void: each call is counted once, in full, against every limit or none."""

from __future__ import annotations

import uuid
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from dataelan_web import quota
from dataelan_web.extensions import db
from dataelan_web.models import (
    Answer,
    Budget,
    Hold,
    Increase,
    Payer,
    Reservation,
    ReservationState,
    Scope,
    Unit,
    Window,
    now,
)
from dataelan_web.models.base import NIL
from dataelan_web.quota import OverLimit
from tests import people

from .steps import (
    MILLION,
    USD,
    attempt,
    charge,
    drifted,
    execution,
    ledger,
    limit,
    lines,
    reserve,
    settle,
    state_of,
    subjects,
    void,
)


def test_what_is_reserved_is_held_and_what_is_settled_is_spent(acme: people.Cast) -> None:
    budget = limit(acme, 100)
    held = reserve(acme, 60)
    assert state_of(budget) == (0, 60)
    settle(acme, held, 25)
    assert state_of(budget) == (25, 0)
    assert ledger(acme) == 25


def test_a_limit_far_from_its_end_holds_as_well(acme: people.Cast) -> None:
    """na#5690: a balance of a hundred times the estimate is trusted, and a hundred calls at once overdraw it."""
    budget = limit(acme, MILLION * USD)
    reserve(acme, 10)
    assert state_of(budget) == (0, 10)


def test_settling_and_voiding_happen_once_in_any_order(acme: people.Cast) -> None:
    """Q3 and Q4."""
    budget = limit(acme, 100)
    settled, voided = reserve(acme, 30), reserve(acme, 30)
    settle(acme, settled, 10)
    for id in (voided, settled, voided, settled):
        void(id)
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
    """Q6."""
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
    """Q7."""
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
    budget = limit(acme, 10, is_hard=False)
    settle(acme, reserve(acme, 50), 40)
    assert state_of(budget) == (40, 0)


def test_a_budget_of_zero_refuses_everything_that_costs(acme: people.Cast) -> None:
    limit(acme, 0)
    with pytest.raises(OverLimit):
        reserve(acme, 1)
    reserve(acme, 0)


def test_two_organizations_never_touch_each_others_money(acme: people.Cast, rival: people.Cast) -> None:
    """Q12."""
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
    assert "resets on 1 " in message


@pytest.mark.parametrize(
    ("unit", "amount", "said"),
    [
        (Unit.USD, 0, "$0.00"),
        (Unit.USD, 5 * USD, "$5.00"),
        (Unit.USD, 412_500, "$0.0004125"),
        (Unit.USD, 1, "$0.000000001"),
        (Unit.USD, 1234 * USD, "$1,234.00"),
        (Unit.TOKENS, 12_000, "12,000 tokens"),
        (Unit.TOKENS, 1, "1 token"),
        (Unit.REQUESTS, 40, "40 requests"),
        (Unit.REQUESTS, 1, "1 request"),
    ],
)
def test_amounts_are_said_exactly(unit: Unit, amount: int, said: str) -> None:
    assert quota.said(unit, amount) == said


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


def test_a_bill_that_comes_after_a_void_is_counted_all_the_same(acme: people.Cast) -> None:
    """Q4 and Q11: whoever thought that nothing was sent was wrong, and the provider's bill stands."""
    money, requests = limit(acme, 100), limit(acme, 5, unit=Unit.REQUESTS)
    attempt_id = reserve(acme, 30)
    void(attempt_id)
    assert (state_of(money), state_of(requests)) == ((0, 0), (0, 0))
    settle(acme, attempt_id, 20)
    void(attempt_id)
    settle(acme, attempt_id, 20)
    assert (state_of(money), state_of(requests)) == ((20, 0), (1, 0))
    state = db.session.scalar(select(Reservation.state).where(Reservation.attempt_id == attempt_id))
    assert (state, ledger(acme)) == (ReservationState.SETTLED, 20)
    assert not drifted(money, requests)


def test_an_overrun_is_written_on_its_line_and_told(acme: people.Cast) -> None:
    """Q11: a provider may count more than it could. It is charged in full, and can be counted."""
    limit(acme, 1_000), limit(acme, 1_000, unit=Unit.TOKENS)
    within, dearer, longer = (reserve(acme, 50, 100) for _ in range(3))
    assert not settle(acme, within, 50, 100)
    assert settle(acme, dearer, 51, 100, "estimated")
    assert settle(acme, longer, 50, 101)
    assert not settle(acme, longer, 50, 101)  # it is the same overrun
    assert [lines(id)[0][2] for id in (within, dearer, longer)] == ["", "estimated, overrun", "overrun"]


def test_nobody_is_told_of_an_overrun_of_a_limit_that_only_tells(acme: people.Cast) -> None:
    budget = limit(acme, 1_000, is_hard=False)
    assert not settle(acme, reserve(acme, 50), 60)
    assert state_of(budget) == (60, 0)


# -- three units at once -------------------------------------------------------------------------


def test_one_call_counts_in_money_tokens_and_requests_at_once(acme: people.Cast) -> None:
    money = limit(acme, 5 * USD)
    tokens = limit(acme, 1_000, Scope.PROJECT, Window.DAY, Unit.TOKENS)
    requests = limit(acme, 3, Scope.MEMBER, Window.WEEK, Unit.REQUESTS)
    call = reserve(acme, USD, 400)
    assert [state_of(budget) for budget in (money, tokens, requests)] == [(0, USD), (0, 400), (0, 1)]
    settle(acme, call, USD // 2, 150)
    assert [state_of(budget) for budget in (money, tokens, requests)] == [(USD // 2, 0), (150, 0), (1, 0)]
    assert lines(call) == [(USD // 2, 150, "")]


@pytest.mark.parametrize(
    ("unit", "most", "use", "message"),
    [
        (
            Unit.TOKENS,
            12_000,
            (0, 12_001),
            r"The project's limit of 12,000 tokens per day has 12,000 tokens left, fewer",
        ),
        (Unit.REQUESTS, 0, (0, 1), r"The project's limit of 0 requests per day has 0 requests left\. It resets on"),
        (Unit.USD, 1, (2, 0), r"The project's limit of \$0\.000000001 per day has \$0\.000000001 left, less"),
    ],
)
def test_each_unit_refuses_in_its_own_words(
    unit: Unit, most: int, use: tuple[int, int], message: str, acme: people.Cast
) -> None:
    limit(acme, most, Scope.PROJECT, Window.DAY, unit)
    with pytest.raises(OverLimit, match=message) as refusal:
        reserve(acme, *use)
    assert (refusal.value.limit, refusal.value.left, refusal.value.budget.unit) == (most, most, unit)
    assert refusal.value.ends_at is not None


def test_a_refusal_says_when_in_the_organizations_own_time(acme: people.Cast) -> None:
    acme.organization.time_zone = "America/Sao_Paulo"
    limit(acme, 0)
    with pytest.raises(OverLimit, match=r"resets on 1 \w+ \d{4} at 00:00 \(America/Sao_Paulo\)"):
        reserve(acme, 1)


def test_of_several_limits_that_refuse_the_one_that_lasts_longest_is_named(acme: people.Cast) -> None:
    """Else a person would wait for tomorrow in vain. In its last days a month is over before its last week is."""
    windows = (Window.DAY, Window.MONTH, Window.WEEK)
    for window in windows:
        limit(acme, 0, window=window)
    with pytest.raises(OverLimit) as refusal:
        reserve(acme, 1)
    ends = [quota.window_of(one, now(), ZoneInfo("UTC"))[1] for one in windows]
    assert refusal.value.ends_at == max(filter(None, ends))
    limit(acme, 0, window=Window.TOTAL)
    with pytest.raises(OverLimit, match="in all"):
        reserve(acme, 1)


def test_what_cost_nothing_has_a_line_where_tokens_or_requests_are_counted(acme: people.Cast) -> None:
    limit(acme, 100)
    free = reserve(acme, 10)
    settle(acme, free, 0, 70)
    assert lines(free) == []
    tokens = limit(acme, 1_000, unit=Unit.TOKENS)
    counted = reserve(acme, 0, 100)
    settle(acme, counted, 0, 70)
    assert lines(counted) == [(0, 70, "")]
    assert state_of(tokens) == (70, 0)


def test_a_call_that_was_never_sent_is_no_request(acme: people.Cast) -> None:
    requests = limit(acme, 1, unit=Unit.REQUESTS)
    void(reserve(acme))
    assert state_of(requests) == (0, 0)
    settle(acme, reserve(acme))
    assert state_of(requests) == (1, 0)
    with pytest.raises(OverLimit):
        reserve(acme)


# -- whose limits count --------------------------------------------------------------------------


def test_every_scope_counts_and_no_other_subject(acme: people.Cast, rival: people.Cast) -> None:
    token, key, provider, model = (uuid.uuid4() for _ in range(4))
    who = subjects(acme, token_id=token, key_id=key, provider_id=provider, model_id=model)
    of = {
        Scope.ORGANIZATION: acme.organization.id,
        Scope.PROJECT: acme.project.id,
        Scope.MEMBER: acme.mia.id,
        Scope.TOKEN: token,
        Scope.KEY: key,
        Scope.PROVIDER: provider,
        Scope.MODEL: model,
    }
    budgets = [
        quota.set_limit(db.session, acme.organization.id, scope, id, Window.MONTH, MILLION) for scope, id in of.items()
    ]
    others = [
        quota.set_limit(db.session, acme.organization.id, Scope.PROJECT, rival.project.id, Window.MONTH, MILLION),
        quota.set_limit(db.session, acme.organization.id, Scope.MEMBER, acme.adam.id, Window.MONTH, MILLION),
        quota.set_limit(db.session, rival.organization.id, Scope.MODEL, model, Window.MONTH, MILLION),
    ]
    db.session.commit()
    settle(acme, reserve(acme, 10, who=who), 7)
    assert [state_of(budget) for budget in budgets] == [(7, 0)] * 7
    assert [state_of(budget) for budget in others] == [(0, 0)] * 3


def test_the_operator_limits_one_organization_and_what_it_does_with_keys_of_its_own_is_its_own_business(
    acme: people.Cast, rival: people.Cast
) -> None:
    money = limit(acme, 10, owner=None)
    tokens = limit(acme, 10, unit=Unit.TOKENS, owner=None)

    def counted_by(cast: people.Cast, payer: Payer) -> set[uuid.UUID]:
        """Beside those of the whole platform, which other tests set."""
        found = quota.applicable(db.session, subjects(cast, payer)).limits
        return {limit.id for limit in found if limit.scope is not Scope.PLATFORM}

    counted = {payer: counted_by(acme, payer) for payer in (Payer.PLATFORM, Payer.NOBODY, Payer.ORGANIZATION)}
    assert counted == {
        Payer.PLATFORM: {money.id, tokens.id},
        Payer.NOBODY: {tokens.id},
        Payer.ORGANIZATION: set(),
    }
    assert not counted_by(rival, Payer.PLATFORM)
    with pytest.raises(OverLimit, match="The operator's limit for this organization of"):
        reserve(acme, 11, who=subjects(acme, Payer.PLATFORM))


def test_nobody_in_particular_is_counted_too(acme: people.Cast) -> None:
    """A call without a person or a token, such as one that the product makes itself."""
    budget = limit(acme, 10)
    who = quota.Subjects(acme.organization.id, acme.project.id, None, None, None, None, None, Payer.NOBODY)
    settle(acme, reserve(acme, 10, who=who), 10)
    assert state_of(budget) == (10, 0)


HOUR = timedelta(hours=1)


# -- more for a while ----------------------------------------------------------------------------


def increase(budget: Budget, granted: int, hours: int | None, answer: Answer = Answer.APPROVED) -> Increase:
    made = Increase(organization_id=budget.organization_id, budget_id=budget.id, asked=granted, granted=granted)
    made.answer, made.expires_at = answer, None if hours is None else now() + hours * HOUR
    db.session.add(made)
    db.session.commit()
    return made


def test_increases_in_force_are_added_and_others_are_not(acme: people.Cast) -> None:
    """Complaint 18 (li#2093: ask for more). What was declined, asked for only, or has run out, adds nothing."""
    budget = limit(acme, 100)
    increase(budget, 1_000, 1, Answer.ASKED)
    increase(budget, 1_000, 1, Answer.DECLINED)
    increase(budget, 1_000, -1)
    with pytest.raises(OverLimit):
        reserve(acme, 101)
    increase(budget, 20, 1)
    for_good = increase(budget, 30, None)
    with pytest.raises(OverLimit) as refusal:
        reserve(acme, 151)
    assert (refusal.value.limit, refusal.value.left) == (150, 150)
    held = reserve(acme, 150)
    for_good.expires_at = now() - HOUR
    db.session.commit()
    with pytest.raises(OverLimit):
        reserve(acme, 1)
    settle(acme, held, 150)
    assert state_of(budget) == (150, 0)


# -- on the disk ---------------------------------------------------------------------------------


def test_a_commit_waits_for_the_disk_after_the_limits_row_is_free(acme: people.Cast) -> None:
    """What is held is on the disk before anything is sent (F6), and calls that share a limit do not queue for it."""
    limit(acme, 100)
    id, counted = execution(acme).id, quota.applicable(db.session, subjects(acme))
    attempt_id = attempt(id)
    db.session.commit()
    with db.engine.connect() as connection, Session(connection) as session:
        session.execute(text("SET synchronous_commit = on"))  # tests have it off
        session.commit()
        quota.reserve(session, counted, id, attempt_id, quota.Use(10))
        assert session.scalar(text("SHOW synchronous_commit")) == "off"
        held_at = session.scalar(text("SELECT pg_current_wal_insert_lsn()::text"))
        quota.commit(session)
        assert session.scalar(text("SHOW synchronous_commit")) == "on"
        assert session.scalar(text("SELECT pg_current_wal_flush_lsn() >= CAST(:at AS pg_lsn)"), {"at": held_at})
        session.execute(text("RESET synchronous_commit"))
        session.commit()


def test_what_a_session_still_had_to_write_is_committed_with_the_hold(acme: people.Cast) -> None:
    attempt_id = reserve(acme)
    acme.project.name = "Renamed"
    quota.settle(db.session, attempt_id, charge(acme.organization.id, 5))
    quota.commit(db.session)
    db.session.rollback()
    db.session.expire_all()
    assert (acme.project.name, ledger(acme)) == ("Renamed", 5)


@pytest.mark.parametrize("limits", [(100,), (100, 50)])
def test_a_process_that_stands_still_with_a_limit_locked_loses_it_to_the_others(
    acme: people.Cast, limits: tuple[int, ...]
) -> None:
    for amount in limits:
        limit(acme, amount)
    id = execution(acme).id
    counted = quota.applicable(db.session, subjects(acme))
    db.session.commit()
    for amount in (40, 10_000):  # let through, and refused
        quota.hold(db.session, counted.limits, id, attempt(id), quota.Use(amount, 0))
        assert _idles_at_most() == "10s"
        db.session.rollback()
    quota.settle(db.session, attempt(id), charge(acme.organization.id, 5))
    assert _idles_at_most() == "10s"
    db.session.rollback()
    quota.void(db.session, uuid.uuid4())
    assert _idles_at_most() == "10s"
    db.session.commit()
    assert _idles_at_most() == "0"


def _idles_at_most() -> str | None:
    return db.session.scalar(text("SHOW idle_in_transaction_session_timeout"))
