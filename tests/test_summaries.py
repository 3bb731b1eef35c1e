"""An organization's week and month: what is on the page, for whom, and that each is sent once, in the right morning."""

from __future__ import annotations

import html
import re
import threading
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from flask import Flask, g
from sqlalchemy import delete, event, select

from dataelan_web.dashboards import overview, ranges
from dataelan_web.dashboards.filters import Filters
from dataelan_web.dashboards.sums import Asked
from dataelan_web.extensions import db
from dataelan_web.models import (
    NANO,
    Answer,
    Budget,
    Delivery,
    Increase,
    Notice,
    Organization,
    Scope,
    State,
    Summaries,
    Unit,
    Window,
    now,
)
from dataelan_web.models.rollups import ROLLUP_RECOUNTS
from dataelan_web.notify import deliver, webhooks
from dataelan_web.summaries import budget, periods, sending
from dataelan_web.summaries.periods import Kind
from dataelan_web.sums_seen import SumsSeen

from . import people, used
from .conftest import wait_until
from .test_mail import Postman, postman  # noqa: F401  (a fixture)
from .test_rollups import count_all, paid

KATHMANDU = ZoneInfo("Asia/Kathmandu")  # 5:45 ahead of UTC
WEEK = periods.Period(Kind.WEEK, date(2026, 11, 9), KATHMANDU)
MORNING = datetime(2026, 11, 16, 6, 0, tzinfo=KATHMANDU)


def a_week(cast: people.Cast) -> None:
    """$12 in the week, $10 in the one before, and what lies on either side of midnight in Kathmandu."""
    in_kathmandu(cast)
    model = people.simulated_model()
    ids = {"model_id": model.id, "provider_id": model.provider_id}

    def ran(cost: int, day: int, hour: int = 12, minute: int = 0, **values: object) -> None:
        asked = datetime(2026, 11, day, hour, minute, tzinfo=KATHMANDU)
        times = {"created_at": asked, "first_token_at": asked + timedelta(seconds=1)}
        done = {"finished_at": asked + timedelta(seconds=2), "tokens_input": 30, "tokens_output": 10}
        paid(cast, cost, model, **ids, **times, **done, **values)

    ran(10 * NANO, 4)
    ran(4 * NANO, 9, 0, 0)  # the first moment of Monday
    ran(7 * NANO, 15, 23, 59)  # the last minute of Sunday
    ran(1 * NANO, 12, user_id=cast.adam.id, state=State.FAILED, error_kind="overloaded")
    ran(9 * NANO, 16, 0, 0)  # the next week
    used.limit(cast, Scope.ORGANIZATION, cast.organization.id, 30 * NANO)
    near = used.limit(cast, Scope.PROJECT, cast.project.id, 15 * NANO, window=Window.WEEK)
    used.period(near, 14 * NANO, at=datetime(2026, 11, 12, tzinfo=KATHMANDU))
    theirs = used.limit(cast, Scope.MEMBER, cast.victor.id, 5, unit=Unit.REQUESTS, window=Window.WEEK)
    used.period(theirs, 5, at=datetime(2026, 11, 12, tzinfo=KATHMANDU))
    count_all()


def in_kathmandu(cast: people.Cast) -> None:
    """Before anything ran in it: so nothing has to be counted anew."""
    cast.organization.time_zone = KATHMANDU.key
    db.session.commit()
    db.session.execute(delete(ROLLUP_RECOUNTS).where(ROLLUP_RECOUNTS.c.organization_id == cast.organization.id))
    db.session.commit()


def page(app: Flask, person: object, cast: people.Cast, address: str, status: int = 200) -> str:
    answer = people.browser(app, person).get(f"{cast.home}/summaries/{address}")  # type: ignore[arg-type]
    assert answer.status_code == status
    return html.unescape(answer.text)


def report(text: str) -> str:
    """What page and mail have in common, without where it leads."""
    found = re.search(r'<div class="sm">.*?</div>', text, re.S)
    assert found
    return re.sub(r'href="[^"]*?(/o/[^"]*)"', r'href="\1"', html.unescape(found[0])).replace("\r", "")


def test_a_week_and_a_month_are_addressed_by_name_and_end_where_the_organization_is() -> None:
    for address in ("2026-W46", "2026-11", "2020-W53", "2027-W01"):
        period = periods.read(address, KATHMANDU)
        assert period
        assert period.address == address
        assert period.before.after == period
    for wrong in ("2026-W54", "2026-13", "2026-W00", "1999-W01", "2026", "2026-W1", "٢٠٢٦-11", "2026-11-09"):
        assert periods.read(wrong, KATHMANDU) is None
    assert periods.read("2026-W46", KATHMANDU) == WEEK
    assert WEEK.label == "Week 46, 9 to 15 November 2026"
    assert (
        periods.containing(Kind.WEEK, date(2026, 10, 1), KATHMANDU).label == "Week 40, 28 September to 4 October 2026"
    )
    assert WEEK.span.start == datetime(2026, 11, 8, 18, 15, tzinfo=UTC)
    assert periods.latest(Kind.WEEK, WEEK.span.end, KATHMANDU) == WEEK
    assert periods.latest(Kind.WEEK, WEEK.span.end - timedelta(seconds=1), KATHMANDU) == WEEK.before


def test_the_page_of_a_week_says_what_it_cost_and_why(app: Flask, acme: people.Cast, rival: people.Cast) -> None:
    a_week(acme)
    asked: list[str] = []

    def note(*args: object) -> None:
        asked.append(str(args[2]))

    event.listen(db.engine, "before_cursor_execute", note)
    text = page(app, acme.olivia, acme, "2026-W46")
    event.remove(db.engine, "before_cursor_execute", note)
    assert len(asked) < 32, "few queries"
    for said in (
        "$12.00 for 3 runs (+20 % against the week before)",
        "33.3 %",  # errors
        "Mon 9 Nov",
        "$7.00",
        "November came to $22.00 by 15 November, 73 % of its budget of $30.00; it leads to between ",
        "Overloaded",
        "Project Acme project",
        "$14.00 of $15.00 for the week of 9 November (93 %)",
        "5 requests of 5 requests for the week of 9 November (100 %)",
        f"{acme.home}/dashboard/runs?range=custom&from=2026-11-09&to=2026-11-15&error=overloaded",
    ):
        assert said in text, said
    assert "$9.00" not in text
    month = page(app, acme.olivia, acme, "2026-11")
    assert "$31.00 for 5 runs" in month
    adams = page(app, acme.mia, acme, "2026-W46")
    assert "Your own runs" in adams
    assert "$11.00 for 2 runs" in adams, "Mia asked for those"
    assert "5 requests" not in adams, "another member’s limit"
    assert "Nothing was run" in page(app, acme.victor, acme, "2026-W46")
    assert "$12.00 for 3 runs" in page(app, acme.gina, acme, "2026-W46"), "all are in the project she was let into"
    for wrong in ("2099-W01", "2026-W60", "x"):
        page(app, acme.olivia, acme, wrong, 404)
    people_of = people.browser(app, acme.olivia)
    assert people_of.get(f"{rival.home}/summaries/2026-W46").status_code == 404
    assert "/summaries/20" in people_of.get(f"{acme.home}/summaries").location
    assert re.search(r"/summaries/\d{4}-\d\d$", people_of.get(f"{acme.home}/summaries?kind=month").location)


def test_what_a_limit_refused_is_told_once_with_the_window_that_refused_it(app: Flask, acme: people.Cast) -> None:
    in_kathmandu(acme)
    daily = used.limit(acme, Scope.ORGANIZATION, acme.organization.id, 10 * NANO, window=Window.DAY)
    for day, spent in ((9, 1), (10, 9), (11, 2)):
        used.period(daily, spent * NANO, at=datetime(2026, 11, day, 12, tzinfo=KATHMANDU))
    asked = datetime(2026, 11, 11, 15, tzinfo=KATHMANDU)
    for _ in range(3):
        used.run(acme, state=State.FAILED, refused_by=daily.id, created_at=asked, finished_at=asked)
    count_all()
    limits = re.sub(r"<[^>]*>", " ", page(app, acme.olivia, acme, "2026-W46"))
    assert limits.count("3 runs refused") == 1
    assert re.search(r"\$2.00 of \$10.00 for 11 November \(20 %\)\W*3 runs refused", limits)
    assert "for 10 November (90 %)" in limits
    assert "for 9 November" not in limits, "it was not near its end, and refused nothing"


def test_a_month_that_runs_leads_where_the_dashboard_says_that_it_does(app: Flask, acme: people.Cast) -> None:
    moment = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
    model = people.simulated_model()
    for day in range(1, 30):
        asked = moment - timedelta(days=day)
        times = {"created_at": asked, "first_token_at": asked, "finished_at": asked}
        paid(acme, (1 + day % 3) * NANO, model, model_id=model.id, provider_id=model.provider_id, **times)
    count_all()
    over = ranges.preset("30d", ZoneInfo("UTC"), moment)
    with app.test_request_context():
        g.organization, g.role = acme.organization, None
        everything = SumsSeen(True, (), acme.olivia.id)
        asked_of = Asked(acme.organization.id, everything)
        note = overview.forecast(Filters(over, {"range": "30d"}, asked_of)).note
        month = periods.containing(Kind.MONTH, moment.date(), ZoneInfo("UTC"))
        outlook = budget.outlook(acme.organization, asked_of, month, moment)
    found = re.search(r": (\$[\d.]+) to (\$[\d.]+)\.", note)
    assert found
    assert f"between {found[1]} and {found[2]} by its end" in outlook


def test_a_week_is_sent_once_in_its_morning_to_who_chose_it_and_says_what_the_page_says(
    app: Flask,
    acme: people.Cast,
    postman: Postman,  # noqa: F811
) -> None:
    a_week(acme)
    hook, _ = webhooks.create(acme.organization, acme.olivia.id, "Chat", "http://127.0.0.1:9/", ["summary.week"])
    acme.organization.summaries = Summaries.WEEKLY
    for who in ("olivia", "mia", "victor", "ned"):
        acme.people[who].mail_choices = {"summary.week": True}
    db.session.commit()
    sending.send_due(MORNING - timedelta(seconds=1))
    assert told(acme) == {}, "not before the morning there"

    def at_once() -> None:
        with app.app_context():
            sending.send_due(MORNING)

    workers = [threading.Thread(target=at_once) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    sending.send_due(MORNING + timedelta(hours=5))
    assert told(acme) == {"olivia": 1, "adam": 1, "mia": 1}, "nothing of Victor’s ran, and Ned does not belong to it"
    wait_until(lambda: (deliver.due(app) and False) or len(postman.to(acme)) == 2)
    letters = {str(letter["To"]).split()[0]: letter for letter in postman.to(acme)}
    assert set(letters) == {"Olivia", "Mia"}, "Adam wanted no mail"
    assert letters["Olivia"]["Subject"] == "Acme, week 46: $12.00 for 3 runs (+20 % against the week before)"
    assert letters["Mia"]["Subject"].startswith("Acme, week 46: $11.00 for 2 runs")
    for who, letter in letters.items():
        sent = letter.get_body(("html",)).get_content()
        assert report(sent) == report(page(app, acme.people[who.lower()], acme, "2026-W46"))
        assert ".sm-headline {" in sent
        assert f'href="https://dataelan.example{acme.home}/dashboard/' in sent
        for word in ("<img", "<script", "src=", "url(", "@import", "<link"):
            assert word not in sent
        text = letter.get_body(("plain",)).get_content()
        assert "Spend: $1" in text
        assert f"https://dataelan.example{acme.home}/summaries/2026-W46" in text
    (delivery,) = db.session.scalars(select(Delivery).where(Delivery.webhook_id == hook.id)).all()
    said = delivery.payload["data"]
    assert (delivery.event, said["spend"], said["spend_before"], said["runs"]) == (
        "summary.week", 12 * NANO, 10 * NANO, 3
    )  # fmt: skip
    assert (said["starts_on"], said["ends_on"]) == ("2026-11-09", "2026-11-15")
    webhooks.delete(hook)


def test_nobody_is_told_late_or_of_nothing_or_unasked(acme: people.Cast, rival: people.Cast) -> None:
    a_week(acme)
    sending.send_due(MORNING)
    assert told(acme) == {}, "nobody chose it"
    rival.organization.summaries = acme.organization.summaries = Summaries.BOTH
    db.session.commit()
    sending.send_due(MORNING + timedelta(days=3))
    assert told(acme) == {}, "no worker was there for days: it is no news any more"
    in_kathmandu(rival)
    sending.send_due(MORNING + timedelta(hours=1))
    assert told(acme) == {"olivia": 1, "adam": 1}
    assert told(rival) == {}, "nothing ran"
    acme.organization.deleted_at = now()
    db.session.commit()
    sending.send_due(MORNING + timedelta(days=7, hours=1))
    assert told(acme) == {"olivia": 1, "adam": 1}, "of what was deleted nobody is told"
    acme.organization.deleted_at = None
    db.session.commit()
    sending.send_due(MORNING + timedelta(days=7, hours=1))
    assert told(acme) == {"olivia": 2, "adam": 2}, "the next week"
    sending.send_due(datetime(2026, 12, 1, 6, 0, tzinfo=KATHMANDU))
    hers = Notice.user_id == acme.olivia.id, Notice.kind.startswith("summary.")  # a worker tells of limits meanwhile
    kinds = select(Notice.kind, Notice.title).where(*hers).order_by(Notice.id)
    assert [kind for kind, _ in db.session.execute(kinds)] == ["summary.week", "summary.week", "summary.month"]
    home = db.session.get_one(Organization, acme.organization.id, populate_existing=True)
    assert (home.week_told, home.month_told) == (date(2026, 11, 23), date(2026, 11, 1)), "and a week without runs"


def test_what_a_cache_saved_is_told_at_list_prices(app: Flask, acme: people.Cast) -> None:
    model = people.own_model(acme, people.own_provider(acme, "http://127.0.0.1:9/v1"), "m", input=3 * NANO, output=NANO)
    model.prices[0].cache_read, model.prices[0].effective_at = 1 * NANO, datetime(2026, 1, 1, tzinfo=UTC)
    asked = datetime(2026, 3, 4, tzinfo=UTC)
    used_ = {"tokens_input": 500_000, "tokens_cache_read": 1_500_000, "tokens_output": 10, "finished_at": asked}
    ids = {"model_id": model.id, "provider_id": model.provider_id}
    paid(acme, 3 * NANO, model, created_at=asked, **ids, **used_)
    count_all()
    text = page(app, acme.olivia, acme, "2026-03")
    assert (
        "75.0 % of all input came from providers’ caches, which saved about $3.00 at the models’ list prices." in text
    )


def told(cast: people.Cast) -> dict[str, int]:
    db.session.rollback()
    mine = select(Notice.user_id).where(
        Notice.organization_id == cast.organization.id, Notice.kind.startswith("summary.")
    )
    who = [next(name for name, user in cast.people.items() if user.id == id) for id in db.session.scalars(mine)]
    return {name: who.count(name) for name in cast.people if name in who}


def test_what_more_was_granted_in_a_week_is_part_of_what_its_limit_allowed(app: Flask, acme: people.Cast) -> None:
    a_week(acme)
    near = db.session.scalars(select(Budget).filter_by(scope=Scope.PROJECT, subject_id=acme.project.id)).one()
    said = {"budget": near, "organization_id": acme.organization.id, "asked": 1, "answer": Answer.APPROVED}
    at = datetime(2026, 11, 10, tzinfo=KATHMANDU)
    db.session.add(Increase(**said, granted=2 * NANO, answered_at=at, expires_at=at + timedelta(days=2)))
    db.session.add(Increase(**said, granted=90 * NANO, answered_at=MORNING, expires_at=MORNING + timedelta(days=2)))
    db.session.commit()
    text = people.browser(app, acme.olivia).get(f"{acme.home}/summaries/{WEEK.address}").get_data(as_text=True)
    assert re.search(r"\$14\.00 of \$17\.00 .*\(82 %\)", text)


def test_a_limit_as_large_as_can_be_entered_breaks_no_summary(app: Flask, acme: people.Cast) -> None:
    a_week(acme)
    vast = used.limit(acme, Scope.ORGANIZATION, acme.organization.id, 1_000_000_000 * NANO, window=Window.WEEK)
    used.period(vast, 900_000_000 * NANO, at=datetime(2026, 11, 12, tzinfo=KATHMANDU))
    answer = people.browser(app, acme.olivia).get(f"{acme.home}/summaries/{WEEK.address}")
    assert answer.status_code == 200
    assert "$900,000,000.00 of $1,000,000,000.00" in answer.get_data(as_text=True)
