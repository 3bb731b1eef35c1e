"""The operator's limits: their pages under /admin, and more of them for a while, which superusers grant or decline."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import delete, select
from werkzeug.test import TestResponse

from dataelan_web import quota
from dataelan_web.extensions import db
from dataelan_web.hub.keys.keeping import seal
from dataelan_web.models import (
    NANO,
    Answer,
    APIKey,
    AuditEvent,
    Budget,
    BudgetPeriod,
    Delivery,
    LedgerEntry,
    Notice,
    Payer,
    Provider,
    RateLimit,
    Scope,
    Unit,
    User,
    Webhook,
    Window,
    new_id,
    now,
)
from dataelan_web.models.base import NIL

from . import people, used
from .test_increases import fresh, increases_of, limit_now, refused, told
from .test_limits import audited, page, text_of

HIDDEN = "a limit of whoever runs this Dataelan"


@pytest.fixture
def ops(app: Flask, context: None) -> Iterator[people.Cast]:
    """The operator's own organization, whose owner is a superuser. What the operator limited in a test goes with it."""
    used.nothing_of_the_operators()
    made = people.cast("Operations")
    made.olivia.name, made.olivia.is_superuser = "Sue", True
    db.session.commit()
    yield made
    used.nothing_of_the_operators()
    made.olivia.is_superuser = made.adam.is_superuser = False
    db.session.commit()


@pytest.fixture
def keys(ops: people.Cast) -> Iterator[list[APIKey]]:
    """Two of the platform's that end alike, switched off: what other tests ask has none of them."""
    provider = db.session.scalars(select(Provider).where(Provider.slug == "simulated")).one()
    made = [seal(provider, None, None, f"Main {uuid.uuid4().hex[:6]}", f"sk-{n}-1234567890") for n in "ab"]
    for key in made:
        key.is_enabled = False
    db.session.commit()
    yield made
    db.session.rollback()
    db.session.execute(delete(APIKey).where(APIKey.id.in_([key.id for key in made])))
    db.session.commit()


@pytest.fixture
def sue(app: Flask, ops: people.Cast) -> people.Browser:
    return people.browser(app, ops.olivia)  # type: ignore[return-value]


def operators(scope: Scope, id: uuid.UUID, amount: int = 50 * NANO, **more: Any) -> Budget:
    """$50 a month. Commits."""
    budget = quota.set_limit(db.session, None, scope, id, more.pop("window", Window.MONTH), amount, **more)
    db.session.commit()
    return budget


def everybodys(amount: int = 999 * NANO, **more: Any) -> Budget:
    return operators(Scope.PLATFORM, NIL, amount, **more)


def of_operator() -> list[tuple[str, dict[str, Any]]]:
    """Lines of the audit log that belong to no organization, of limits."""
    lines = select(AuditEvent).where(AuditEvent.organization_id.is_(None)).order_by(AuditEvent.id)
    return [
        (line.action, line.detail)
        for line in db.session.scalars(lines)
        if line.action.startswith(("limit.", "rate.")) and line.created_at > now() - timedelta(minutes=1)
    ]


def shown(client: Any, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200, url
    return text_of(answer.get_data(as_text=True))


# -- asking for more -------------------------------------------------------------------------------


def test_a_member_asks_the_operator_who_grants_more_that_ends_with_the_window(
    app: Flask, acme: people.Cast, ops: people.Cast, sue: people.Browser
) -> None:
    acme.organization.time_zone = "Pacific/Auckland"
    db.session.add(Webhook(organization_id=ops.organization.id, label="Ops", url="https://x.invalid", ciphertext="-"))
    budget = operators(Scope.ORGANIZATION, acme.organization.id)
    mia, url = people.browser(app, acme.mia), f"{acme.home}/limits/{budget.id}"
    assert f'href="{url}/increases/new"' in mia.get(url).get_data(as_text=True)
    asked = mia.submit(f"{url}/increases", {"amount": "12.50", "reason": "Three hundred contracts."})
    assert asked.headers["HX-Redirect"] == url
    (increase,) = increases_of(budget)
    assert (increase.organization_id, increase.asked, increase.answer) == (
        acme.organization.id, 12_500_000_000, Answer.ASKED
    )  # fmt: skip
    (notice,) = db.session.scalars(select(Notice).where(Notice.user_id == ops.olivia.id))
    assert (notice.organization_id, notice.title, notice.path) == (
        ops.organization.id, "Mia asks for $12.50 more: Acme (Acme)", f"/admin/limits/{budget.id}"
    )  # fmt: skip
    assert [told(one) for one in (acme.olivia, acme.adam, acme.mia, ops.adam)] == [[]] * 4, "theirs to answer it is not"
    assert db.session.scalars(select(Delivery).where(Delivery.organization_id == ops.organization.id)).all() == []

    assert "Limits 1 Audit log" in shown(sue, "/admin/people"), "what waits for an answer is counted in the menu"
    assert "Mia of Acme asked for $12.50 more on Acme , $50.00 a month" in shown(sue, "/admin/limits")
    assert "Three hundred contracts." in shown(sue, f"/admin/limits/{budget.id}")
    answer = sue.submit(f"/admin/increases/{increase.id}/approval", {"amount": "10", "note": "Go easy.", "until": ""})
    assert answer.status_code == 200
    assert f'hx-target="#standing-{budget.id}"' in answer.get_data(as_text=True)
    increase = fresh(increase)
    assert (increase.answer, increase.granted, increase.answered_by) == (Answer.APPROVED, 10 * NANO, ops.olivia.id)
    assert increase.expires_at == quota.window_of(Window.MONTH, now(), ZoneInfo("Pacific/Auckland"))[1]
    assert "Limits Audit log" in shown(sue, "/admin/people")
    assert limit_now(budget) == 60 * NANO
    assert told(acme.mia) == [("increase.answered", "$10.00 more for Acme", "Go easy.")]
    assert re.search(r"Granted \$10\.00 until .* by Sue", text_of(page(app, acme.victor, url)))
    assert [action for action, _ in audited(acme)] == ["increase.asked", "increase.approved"]
    assert "Request for more approved" in shown(sue, "/admin/audit"), "the operator's log has it too"

    increase.expires_at = now() - timedelta(seconds=1)
    db.session.commit()
    assert limit_now(budget) == 50 * NANO, "it ends by itself"


def test_who_was_stopped_by_a_limit_of_all_asks_for_more_and_learns_nothing_of_others(
    app: Flask, acme: people.Cast, rival: people.Cast, ops: people.Cast, sue: people.Browser
) -> None:
    budget = everybodys()
    run, theirs = refused(acme, budget, acme.mia), refused(rival, budget, rival.mia)
    mia, url = people.browser(app, acme.mia), f"{acme.home}/limits/{budget.id}/increases"
    ask_url = f"{url}/new?run={run.id}"
    assert f'href="{ask_url}"' in page(app, acme.mia, acme.session_url)
    assert mia.get(f"{acme.home}/limits/{budget.id}").status_code == 404
    assert mia.get(f"{url}/new").status_code == 404, "without a run of theirs there is no such limit"
    assert mia.get(f"{url}/new?run={theirs.id}").status_code == 404
    form = page(app, acme.mia, ask_url)
    assert "$999" not in form
    assert "Whole platform" not in form
    sent = mia.submit(url, {"amount": "5", "reason": "For Friday", "run": str(run.id)})
    assert sent.headers["HX-Redirect"] == f"{acme.home}/limits"
    assert mia.submit(url, {"amount": "6", "run": str(run.id)}).status_code == 422, "one at a time"
    (increase,) = increases_of(budget)
    for path in ("/limits", "/dashboard/quota"):
        for person in (acme.mia, acme.olivia):
            seen = page(app, person, acme.home + path)
            assert "$5.00" in seen, "who runs the organization sees what its people ask the operator"
            assert not any(word in seen for word in ("$999", "Whole platform", f"limits/{budget.id}"))
        assert "For Friday" not in page(app, acme.victor, acme.home + path)
        assert "$5.00" not in page(app, rival.olivia, rival.home + path)
    assert "You asked for $5.00 more" in text_of(page(app, acme.mia, acme.session_url))
    assert "Mia of Acme asked for $5.00 more on The whole platform , $999.00 a month" in shown(sue, "/admin/limits")

    sue.submit(f"/admin/increases/{increase.id}/approval", {"amount": "4", "until": ""})
    assert fresh(increase).expires_at == quota.window_of(Window.MONTH, now(), ZoneInfo("UTC"))[1]
    assert limit_now(budget) == 1_003 * NANO
    assert told(acme.mia) == [("increase.answered", f"$4.00 more for {HIDDEN}", "")]
    assert "Since then $4.00 more was granted: retry it." in text_of(page(app, acme.mia, acme.session_url))
    assert "more was granted" not in text_of(page(app, rival.mia, rival.session_url)), "what others were granted"


def test_whoever_may_not_run_prompts_or_is_a_guest_asks_nobody(app: Flask, acme: people.Cast, ops: people.Cast) -> None:
    budget = everybodys()
    run = refused(acme, budget, acme.mia)
    url = f"{acme.home}/limits/{budget.id}/increases"
    for person, status in ((acme.victor, 403), (acme.gina, 403), (acme.ned, 404)):
        client = people.browser(app, person)
        assert client.get(f"{url}/new?run={run.id}").status_code == status
        assert client.submit(url, {"amount": "5", "run": str(run.id)}).status_code == status
        if status == 403:
            assert "Ask for more" not in page(app, person, acme.session_url)
    assert increases_of(budget) == []


def test_a_request_to_the_operator_is_withdrawn_without_telling_how_its_limit_stands(
    app: Flask, acme: people.Cast, ops: people.Cast
) -> None:
    increase = used.asked(acme, everybodys(), acme.mia)
    url = f"{acme.home}/increases/{increase.id}/withdrawal"
    assert people.browser(app, acme.olivia).submit(url).status_code == 403, "she sees it, and it is not hers"
    answer = people.browser(app, acme.mia).submit(url)
    assert answer.status_code == 200
    assert "$999" not in answer.get_data(as_text=True)
    assert fresh(increase).answer is Answer.WITHDRAWN
    assert people.browser(app, acme.victor).submit(url).status_code == 404


@pytest.mark.parametrize("verb", ["approval", "refusal"])
def test_nobody_but_a_superuser_in_their_own_name_answers(
    verb: str, app: Flask, acme: people.Cast, rival: people.Cast, ops: people.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    increase = used.asked(acme, operators(Scope.ORGANIZATION, acme.organization.id), acme.mia)
    of_all = used.asked(acme, everybodys(), acme.mia)
    own = used.asked(acme, used.limit(acme, Scope.PROJECT, acme.project.id), acme.mia)
    for person, status in ((acme.olivia, 403), (acme.adam, 403), (acme.mia, 403), (acme.gina, 404), (acme.ned, 404)):
        for asked in (increase, of_all):
            answer = people.browser(app, person).submit(f"{acme.home}/increases/{asked.id}/{verb}", {"amount": "5"})
            assert answer.status_code == status, person.name
            answer = people.browser(app, person).submit(f"/admin/increases/{asked.id}/{verb}", {"amount": "5"})
            assert answer.status_code == 404
    answer = people.browser(app, rival.olivia).submit(f"{rival.home}/increases/{increase.id}/{verb}", {"amount": "5"})
    assert answer.status_code == 404

    sue = people.browser(app, ops.olivia)
    assert sue.submit(f"/admin/increases/{own.id}/{verb}", {"amount": "5"}).status_code == 404, "that is Acme's own"
    assert sue.get(f"/admin/limits/{own.budget_id}").status_code == 404
    ops.olivia.set_password("correct horse battery")
    db.session.commit()
    sue = people.browser(app, ops.olivia)
    said = {"reason": "You asked.", "current": "correct horse battery"}
    assert sue.submit(f"/admin/people/{acme.adam.id}/acting", said).status_code == 204
    assert sue.submit(f"/admin/increases/{increase.id}/{verb}", {"amount": "5"}).status_code == 403
    assert sue.get("/admin/limits").status_code == 404
    sue.submit("/acting/end")
    settings = app.extensions["dataelan_settings"]
    monkeypatch.setitem(app.extensions, "dataelan_settings", replace(settings, superusers_need_two_factors=True))
    assert (
        sue.submit(f"/admin/increases/{increase.id}/{verb}", {"amount": "5"}).headers["HX-Redirect"]
        == "/account/needed"
    )
    assert [fresh(one).answer for one in (increase, of_all, own)] == [Answer.ASKED] * 3


def test_of_two_superusers_who_answer_at_once_one_does(app: Flask, acme: people.Cast, ops: people.Cast) -> None:
    ops.adam.is_superuser = True
    budget = everybodys()
    increase = used.asked(acme, budget, acme.mia)
    answers: dict[str, TestResponse] = {}
    start = threading.Barrier(2)

    def press(person: User, verb: str) -> None:
        client = people.browser(app, person)
        form = {"csrf_token": client.csrf(), "amount": "5"}  # type: ignore[attr-defined]
        start.wait()
        url = f"/admin/increases/{increase.id}/{verb}"
        answers[verb] = client.post(url, data=form, headers={"HX-Request": "true"})

    pairs = ((ops.olivia, "approval"), (ops.adam, "refusal"))
    threads = [threading.Thread(target=press, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers.values()) == [200, 409]
    is_granted = answers["approval"].status_code == 200
    assert fresh(increase).answer is (Answer.APPROVED if is_granted else Answer.DECLINED)
    assert limit_now(budget) == (1_004 if is_granted else 999) * NANO
    assert len(told(acme.mia)) == 1
    assert len([action for action, _ in audited(acme)]) == 1


def answered(app: Flask, cast: people.Cast) -> int:
    """With which status a program of theirs is."""
    body = {"model": "simulated/simulated-instant", "messages": [{"role": "user", "content": "Hi"}]}
    return people.browser(app).post("/v1/chat/completions", json=body, headers={"x-api-key": cast.secret}).status_code


def test_what_the_operator_grants_lets_a_program_go_on(
    app: Flask, acme: people.Cast, sue: people.Browser, simulated: str
) -> None:
    budget = operators(Scope.ORGANIZATION, acme.organization.id, 0, unit=Unit.REQUESTS)
    assert answered(app, acme) == 402
    increase = used.asked(acme, budget, acme.mia, 1)
    assert sue.submit(f"/admin/increases/{increase.id}/approval", {"amount": "1", "until": ""}).status_code == 200
    assert [answered(app, acme) for _ in range(2)] == [200, 402]


def test_what_one_organization_is_granted_of_a_limit_of_all_lets_anothers_program_go_on(
    app: Flask, acme: people.Cast, rival: people.Cast, simulated: str, sue: people.Browser
) -> None:
    budget = everybodys(0, unit=Unit.REQUESTS)
    (window,) = db.session.scalars(select(BudgetPeriod).filter_by(budget_id=budget.id))
    budget.limit = window.spent  # by other tests, and all of it
    db.session.commit()
    assert answered(app, acme) == 402
    increase = used.asked(rival, budget, rival.mia, 1)
    assert sue.submit(f"/admin/increases/{increase.id}/approval", {"amount": "1", "until": ""}).status_code == 200
    assert [answered(app, acme) for _ in range(2)] == [200, 402]


# -- the pages -------------------------------------------------------------------------------------


def test_the_operators_limits_are_made_read_changed_and_deleted_with_lines_in_the_log(
    app: Flask, acme: people.Cast, sue: people.Browser, ops: people.Cast
) -> None:
    assert "The operator limits nothing yet" in shown(sue, "/admin/limits")
    form = {"scope": "platform", "amount": "40", "window": "month", "alerts": "60, 90", "is_hard": "yes"}
    preview = text_of(sue.submit("/admin/limits/preview", form).get_data(as_text=True))
    assert "once they cost $40.00 in a calendar month (UTC); tell the superusers at 60 and 90 %." in preview.replace(
        "\xa0", " "
    )
    made = sue.submit("/admin/limits", form)
    (budget,) = db.session.scalars(select(Budget).where(Budget.organization_id.is_(None)))
    assert made.headers["HX-Redirect"] == f"/admin/limits/{budget.id}"
    assert (budget.scope, budget.subject_id, budget.limit, budget.alerts, budget.created_by) == (
        Scope.PLATFORM, NIL, 40 * NANO, [60, 90], ops.olivia.id
    )  # fmt: skip
    used.period(budget, 10 * NANO)
    used.held(acme, budget, 2 * NANO, acme.mia)
    for path in ("/admin/limits", f"/admin/limits/{budget.id}"):
        text = shown(sue, path)
        for words in ("spent $10.00", "held $2.00", "left of $40.00 $28.00", "resets in"):
            assert words in text, (path, words)
        assert "Contract" not in text, "what organizations run is not for the operator to look into"
        assert acme.session.title not in text
    again = sue.submit("/admin/limits", form)
    assert (again.status_code, "There is one already" in again.get_data(as_text=True)) == (422, True)
    assert sue.submit(f"/admin/limits/{budget.id}", {"amount": "30", "is_hard": "no", "alerts": ""}).status_code == 204
    db.session.refresh(budget)
    assert (budget.limit, budget.is_hard, budget.alerts) == (30 * NANO, False, [])
    assert sue.submit(f"/admin/limits/{budget.id}/deletion").headers["HX-Redirect"] == "/admin/limits"
    assert db.session.scalars(select(Budget).filter_by(organization_id=None, deleted_at=None)).all() == []
    lines = of_operator()
    assert [action for action, _ in lines[-3:]] == ["limit.created", "limit.changed", "limit.deleted"]
    assert lines[-2][1]["before"]["limit"] == 40 * NANO


def test_where_this_pace_leads_and_who_spends_most_is_told_of_what_the_platform_pays_alone(
    app: Flask, acme: people.Cast, rival: people.Cast, sue: people.Browser
) -> None:
    used.charge(acme, 9 * NANO, acme.mia, "own-key-model", started_at=now())
    for cast, amount, model, payer in (
        (rival, 400_000 * NANO, "paid-model", Payer.PLATFORM),
        (acme, 800_000 * NANO, "paid-model", Payer.PLATFORM),
        (acme, 100_000 * NANO, "keyless-model", Payer.NOBODY),
    ):
        paid = used.attempt(used.run(cast, cast.mia), model, started_at=now())
        values = {"organization_id": cast.organization.id, "attempt_id": paid.id, "payer": payer}
        db.session.add(LedgerEntry(**values, amount=amount, tokens=0))
    db.session.commit()
    form = {"scope": "organization", "subject": f"organization:{acme.organization.id}", "amount": "900000"}
    preview = sue.submit("/admin/limits/preview", form).get_data(as_text=True)
    assert "$800,000 was used this month, and counts." in text_of(preview), "more than other tests ever spend"
    budget = everybodys(2_000_000 * NANO)
    used.period(budget, 12 * NANO, at=now() - timedelta(days=40))
    text = shown(sue, f"/admin/limits/{budget.id}")
    assert "At this pace" in text
    assert "Biggest models in this window Own / paid-model $1,200,000" in text
    assert re.search(r"Biggest organizations in this window Acme \$800,000 \w+ \$400,000", text)
    assert "own-key-model" not in text, "what an organization pays itself is its own business"
    assert "keyless-model" not in text, "nor is in a limit of money what nobody pays for"


def test_each_kind_of_thing_is_offered_and_nothing_that_is_an_organizations_own(
    app: Flask, acme: people.Cast, sue: people.Browser, keys: list[APIKey]
) -> None:
    own, key = people.own_model(acme, people.own_provider(acme, "http://x/v1"), "acmes-secret-model"), keys[0]

    def offered(scope: str) -> str:
        return sue.submit("/admin/limits/draft", {"scope": scope, "q": ""}).get_data(as_text=True)

    assert f'value="key:{key.id}"' in offered("key")
    assert f'value="organization:{acme.organization.id}"' in sue.get(
        f"/admin/limits/new?subject=organization:{acme.organization.id}"
    ).get_data(as_text=True)
    assert "Simulated" in offered("provider")
    simulated = people.simulated_model()
    narrowed = sue.submit("/admin/limits/draft", {"scope": "model", "q": simulated.display_name})
    assert f'value="model:{simulated.id}"' in narrowed.get_data(as_text=True)
    for subject in (f"model:{own.id}", f"provider:{own.provider_id}", f"key:{new_id()}"):
        form = {"scope": subject.partition(":")[0], "subject": subject, "amount": "5"}
        assert sue.submit("/admin/limits", form).status_code == 404, subject
    for scope, id in (("member", acme.mia.id), ("project", acme.project.id)):
        form = {"scope": scope, "subject": f"{scope}:{id}", "amount": "5"}
        assert sue.submit("/admin/limits", form).status_code == 422, "what is an organization's own to limit"
    assert db.session.scalars(select(Budget).where(Budget.organization_id.is_(None))).all() == []


def test_a_keys_limit_of_a_day_shows_where_the_keys_are(app: Flask, sue: people.Browser, keys: list[APIKey]) -> None:
    key = keys[0]
    form = {"scope": "key", "subject": f"key:{key.id}", "amount": "7", "window": "day"}
    assert sue.submit("/admin/limits", form).status_code == 204
    db.session.refresh(key)
    assert key.daily_quota == 7 * NANO
    (budget,) = db.session.scalars(select(Budget).where(Budget.subject_id == key.id))
    sue.submit(f"/admin/limits/{budget.id}/deletion")
    db.session.refresh(key)
    assert key.daily_quota is None


def test_how_fast_everybody_and_one_may_ask_is_set_changed_and_deleted(
    app: Flask, acme: people.Cast, sue: people.Browser
) -> None:
    one = {"scope": "organization", "subject": f"organization:{acme.organization.id}"}
    assert sue.submit("/admin/limits/rates", {**one, "requests_per_minute": "40"}).status_code == 204
    said = sue.submit("/admin/limits/rates/preview", {"scope": "platform", "parallel": "9"}).get_data(as_text=True)
    assert "Refuse prompts of everybody beyond 9 at the same time" in said
    assert sue.submit("/admin/limits/rates", {"scope": "platform", "parallel": "9"}).status_code == 204
    assert sue.submit("/admin/limits/rates", {"scope": "platform", "parallel": "8"}).status_code == 422
    text = shown(sue, "/admin/limits")
    assert "40 requests a minute" in text
    assert "9 at the same time" in text
    seen = page(app, acme.mia, f"{acme.home}/limits")
    assert "40 requests a minute" in seen
    assert "9 at the same time" not in seen, "what holds for everybody is the operator's"
    rates = select(RateLimit).filter_by(organization_id=None, deleted_at=None).order_by(RateLimit.id)
    first, second = db.session.scalars(rates)
    assert people.browser(app, acme.olivia).get(f"{acme.home}/limits/rates/{first.id}").status_code == 403
    assert sue.submit(f"/admin/limits/rates/{first.id}", {"tokens_per_minute": "1000"}).status_code == 204
    sue.submit(f"/admin/limits/rates/{second.id}/deletion")
    db.session.expire_all()
    (left,) = db.session.scalars(rates)
    assert (left.id, left.requests_per_minute, left.tokens_per_minute) == (first.id, None, 1_000)
    actions = [action for action, _ in of_operator()]
    assert actions[-4:] == ["rate.created", "rate.created", "rate.changed", "rate.deleted"]


def test_two_who_make_the_same_limit_at_once_make_one_and_one_is_told(
    app: Flask, acme: people.Cast, ops: people.Cast
) -> None:
    ops.adam.is_superuser = True
    db.session.commit()
    statuses: list[int] = []
    start = threading.Barrier(2)

    def press(person: User, amount: str) -> None:
        client = people.browser(app, person)
        form = {"csrf_token": client.csrf(), "scope": "platform", "amount": amount, "window": "week"}  # type: ignore[attr-defined]
        start.wait()
        statuses.append(client.post("/admin/limits", data=form, headers={"HX-Request": "true"}).status_code)

    threads = [threading.Thread(target=press, args=pair) for pair in ((ops.olivia, "5"), (ops.adam, "6"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [204, 422]
