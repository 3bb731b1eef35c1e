# ruff: noqa: F811  (fixtures are arguments)
"""More of a rate for a while: which one stopped a run, what is asked and granted of it, and that it counts and ends."""

from __future__ import annotations

import re
import uuid
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from werkzeug.test import TestResponse

from dataelan_web import quota
from dataelan_web.accounts.sign_up import create_project
from dataelan_web.executions.execute import execute_queued
from dataelan_web.executions.submit import Request, record
from dataelan_web.extensions import db
from dataelan_web.models import (
    Answer,
    Execution,
    Increase,
    Origin,
    Pace,
    Payer,
    Project,
    RateLimit,
    Scope,
    State,
    User,
    now,
)
from dataelan_web.models.base import NIL
from dataelan_web.models.limits import approve, decline, withdraw
from dataelan_web.router.types import Prompt
from dataelan_web.router.types import user as said

from . import people, used
from .test_increases import act, at_once, fresh, told
from .test_limits import audited, page, text_of
from .test_operators_limits import ops, sue  # noqa: F401  (fixtures)

INSTANT = "simulated/simulated-instant"


@pytest.fixture
def slow(acme: people.Cast) -> RateLimit:
    """60 requests a minute for the project."""
    return used.rate(acme.organization.id, Scope.PROJECT, acme.project.id, requests_per_minute=60)


def effective(cast: people.Cast, rate: RateLimit) -> tuple[int | None, ...]:
    """What calls of the project are held to now: requests, tokens, at once."""
    db.session.rollback()
    subjects = quota.Subjects(
        cast.organization.id, cast.project.id, cast.mia.id, None, None, None, None, Payer.PLATFORM
    )
    (found,) = [one for one in quota.applicable(db.session, subjects).rates if one.id == rate.id]
    return found.requests_per_minute, found.tokens_per_minute, found.parallel


def granted(cast: people.Cast, rate: RateLimit, amount: int, pace: Pace = Pace.REQUESTS, lasts: float = 60) -> Increase:
    """Minutes. Commits."""
    made = used.asked(cast, rate, cast.mia, amount, pace=pace)
    assert approve(db.session, made.id, cast.olivia.id, amount, now() + timedelta(minutes=lasts))
    db.session.commit()
    return made


def end(increase: Increase) -> None:
    increase = fresh(increase)
    increase.expires_at = now() - timedelta(seconds=1)
    db.session.commit()


def stopped(
    cast: people.Cast, rate: RateLimit, pace: Pace, person: User | None = None, words: str = "Too fast."
) -> Execution:
    """A run of the project's session that this rate refused, as its receipt has it."""
    person = person or cast.mia
    run = used.run(cast, person, State.FAILED, error_kind="rate_limit", finished_at=now())
    run.body.receipt = {"attempts": [{"outcome": "refused", "rate": str(rate.id), "pace": pace.value}]}
    run.body.error = words
    db.session.commit()
    return run


def ran(cast: people.Cast, words: str) -> Execution:
    """Asked by Mia, and run here and now, as a worker would."""
    project = db.session.get_one(Project, cast.project.id)
    request = Request(project, Prompt((said(words),)), Origin.PLAYGROUND, INSTANT, user_id=cast.mia.id)
    execution = record(request)
    execute_queued(execution.id)
    db.session.rollback()
    return db.session.get_one(Execution, execution.id, populate_existing=True)


def called(app: Flask, cast: people.Cast) -> TestResponse:
    body = {"messages": [{"role": "user", "content": "Hi"}], "model": INSTANT}
    return people.browser(app).post("/v1/chat/completions", json=body, headers={"x-api-key": cast.secret})


# -- what was granted counts, and ends -------------------------------------------------------------


def test_what_is_granted_of_a_pace_is_added_to_it_while_it_lasts_and_to_nothing_else(acme: people.Cast) -> None:
    home, project = acme.organization.id, acme.project.id
    rate = used.rate(home, Scope.PROJECT, project, requests_per_minute=60, parallel=4)
    other = used.rate(home, Scope.ORGANIZATION, home, requests_per_minute=7)
    assert effective(acme, rate) == (60, None, 4)
    first = granted(acme, rate, 20)
    granted(acme, rate, 5)
    granted(acme, rate, 2, Pace.PARALLEL)
    granted(acme, rate, 100, Pace.TOKENS)
    granted(acme, rate, 1_000, lasts=-1)
    used.asked(acme, rate, acme.mia, 300, pace=Pace.REQUESTS)
    declined = used.asked(acme, rate, acme.mia, 300, pace=Pace.REQUESTS)
    assert decline(db.session, declined.id, acme.olivia.id)
    db.session.commit()
    assert effective(acme, rate) == (85, None, 6), "what is not limited stays so"
    assert effective(acme, other) == (7, None, None)
    end(first)
    assert effective(acme, rate) == (65, None, 6)


def test_a_program_is_refused_granted_let_through_and_when_it_is_over_refused_again(
    app: Flask, acme: people.Cast, simulated: str
) -> None:
    rate = used.rate(acme.organization.id, Scope.PROJECT, acme.project.id, requests_per_minute=1)
    assert called(app, acme).status_code == 200
    refused = called(app, acme)
    assert refused.status_code == 429
    increase = granted(acme, rate, 1)
    assert called(app, acme).status_code == 200
    again = called(app, acme)
    assert "limit of 2 requests per minute is reached" in again.json["error"]["message"]  # type: ignore[index]
    end(increase)
    last = called(app, acme)
    assert last.status_code == 429
    assert "limit of 1 request per minute is reached" in last.json["error"]["message"]  # type: ignore[index]


def test_a_prompt_that_no_waiting_helps_asks_for_what_it_needs_and_then_goes_through(
    app: Flask, acme: people.Cast, simulated: str
) -> None:
    rate = used.rate(acme.organization.id, Scope.PROJECT, acme.project.id, tokens_per_minute=30)
    words = f"!simulate tokens=5\n{'Hello ' * 20}"
    refused = ran(acme, words)
    assert "limit of 30 tokens per minute is less than this prompt may use" in refused.body.error
    html = page(app, acme.mia, f"{acme.home}/executions/{refused.id}")
    assert "Ask for more" in html
    url = f"{acme.home}/limits/rates/{rate.id}/tokens/increases"
    form = page(app, acme.mia, f"{url}/new?run={refused.id}")
    offer = re.search(r'name="amount"[^>]* value="([^"]*)"', form)
    assert offer
    assert "In tokens a minute, on top of 30." in text_of(form)
    assert "The refused prompt may use up to" in text_of(form)
    assert people.browser(app, acme.mia).submit(url, {"amount": offer[1]}).status_code == 204
    (increase,) = db.session.scalars(select(Increase).where(Increase.rate_id == rate.id))
    assert act(app, acme.olivia, acme, increase, "approval", amount=offer[1], until="2999-01-01").status_code == 200
    assert ran(acme, words).state is State.COMPLETED


# -- asking and answering --------------------------------------------------------------------------


def test_a_member_asks_for_a_faster_pace_and_an_admin_grants_it_until_a_day(
    app: Flask, acme: people.Cast, slow: RateLimit
) -> None:
    acme.organization.time_zone = "Pacific/Auckland"
    db.session.commit()
    url = f"{acme.home}/limits/rates/{slow.id}/requests/increases"
    assert f'href="{url}/new"' in page(app, acme.mia, f"{acme.home}/limits")
    form = text_of(page(app, acme.mia, f"{url}/new"))
    assert f"Project {acme.project.name}: 60 requests a minute." in form
    assert "In requests a minute, on top of 60." in form
    asked = people.browser(app, acme.mia).submit(url, {"amount": "20", "reason": "The nightly import."})
    assert asked.headers["HX-Redirect"] == f"{acme.home}/limits#rate-{slow.id}"
    (increase,) = db.session.scalars(select(Increase).where(Increase.rate_id == slow.id))
    assert (increase.budget_id, increase.pace, increase.asked) == (None, Pace.REQUESTS, 20)
    assert effective(acme, slow) == (60, None, None), "nothing is granted yet"
    title = f"Mia asks for 20 requests a minute more: Project {acme.project.name}"
    assert told(acme.olivia) == told(acme.adam) == [("increase.asked", title, "The nightly import.")]
    again = people.browser(app, acme.mia).submit(url, {"amount": "30"})
    assert again.status_code == 422
    assert "You have asked already" in again.get_data(as_text=True)

    for path in ("/limits", f"/limits/rates/{slow.id}"):
        shown = text_of(page(app, acme.adam, acme.home + path))
        assert "Mia asked for 20 requests a minute more on" in shown
        assert "The nightly import." in shown
    waiting = page(app, acme.adam, f"{acme.home}/dashboard/quota")
    assert f"/limits#increase-{increase.id}" in waiting
    assert "60 requests a minute" in text_of(waiting)
    undated = act(app, acme.adam, acme, increase, "approval", amount="10")
    assert undated.status_code == 422
    assert "choose a day" in undated.get_data(as_text=True)
    answer = act(app, acme.adam, acme, increase, "approval", amount="10", note="Go easy.", until="2030-01-31")
    html = answer.get_data(as_text=True)
    assert answer.status_code == 200, html
    assert f'hx-target="#rate-{slow.id}"' in html, "the line in the list comes along"
    increase = fresh(increase)
    assert (increase.answer, increase.granted) == (Answer.APPROVED, 10)
    assert increase.expires_at == datetime(2030, 2, 1, tzinfo=ZoneInfo("Pacific/Auckland"))
    assert effective(acme, slow) == (70, None, None)
    title = f"10 requests a minute more for Project {acme.project.name}"
    assert told(acme.mia) == [("increase.answered", title, "Go easy.")]
    assert "60 requests a minute + 10 requests a minute until 31 January 2030" in text_of(
        page(app, acme.mia, f"{acme.home}/limits")
    )
    story = text_of(page(app, acme.olivia, f"{acme.home}/limits/rates/{slow.id}"))
    assert "Granted 10 requests a minute until 31 January 2030 by Adam" in story
    lines = [(action, detail["pace"], detail["amount"]) for action, detail in audited(acme) if "pace" in detail]
    assert lines == [("increase.asked", "requests", 20), ("increase.approved", "requests", 10)]
    assert "10 requests" in text_of(page(app, acme.olivia, f"{acme.home}/audit"))


def test_a_request_for_speed_is_declined_or_withdrawn(app: Flask, acme: people.Cast, slow: RateLimit) -> None:
    first = used.asked(acme, slow, acme.mia, 20, pace=Pace.REQUESTS)
    assert act(app, acme.olivia, acme, first, "withdrawal").status_code == 403
    assert act(app, acme.mia, acme, first, "withdrawal").status_code == 200
    second = used.asked(acme, slow, acme.mia, 20, pace=Pace.REQUESTS)
    assert act(app, acme.olivia, acme, second, "refusal", note="Next month.").status_code == 200
    assert [fresh(one).answer for one in (first, second)] == [Answer.WITHDRAWN, Answer.DECLINED]
    assert told(acme.mia) == [("increase.answered", f"No more for Project {acme.project.name}", "Next month.")]
    assert effective(acme, slow) == (60, None, None)


def test_of_many_answers_at_once_one_counts(app: Flask, acme: people.Cast, slow: RateLimit) -> None:
    olivia, adam, mia = acme.olivia.id, acme.adam.id, acme.mia.id
    for _ in range(4):
        increase = used.asked(acme, slow, acme.mia, 20, pace=Pace.REQUESTS)
        id, ends, before = increase.id, now() + timedelta(days=1), effective(acme, slow)[0]
        done = at_once(
            app,
            lambda: approve(db.session, id, olivia, 10, ends),  # noqa: B023
            lambda: approve(db.session, id, adam, 20, ends),  # noqa: B023
            lambda: withdraw(db.session, id, mia),  # noqa: B023
        )
        assert done.count(True) == 1
        assert (effective(acme, slow)[0] or 0) - (before or 0) == (fresh(increase).granted or 0)


def test_a_request_is_of_one_limit_and_of_a_rate_it_names_the_pace(acme: people.Cast, slow: RateLimit) -> None:
    budget = used.limit(acme, Scope.PROJECT, acme.project.id)
    wrong: list[dict[str, Any]] = [
        {},
        {"budget_id": budget.id, "rate_id": slow.id, "pace": Pace.TOKENS},
        {"rate_id": slow.id},
        {"budget_id": budget.id, "pace": Pace.TOKENS},
    ]
    for columns in wrong:
        db.session.add(Increase(organization_id=acme.organization.id, asked=1, **columns))
        with pytest.raises(IntegrityError):
            db.session.flush()
        db.session.rollback()


def test_what_was_asked_of_a_rate_goes_with_it(app: Flask, acme: people.Cast, slow: RateLimit) -> None:
    increase = used.asked(acme, slow, acme.mia, 20, pace=Pace.REQUESTS)
    run = stopped(acme, slow, Pace.REQUESTS)
    assert people.browser(app, acme.olivia).submit(f"{acme.home}/limits/rates/{slow.id}/deletion").status_code == 204
    assert act(app, acme.olivia, acme, increase, "approval", amount="5").status_code == 410
    shown = text_of(page(app, acme.mia, f"{acme.home}/executions/{run.id}"))
    assert "stopped this" not in shown
    assert "Too many requests at once" in shown


# -- who may ---------------------------------------------------------------------------------------


def test_whose_rate_it_is_says_who_may_ask_for_more(app: Flask, acme: people.Cast, rival: people.Cast) -> None:
    home, other = acme.organization.id, create_project(acme.organization, acme.olivia, "Other")
    db.session.commit()
    rates = {
        "project": used.rate(home, Scope.PROJECT, acme.project.id, requests_per_minute=9),
        "organization": used.rate(home, Scope.ORGANIZATION, home, requests_per_minute=9),
        "other": used.rate(home, Scope.PROJECT, other.id, requests_per_minute=9),
        "mia": used.rate(home, Scope.MEMBER, acme.mia.id, requests_per_minute=9),
        "theirs": used.rate(rival.organization.id, Scope.PROJECT, rival.project.id, requests_per_minute=9),
    }
    may = {"mia": {"project", "organization", "other", "mia"}, "victor": set(), "gina": {"project"}}
    for who, names in may.items():
        client = people.browser(app, acme.people[who])
        for name, rate in rates.items():
            url = f"{acme.home}/limits/rates/{rate.id}/requests/increases"
            statuses = client.get(f"{url}/new").status_code, client.submit(url, {"amount": "5"}).status_code
            assert (statuses == (200, 204)) is (name in names), (who, name, statuses)
    mia = people.browser(app, acme.mia)
    for pace in ("tokens", "days"):  # which it does not limit
        assert mia.get(f"{acme.home}/limits/rates/{rates['project'].id}/{pace}/increases/new").status_code == 404
    assert db.session.scalars(select(Increase.asked_by).where(Increase.rate_id == rates["theirs"].id)).all() == []


@pytest.mark.parametrize("verb", ["approval", "refusal"])
def test_only_owners_and_admins_answer_and_never_from_elsewhere(
    verb: str, app: Flask, acme: people.Cast, rival: people.Cast, slow: RateLimit
) -> None:
    increase = used.asked(acme, slow, acme.mia, 20, pace=Pace.REQUESTS)
    for person, status in ((acme.mia, 403), (acme.victor, 403), (acme.gina, 403), (acme.ned, 404)):
        assert act(app, person, acme, increase, verb, amount="5").status_code == status
    assert act(app, rival.olivia, rival, increase, verb, amount="5").status_code == 404
    assert fresh(increase).answer is Answer.ASKED


def test_of_the_operators_rate_on_the_organization_superusers_are_asked(
    app: Flask,
    acme: people.Cast,
    ops: people.Cast,
    sue: people.Browser,
) -> None:
    rate = used.rate(None, Scope.ORGANIZATION, acme.organization.id, parallel=2)
    run = stopped(acme, rate, Pace.PARALLEL)
    for person in (acme.mia, acme.olivia):
        card = page(app, person, f"{acme.home}/executions/{run.id}")
        assert "The operator’s limit on this organization stopped this" in text_of(card)
        assert "Now 2 prompts at once ." in text_of(card)
        assert "Ask for more" in card
        assert "Raise it" not in card, "it is for nobody here to change"
    url = f"{acme.home}/limits/rates/{rate.id}/parallel/increases"
    assert people.browser(app, acme.olivia).submit(url, {"amount": "1"}).status_code == 204
    (increase,) = db.session.scalars(select(Increase).where(Increase.rate_id == rate.id))
    assert act(app, acme.adam, acme, increase, "approval", amount="1", until="2030-01-01").status_code == 403
    kind, title, _ = told(ops.olivia)[-1]
    assert (kind, title) == ("increase.asked", "Olivia asks for 1 prompt at once more: Acme (Acme)")
    assert "Limits 1" in text_of(page(app, ops.olivia, "/admin/people")), "what waits is counted in the menu"
    shown = text_of(page(app, ops.olivia, "/admin/limits"))
    assert "Olivia of Acme asked for 1 prompt at once more on Acme , 2 prompts at once" in shown
    sent = sue.submit(f"/admin/increases/{increase.id}/approval", {"amount": "3", "until": "2030-01-01"})
    assert sent.status_code == 200
    assert effective(acme, rate) == (None, None, 5)
    assert told(acme.olivia) == [("increase.answered", "3 prompts at once more for Acme", "")]
    shown = text_of(page(app, acme.mia, f"{acme.home}/limits"))
    assert "2 at the same time + 3 prompts at once until 1 January 2030" in shown


def test_of_a_rate_that_counts_others_too_one_asks_by_the_run_alone_and_learns_nothing(
    app: Flask,
    acme: people.Cast,
    rival: people.Cast,
    ops: people.Cast,
    sue: people.Browser,
) -> None:
    rate = used.rate(None, Scope.PLATFORM, NIL, requests_per_minute=987)
    run, theirs = stopped(acme, rate, Pace.REQUESTS), stopped(rival, rate, Pace.REQUESTS, rival.mia)
    card = page(app, acme.mia, f"{acme.home}/executions/{run.id}")
    assert "A limit of whoever runs this Dataelan stopped this" in card
    url = f"{acme.home}/limits/rates/{rate.id}/requests/increases"
    assert f'href="{url}/new?run={run.id}"' in card
    mia = people.browser(app, acme.mia)
    assert mia.get(f"{url}/new").status_code == 404
    assert mia.get(f"{url}/new?run={theirs.id}").status_code == 404
    assert mia.get(f"{url.replace('requests', 'tokens')}/new?run={run.id}").status_code == 404
    form = page(app, acme.mia, f"{url}/new?run={run.id}")
    assert not re.search(r"\b987\b", form + card)  # an id may hold these digits
    assert mia.submit(url, {"amount": "5", "run": str(run.id)}).headers["HX-Redirect"] == f"{acme.home}/limits"
    (increase,) = db.session.scalars(select(Increase).where(Increase.rate_id == rate.id))
    for path in ("/limits", "/dashboard/quota"):
        for person in (acme.mia, acme.olivia):
            seen = page(app, person, acme.home + path)
            assert "5 requests a minute" in seen
            assert not re.search(r"\b987\b", seen)
        assert "5 requests a minute" not in page(app, acme.victor, acme.home + path)
        assert "5 requests a minute" not in page(app, rival.olivia, rival.home + path)
    assert (
        sue.submit(f"/admin/increases/{increase.id}/approval", {"amount": "4", "until": "2030-01-01"}).status_code
        == 200
    )
    assert effective(acme, rate) == (991, None, None)
    title = "4 requests a minute more for a limit of whoever runs this Dataelan"
    assert told(acme.mia) == [("increase.answered", title, "")]
    card = page(app, acme.mia, f"{acme.home}/executions/{run.id}")
    assert "Since then 4 requests a minute more was granted: retry it." in text_of(card)
    assert "more was granted" not in text_of(page(app, rival.mia, f"{rival.home}/executions/{theirs.id}"))


# -- the refused person's view ---------------------------------------------------------------------


def test_a_run_says_which_rate_stopped_it_how_that_is_now_and_what_can_be_done(
    app: Flask, acme: people.Cast, slow: RateLimit
) -> None:
    run = stopped(acme, slow, Pace.REQUESTS, words="The project's limit of 60 requests per minute is reached.")
    ask_url = f"{acme.home}/limits/rates/{slow.id}/requests/increases/new?run={run.id}"
    for url in (acme.session_url, f"{acme.home}/executions/{run.id}"):
        html = page(app, acme.mia, url)
        shown = text_of(html)
        assert f"The limit on Project {acme.project.name} stopped this" in shown
        assert "The project&#39;s limit of 60 requests per minute is reached." in shown
        assert "Now 60 requests a minute ." in shown
        assert f'href="{ask_url}"' in html
        assert "Raise it" not in shown
    html = page(app, acme.adam, acme.session_url)
    assert f'href="{acme.home}/limits/rates/{slow.id}"' in html
    assert "Raise it" in html
    assert "Ask for more" not in page(app, acme.victor, acme.session_url)
    act(app, acme.olivia, acme, used.asked(acme, slow, acme.mia, 1, pace=Pace.REQUESTS), "refusal")
    shown = page(app, acme.mia, acme.session_url)
    assert "Your request for more was declined. Now 60 requests a minute ." in text_of(shown)
    assert f'href="{ask_url}"' in shown
    increase = used.asked(acme, slow, acme.mia, 20, pace=Pace.REQUESTS)
    assert "You asked for 20 requests a minute more" in text_of(page(app, acme.mia, acme.session_url))
    act(app, acme.olivia, acme, increase, "approval", amount="15", until="2030-01-31")
    shown = text_of(page(app, acme.mia, acme.session_url))
    assert "Since then 15 requests a minute more was granted: retry it." in shown
    assert "Now 75 requests a minute , 15 of them until 31 January 2030." in shown


def test_another_persons_rate_is_named_and_no_more(app: Flask, acme: people.Cast) -> None:
    rate = used.rate(acme.organization.id, Scope.MEMBER, acme.mia.id, requests_per_minute=777)
    stopped(acme, rate, Pace.REQUESTS)
    gina = text_of(page(app, acme.gina, acme.session_url))
    assert "The limit on Mia stopped this" in gina
    assert not re.search(r"\b777\b", gina)
    assert "Ask for more" not in gina


def test_what_a_provider_refused_for_its_rate_is_none_of_ours(app: Flask, acme: people.Cast, simulated: str) -> None:
    run = used.run(acme, acme.mia, State.FAILED, error_kind="rate_limit", finished_at=now())
    run.body.receipt = {"attempts": [{"number": 1, "outcome": "failed"}, {"rate": str(uuid.uuid4()), "pace": "tokens"}]}
    db.session.commit()
    shown = text_of(page(app, acme.mia, f"{acme.home}/executions/{run.id}"))
    assert "Too many requests at once" in shown
    assert "stopped this" not in shown


@pytest.fixture(autouse=True)
def no_rates_of_the_operators(app: Flask, context: None) -> Any:
    yield
    db.session.rollback()
    db.session.execute(delete(RateLimit).where(RateLimit.organization_id.is_(None)))
    db.session.commit()
