"""The page of quotas: what the page of limits shows the same person, what was left by when, and who waits for more."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

from flask import Flask

from dataelan_web import quota
from dataelan_web.extensions import db
from dataelan_web.models import NANO, Budget, Scope, Unit, Window, now

from . import people, used
from .test_dashboards import page, ran, rows
from .test_rollups import count_all


def names(app: Flask, cast: people.Cast, who: str, at: str = "") -> set[str]:
    return {row[6] for row in rows(people.browser(app, cast.people[who]), cast, f"/quota/limits.csv{at}")[1:]}


def left(app: Flask, cast: people.Cast, budget: Budget, who: str = "olivia") -> list[list[str]]:
    return rows(people.browser(app, cast.people[who]), cast, f"/quota/left-{budget.id}.csv")


def test_everybody_sees_the_limits_that_the_page_of_limits_shows_them(
    app: Flask, acme: people.Cast, rival: people.Cast
) -> None:
    used.limit(acme, Scope.ORGANIZATION, acme.organization.id, 1 * NANO)
    used.limit(acme, Scope.PROJECT, acme.project.id, 2 * NANO)
    used.limit(acme, Scope.MEMBER, acme.mia.id, 3 * NANO)
    used.limit(acme, Scope.MEMBER, acme.gina.id, 4 * NANO)
    used.limit(rival, Scope.ORGANIZATION, rival.organization.id, 5 * NANO)
    assert names(app, acme, "olivia") == {"1", "2", "3", "4"}
    assert names(app, acme, "mia") == {"1", "2", "3"}
    assert names(app, acme, "gina") == {"2", "4"}
    assert names(app, acme, "olivia", f"?project={acme.project.id}") == {"2"}
    assert names(app, acme, "olivia", f"?project={acme.project.id}&member={acme.mia.id}&type=TEXT") == {"2", "3"}


def test_a_gauge_says_what_is_spent_held_and_left(app: Flask, acme: people.Cast) -> None:
    budget = used.limit(acme, Scope.PROJECT, acme.project.id, 10 * NANO)
    used.period(budget, 4 * NANO)
    used.held(acme, budget, 1 * NANO)
    client = people.browser(app, acme.olivia)
    assert rows(client, acme, "/quota/limits.csv")[1][3:7] == ["4", "1", "5", "10"]
    text = page(client, acme, "/quota")
    assert 'class="bullet"' in text
    assert "Next to reset: Project" in text
    assert f"/limits/{budget.id}" in text


def test_what_is_left_falls_by_what_the_sums_say_and_goes_on_to_the_forecast(app: Flask, acme: people.Cast) -> None:
    acme.organization.time_zone = "Asia/Kolkata"
    db.session.commit()
    budget = used.limit(acme, Scope.PROJECT, acme.project.id, 10 * NANO, window=Window.DAY)
    start, _ = quota.window_of(Window.DAY, now(), ZoneInfo("Asia/Kolkata"))
    ran(acme, 3 * NANO, created_at=start, first_token_at=start + timedelta(seconds=1), finished_at=now())
    ran(acme, 9 * NANO, created_at=start - timedelta(minutes=1), first_token_at=start, finished_at=now())
    count_all()
    used.period(budget, 3 * NANO)
    found = left(app, acme, budget)
    assert found[1][1:] == ["3", "3", "7"], "what was asked yesterday is yesterday's"
    assert next(row[2:] for row in found if not row[1]) == ["3", "7"], "what is left now is what the limit says"
    assert float(found[-1][2]) >= 3, "a forecast is what is spent, and more"


def test_what_the_sums_cannot_tell_is_a_straight_line(app: Flask, acme: people.Cast) -> None:
    ran(acme, 3 * NANO)
    count_all()
    whole = used.limit(acme, Scope.ORGANIZATION, acme.organization.id, 10 * NANO)
    mine = used.limit(acme, Scope.MEMBER, acme.mia.id, 10 * NANO, unit=Unit.REQUESTS)
    days = len(left(app, acme, whole))
    assert days > len(left(app, acme, whole, "mia")), "what others spend by day is not for a member"
    assert len(left(app, acme, mine, "mia")) == days


def test_who_waits_for_more_is_listed_with_the_way_to_answer(app: Flask, acme: people.Cast) -> None:
    budget = used.limit(acme, Scope.PROJECT, acme.project.id, 10 * NANO)
    increase = used.asked(acme, budget, acme.mia, 5 * NANO)
    text = page(people.browser(app, acme.olivia), acme, "/quota")
    assert f"/limits/{budget.id}#increase-{increase.id}" in text
    assert "They ask for more" in text
    assert "You asked for more" in page(people.browser(app, acme.mia), acme, "/quota")
    assert "No request waits" in page(people.browser(app, acme.gina), acme, "/quota")
