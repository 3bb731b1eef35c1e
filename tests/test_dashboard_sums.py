"""The numbers of dashboards: exactly those of the runs and of the ledger, whatever is asked for."""

from __future__ import annotations

import math
import random
import uuid
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select

from dataelan_web.dashboards import figures, overview, ranges, sums
from dataelan_web.dashboards.ranges import Span
from dataelan_web.extensions import db
from dataelan_web.models import Attempt, Execution, LedgerEntry, ModelType, Origin, Project, State, new_id, now
from dataelan_web.models.base import NIL
from dataelan_web.models.rollups import Grain
from dataelan_web.sums_seen import SumsSeen

from . import people
from .test_rollups import count_all, paid

KOLKATA = ZoneInfo("Asia/Kolkata")
AT = datetime(2026, 5, 20, 10, 7, tzinfo=UTC)


def some_runs(cast: people.Cast, dice: random.Random, count: int, at: datetime = AT) -> list[Execution]:
    """In two projects, by three people, of two models and all endings, over 40 days; some fell back."""
    other = Project(id=new_id(), organization_id=cast.organization.id, name="Other")
    db.session.add(other)
    db.session.commit()
    models = [people.simulated_model(), people.simulated_model("simulated-fast")]
    made = []
    for _ in range(count):
        model, asked = dice.choice(models), at - timedelta(minutes=dice.randrange(40 * 24 * 60))
        took = timedelta(milliseconds=10 ** dice.uniform(1, 5))
        further = [(dice.choice(models), dice.randrange(1000), None)] if dice.random() < 0.3 else []
        run = paid(
            cast,
            dice.choice([None, 0, dice.randrange(10**9)]),
            model,
            further,
            attempts_made=1 + len(further),
            project_id=dice.choice([cast.project.id, other.id]),
            user_id=dice.choice([cast.mia.id, cast.adam.id, None]),
            state=dice.choice([State.COMPLETED, State.COMPLETED, State.FAILED, State.CANCELLED]),
            model_type=dice.choice([ModelType.TEXT, ModelType.CODE]),
            origin=dice.choice([Origin.GATEWAY, Origin.PLAYGROUND, Origin.IMPORT]),
            created_at=asked,
            labels=dice.choice([None, {"tags": ["eu"]}, {"tags": ["nightly", "eu"]}, {"tags": ["a b", "x,{y}|"]}]),
            first_token_at=asked + took / 2,
            finished_at=asked + took,
            provider_id=model.provider_id,
            model_id=model.id,
            tokens_input=dice.randrange(1000),
            tokens_output=dice.randrange(1000),
        )
        made.append(run)
    count_all()
    return made


def of_runs(where: list[object]) -> tuple[int, int]:
    """(runs, tokens)"""
    tokens = func.coalesce(Execution.tokens_input, 0) + func.coalesce(Execution.tokens_output, 0)
    row = db.session.execute(select(func.count(), func.coalesce(func.sum(tokens), 0)).where(*where)).one()
    return int(row[0]), int(row[1])


def of_ledger(where: list[object]) -> int:
    query = select(func.coalesce(func.sum(LedgerEntry.amount), 0)).join(Attempt, Attempt.id == LedgerEntry.attempt_id)
    return int(db.session.scalar(query.join(Execution, Execution.id == Attempt.execution_id).where(*where)) or 0)


def test_a_panel_its_runs_and_the_ledger_have_one_sum(acme: people.Cast) -> None:
    dice = random.Random(11)
    acme.organization.time_zone = KOLKATA.key
    db.session.commit()
    at = now()  # of long ago there are no quarters
    runs = some_runs(acme, dice, 60, at)
    choices = {
        "project_id": [run.project_id for run in runs],
        "user_id": [acme.mia.id, acme.adam.id, uuid.uuid4()],
        "model_id": [run.model_id for run in runs],
        "outcome": ["completed", "failed"],
        "model_type": ["TEXT", "CODE"],
        "origin": ["gateway", "playground"],
        "tags": ["eu", "nightly", "a b", "x,{y}|", "none has it"],
    }
    for _ in range(60):
        names = dice.sample(sorted(choices), dice.randrange(4))
        filters = {name: dice.choice(choices[name]) for name in names}
        everyone = dice.random() < 0.7
        seen = SumsSeen(everyone, () if everyone else (acme.project.id,), acme.adam.id)
        over = ranges.preset(dice.choice(["1h", "24h", "7d", "30d", "365d"]), KOLKATA, at)
        asked = sums.Asked(acme.organization.id, seen, filters)

        where: list[object] = [
            Execution.organization_id == acme.organization.id,
            Execution.origin != Origin.IMPORT,
            Execution.created_at >= over.start,
            Execution.created_at < over.end,
        ]
        if not everyone:
            where.append((Execution.project_id == acme.project.id) | (Execution.user_id == acme.adam.id))
        columns = {"outcome": Execution.state}
        narrowed = [
            Execution.tags.contains([v]) if n == "tags" else columns.get(n, getattr(Execution, n, None)) == v
            for n, v in filters.items()
            if n != "model_id"
        ]
        model = filters.get("model_id")
        expected = of_runs([*where, *narrowed, *([Execution.model_id == model] if model else [])])
        paid_for = [Attempt.model_id == model] if model else []
        money = of_ledger([*where, *narrowed, *paid_for])

        whole = sums.totals(asked, (over.span,))
        assert (whole.runs, whole.tokens) == expected, (filters, over.key)
        assert whole.cost == money, (filters, over.key)
        by = dice.choice([None, "provider_id", "model_id", "project_id", "user_id", "payer", "outcome", "api_key_id"])
        line = sums.series(asked, over, by)
        assert sum(line.values(), sums.Sums()) == whole
        assert {slot for slot, _ in line} <= set(over.slots)
        if by:
            assert sum(sums.groups(asked, (over.span,), by).values(), sums.Sums()) == whole
            both = sums.groups(asked, (over.span,), by), sums.groups(asked, over.before, by)
            assert sums.compared(asked, over, by) == both
        of_tags, tagged = sums.tagged(asked, (over.span,))
        for tag in [*of_tags, "none has it"]:
            narrower = replace(asked, filters={**filters, "tags": tag})
            if "tags" not in filters:
                assert sums.totals(narrower, (over.span,)) == of_tags.get(tag, sums.Sums())
        assert tagged == whole or "tags" not in filters
        assert tagged.cost == of_ledger([*where, *narrowed, func.cardinality(Execution.tags) > 0, *paid_for])


def test_percentiles_are_right_within_two_percent(acme: people.Cast) -> None:
    runs = [run for run in some_runs(acme, random.Random(3), 50) if run.origin is not Origin.IMPORT]
    times = sorted(run.seconds or 0 for run in runs if run.state is State.COMPLETED)
    asked = sums.Asked(acme.organization.id, SumsSeen(True, (), acme.mia.id))
    over = ranges.preset("90d", ZoneInfo("UTC"), AT)
    told = sums.percentiles(asked, (over.span,))[None, None]
    for part, seconds in zip(sums.PERCENTILES, told, strict=True):
        exact = times[math.ceil(part * len(times)) - 1]
        assert abs(seconds - exact) <= 0.02 * exact
    by_day = sums.percentiles(asked, (over.span,), "first_token", "model_id", over)
    assert by_day
    assert {slot for slot, _ in by_day} <= set(over.slots)


@pytest.mark.parametrize(("zone", "hour"), [("Asia/Kolkata", (18, 30)), ("Asia/Kathmandu", (18, 15)), ("UTC", (0, 0))])
def test_days_begin_at_the_organizations_midnight(zone: str, hour: tuple[int, int]) -> None:
    over = ranges.preset("7d", ZoneInfo(zone), AT)
    assert {(edge.astimezone(UTC).hour, edge.astimezone(UTC).minute) for edge in over.edges} == {hour}
    assert over.start <= AT < over.end
    assert len(over.slots) == 7


def test_a_running_day_is_compared_with_as_much_of_the_day_before() -> None:
    over = ranges.preset("7d", ZoneInfo("UTC"), AT)
    whole, rest = over.before
    assert (whole.grain, whole.start.day, whole.end.day) == (Grain.DAY, 7, 13)
    assert (rest.grain, rest.end) == (Grain.HOUR, datetime(2026, 5, 13, 11, tzinfo=UTC))
    today = ranges.preset("24h", ZoneInfo("UTC"), AT)
    assert today.before[1].end == datetime(2026, 5, 19, 10, 15, tzinfo=UTC)
    (whole,) = ranges.preset("365d", ZoneInfo("UTC"), AT).before
    assert whole.end == datetime(2025, 5, 20, tzinfo=UTC), "the last day of it had not half gone by"
    past = ranges.read("custom", "2026-03-02", "2026-03-03", ZoneInfo("UTC"))
    assert [(one.start.day, one.end.day) for one in past.before] == [(28, 2)]


def test_a_time_that_ends_in_the_future_is_compared_with_what_has_gone_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "now", lambda: AT)
    over = ranges.read("custom", "2026-05-01", "2026-05-31", ZoneInfo("UTC"))
    whole, rest = over.before
    assert (whole.start, whole.end) == (datetime(2026, 3, 31, tzinfo=UTC), datetime(2026, 4, 19, tzinfo=UTC))
    assert (rest.grain, rest.start) == (Grain.HOUR, datetime(2026, 4, 19, tzinfo=UTC))
    assert rest.end == datetime(2026, 4, 19, 11, tzinfo=UTC)
    assert over.slots[over.running or 0].day == AT.day
    bars = figures.stacked(over, {"a": [0.0] * 31})["data"][0]
    assert [at for at, one in enumerate(bars["marker"]["opacity"]) if one == figures.PALE] == [19]
    line, dotted = figures.lines(over, {"a": [1.0] * 20 + [0.0] * 11})["data"]
    assert line["y"] == [1.0] * 19 + [None] * 12
    assert (dotted["x"], dotted["y"]) == (["2026-05-19T00:00", "2026-05-20T00:00"], [1.0, 1.0])


def test_a_time_of_hours_is_compared_with_what_is_kept_of_the_time_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "now", lambda: AT)

    def read(first: datetime, hours: float) -> ranges.Range:
        return ranges.read("custom", first.isoformat(), (first + timedelta(hours=hours)).isoformat(), ZoneInfo("UTC"))

    day = read(datetime(2026, 5, 18, tzinfo=UTC), 24)
    assert day.grain is Grain.QUARTER
    assert day.before == (Span(Grain.HOUR, day.start - timedelta(days=1), day.start),), "its quarters are gone"
    assert read(datetime(2026, 5, 17, 18, 15, tzinfo=UTC), 24).before == (), "it is in no whole hours"
    assert read(datetime(2026, 4, 16, tzinfo=UTC), 48).before == (), "its hours are gone"
    late = read(datetime(2026, 5, 19, 22, tzinfo=UTC), 3)
    assert (late.before[0].grain, late.label) == (Grain.QUARTER, "19 May 2026 22:00 to 20 May 2026 01:00")
    assert read(datetime(2026, 5, 19, 20, tzinfo=UTC), 3).label == "19 May 2026 20:00 to 23:00"


def test_the_last_day_of_a_month_is_not_taken_to_be_over() -> None:
    last = date(2026, 5, 31)
    past = {last - timedelta(days=n): 10 for n in range(1, 29)}
    assert overview.ahead(past, last, last, 304, 4) == [(310, 310)], "six of its ten are still to come"
    assert overview.ahead(past, last, last, 300, 0) == [(310, 310)]
    assert overview.ahead(past, last, last, 320, 20) == [(320, 320)], "and never less than is spent"
    before = last - timedelta(days=1)
    assert overview.ahead(past | {last - timedelta(days=29): 10}, before, last, 294, 4) == [(294, 294), (310, 310)]


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "America/New_York"])
def test_whole_weeks_stand_for_their_days(zone: str) -> None:
    for first in range(1, 8):
        for last in range(first, 30):
            over = ranges.read("custom", f"2026-03-{first:02}", f"2026-03-{last:02}", ZoneInfo(zone))
            parts = over.span.coarse
            assert [parts[0].start, *(one.end for one in parts)] == [one.start for one in parts] + [over.end]
            weeks = [one for one in parts if one.grain is Grain.WEEK]
            assert all(edge.weekday() == edge.hour == 0 for one in weeks for edge in (one.start, one.end))
            assert weeks or last - first < 13
            assert sum((one.end.date() - one.start.date()).days for one in parts) == last - first + 1


def test_days_have_23_and_25_hours_where_clocks_change() -> None:
    berlin = ranges.read("custom", "2026-03-28", "2026-03-30", ZoneInfo("Europe/Berlin"))
    lengths = [(b.astimezone(UTC) - a.astimezone(UTC)).seconds // 3600 for a, b in pairwise(berlin.edges)]
    assert lengths == [0, 23, 0]


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Africa/Cairo", date(2026, 4, 24)),  # clocks go on at midnight
        ("America/Santiago", date(2026, 9, 6)),
        ("America/Havana", date(2026, 11, 1)),  # and back to it
        ("Europe/Berlin", date(2026, 3, 29)),
    ],
)
def test_a_day_whose_midnight_is_missing_or_comes_twice_has_all_its_runs(
    acme: people.Cast, zone: str, day: date
) -> None:
    acme.organization.time_zone = zone
    db.session.commit()
    there = ZoneInfo(zone)
    begins = datetime(day.year, day.month, day.day, tzinfo=there).astimezone(UTC)
    for asked in (begins - timedelta(minutes=1), begins + timedelta(minutes=1), begins + timedelta(hours=12)):
        paid(acme, 3, created_at=asked, finished_at=asked)
    count_all()
    yesterday = day - timedelta(days=1)
    over = ranges.read("custom", yesterday.isoformat(), day.isoformat(), there)
    line = sums.series(sums.Asked(acme.organization.id, SumsSeen(True, (), NIL)), over)
    assert {slot.date(): line[slot, None].runs for slot in over.slots} == {yesterday: 1, day: 2}


@pytest.mark.parametrize(
    "asked",
    [
        ("2h", "", ""),
        ("custom", "", ""),
        ("custom", "2026-03-02", "2026-03-01"),
        ("custom", "2020-01-01", "2026-01-01"),
    ],
)
def test_a_range_that_is_none_is_refused_in_words(asked: tuple[str, str, str]) -> None:
    with pytest.raises(ranges.BadRange):
        ranges.read(*asked, ZoneInfo("UTC"))


def test_nothing_is_no_run(acme: people.Cast) -> None:
    asked = sums.Asked(acme.organization.id, SumsSeen(False, (), NIL))
    over = ranges.preset("30d", ZoneInfo("UTC"))
    assert sums.totals(asked, (over.span,)) == sums.Sums()
    assert sums.percentiles(asked, (over.span,)) == {}
