"""Hours outside what is usual for them: told, but not where chance, few runs or the weekday explain it."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import insert, select

from dataelan_web.dashboards import ranges, unusual
from dataelan_web.dashboards.sums import Sums
from dataelan_web.dashboards.unusual import ERRORS, SPEND, judge, worst
from dataelan_web.extensions import db
from dataelan_web.models import ROLLUP_KEYS, ROLLUPS, new_id, now
from dataelan_web.models.base import NIL
from dataelan_web.models.rollups import COUNTERS, UNITS, WORDS, Grain
from dataelan_web.rollups.cuts import Cut, smallest

from . import people

BERLIN = ZoneInfo("Europe/Berlin")
END = datetime(2026, 4, 6, tzinfo=BERLIN)
"""Monday. The clocks went forward a week before."""
START = END - timedelta(days=7)
TUESDAY = datetime(2026, 3, 31, 10, tzinfo=BERLIN)


def some_weeks(runs: int, dice: random.Random, weeks: int = 9) -> dict[datetime, Sums]:
    """Each hour by its weekday and the clock: busy at work, quiet at night; a run costs one or two, 2 % fail."""
    hours = {}
    at = START - timedelta(weeks=weeks - 1)
    while at.astimezone(UTC) < END.astimezone(UTC):
        local = at.astimezone(BERLIN)
        busy = 1.0 if local.weekday() < 5 and 8 <= local.hour < 18 else 0.2
        count = max(round(dice.gauss(runs * busy, (runs * busy) ** 0.5)), 0)
        cost = dice.gammavariate(count, 1e6) if count else 0.0
        failed = sum(dice.random() < 0.02 for _ in range(count))
        hours[local.astimezone(UTC)] = Sums(runs=count, failed=failed, cost=round(cost))
        at = (at.astimezone(UTC) + timedelta(hours=1)).astimezone(BERLIN)
    return hours


def told(hours: dict[datetime, Sums]) -> list[tuple[str, datetime, bool]]:
    return [(one.what, one.at.astimezone(BERLIN), one.is_more) for one in judge(hours, START, END, BERLIN)]


@pytest.mark.parametrize("runs", [3, 60])
def test_an_ordinary_week_has_nothing_unusual(runs: int) -> None:
    assert told(some_weeks(runs, random.Random(runs))) == []


def test_what_is_outside_is_told_in_its_hour_by_the_clock() -> None:
    hours = some_weeks(100, random.Random(5))
    at = TUESDAY.astimezone(UTC)
    usual = hours[at]
    hours[at] = Sums(runs=300, failed=4, cost=usual.cost * 3)
    assert told(hours) == [(SPEND, TUESDAY, True)]
    hours[at] = Sums(runs=90, failed=30, cost=usual.cost)
    assert told(hours) == [(ERRORS, TUESDAY, True)]
    hours[at] = Sums()
    assert told(hours) == [(SPEND, TUESDAY, False)], "nothing at all is not usual either"
    night = (TUESDAY - timedelta(hours=8)).astimezone(UTC)
    hours[at], hours[night] = usual, usual
    assert told(hours) == [(SPEND, night.astimezone(BERLIN), True)], "what is usual by day is not at night"


def test_a_wild_week_before_changes_nothing() -> None:
    hours = some_weeks(100, random.Random(5))
    for weeks, wild in ((1, Sums(runs=5_000, failed=4_000, cost=10**12)), (3, Sums())):
        hours[(TUESDAY - timedelta(weeks=weeks)).astimezone(UTC)] = wild
    at = TUESDAY.astimezone(UTC)
    assert not [one for one in told(hours) if one[1] == TUESDAY]
    hours[at] = Sums(runs=300, failed=4, cost=hours[at].cost * 4)
    assert (SPEND, TUESDAY, True) in told(hours)


def test_few_runs_and_small_numbers_never_alarm() -> None:
    hours = some_weeks(1, random.Random(2))
    at = TUESDAY.astimezone(UTC)
    hours[at] = Sums(runs=19, failed=19, cost=10**12)
    assert told(hours) == []
    hours = some_weeks(100, random.Random(5))
    hours[at] = Sums(runs=100, failed=4, cost=hours[at].cost)
    assert told(hours) == []


def test_there_have_to_be_four_weeks_before() -> None:
    for weeks, expected in ((4, []), (5, [(SPEND, TUESDAY, True)])):
        hours = some_weeks(100, random.Random(5), weeks)
        hours[TUESDAY.astimezone(UTC)] = Sums(runs=900, cost=10**10)
        assert told(hours) == expected, weeks


def test_hours_that_follow_each_other_are_one_line() -> None:
    hours = some_weeks(100, random.Random(5))
    for n in (0, 1, 2, 5):
        hours[(TUESDAY + timedelta(hours=n)).astimezone(UTC)] = Sums(runs=200, failed=80, cost=10**8)
    lines = worst([one for one in judge(hours, START, END, BERLIN) if one.what == ERRORS])
    assert [len(line) for line in lines] == [1, 3], "the latest first"


def test_what_is_judged_are_the_hours_that_ended_and_can_be_opened() -> None:
    zone, at = ZoneInfo("Asia/Kolkata"), datetime(2026, 5, 20, 10, 7, tzinfo=UTC)
    start, end = unusual.hours_of(ranges.preset("30d", zone, at)) or (at, at)
    assert (start, end) == (datetime(2026, 5, 13, 15, tzinfo=zone), datetime(2026, 5, 20, 15, tzinfo=zone))
    assert unusual.hours_of(ranges.preset("last_month", zone, at)) == (
        datetime(2026, 4, 24, tzinfo=zone), datetime(2026, 5, 1, tzinfo=zone),
    )  # fmt: skip
    assert unusual.hours_of(ranges.preset("last_month", zone, datetime(2026, 5, 31, tzinfo=UTC))) is None


def test_hours_of_two_months_ago_are_read_where_they_are_kept() -> None:
    assert smallest(set()) == smallest({"provider_id"}) == Cut.KEYS
    assert smallest(set(), old_hours=True) == Cut.MODELS
    assert smallest({"user_id"}, old_hours=True) == Cut.PEOPLE, "there are none, so what there is"


def test_the_overview_lists_them_and_each_opens_its_runs(app: Flask, acme: people.Cast) -> None:
    hour = now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=30)
    key = {
        "id": new_id(),
        "organization_id": acme.organization.id,
        "cut": Cut.MODELS,
        "project_id": NIL,
        "user_id": NIL,
        "tags": [],
    }
    db.session.execute(insert(ROLLUP_KEYS).values({**key, **dict.fromkeys(UNITS, NIL), **dict.fromkeys(WORDS, "")}))
    rows = [
        {"key_id": key["id"], "grain": Grain.HOUR, "bucket": hour - timedelta(weeks=n), "first_token": [], "total": []}
        | dict.fromkeys(COUNTERS, 0)
        | {"runs": 100, "failed": 40 if n == 0 else 1, "cost": 10**9}
        for n in range(9)
    ]
    db.session.execute(insert(ROLLUPS), rows)
    db.session.commit()
    assert db.session.scalar(select(ROLLUPS.c.runs).where(ROLLUPS.c.key_id == key["id"]).limit(1))
    client = people.browser(app, acme.olivia)
    assert "/dashboard/parts/unusual?range=30d" in client.get(f"{acme.home}/dashboard").text
    text = unescape(client.get(f"{acme.home}/dashboard/parts/unusual").text)
    assert "40 of 100 runs (40.0 %), usually about 1" in text
    opened = re.search(r'href="(/o/[^"]*outcome=problems[^"]*)"', text)
    assert opened
    assert client.get(opened[1]).status_code == 200
    for who in ("mia", "gina"):
        assert (
            "There is too little"
            in people.browser(app, acme.people[who]).get(f"{acme.home}/dashboard/parts/unusual").text
        )
    assert "Try again" in client.get(f"{acme.home}/dashboard/parts/unusual?range=2h").text
    assert client.get(f"{acme.home}/dashboard/parts/nothing").status_code == 404
