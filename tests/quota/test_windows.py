"""Windows: a day, week or month by the organization's calendar."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select, text

from dataelan_web import quota
from dataelan_web.extensions import db
from dataelan_web.models import BudgetPeriod, Payer, Scope, Unit, Window
from dataelan_web.models.base import NIL
from dataelan_web.quota import OverLimit, window_of
from tests import people

from .steps import drifted, let_the_window_end, limit, periods, reserve, settle, state_of, subjects, void


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
        # In Cuba clocks went back over midnight: that day has two, and begins at the first.
        ("America/Havana", "2025-11-02T04:30", Window.DAY, "2025-11-02T04:00", "2025-11-03T05:00"),
        ("America/Havana", "2025-11-02T05:30", Window.DAY, "2025-11-02T04:00", "2025-11-03T05:00"),
        ("America/Havana", "2025-11-02T12:00", Window.DAY, "2025-11-02T04:00", "2025-11-03T05:00"),
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
    budget = limit(acme, 100, window=Window.DAY)
    reserve(acme, 5)
    period = db.session.scalars(select(BudgetPeriod).where(BudgetPeriod.budget_id == budget.id)).one()
    assert period.starts_at.astimezone(ZoneInfo("Asia/Kathmandu")).strftime("%H:%M") == "00:00"


def test_a_new_window_begins_with_nothing_spent_and_what_was_held_before_it_charges_the_old(acme: people.Cast) -> None:
    """Complaint 15 (li#7129, li#24675: windows that do not reset). Q8."""
    budget = limit(acme, 100, window=Window.DAY)
    settle(acme, reserve(acme, 30), 20)
    late = reserve(acme, 60)
    let_the_window_end(budget)
    fresh = reserve(acme, 90)
    settle(acme, late, 55)
    assert periods(budget) == [(0, 75, 0), (0, 0, 90)]
    settle(acme, fresh, 80)
    assert periods(budget) == [(0, 75, 0), (0, 80, 0)]
    assert not drifted(budget)


def test_what_is_held_at_the_turn_is_given_back_to_the_old_window(acme: people.Cast) -> None:
    budget = limit(acme, 100, window=Window.MONTH)
    held = reserve(acme, 100)
    let_the_window_end(budget)
    reserve(acme, 100)
    void(held)
    assert periods(budget) == [(0, 0, 0), (0, 0, 100)]


def test_a_total_is_never_reset(acme: people.Cast) -> None:
    """Complaint 15 (li#22013: a missing reset date wiped what was spent)."""
    budget = limit(acme, 100, window=Window.TOTAL)
    settle(acme, reserve(acme, 60), 60)
    with pytest.raises(OverLimit) as refusal:
        reserve(acme, 41)
    assert refusal.value.ends_at is None
    assert "resets" not in refusal.value.message
    assert state_of(budget) == (60, 0)


def test_a_window_that_has_begun_ends_when_people_were_told_it_would(acme: people.Cast) -> None:
    """Complaint 15 (li#8364: a window that resets too early): another time zone begins with the next window."""
    budget = limit(acme, 100, window=Window.DAY)
    settle(acme, reserve(acme, 60), 60)
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
        acme.organization.time_zone = zone
        db.session.commit()
        with pytest.raises(OverLimit):
            reserve(acme, 41)
    assert periods(budget) == [(0, 60, 0)]
    let_the_window_end(budget)
    reserve(acme, 41)
    begun = db.session.scalars(select(BudgetPeriod.starts_at).where(BudgetPeriod.reserved > 0)).all()
    assert "00:00" in {start.astimezone(ZoneInfo("Pacific/Pago_Pago")).strftime("%H:%M") for start in begun}


@pytest.mark.parametrize("window", [Window.DAY, Window.WEEK, Window.MONTH])
def test_who_changes_the_time_zone_gets_no_further_window(acme: people.Cast, window: Window) -> None:
    """The window has ended by the calendar that it began by, and by the new one it is not over yet: what is left of it
    belongs to the one after it. Else an owner had the operator's limit twice a month."""
    budget = limit(acme, 100, window=window, owner=None)
    platforms = subjects(acme, Payer.PLATFORM)
    settle(acme, reserve(acme, 100, who=platforms), 100)
    zone = ZoneInfo("Pacific/Pago_Pago")
    acme.organization.time_zone = zone.key
    start, end = window_of(window, datetime.now(UTC), zone)
    assert end
    first = db.session.scalars(select(BudgetPeriod).where(BudgetPeriod.budget_id == budget.id)).one()
    first.starts_at, first.ends_at = start - timedelta(hours=1), start + timedelta(milliseconds=1)
    db.session.commit()
    settle(acme, reserve(acme, 100, who=platforms), 100)
    second = db.session.scalars(select(BudgetPeriod).where(BudgetPeriod.starts_at == first.ends_at)).one()
    assert second.ends_at == window_of(window, end, zone)[1]
    with pytest.raises(OverLimit) as refusal:
        reserve(acme, 1, who=platforms)
    assert refusal.value.ends_at == second.ends_at
    assert periods(budget) == [(0, 100, 0), (0, 100, 0)]
    assert not drifted(budget)
    quota.delete_limit(db.session, budget)  # superusers of other tests would be told of it
    db.session.commit()


def test_the_operators_limits_of_many_go_by_utc_and_those_of_one_by_its_calendar(acme: people.Cast) -> None:
    acme.organization.time_zone = "Asia/Kathmandu"
    of_all = quota.set_limit(db.session, None, Scope.MODEL, NIL, Window.DAY, 100, Unit.REQUESTS)
    of_one = quota.set_limit(db.session, None, Scope.ORGANIZATION, acme.organization.id, Window.DAY, 100, Unit.REQUESTS)
    of_all_, of_one_ = quota.limits_of(db.session, [of_all.id]), quota.limits_of(db.session, [of_one.id])
    db.session.rollback()
    assert of_all_[0].starts_at.strftime("%H:%M") == "00:00"
    assert of_one_[0].starts_at.astimezone(ZoneInfo("Asia/Kathmandu")).strftime("%H:%M") == "00:00"


def test_the_database_decides_what_time_it_is(acme: people.Cast) -> None:
    counted = quota.applicable(db.session, subjects(acme))
    assert counted.now == db.session.scalar(select(func.now()))
    assert db.session.scalar(text("SHOW timezone")) == "UTC"
