"""More of a limit for a while: asked for, granted, declined, withdrawn; and what a refused person is shown."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from dataelan_web import quota
from dataelan_web.accounts.sign_up import create_project
from dataelan_web.executions.expiries import note_expired
from dataelan_web.executions.prompts import to_json
from dataelan_web.extensions import db
from dataelan_web.models import (
    NANO,
    Answer,
    Budget,
    Collaborator,
    Execution,
    GatewayToken,
    Increase,
    Notice,
    ProjectRole,
    Prompt,
    Scope,
    State,
    Unit,
    User,
    Window,
    new_id,
    now,
)
from dataelan_web.models.base import NIL
from dataelan_web.models.limits import approve, decline, withdraw
from dataelan_web.router.types import Prompt as RouterPrompt
from dataelan_web.router.types import user as said

from . import people, used
from .conftest import wait_until
from .test_limits import audited, page, text_of


@pytest.fixture
def budget(acme: people.Cast) -> Budget:
    """$50 a month for the project."""
    return used.limit(acme, Scope.PROJECT, acme.project.id)


def fresh(increase: Increase) -> Increase:
    db.session.rollback()
    return db.session.get_one(Increase, increase.id, populate_existing=True)


def increases_of(budget: Budget) -> list[Increase]:
    db.session.rollback()
    mine = select(Increase).where(Increase.budget_id == budget.id).order_by(Increase.id)
    return list(db.session.scalars(mine.execution_options(populate_existing=True)))


def limit_now(budget: Budget) -> int:
    db.session.rollback()
    (standing,) = quota.standing(db.session, [db.session.get_one(Budget, budget.id)])
    return standing.limit


def told(person: User) -> list[tuple[str, str, str]]:
    """(kind, title, body) of what a person was told."""
    rows = db.session.scalars(select(Notice).where(Notice.user_id == person.id).order_by(Notice.id))
    return [(notice.kind, notice.title, notice.body) for notice in rows]


def act(app: Flask, person: User, cast: people.Cast, increase: Increase, verb: str, **form: str) -> TestResponse:
    return people.browser(app, person).submit(f"{cast.home}/increases/{increase.id}/{verb}", form)


# -- asking ----------------------------------------------------------------------------------------


def test_a_member_asks_an_owner_grants_and_the_limit_is_higher_until_its_window_ends(
    app: Flask, acme: people.Cast, budget: Budget
) -> None:
    mia = people.browser(app, acme.mia)
    url = f"{acme.home}/limits/{budget.id}"
    asked = mia.submit(f"{url}/increases", {"amount": "12.50", "reason": "Three hundred contracts."})
    assert asked.headers["HX-Redirect"] == url
    (increase,) = increases_of(budget)
    assert (increase.asked, increase.reason, increase.answer) == (
        12_500_000_000, "Three hundred contracts.", Answer.ASKED
    )  # fmt: skip
    assert limit_now(budget) == 50 * NANO, "nothing is granted yet"
    word = ("increase.asked", f"Mia asks for $12.50 more: Project {acme.project.name}", "Three hundred contracts.")
    assert told(acme.olivia) == told(acme.adam) == [word]
    assert told(acme.mia) == told(acme.victor) == []

    shown = text_of(page(app, acme.adam, f"{acme.home}/limits"))
    assert "Mia asked for $12.50 more on Project Acme project , $50.00 a month" in shown
    answer = act(app, acme.adam, acme, increase, "approval", amount="10", note="Go easy.", until="")
    assert answer.status_code == 200
    assert "$10.00" in text_of(answer.get_data(as_text=True))
    assert f'hx-target="#standing-{budget.id}"' in answer.get_data(as_text=True), "the bar comes along"
    increase = fresh(increase)
    assert (increase.answer, increase.granted, increase.answered_by) == (Answer.APPROVED, 10 * NANO, acme.adam.id)
    _, ends = quota.window_of(Window.MONTH, now(), ZoneInfo("UTC"))
    assert increase.expires_at == ends
    assert limit_now(budget) == 60 * NANO
    assert told(acme.mia) == [("increase.answered", f"$10.00 more for Project {acme.project.name}", "Go easy.")]
    shown = text_of(page(app, acme.victor, url))
    assert "Granted $10.00 until" in shown
    assert "by Adam" in shown
    assert "“Go easy.”" in shown
    assert [action for action, _ in audited(acme)] == ["increase.asked", "increase.approved"]


def test_a_grant_ends_by_itself(acme: people.Cast, budget: Budget) -> None:
    increase = used.asked(acme, budget, acme.mia)
    assert approve(db.session, increase.id, acme.olivia.id, 5 * NANO, now() + timedelta(minutes=1))
    db.session.commit()
    assert limit_now(budget) == 55 * NANO
    increase = fresh(increase)
    increase.expires_at = now() - timedelta(seconds=1)
    db.session.commit()
    assert limit_now(budget) == 50 * NANO


def test_that_a_grant_is_over_is_in_the_audit_log_once_however_many_look(
    app: Flask, acme: people.Cast, budget: Budget
) -> None:
    """Four at once, and the worker of this test run beside."""
    granted = [used.asked(acme, budget, acme.mia, amount=amount * NANO) for amount in (1, 2, 3)]
    ends = now() + timedelta(hours=1)
    for increase in granted:
        assert approve(db.session, increase.id, acme.olivia.id, increase.asked, ends)
    lasting = used.asked(acme, budget, acme.mia)
    assert approve(db.session, lasting.id, acme.olivia.id, NANO, ends)
    over = [increase.id for increase in granted]
    db.session.execute(update(Increase).where(Increase.id.in_(over)).values(expires_at=now() - timedelta(seconds=1)))
    db.session.commit()
    gate = threading.Barrier(4)

    def look() -> None:
        with app.app_context():
            gate.wait()
            note_expired()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: all(fresh(increase).ended_at for increase in granted))
    assert note_expired() == 0
    lines = [detail for action, detail in audited(acme) if action == "increase.ended"]
    assert sorted(line["amount"] for line in lines) == [1 * NANO, 2 * NANO, 3 * NANO]
    assert {(line["limit"], line["unit"]) for line in lines} == {(str(budget.id), "usd")}
    assert "Request for more ended" in text_of(page(app, acme.olivia, f"{acme.home}/audit"))
    shown = text_of(page(app, acme.mia, f"{acme.home}/limits/{budget.id}"))
    assert (shown.count("Over $"), shown.count("Granted $")) == (3, 1)


def test_a_grant_may_last_until_a_day_in_the_organizations_time(app: Flask, acme: people.Cast, budget: Budget) -> None:
    acme.organization.time_zone = "Pacific/Auckland"
    db.session.commit()
    increase = used.asked(acme, budget, acme.mia)
    assert act(app, acme.olivia, acme, increase, "approval", amount="5", until="2030-01-31").status_code == 200
    ends = datetime(2030, 2, 1, tzinfo=ZoneInfo("Pacific/Auckland"))
    assert fresh(increase).expires_at == ends.astimezone(UTC)
    assert "until 31 January 2030" in text_of(page(app, acme.mia, f"{acme.home}/limits/{budget.id}"))


def test_more_of_a_limit_without_windows_needs_a_day(app: Flask, acme: people.Cast) -> None:
    budget = used.limit(acme, Scope.PROJECT, acme.project.id, window=Window.TOTAL)
    increase = used.asked(acme, budget, acme.mia)
    refused = act(app, acme.olivia, acme, increase, "approval", amount="5", until="")
    assert refused.status_code == 422
    assert "choose a day" in refused.get_data(as_text=True)
    offered = page(app, acme.olivia, f"{acme.home}/limits")
    day = re.search(r'name="until" value="([\d-]+)"', offered)
    assert day
    assert act(app, acme.olivia, acme, increase, "approval", amount="5", until=day[1]).status_code == 200
    assert limit_now(budget) == 55 * NANO


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"amount": ""}, "Enter how much more."),
        ({"amount": "0"}, "Enter more than nothing."),
        ({"amount": "-1"}, "It cannot be negative."),
        ({"amount": "1,5"}, "Write a point for decimals"),
        ({"amount": "5", "until": "2001-01-01"}, "That day is over."),
        ({"amount": "5", "until": "9999-01-01"}, "That is too far away."),
        ({"amount": "5", "until": "tomorrow"}, "Not a valid date"),
    ],
)
def test_what_cannot_be_granted_is_told(
    form: dict[str, str], words: str, app: Flask, acme: people.Cast, budget: Budget
) -> None:
    increase = used.asked(acme, budget, acme.mia)
    answer = act(app, acme.olivia, acme, increase, "approval", **form)
    assert answer.status_code == 422
    html = answer.get_data(as_text=True)
    assert words in html
    assert f'value="{form["amount"]}"' in html
    assert " open>" in html, "the form stays open"
    assert fresh(increase).answer is Answer.ASKED


def test_who_asked_once_asks_anew_only_after_withdrawing(app: Flask, acme: people.Cast, budget: Budget) -> None:
    mia, url = people.browser(app, acme.mia), f"{acme.home}/limits/{budget.id}/increases"
    assert mia.submit(url, {"amount": "5"}).status_code == 204
    again = mia.submit(url, {"amount": "6"})
    assert again.status_code == 422
    assert "You have asked already" in again.get_data(as_text=True)
    (increase,) = increases_of(budget)
    assert act(app, acme.mia, acme, increase, "withdrawal").status_code == 200
    assert fresh(increase).answer is Answer.WITHDRAWN
    assert mia.submit(url, {"amount": "6"}).status_code == 204
    assert len(increases_of(budget)) == 2


def test_a_request_may_be_declined_with_a_word(app: Flask, acme: people.Cast, budget: Budget) -> None:
    increase = used.asked(acme, budget, acme.mia)
    assert act(app, acme.olivia, acme, increase, "refusal", note="Next month.").status_code == 200
    increase = fresh(increase)
    assert (increase.answer, increase.answer_note, increase.granted) == (Answer.DECLINED, "Next month.", None)
    assert told(acme.mia) == [("increase.answered", f"No more for Project {acme.project.name}", "Next month.")]
    assert limit_now(budget) == 50 * NANO


def test_without_htmx_an_answer_leads_to_the_limits_page(app: Flask, acme: people.Cast, budget: Budget) -> None:
    increase = used.asked(acme, budget, acme.mia)
    olivia = people.browser(app, acme.olivia)
    form = {"csrf_token": olivia.csrf(), "amount": "5"}
    answer = olivia.post(f"{acme.home}/increases/{increase.id}/approval", data=form)
    assert answer.status_code == 303
    assert answer.location == f"{acme.home}/limits/{budget.id}"
    assert "$5.00 more is granted." in olivia.get(answer.location).get_data(as_text=True)


# -- who may ------------------------------------------------------------------------------------------


def test_whose_limit_it_is_says_who_may_ask_for_more(app: Flask, acme: people.Cast, budget: Budget) -> None:
    token, _ = GatewayToken.issue(acme.project, acme.olivia.id, "A program")
    other = create_project(acme.organization, acme.olivia, "Other")
    db.session.add(token)
    db.session.flush()
    db.session.add(Collaborator(project_id=other.id, user_id=acme.gina.id, role=ProjectRole.VIEWER))
    db.session.commit()
    limits = {
        "project": budget,
        "organization": used.limit(acme, Scope.ORGANIZATION, acme.organization.id),
        "token": used.limit(acme, Scope.TOKEN, token.id),
        "other": used.limit(acme, Scope.PROJECT, other.id),
        "gina": used.limit(acme, Scope.MEMBER, acme.gina.id),
        "mia": used.limit(acme, Scope.MEMBER, acme.mia.id),
    }
    may = {
        "mia": {"project", "organization", "token", "other", "mia"},
        "victor": set(),  # who cannot run a prompt needs no more
        "gina": {"project", "token", "gina"},
    }
    for who, names in may.items():
        client = people.browser(app, acme.people[who])
        for name, limit in limits.items():
            answer = client.get(f"{acme.home}/limits/{limit.id}/increases/new")
            assert (answer.status_code == 200) is (name in names), (who, name, answer.status_code)


@pytest.mark.parametrize("verb", ["approval", "refusal"])
def test_only_owners_and_admins_answer_and_never_from_elsewhere(
    verb: str, app: Flask, acme: people.Cast, rival: people.Cast, budget: Budget
) -> None:
    increase = used.asked(acme, budget, acme.mia)
    for person, status in ((acme.mia, 403), (acme.victor, 403), (acme.gina, 403), (acme.ned, 404)):
        assert act(app, person, acme, increase, verb, amount="5").status_code == status
    assert act(app, rival.olivia, rival, increase, verb, amount="5").status_code == 404
    assert fresh(increase).answer is Answer.ASKED


def test_an_admin_may_answer_their_own_request_and_nobody_elses_is_withdrawn(
    app: Flask, acme: people.Cast, budget: Budget
) -> None:
    mias, adams = used.asked(acme, budget, acme.mia), used.asked(acme, budget, acme.adam)
    assert act(app, acme.adam, acme, mias, "withdrawal").status_code == 403
    assert act(app, acme.adam, acme, adams, "approval", amount="5").status_code == 200
    assert fresh(mias).answer is Answer.ASKED
    assert fresh(adams).answer is Answer.APPROVED
    assert told(acme.adam) == []


# -- at once ---------------------------------------------------------------------------------------


def at_once(app: Flask, *acts: Callable[[], bool]) -> list[bool]:
    """Each in a thread and a transaction of its own, all at the same moment: which of them were done."""
    start = threading.Barrier(len(acts))
    done: list[bool] = [False] * len(acts)

    def run(number: int, act: Callable[[], bool]) -> None:
        with app.app_context():
            start.wait()
            done[number] = act()
            db.session.commit()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done


def test_of_many_answers_at_once_one_counts(app: Flask, acme: people.Cast, budget: Budget) -> None:
    olivia, adam, mia = acme.olivia.id, acme.adam.id, acme.mia.id
    for _ in range(8):
        increase = used.asked(acme, budget, acme.mia)
        id, ends = increase.id, now() + timedelta(days=1)
        before = limit_now(budget)
        done = at_once(
            app,
            lambda: approve(db.session, id, olivia, 1 * NANO, ends),  # noqa: B023
            lambda: approve(db.session, id, adam, 2 * NANO, ends),  # noqa: B023
            lambda: decline(db.session, id, adam, "no"),  # noqa: B023
            lambda: withdraw(db.session, id, mia),  # noqa: B023
        )
        assert done.count(True) == 1
        answered = fresh(increase)
        assert (
            answered.answer is (Answer.APPROVED, Answer.APPROVED, Answer.DECLINED, Answer.WITHDRAWN)[done.index(True)]
        )
        assert limit_now(budget) - before == (answered.granted or 0)


def test_two_who_press_grant_at_once_grant_once_and_one_is_told(app: Flask, acme: people.Cast, budget: Budget) -> None:
    increase = used.asked(acme, budget, acme.mia)
    answers: list[TestResponse] = []
    clients = [people.browser(app, acme.olivia), people.browser(app, acme.adam)]
    start = threading.Barrier(2)

    def press(client: Any) -> None:
        form = {"csrf_token": client.csrf(), "amount": "5"}
        start.wait()
        url = f"{acme.home}/increases/{increase.id}/approval"
        answers.append(client.post(url, data=form, headers={"HX-Request": "true"}))

    threads = [threading.Thread(target=press, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    (late,) = (answer for answer in answers if answer.status_code == 409)
    assert re.search("It was approved already by (Olivia|Adam)", late.get_data(as_text=True))
    assert "Granted" in late.get_data(as_text=True), "the request is shown as it is now"
    assert limit_now(budget) == 55 * NANO
    assert len(told(acme.mia)) == 1
    assert [action for action, _ in audited(acme)] == ["increase.approved"]


def test_one_person_who_asks_twice_at_once_asks_once(app: Flask, acme: people.Cast, budget: Budget) -> None:
    statuses: list[int] = []
    start = threading.Barrier(3)

    def ask() -> None:
        mia = people.browser(app, acme.mia)
        form = {"csrf_token": mia.csrf(), "amount": "5"}
        start.wait()
        statuses.append(mia.post(f"{acme.home}/limits/{budget.id}/increases", data=form).status_code)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [303, 422, 422]
    assert len(increases_of(budget)) == 1


# -- the refused person's view ---------------------------------------------------------------------


def refused(cast: people.Cast, budget: Budget, person: User, model: str = "auto") -> Execution:
    """A run of the project's session that this limit stopped."""
    prompt = RouterPrompt(messages=(said("Summarize this contract"),))
    run = used.run(
        cast,
        person,
        State.FAILED,
        refused_by=budget.id,
        error_kind="billing",
        finished_at=now(),
        requested=model,
        prompt=Prompt(session_id=cast.session.id, author_id=person.id, text="Summarize this contract"),
    )
    run.body.request, run.body.error = to_json(prompt), "The limit has less left than this prompt may cost."
    db.session.commit()
    return run


def test_a_refused_run_says_which_limit_how_it_stands_and_what_can_be_done(
    app: Flask, acme: people.Cast, budget: Budget
) -> None:
    used.period(budget, 49 * NANO)
    run = refused(acme, budget, acme.mia)
    ask_url = f"{acme.home}/limits/{budget.id}/increases/new?run={run.id}"
    for url in (acme.session_url, f"{acme.home}/executions/{run.id}"):
        html = page(app, acme.mia, url)
        shown = text_of(html)
        assert f"The limit on Project {acme.project.name} stopped this" in shown
        assert "Now $49.00 spent, $1.00 left of $50.00 a month; it resets in" in shown
        assert f'href="{ask_url}"' in html
        assert "Raise it" not in shown
    html = page(app, acme.adam, acme.session_url)
    assert f'href="{acme.home}/limits/{budget.id}/edit"' in html
    assert "Ask for more" not in html
    assert "Ask for more" not in page(app, acme.victor, acme.session_url)
    increase = used.asked(acme, budget, acme.mia, 9 * NANO)
    act(app, acme.olivia, acme, increase, "refusal", note="Next month.")
    shown = page(app, acme.mia, acme.session_url)
    assert "Your request for more was declined: “Next month.”" in text_of(shown)
    assert f'href="{ask_url}"' in shown
    assert "declined" not in page(app, acme.gina, acme.session_url), "it was Mia's"
    increase = used.asked(acme, budget, acme.mia, 8 * NANO)
    assert "You asked for $8.00 more" in text_of(page(app, acme.mia, acme.session_url))
    act(app, acme.olivia, acme, increase, "approval", amount="6")
    for person in (acme.mia, acme.victor):
        assert "Since then $6.00 more was granted: retry it." in text_of(page(app, person, acme.session_url))


def test_what_others_may_spend_is_not_told_by_a_refused_run(app: Flask, acme: people.Cast) -> None:
    mine = used.limit(acme, Scope.MEMBER, acme.mia.id, 777 * NANO)
    whole = used.limit(acme, Scope.ORGANIZATION, acme.organization.id, 888 * NANO)
    platform = quota.set_limit(db.session, None, Scope.PLATFORM, NIL, Window.MONTH, 999 * NANO)
    db.session.commit()
    for budget in (mine, whole, platform):
        refused(acme, budget, acme.mia)
    gina = text_of(page(app, acme.gina, acme.session_url))
    assert "The limit on Mia stopped this" in gina
    assert "A limit of the organization stopped this" in gina
    assert "A limit of whoever runs this Dataelan stopped this" in gina
    for amount in ("777", "888", "999"):
        assert amount not in gina
    olivia = text_of(page(app, acme.olivia, acme.session_url))
    assert "777" in olivia
    assert "888" in olivia
    assert "$999" not in olivia, "what everybody spends together is for the operator"
    used.nothing_of_the_operators()


def test_a_run_whose_limit_is_gone_is_an_ordinary_failure(app: Flask, acme: people.Cast, budget: Budget) -> None:
    refused(acme, budget, acme.mia)
    db.session.delete(budget)
    db.session.commit()
    shown = text_of(page(app, acme.mia, acme.session_url))
    assert "stopped this" not in shown
    assert "The account cannot pay for this" in shown


def test_what_is_offered_to_ask_for_is_what_the_prompt_needs_or_a_quarter(
    app: Flask, acme: people.Cast, budget: Budget
) -> None:
    key = people.own_provider(acme, "http://127.0.0.1:9/v1")
    dear = people.own_model(acme, key, "dear", input=0, output=10_000 * NANO, max_output_tokens=4_000)
    run = refused(acme, budget, acme.mia, f"{key.provider.slug}/{dear.name}")

    def offered(query: str = "", of: Budget = budget) -> tuple[str, str]:
        html = page(app, acme.mia, f"{acme.home}/limits/{of.id}/increases/new{query}")
        field = re.search(r'name="amount"[^>]* value="([^"]*)"', html)
        assert field
        return field[1], text_of(html)

    assert offered()[0] == "13"
    amount, shown = offered(f"?run={run.id}")
    assert (amount, "may use up to $40.00" in shown) == ("13", True), "$50 are left, so a quarter is offered"
    used.period(budget, 45 * NANO)
    assert offered(f"?run={run.id}")[0] == "35", "$40 are needed, and $5 are left"
    tokens = used.limit(acme, Scope.PROJECT, acme.project.id, 0, unit=Unit.TOKENS)
    assert offered(of=tokens)[0] == "10,000"
    other = refused(acme, tokens, acme.mia)
    assert offered(f"?run={other.id}")[0] == "13", "a run that another limit stopped says nothing of this one"


def test_a_run_one_may_not_see_is_not_there_to_ask_about(app: Flask, acme: people.Cast, rival: people.Cast) -> None:
    budget = used.limit(acme, Scope.MEMBER, acme.gina.id)
    other = create_project(acme.organization, acme.olivia, "Other")
    db.session.flush()
    elsewhere = refused(acme, budget, acme.mia)
    elsewhere.project_id, elsewhere.session_id = other.id, None  # a run with a session is seen where that is
    db.session.commit()
    theirs = refused(rival, used.limit(rival, Scope.PROJECT, rival.project.id), rival.mia)
    gina = people.browser(app, acme.gina)
    for id in (elsewhere.id, theirs.id, new_id()):
        assert gina.get(f"{acme.home}/limits/{budget.id}/increases/new?run={id}").status_code == 404


def test_a_limits_story_goes_with_it(app: Flask, acme: people.Cast, budget: Budget) -> None:
    increase = used.asked(acme, budget, acme.mia)
    assert people.browser(app, acme.olivia).submit(f"{acme.home}/limits/{budget.id}/deletion").status_code == 204
    assert act(app, acme.olivia, acme, increase, "approval", amount="5").status_code == 410
    people.browser(app, acme.olivia).submit(f"{acme.home}/trash/limit/{budget.id}/restoration")
    assert act(app, acme.olivia, acme, increase, "approval", amount="5").status_code == 200
    changed = next(detail for action, detail in audited(acme) if action == "limit.deleted")
    assert uuid.UUID(changed["subject_id"]) == acme.project.id
