"""Pages of limits: who sees which, what the forms take and refuse, what holds a limit and who uses it most."""

from __future__ import annotations

import re
import threading
import uuid
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, select

from dataelan_web import quota
from dataelan_web.accounts.sign_up import create_project
from dataelan_web.extensions import db
from dataelan_web.models import (
    NANO,
    APIKey,
    AuditEvent,
    Budget,
    GatewayToken,
    RateLimit,
    Scope,
    Unit,
    User,
    Window,
    now,
)

from . import people, used


@pytest.fixture
def limits(app: Flask, acme: people.Cast) -> dict[str, Budget]:
    """One of each kind, each with an amount of its own to know it by."""
    token, _ = GatewayToken.issue(acme.project, acme.olivia.id, "Nightly import")
    secret = create_project(acme.organization, acme.olivia, "Acquisition of Initech")
    db.session.add_all([token, secret])
    db.session.commit()
    key = people.own_provider(acme, "http://x/v1")
    model = people.own_model(acme, key, "one", input=1, output=1)
    found = {
        "organization": used.limit(acme, Scope.ORGANIZATION, acme.organization.id, 1_001 * NANO),
        "project": used.limit(acme, Scope.PROJECT, acme.project.id, 1_002 * NANO),
        "secret": used.limit(acme, Scope.PROJECT, secret.id, 1_003 * NANO),
        "mia": used.limit(acme, Scope.MEMBER, acme.mia.id, 1_004 * NANO),
        "gina": used.limit(acme, Scope.MEMBER, acme.gina.id, 1_005 * NANO),
        "token": used.limit(acme, Scope.TOKEN, token.id, 1_006 * NANO),
        "key": used.limit(acme, Scope.KEY, key.id, 1_007 * NANO),
        "provider": used.limit(acme, Scope.PROVIDER, key.provider_id, 1_008 * NANO),
        "model": used.limit(acme, Scope.MODEL, model.id, 1_009 * NANO),
    }
    for name, scope, subject in (
        ("operator", Scope.ORGANIZATION, acme.organization.id),
        ("platform", Scope.MODEL, model.id),
    ):
        amount = (1_010 if name == "operator" else 1_011) * NANO
        found[name] = quota.set_limit(db.session, None, scope, subject, Window.MONTH, amount)
    db.session.commit()
    return found


def page(app: Flask, person: User, url: str) -> str:
    answer = people.browser(app, person).get(url)
    assert answer.status_code == 200
    return answer.get_data(as_text=True)


def text_of(html: str) -> str:
    """What a person reads."""
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def fresh(budget: Budget) -> Budget:
    db.session.rollback()
    return db.session.get_one(Budget, budget.id, populate_existing=True)


def audited(cast: people.Cast) -> list[tuple[str, dict[str, Any]]]:
    mine = select(AuditEvent).where(AuditEvent.organization_id == cast.organization.id).order_by(AuditEvent.id)
    return [(event.action, event.detail) for event in db.session.scalars(mine)]


# -- who sees what ---------------------------------------------------------------------------------

SHARED = {"organization", "project", "secret", "token", "key", "provider", "model", "operator"}


SEEN_BY = {
    "olivia": SHARED | {"mia", "gina"},
    "adam": SHARED | {"mia", "gina"},
    "mia": SHARED | {"mia"},
    "victor": SHARED,
    "gina": {"project", "token", "gina"},
}


def test_everyone_sees_the_limits_that_are_theirs_to_see(
    app: Flask, acme: people.Cast, limits: dict[str, Budget]
) -> None:
    at = {name: (f"${limit.limit // NANO:,}.00", f"{acme.home}/limits/{limit.id}") for name, limit in limits.items()}
    for who, sees in SEEN_BY.items():
        client = people.browser(app, acme.people[who])
        shown = page(app, acme.people[who], f"{acme.home}/limits")
        for name, (amount, url) in at.items():
            assert (amount in shown) is (name in sees), (who, name)
            assert client.get(url).status_code == (200 if name in sees else 404), (who, name)
        assert ("Set a limit" in shown) is (who in ("olivia", "adam")), who
        assert ("The operator’s" in shown) is ("operator" in sees), who


def test_a_guest_is_told_of_no_other_project_and_not_what_the_organization_spends(
    app: Flask, acme: people.Cast, limits: dict[str, Budget]
) -> None:
    for url in (f"{acme.home}/limits", f"{acme.home}/", f"{acme.home}/projects/{acme.project.id}"):
        shown = page(app, acme.gina, url)
        assert "Initech" not in shown
        assert "1,001" not in shown
        assert "1,004" not in shown


@pytest.mark.parametrize("who", ["olivia", "mia"])
def test_a_spent_limit_closes_no_page(who: str, app: Flask, acme: people.Cast) -> None:
    """li#35657: whoever is over a limit cannot even look at what they used."""
    spent = [
        used.limit(acme, Scope.ORGANIZATION, acme.organization.id, 0),
        used.limit(acme, Scope.MEMBER, acme.mia.id, 1 * NANO),
    ]
    used.period(spent[1], spent=2 * NANO)
    sees = people.browser(app, acme.people[who])
    paths = ("/", "/limits", f"/limits/{spent[1].id}", f"/projects/{acme.project.id}", f"/sessions/{acme.session.id}",
             "/hub/models", "/hub/rules", "/dashboard/spend", "/search")  # fmt: skip
    for path in paths:
        assert sees.get(acme.home + path).status_code == 200, path


def test_the_operators_limits_are_for_nobody_here_to_change(
    app: Flask, acme: people.Cast, limits: dict[str, Budget]
) -> None:
    olivia, budget = people.browser(app, acme.olivia), limits["operator"]
    assert "Only the operator can change it" in page(app, acme.olivia, f"{acme.home}/limits/{budget.id}")
    url = f"{acme.home}/limits/{budget.id}"
    assert olivia.get(f"{url}/edit").status_code == 403
    for act, form in (("", {"amount": "1"}), ("/deletion", {})):
        assert olivia.submit(url + act, form).status_code == 403, act
    assert fresh(budget).limit == 1_010 * NANO


def test_an_empty_page_explains_and_offers_a_first_limit(app: Flask, acme: people.Cast) -> None:
    assert "Nothing is limited yet" in page(app, acme.olivia, f"{acme.home}/limits")
    shown = page(app, acme.mia, f"{acme.home}/limits")
    assert "Nothing you use is limited" in shown
    assert "Set a limit" not in shown


def test_a_page_asks_no_more_for_many_limits_than_for_few(app: Flask, acme: people.Cast) -> None:
    def count() -> int:
        asked: list[str] = []
        listener = lambda *event: asked.append(event[2])  # noqa: E731
        event.listen(db.engine, "before_cursor_execute", listener)
        try:
            page(app, acme.olivia, f"{acme.home}/limits")
        finally:
            event.remove(db.engine, "before_cursor_execute", listener)
        return len(asked)

    def more(count: int) -> None:
        for number in range(count):
            project = create_project(acme.organization, acme.olivia, f"Project {number}")
            db.session.flush()
            budget = used.limit(acme, Scope.PROJECT, project.id)
            used.held(acme, budget, NANO, acme.mia)
            used.asked(acme, budget, acme.mia)

    more(2)
    count()  # she signs in
    few = count()
    more(10)
    assert count() == few


# -- how one stands --------------------------------------------------------------------------------


def test_a_limit_says_what_is_spent_held_and_left_and_when_it_resets(app: Flask, acme: people.Cast) -> None:
    budget = used.limit(acme, Scope.PROJECT, acme.project.id)
    used.period(budget, 31_200_000_000)
    running = used.held(acme, budget, 2_100_000_000, acme.mia)
    shown = text_of(page(app, acme.mia, f"{acme.home}/limits"))
    assert "spent $31.20" in shown
    assert "held $2.10" in shown
    assert "left of $50.00 $16.70" in shown
    assert re.search(r"resets in \d+ (d|h|min)|resets in less than", shown)
    html = page(app, acme.mia, f"{acme.home}/limits")
    assert f"/executions/{running.id}" in html, "what holds it is linked"
    assert re.search(r'title="\w+day, \d+ \w+ \d{4} at \d\d:\d\d UTC"', html)


def test_windows_are_told_in_the_organizations_time(app: Flask, acme: people.Cast) -> None:
    acme.organization.time_zone = "Asia/Kolkata"
    db.session.commit()
    budget = used.limit(acme, Scope.PROJECT, acme.project.id)
    assert "at 00:00 Asia/Kolkata" in page(app, acme.olivia, f"{acme.home}/limits/{budget.id}")


def test_a_guest_sees_only_what_runs_in_their_project_hold_their_own_limit(app: Flask, acme: people.Cast) -> None:
    budget = used.limit(acme, Scope.MEMBER, acme.gina.id)
    other = create_project(acme.organization, acme.olivia, "Other")
    db.session.flush()
    running = used.held(acme, budget, NANO, acme.gina)
    elsewhere = used.held(acme, budget, NANO, acme.gina)
    elsewhere.project_id, elsewhere.session_id = other.id, None  # a run with a session is seen where that is
    db.session.commit()
    html = page(app, acme.gina, f"{acme.home}/limits/{budget.id}")
    assert f"/executions/{running.id}" in html
    assert f"/executions/{elsewhere.id}" not in html


def test_small_money_never_reads_nothing(app: Flask, acme: people.Cast) -> None:
    budget = used.limit(acme, Scope.PROJECT, acme.project.id, 1_000)
    used.period(budget, 412)
    shown = text_of(page(app, acme.olivia, f"{acme.home}/limits/{budget.id}"))
    assert "$0.000000412" in shown
    assert "$0.00 " not in shown


def test_a_limits_page_tells_the_biggest_and_the_windows_before(app: Flask, acme: people.Cast) -> None:
    budget = used.limit(acme, Scope.PROJECT, acme.project.id)
    used.charge(acme, 9 * NANO, acme.mia, "opus")
    used.charge(acme, 4 * NANO, acme.adam, "mini")
    used.charge(acme, 1 * NANO, None, "opus")
    past = used.period(budget, 20 * NANO, at=now() - timedelta(days=40))
    shown = text_of(page(app, acme.olivia, f"{acme.home}/limits/{budget.id}"))
    assert "Own / opus $10.00" in shown
    assert "Own / mini $4.00" in shown
    assert "Mia $9.00" in shown
    assert "Programs, through the gateway $1.00" in shown
    assert f"{past.starts_at:%B %Y} $20.00 of $50.00" in shown
    shown = text_of(page(app, acme.mia, f"{acme.home}/limits/{budget.id}"))
    assert "Own / opus $10.00" in shown
    assert "Biggest people" not in shown, "what each person spends is for owners and admins"


def test_another_organizations_spending_is_never_counted(app: Flask, acme: people.Cast, rival: people.Cast) -> None:
    used.charge(rival, 7_777 * NANO, rival.mia)
    budget = used.limit(acme, Scope.ORGANIZATION, acme.organization.id)
    shown = text_of(page(app, acme.olivia, f"{acme.home}/limits/{budget.id}"))
    assert "$7,777" not in shown
    assert "Biggest models" not in shown


def test_a_limit_on_what_is_gone_can_still_be_deleted(app: Flask, acme: people.Cast) -> None:
    budget = used.limit(acme, Scope.MODEL, uuid.uuid4())
    assert "(deleted)" in page(app, acme.olivia, f"{acme.home}/limits")
    assert people.browser(app, acme.olivia).submit(f"{acme.home}/limits/{budget.id}/deletion").status_code == 204
    assert "(deleted)" not in page(app, acme.olivia, f"{acme.home}/limits")


def test_home_and_project_show_the_tightest(app: Flask, acme: people.Cast) -> None:
    loose = used.limit(acme, Scope.ORGANIZATION, acme.organization.id, 900 * NANO)
    day = used.limit(acme, Scope.ORGANIZATION, acme.organization.id, 30 * NANO, window=Window.DAY)
    mine = used.limit(acme, Scope.MEMBER, acme.mia.id, 5 * NANO, window=Window.DAY)
    project = used.limit(acme, Scope.PROJECT, acme.project.id, 50 * NANO)
    for budget, spent in ((loose, 1), (day, 15), (mine, 1), (project, 49)):
        used.period(budget, spent * NANO)
    home = page(app, acme.mia, f"{acme.home}/")
    assert f"/limits/{day.id}" in home
    assert f"/limits/{mine.id}" in home
    assert f"/limits/{loose.id}" not in home
    assert "$4.00 left of $5.00 today" in text_of(home)
    assert "Your limit" not in page(app, acme.adam, f"{acme.home}/")
    shown = page(app, acme.mia, f"{acme.home}/projects/{acme.project.id}")
    assert f"/limits/{project.id}" in shown
    assert f"/limits/{day.id}" not in shown


# -- the forms -------------------------------------------------------------------------------------


def form_of(cast: people.Cast, **fields: str) -> dict[str, Any]:
    plain = {
        "scope": "project",
        "subject": f"project:{cast.project.id}",
        "unit": "usd",
        "window": "month",
        "amount": "50",
        "is_hard": "yes",
        "alerts": "50, 80, 100",
    }
    return plain | fields


def budgets_of(cast: people.Cast) -> list[Budget]:
    db.session.rollback()
    mine = select(Budget).filter_by(organization_id=cast.organization.id, deleted_at=None).order_by(Budget.id)
    return list(db.session.scalars(mine.execution_options(populate_existing=True)))


def test_a_limit_is_made_changed_and_deleted_and_all_of_it_is_audited(app: Flask, acme: people.Cast) -> None:
    adam = people.browser(app, acme.adam)
    made = adam.submit(f"{acme.home}/limits", form_of(acme, amount="$1,234.000000001", alerts="80 %, 50%"))
    assert made.status_code == 204
    (budget,) = budgets_of(acme)
    url = f"{acme.home}/limits/{budget.id}"
    assert made.headers["HX-Redirect"] == url
    assert (budget.limit, budget.is_hard, budget.alerts, budget.unit, budget.window, budget.created_by) == (
        1_234_000_000_001, True, [50, 80], Unit.USD, Window.MONTH, acme.adam.id
    )  # fmt: skip
    assert "by Adam" in text_of(page(app, acme.olivia, url))
    olivia = people.browser(app, acme.olivia)
    assert olivia.submit(url, {"amount": "20", "is_hard": "no", "alerts": "", "scope": "member"}).status_code == 204
    budget = fresh(budget)
    assert (budget.limit, budget.is_hard, budget.alerts, budget.scope) == (20 * NANO, False, [], Scope.PROJECT)
    assert budget.updated_at
    assert olivia.submit(f"{url}/deletion").headers["HX-Redirect"] == f"{acme.home}/limits"
    assert budgets_of(acme) == []
    (_, first), (_, second), (_, third) = told = audited(acme)
    assert [action for action, _ in told] == ["limit.created", "limit.changed", "limit.deleted"]
    assert first["limit"] == second["before"]["limit"] == 1_234_000_000_001
    assert second["limit"] == third["limit"] == 20 * NANO


@pytest.mark.parametrize("scope", ["organization", "member", "token", "key", "provider", "model"])
def test_each_kind_of_thing_can_be_limited(scope: str, app: Flask, acme: people.Cast) -> None:
    token, _ = GatewayToken.issue(acme.project, acme.olivia.id, "A program")
    db.session.add(token)
    db.session.commit()
    key = people.own_provider(acme, "http://x/v1")
    model = people.own_model(acme, key, "one")
    ids = {
        "organization": acme.organization.id,
        "member": acme.gina.id,
        "token": token.id,
        "key": key.id,
        "provider": key.provider_id,
        "model": model.id,
    }
    subject = f"{scope}:{ids[scope]}"
    answer = people.browser(app, acme.olivia).submit(f"{acme.home}/limits", form_of(acme, scope=scope, subject=subject))
    assert answer.status_code == 204
    (budget,) = budgets_of(acme)
    assert (budget.scope, budget.subject_id) == (Scope(scope), ids[scope])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"amount": "-5"}, "cannot be negative"),
        ({"amount": ""}, "Enter how much."),
        ({"amount": "2,50"}, "Write a point for decimals"),
        ({"amount": "0.0000000001"}, "At most nine decimals"),
        ({"amount": "9999999999"}, "is the most that can be entered"),
        ({"amount": "1.5", "unit": "tokens"}, "Enter a whole number"),
        ({"alerts": "50, ninety"}, "Enter percentages from 1 to 100"),
        ({"alerts": "120"}, "More than 100 % is never reached"),
        ({"alerts": "50, 100000"}, "Enter percentages from 1 to 100"),
        ({"alerts": "1,2,3,4,5,6,7,8,9"}, "8 are enough"),
        ({"subject": ""}, "Choose what it counts."),
        ({"scope": "member"}, "Choose what it counts."),
    ],
)
def test_what_cannot_be_saved_is_told_and_what_was_typed_is_kept(
    fields: dict[str, str], words: str, app: Flask, acme: people.Cast
) -> None:
    sent = form_of(acme, **fields)
    answer = people.browser(app, acme.olivia).submit(f"{acme.home}/limits", sent)
    assert answer.status_code == 422
    html = answer.get_data(as_text=True)
    assert words in html
    for name in ("amount", "alerts"):
        assert f'name="{name}" value="{sent[name]}"' in html
    assert not html.lstrip().startswith("<!doctype"), "the form alone"
    assert budgets_of(acme) == []


def test_a_soft_limit_may_tell_beyond_its_end(app: Flask, acme: people.Cast) -> None:
    answer = people.browser(app, acme.olivia).submit(
        f"{acme.home}/limits", form_of(acme, is_hard="no", alerts="100 150")
    )
    assert answer.status_code == 204
    assert budgets_of(acme)[0].alerts == [100, 150]


def test_the_same_limit_twice_is_refused_with_a_link_to_the_first(app: Flask, acme: people.Cast) -> None:
    first = used.limit(acme, Scope.PROJECT, acme.project.id)
    olivia = people.browser(app, acme.olivia)
    answer = olivia.submit(f"{acme.home}/limits", form_of(acme, amount="7"))
    assert answer.status_code == 422
    html = answer.get_data(as_text=True)
    assert "There is one already" in html
    assert f"/limits/{first.id}/edit" in html
    assert fresh(first).limit == 50 * NANO
    assert olivia.submit(f"{acme.home}/limits", form_of(acme, window="day")).status_code == 204
    assert olivia.submit(f"{acme.home}/limits", form_of(acme, unit="tokens")).status_code == 204
    assert len(budgets_of(acme)) == 3


def test_two_who_make_the_same_limit_at_once_make_one(app: Flask, acme: people.Cast) -> None:
    clients = [people.browser(app, acme.olivia), people.browser(app, acme.adam)]
    answers: list[int] = []
    start = threading.Barrier(2)

    def make(client: Any, amount: str) -> None:
        csrf = client.csrf()
        start.wait()
        form = {**form_of(acme, amount=amount), "csrf_token": csrf}
        answers.append(client.post(f"{acme.home}/limits", data=form).status_code)

    threads = [threading.Thread(target=make, args=pair) for pair in zip(clients, ("10", "20"), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [303, 422]
    assert len(budgets_of(acme)) == 1


def test_what_belongs_to_others_cannot_be_limited(app: Flask, acme: people.Cast, rival: people.Cast) -> None:
    olivia = people.browser(app, acme.olivia)
    revoked, _ = GatewayToken.issue(acme.project, acme.olivia.id, "Old")
    revoked.revoked_at = now()
    db.session.add(revoked)
    db.session.commit()
    key = people.own_provider(rival, "http://x/v1")
    for scope, id in (
        ("project", rival.project.id),
        ("member", rival.mia.id),
        ("member", acme.ned.id),
        ("key", key.id),
        ("provider", key.provider_id),
        ("project", uuid.uuid4()),
        ("token", revoked.id),
    ):
        form = form_of(acme, scope=scope, subject=f"{scope}:{id}")
        for act in ("", "/draft", "/preview", "/rates", "/rates/draft"):
            assert olivia.submit(f"{acme.home}/limits{act}", form).status_code == 404, (scope, act)
    assert olivia.submit(f"{acme.home}/limits", form_of(acme, subject="project:no-id")).status_code == 404
    assert budgets_of(acme) == []


def test_a_preview_tells_what_is_spent_already_and_warns_of_a_limit_below(app: Flask, acme: people.Cast) -> None:
    used.charge(acme, 30 * NANO, acme.mia, tokens=4_000)
    olivia = people.browser(app, acme.olivia)

    def said(**fields: str) -> str:
        answer = olivia.submit(f"{acme.home}/limits/preview", form_of(acme, **fields))
        assert answer.status_code == 200
        return text_of(answer.get_data(as_text=True))

    assert "Refuse prompts of project Acme project once they cost $50.00 in a calendar month (UTC)" in said()
    assert "$30.00 was used this month, and counts." in said()
    assert "$30.00 is used already this month: prompts are refused from the moment it is saved" in said(amount="20")
    assert "it is passed from the start" in said(amount="20", is_hard="no")
    assert "4,000 tokens were used" in said(unit="tokens")
    assert "1 request" in said(unit="requests")
    assert "Choose what it counts." in said(subject="")
    assert "cannot be negative" in said(amount="-1")
    assert budgets_of(acme) == []


def test_the_draft_offers_what_is_there_of_another_kind_and_finds_among_many(app: Flask, acme: people.Cast) -> None:
    key = people.own_provider(acme, "http://x/v1")
    for number in range(60):
        people.own_model(acme, key, f"model-{number:02}")
    olivia = people.browser(app, acme.olivia)
    form = form_of(acme, scope="member", amount="12")
    html = olivia.submit(f"{acme.home}/limits/draft", form).get_data(as_text=True)
    assert f'value="member:{acme.mia.id}"' in html
    assert f'value="member:{acme.gina.id}"' in html
    assert str(acme.ned.id) not in html
    assert 'value="12"' in html
    html = olivia.submit(f"{acme.home}/limits/draft", form | {"scope": "model"}).get_data(as_text=True)
    assert html.count('<option value="model:') == 50
    assert 'type="search"' in html
    found = olivia.submit(f"{acme.home}/limits/draft", form | {"scope": "model", "q": "del-59 own"})
    html = found.get_data(as_text=True)
    assert html.count('<option value="model:') == 1


def test_a_keys_page_and_its_limit_say_the_same(app: Flask, acme: people.Cast) -> None:
    key = people.own_provider(acme, "http://x/v1")
    olivia = people.browser(app, acme.olivia)
    form = form_of(acme, scope="key", subject=f"key:{key.id}", window="day", amount="3")
    assert olivia.submit(f"{acme.home}/limits", form).status_code == 204
    assert olivia.submit(f"{acme.home}/limits", form | {"window": "month"}).status_code == 204
    assert _key(key).daily_quota == 3 * NANO
    settings = {"label": "K", "daily_quota": "4"}
    assert olivia.submit(f"{acme.home}/hub/keys/{key.id}/settings", settings).status_code == 204
    daily, monthly = budgets_of(acme)
    assert (daily.limit, monthly.limit) == (4 * NANO, 3 * NANO)
    assert olivia.submit(f"{acme.home}/limits/{daily.id}/deletion").status_code == 204
    assert _key(key).daily_quota is None
    assert olivia.submit(f"{acme.home}/trash/limit/{daily.id}/restoration").status_code == 200
    assert _key(key).daily_quota == 4 * NANO
    assert olivia.submit(f"{acme.home}/hub/keys/{key.id}/settings", settings | {"daily_quota": ""}).status_code == 204
    assert db.session.get_one(Budget, daily.id, populate_existing=True).deleted_by == acme.olivia.id
    assert olivia.submit(f"{acme.home}/hub/keys/{key.id}/deletion").status_code == 200
    assert budgets_of(acme) == [], "with a key its limits go"


def test_how_much_a_key_may_spend_a_day_is_changed_on_its_page_and_not_whether_it_refuses(
    app: Flask, acme: people.Cast
) -> None:
    key = people.own_provider(acme, "http://x/v1")
    olivia = people.browser(app, acme.olivia)
    soft = form_of(acme, scope="key", subject=f"key:{key.id}", window="day", amount="3", alerts="150", is_hard="no")
    assert olivia.submit(f"{acme.home}/limits", soft).status_code == 204
    settings = {"label": "K", "daily_quota": "4"}
    assert olivia.submit(f"{acme.home}/hub/keys/{key.id}/settings", settings).status_code == 204
    (daily,) = budgets_of(acme)
    assert (daily.limit, daily.is_hard, daily.alerts) == (4 * NANO, False, [150])


def _key(key: APIKey) -> APIKey:
    db.session.rollback()
    return db.session.get_one(APIKey, key.id, populate_existing=True)


# -- speeds ----------------------------------------------------------------------------------------


def rates_of(cast: people.Cast) -> list[RateLimit]:
    db.session.rollback()
    mine = select(RateLimit).filter_by(organization_id=cast.organization.id, deleted_at=None)
    return list(db.session.scalars(mine.execution_options(populate_existing=True)))


def test_a_speed_is_limited_changed_and_freed(app: Flask, acme: people.Cast) -> None:
    olivia, url = people.browser(app, acme.olivia), f"{acme.home}/limits/rates"
    form = {"scope": "member", "subject": f"member:{acme.mia.id}", "requests_per_minute": "40", "parallel": " 4 "}
    assert olivia.submit(url, form).status_code == 204
    (rate,) = rates_of(acme)
    assert (rate.requests_per_minute, rate.tokens_per_minute, rate.parallel) == (40, None, 4)
    assert "40 requests a minute, 4 at the same time" in text_of(page(app, acme.mia, f"{acme.home}/limits"))
    assert "40 requests a minute" not in text_of(page(app, acme.victor, f"{acme.home}/limits"))
    assert "There is one already" in olivia.submit(url, form | {"parallel": "9"}).get_data(as_text=True)
    html = page(app, acme.olivia, f"{url}/{rate.id}")
    assert 'name="requests_per_minute" value="40"' in html
    changed = {"requests_per_minute": "", "tokens_per_minute": "100,000", "parallel": ""}
    assert olivia.submit(f"{url}/{rate.id}", changed).status_code == 204
    (rate,) = rates_of(acme)
    assert (rate.requests_per_minute, rate.tokens_per_minute, rate.parallel) == (None, 100_000, None)
    assert olivia.submit(f"{url}/{rate.id}/deletion").status_code == 204
    assert rates_of(acme) == []
    assert [action for action, _ in audited(acme)] == ["rate.created", "rate.changed", "rate.deleted"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "Fill in one of the three numbers at least."),
        ({"parallel": "0"}, "Enter a number from 1 to"),
        ({"parallel": "-1"}, "It cannot be negative."),
        ({"requests_per_minute": "1.5"}, "Enter a whole number"),
        ({"tokens_per_minute": "9" * 30}, "Enter a number from 1 to"),
        ({"parallel": "4", "subject": ""}, "Choose what it counts."),
    ],
)
def test_speeds_that_cannot_be_are_refused(fields: dict[str, str], words: str, app: Flask, acme: people.Cast) -> None:
    form = {"scope": "project", "subject": f"project:{acme.project.id}"} | fields
    answer = people.browser(app, acme.olivia).submit(f"{acme.home}/limits/rates", form)
    assert answer.status_code == 422
    assert words in answer.get_data(as_text=True)
    assert rates_of(acme) == []


# -- the operator's, by command --------------------------------------------------------------------


def test_the_operator_sets_lists_and_deletes_limits_by_command(app: Flask, acme: people.Cast) -> None:
    runner = app.test_cli_runner()
    slug = acme.organization.slug
    made = runner.invoke(args=["limits", "set", "100.50", "--on", f"organization:{slug}", "--window", "day", "--soft"])
    assert made.exit_code == 0, made.output
    id = made.output.split()[0]
    assert f"$100.50 a day on organization:{slug}, soft" in made.output
    tokens = ["limits", "set", "5000", "--on", "model:simulated/simulated-fast", "--unit", "tokens"]
    second = runner.invoke(args=tokens)
    assert "5,000 tokens a month" in second.output
    listed = runner.invoke(args=["limits", "list"]).output
    assert re.search(rf"{id}  organization Acme  \$100.50 a day  soft  \$0.00 spent, \$0.00 held", listed)
    budget = db.session.get_one(Budget, uuid.UUID(id))
    assert (budget.organization_id, budget.scope, budget.is_hard) == (None, Scope.ORGANIZATION, False)
    assert "$100.50 a day" in page(app, acme.mia, f"{acme.home}/limits")
    mine = used.limit(acme, Scope.PROJECT, acme.project.id)
    assert "has no limit" in runner.invoke(args=["limits", "delete", str(mine.id)]).output
    for made_id in (id, second.output.split()[0]):
        assert runner.invoke(args=["limits", "delete", made_id]).exit_code == 0
    assert id not in runner.invoke(args=["limits", "list"]).output
    assert fresh(mine)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-5"], "no such option"),
        (["--", "-5"], "cannot be negative"),
        (["5", "--on", "organization:nobody"], "There is no organization 'nobody'"),
        (["5", "--on", "model:simulated/none"], "There is no model"),
        (["5", "--on", "member:mia"], "A limit cannot be on"),
        (["5", "--unit", "euro"], "Invalid value for '--unit'"),
    ],
)
def test_a_wrong_command_says_why(arguments: list[str], words: str, app: Flask) -> None:
    result = app.test_cli_runner().invoke(args=["limits", "set", *arguments])
    assert result.exit_code != 0
    assert words.lower() in result.output.lower()
