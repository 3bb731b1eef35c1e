"""Provider keys: what may be said of them, changed and limited; who may; and the platform's own."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from dataelan_web import create_app
from dataelan_web.executions.candidates import usable_models
from dataelan_web.extensions import db
from dataelan_web.hub.keys import keeping
from dataelan_web.hub.keys.keeping import seal, secret_of
from dataelan_web.hub.providers.overview import health_of
from dataelan_web.models import (
    APIKey,
    AuditEvent,
    Budget,
    BudgetPeriod,
    KeyStrategy,
    Provider,
    Scope,
    Window,
    new_id,
    now,
)
from dataelan_web.router.candidates import Candidate, Key, Question
from dataelan_web.router.health import Rest, Vital
from dataelan_web.router.keys import spread, told
from dataelan_web.router.types import Failure, Kind

from . import people
from .conftest import wait_until
from .upstream import Upstream, upstream

CANARY = "sk-CANARY-77ab30f1c2d4"
OTHER = "sk-CANARY-0000000other"
MONEY = 1_000_000_000


@pytest.fixture
def vendor() -> Iterator[Upstream]:
    with upstream() as vendor:
        lists(vendor, "small", "large")
        yield vendor


@pytest.fixture
def key(acme: people.Cast, vendor: Upstream) -> APIKey:
    """A key of Acme's for a provider of its own, with two models."""
    key = people.own_provider(acme, vendor.url, secret=CANARY)
    for name in ("small", "large"):
        people.own_model(acme, key, name, input=1, output=1)
    return key


def lists(vendor: Upstream, *names: str) -> None:
    vendor.answers({"object": "list", "data": [{"id": name} for name in names]})


def refuses(vendor: Upstream, message: str = "Revoked") -> None:
    vendor.answers({"error": {"message": message}}, status=401)


def submit(app: Flask, cast: people.Cast, path: str, who: str = "olivia", **form: object) -> TestResponse:
    answer: TestResponse = people.browser(app, getattr(cast, who)).submit(f"{cast.home}/hub/{path}", form)
    return answer


def change(app: Flask, cast: people.Cast, key: APIKey, **form: object) -> TestResponse:
    return submit(app, cast, f"keys/{key.id}/settings", **{"label": key.label, **form})


def page(app: Flask, cast: people.Cast, path: str) -> str:
    text: str = people.browser(app, cast.olivia).get(f"{cast.home}/hub/{path}").get_data(as_text=True)
    return text


def fresh(key: APIKey) -> APIKey:
    db.session.rollback()
    return db.session.get_one(APIKey, key.id, populate_existing=True)


def events(cast: people.Cast) -> list[AuditEvent]:
    query = select(AuditEvent).where(AuditEvent.organization_id == cast.organization.id).order_by(AuditEvent.created_at)
    return list(db.session.scalars(query))


def limit_of(key: APIKey) -> int | None:
    mine = {"scope": Scope.KEY, "subject_id": key.id, "window": Window.DAY, "deleted_at": None}
    limit: int | None = db.session.scalar(select(Budget.limit).filter_by(**mine))
    return limit


def ask(app: Flask, cast: people.Cast, model: str = "small") -> TestResponse:
    answer: TestResponse = app.test_client().post(
        "/v1/chat/completions",
        json={"model": model, "messages": [{"role": "user", "content": "Hi"}]},
        headers={"Authorization": f"Bearer {cast.token()}"},
    )
    return answer


# -- adding ----------------------------------------------------------------------------------------


def test_a_key_is_added_with_all_that_is_said_of_it(
    app: Flask, vendor: Upstream, acme: people.Cast, key: APIKey
) -> None:
    acme.organization.time_zone = "Asia/Tokyo"
    db.session.commit()
    day = (datetime.now(UTC) + timedelta(days=30)).date()
    answer = submit(
        app, acme, "keys", provider_id=key.provider_id, key=OTHER, label="Nightly", weight="3", daily_quota="$1,250.50",
        allowed_models="small,\n large  small", expires_on=day.isoformat(), is_default="y",
    )  # fmt: skip
    assert answer.status_code == 200, answer.get_data(as_text=True)
    (made,) = db.session.scalars(select(APIKey).where(APIKey.label == "Nightly", APIKey.provider_id == key.provider_id))
    assert (made.weight, made.daily_quota, made.allowed_models) == (3, 1250 * MONEY + MONEY // 2, ["small", "large"])
    assert made.expires_at == datetime(day.year, day.month, day.day, 15, tzinfo=UTC), "the end of that day in Tokyo"
    assert made.is_default
    assert not fresh(key).is_default
    assert limit_of(made) == made.daily_quota
    assert made.created_by == acme.olivia.id
    text = page(app, acme, f"providers/{key.provider_id}")
    for words in ("Weight 3", "$1,250.50", "2 models only", f"Until {day:%-d %b %Y}", "••••ther"):
        assert words in text
    assert "CANARY" not in text


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"weight": "-1"}, "between 0 and 1000"),
        ({"weight": "a"}, "Not a valid integer"),
        ({"weight": "1001"}, "between 0 and 1000"),
        ({"daily_quota": "-1"}, "between 0 and"),
        ({"daily_quota": "Infinity"}, "between 0 and"),
        ({"daily_quota": "1e400000"}, "between 0 and"),
        ({"daily_quota": "lots"}, "Enter an amount"),
        ({"allowed_models": "smal"}, "Did you mean small?"),
        ({"expires_on": "2001-01-01"}, "That day is over"),
        ({"expires_on": "9999-12-31"}, "too far away"),
        ({"expires_on": "soon"}, "Not a valid date"),
        ({"label": "x" * 201}, "200 characters"),
    ],
)
def test_what_cannot_be_is_refused_before_anyone_is_asked(
    app: Flask, vendor: Upstream, acme: people.Cast, key: APIKey, wrong: dict[str, str], words: str
) -> None:
    for path, form in (("keys", {"provider_id": key.provider_id, "key": OTHER}), (f"keys/{key.id}/settings", {})):
        answer = submit(app, acme, path, **{"label": "A label", **form, **wrong})
        assert answer.status_code == 422
        assert words in answer.get_data(as_text=True)
        assert "CANARY" not in answer.get_data(as_text=True)
    assert vendor.requests == []
    assert fresh(key).label == "Test key"
    assert limit_of(key) is None


def test_a_list_that_is_open_to_everyone_proves_no_key_and_that_is_said(
    app: Flask, vendor: Upstream, acme: people.Cast, key: APIKey
) -> None:
    text = submit(app, acme, "keys", provider_id=key.provider_id, key=OTHER).get_data(as_text=True)
    assert "shows its models to anyone; the first use checks this key" in text


@pytest.mark.parametrize(("status", "words"), [(200, "accepts this key."), (401, "did not accept it: Revoked")])
def test_a_provider_without_a_list_checks_a_key_at_an_address_of_its_own(
    app: Flask, vendor: Upstream, acme: people.Cast, key: APIKey, status: int, words: str
) -> None:
    key.provider.kind, key.provider.check_path = "replicate", "/account"
    db.session.commit()
    vendor.answers({"username": "acme"} if status == 200 else {"detail": "Revoked"}, status=status)
    text = submit(app, acme, "keys", provider_id=key.provider_id, key=OTHER).get_data(as_text=True)
    assert words in text
    assert [request["path"] for request in vendor.requests] == ["/v1/account"]
    assert vendor.requests[0]["headers"]["Authorization"] == f"Bearer {OTHER}"
    made = db.session.scalars(select(APIKey).where(APIKey.provider_id == key.provider_id, APIKey.id != key.id)).first()
    assert bool(made and made.last_used_at) == (status == 200)


def test_a_provider_that_can_check_nothing_says_so(
    app: Flask, vendor: Upstream, acme: people.Cast, key: APIKey
) -> None:
    key.provider.kind = "fal"
    db.session.commit()
    answer = submit(app, acme, "keys", provider_id=key.provider_id, key=OTHER)
    assert "cannot check a key: its first use will." in answer.get_data(as_text=True)
    assert vendor.requests == []


# -- changing --------------------------------------------------------------------------------------


def test_settings_are_changed_without_the_secret_and_the_audit_names_what(
    app: Flask, acme: people.Cast, key: APIKey
) -> None:
    assert change(app, acme, key, label="Renamed", weight="0", daily_quota="5").status_code == 204
    changed = fresh(key)
    assert (changed.label, changed.weight, changed.daily_quota) == ("Renamed", 0, 5 * MONEY)
    assert secret_of(changed) == CANARY
    (event,) = [event for event in events(acme) if event.action == "key.changed"]
    assert event.detail["before"].keys() == {"label", "weight", "daily_quota"}
    assert event.detail["label"] == "Renamed"
    change(app, acme, changed, weight="0", daily_quota="5")
    assert len([event for event in events(acme) if event.action == "key.changed"]) == 1
    assert "CANARY" not in str([event.detail for event in events(acme)])


def test_the_daily_limit_is_held_to_and_goes_when_it_is_taken_away(
    app: Flask, vendor: Upstream, acme: people.Cast, key: APIKey
) -> None:
    priced = key.provider_id
    people.own_model(acme, key, "dear", input=1_000 * MONEY, output=1_000 * MONEY)
    assert change(app, acme, key, daily_quota="0.000001").status_code == 204
    assert limit_of(key) == 1_000
    vendor.requests.clear()
    refused = ask(app, acme, "dear")
    assert refused.status_code == 402
    assert "API key" in refused.json["error"]["message"]  # type: ignore[index]
    assert vendor.requests == []
    assert change(app, acme, key, daily_quota="").status_code == 204
    assert limit_of(key) is None
    assert fresh(key).daily_quota is None
    vendor.answers({
        "choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1},
    })  # fmt: skip
    assert ask(app, acme, "dear").status_code == 200
    assert fresh(key).provider_id == priced


def test_a_page_tells_what_a_key_has_spent_today(app: Flask, acme: people.Cast, key: APIKey) -> None:
    change(app, acme, key, daily_quota="5")
    budget = db.session.scalars(select(Budget).where(Budget.subject_id == key.id)).one()
    today = db.session.scalars(select(BudgetPeriod).where(BudgetPeriod.budget_id == budget.id)).one()
    today.spent = today.opening = 1_200_000_000
    begins, ends = today.starts_at - timedelta(days=2), today.ends_at - timedelta(days=2)
    db.session.add(
        BudgetPeriod(budget=budget, starts_at=begins, ends_at=ends, spent=4_000_000_000, opening=4_000_000_000)
    )
    db.session.commit()
    assert "$1.20" in page(app, acme, f"providers/{key.provider_id}")
    assert "$4.00" not in page(app, acme, f"providers/{key.provider_id}")


def test_a_key_is_used_for_the_models_it_is_allowed_only(app: Flask, acme: people.Cast, key: APIKey) -> None:
    assert change(app, acme, key, allowed_models="small").status_code == 204
    db.session.expire_all()
    assert {one.model for one in usable_models(db.session, acme.project) if one.is_own} == {"small"}


def test_a_key_whose_last_day_is_over_or_that_is_switched_off_is_not_used(
    app: Flask, acme: people.Cast, key: APIKey
) -> None:
    def usable() -> set[str]:
        db.session.rollback()
        db.session.expire_all()
        return {one.model for one in usable_models(db.session, acme.project) if one.is_own}

    assert usable() == {"small", "large"}
    assert submit(app, acme, f"keys/{key.id}/state", is_enabled="no").status_code == 200
    assert usable() == set()
    assert health_of(fresh(key)).text == "Switched off"
    assert submit(app, acme, f"keys/{key.id}/state", is_enabled="yes").status_code == 200
    assert usable() == {"small", "large"}
    fresh(key).expires_at = now() - timedelta(seconds=1)
    db.session.commit()
    assert usable() == set()
    assert "Expired" in page(app, acme, f"providers/{key.provider_id}")
    assert {"key.disabled", "key.enabled"} <= {event.action for event in events(acme)}


def test_one_key_is_the_default_and_it_can_be_another(app: Flask, acme: people.Cast, key: APIKey) -> None:
    second = seal(key.provider, acme.organization, None, "Second", OTHER)
    db.session.commit()
    assert submit(app, acme, f"keys/{second.id}/default").status_code == 200
    assert not fresh(key).is_default
    assert fresh(second).is_default
    assert [event.action for event in events(acme)].count("key.made_default") == 1


def first_keys(app: Flask, cast: people.Cast, key: APIKey, count: int = 40) -> list[str]:
    """Labels of the keys that so many prompts would be sent with, as the router sees them now."""
    db.session.rollback()
    (candidate,) = (one for one in usable_models(db.session, cast.project) if one.model == "small")
    draw = random.Random(1)
    return [next(spread(candidate, Question(), draw)).label for _ in range(count)]


def test_the_default_is_asked_first_where_that_is_wanted_and_weights_decide_else(
    app: Flask, acme: people.Cast, rival: people.Cast, key: APIKey
) -> None:
    """Of other keys, and of others' keys of the same provider, nothing changes."""
    second, third = (seal(key.provider, acme.organization, None, label, OTHER) for label in ("Second", "Third"))
    third.weight = 0
    db.session.commit()
    assert set(first_keys(app, acme, key)) == {"Test key", "Second"}
    assert "Each prompt draws one by weight." in page(app, acme, f"providers/{key.provider_id}")

    shown = submit(app, acme, f"keys/{key.id}/order", goes_first="yes").get_data(as_text=True)
    assert "“Test key” is asked first." in shown
    assert "Default, asked first" in shown
    assert set(first_keys(app, acme, key)) == {"Test key"}
    change(app, acme, key, weight="0")
    assert set(first_keys(app, acme, key)) == {"Test key"}, "whatever its weight"

    assert submit(app, acme, f"keys/{second.id}/default").status_code == 200
    assert set(first_keys(app, acme, key)) == {"Second"}, "another default goes first then"
    assert not fresh(key).goes_first
    submit(app, acme, f"keys/{second.id}/state", is_enabled="no")
    assert set(first_keys(app, acme, key)) <= {"Test key", "Third"}
    submit(app, acme, f"keys/{second.id}/deletion")
    assert set(first_keys(app, acme, key)) == {"Test key"}, "its heir goes first"

    change(app, acme, key, weight="1")
    third.weight = 1
    db.session.commit()
    assert "Weights decide now." in submit(app, acme, f"keys/{key.id}/order", goes_first="no").get_data(as_text=True)
    assert set(first_keys(app, acme, key)) == {"Test key", "Third"}
    assert [event.action for event in events(acme)].count("key.order_set") == 2


def test_the_key_that_is_asked_first_rests_like_any_other_and_a_receipt_says_that_it_goes_first() -> None:
    main, spare = Key(new_id(), "Main", "organization", goes_first=True), Key(new_id(), "Spare", "organization")
    candidate = Candidate(new_id(), "m", new_id(), "P", "openai", "https://x/v1", (spare, main))
    draw = random.Random(1)

    def order(question: Question) -> list[str]:
        return [one.label for one in spread(candidate, question, draw)]

    assert order(Question()) == ["Main", "Spare"]
    resting = Vital(rest=Rest(0, 100, Kind.RATE_LIMIT))
    vitals = {(candidate.model_id, main.id): resting}
    assert order(Question(vitals=vitals, now=50)) == ["Spare"]
    returned = [order(Question(vitals=vitals, now=105))[0] for _ in range(200)]
    assert 0 < returned.count("Main") < 200, "with the chance of its share"
    rows = told(candidate, Question(), {}, [main, spare])["keys"]
    assert rows == [{"key": "Main", "first": True}, {"key": "Spare", "weight": 1}]


def test_of_many_that_are_made_the_default_at_once_one_is(app: Flask, acme: people.Cast, key: APIKey) -> None:
    ids = [key.id, *(seal(key.provider, acme.organization, None, f"No. {n}", OTHER).id for n in range(3))]
    db.session.commit()
    home, olivia, answers = acme.home, acme.olivia, []

    def choose(id: object, act: str) -> None:
        answers.append(people.browser(app, olivia).submit(f"{home}/hub/keys/{id}/{act}").status_code)  # type: ignore[attr-defined]

    threads = [Thread(target=choose, args=(id, act)) for act in ("default", "test") for id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 8
    db.session.rollback()
    kept = db.session.scalars(select(APIKey).where(APIKey.provider_id == key.provider_id, APIKey.is_default)).all()
    assert len(kept) == 1


def test_a_secret_is_replaced_only_by_one_that_is_accepted(
    app: Flask, vendor: Upstream, acme: people.Cast, key: APIKey
) -> None:
    change(app, acme, key, weight="7", daily_quota="5")
    key.last_error, key.last_error_kind, key.last_error_at = "Revoked", "credential", now()
    key.last_used_at = now()
    db.session.commit()
    refuses(vendor, f"No such key: {OTHER}")
    answer = submit(app, acme, f"keys/{key.id}/secret", key=OTHER)
    assert answer.status_code == 422
    assert "did not accept it: No such key: [key]" in answer.get_data(as_text=True)
    assert secret_of(fresh(key)) == CANARY
    lists(vendor, "small")
    assert submit(app, acme, f"keys/{key.id}/secret", key=OTHER).status_code == 204
    replaced = fresh(key)
    assert secret_of(replaced) == OTHER
    assert (replaced.last_four, replaced.weight, replaced.daily_quota) == ("ther", 7, 5 * MONEY)
    assert (replaced.last_error, replaced.last_error_kind) == ("", "")
    assert replaced.listed_models == ["small"]
    assert replaced.last_used_at is None, (
        "its list is open to anyone: what the old one did is no success of the new one"
    )
    assert "key.replaced" in [event.action for event in events(acme)]


@pytest.mark.parametrize("was_used", [False, True])
def test_no_secret_is_kept_with_what_was_deleted_while_its_provider_was_asked(
    app: Flask, vendor: Upstream, acme: people.Cast, key: APIKey, was_used: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if was_used:  # it is seen nowhere any more then, but its row stays with its runs
        vendor.answers({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]})
        assert ask(app, acme).status_code == 200
        lists(vendor, "small")
    id, provider, check = key.id, key.provider_id, keeping.check

    def slow(*asked: Any) -> Any:
        checked = check(*asked)
        assert submit(app, acme, deleted, "adam").status_code < 400
        return checked

    monkeypatch.setattr(keeping, "check", slow)
    deleted = f"keys/{id}/deletion"
    assert submit(app, acme, f"keys/{id}/secret", key=OTHER).status_code == 404
    deleted = f"providers/{provider}/deletion"
    assert submit(app, acme, "keys", provider_id=str(provider), key=OTHER).status_code == 404
    db.session.rollback()
    kept = select(APIKey.ciphertext).where(APIKey.provider_id == provider)
    assert db.session.scalars(kept).all() == ([""] if was_used else [])


@pytest.mark.parametrize("key_text", ["", "sk-schlüssel", "sk-a\r\nX-Evil: 1", "k" * 4001])
def test_no_strange_secret_replaces_another(
    app: Flask, vendor: Upstream, acme: people.Cast, key: APIKey, key_text: str
) -> None:
    assert submit(app, acme, f"keys/{key.id}/secret", key=key_text).status_code == 422
    assert vendor.requests == []


def test_a_test_tells_how_a_key_is_doing(app: Flask, vendor: Upstream, acme: people.Cast, key: APIKey) -> None:
    refuses(vendor, "Your key was revoked")
    failed = submit(app, acme, f"keys/{key.id}/test").get_data(as_text=True)
    assert "Own did not accept it: Your key was revoked" in failed
    # The router leaves it alone for a while. (A machine that is busy may look in vain for how long: health is asked in
    # no time, or not at all.)
    wait_until(lambda: health_of(fresh(key)).text.startswith("Rests until "), 10)
    assert health_of(fresh(key)).detail == "Your key was revoked"
    assert "Your key was revoked" in page(app, acme, "providers")
    key.provider.check_path = "/key"
    db.session.commit()
    lists(vendor, "small", "new")
    assert "accepts this key" in submit(app, acme, f"keys/{key.id}/test").get_data(as_text=True)
    assert fresh(key).listed_models == ["small", "new"]
    assert health_of(fresh(key)).text == "Working", "a test that proves it is a success of the key’s"
    assert "None yet" not in page(app, acme, f"keys/{key.id}")


def test_an_open_list_makes_no_refused_key_well_again(
    app: Flask, vendor: Upstream, acme: people.Cast, key: APIKey
) -> None:
    key.last_error, key.last_error_kind, key.last_error_at = "Revoked", "credential", now()
    db.session.commit()
    submit(app, acme, f"keys/{key.id}/test")
    assert health_of(fresh(key)).text == "Refused"
    assert fresh(key).last_used_at is None


def test_a_key_that_cannot_be_read_is_sent_nowhere_and_asks_to_be_entered_again(
    app: Flask, vendor: Upstream, acme: people.Cast, key: APIKey
) -> None:
    key.ciphertext = key.ciphertext[:-3] + "AAA"
    db.session.commit()
    with pytest.raises(Failure, match="Enter it again"):
        secret_of(key)
    assert "Enter it again" in submit(app, acme, f"keys/{key.id}/test").get_data(as_text=True)
    assert vendor.requests == []
    assert submit(app, acme, f"keys/{key.id}/secret", key=OTHER).status_code == 204
    assert secret_of(fresh(key)) == OTHER


def test_a_deleted_key_leaves_no_limit_behind(app: Flask, acme: people.Cast, key: APIKey) -> None:
    change(app, acme, key, daily_quota="5")
    assert submit(app, acme, f"keys/{key.id}/deletion").status_code == 200
    db.session.rollback()
    assert limit_of(key) is None
    assert db.session.scalar(select(APIKey.id).where(APIKey.id == key.id)) is None


def test_only_owners_and_admins_touch_a_key(app: Flask, acme: people.Cast, rival: people.Cast, key: APIKey) -> None:
    acts = ("settings", "secret", "test", "state", "default", "deletion")
    for who, statuses in {"mia": {403}, "victor": {403}, "gina": {403, 404}, "ned": {404}}.items():
        for act in acts:
            assert submit(app, acme, f"keys/{key.id}/{act}", who, label="Mine").status_code in statuses, (who, act)
        assert people.browser(app, getattr(acme, who)).get(f"{acme.home}/hub/keys/{key.id}").status_code in statuses
    for act in acts:
        assert submit(app, rival, f"keys/{key.id}/{act}", label="Mine").status_code == 404
    assert fresh(key).label == "Test key"


# -- the platform's --------------------------------------------------------------------------------


@pytest.fixture
def platform(app: Flask, context: None, vendor: Upstream) -> Iterator[Provider]:
    """A provider everyone has, at the vendor's address."""
    provider = Provider(id=new_id(), slug=f"vendor-{new_id().hex[-6:]}", name="Vendor", kind="openai")
    provider.base_url, provider.is_trusted = vendor.url, True
    db.session.add(provider)
    db.session.commit()
    yield provider
    db.session.rollback()
    db.session.delete(provider)
    db.session.commit()


def run(app: Flask, *args: str, input: str | None = None) -> Result:
    db.session.rollback()
    return app.test_cli_runner().invoke(args=["keys", *args], input=input)


def test_the_operator_adds_a_key_for_everyone_that_is_never_an_argument(
    app: Flask, platform: Provider, vendor: Upstream, acme: people.Cast, tmp_path: Path
) -> None:
    limits = ("--label", "Platform", "--weight", "2", "--daily-quota", "100")
    added = run(app, "add", "--provider", platform.slug, *limits, input=f"{CANARY}\n")
    assert added.exit_code == 0, added.output
    assert "2 models" in added.output
    (tmp_path / "key").write_text(OTHER)
    assert run(app, "add", "--provider", platform.slug, "--key-file", str(tmp_path / "key")).exit_code == 0
    first, second = db.session.scalars(select(APIKey).where(APIKey.provider_id == platform.id).order_by(APIKey.id))
    assert (first.organization_id, first.label, first.weight, first.daily_quota) == (None, "Platform", 2, 100 * MONEY)
    assert (first.is_default, second.is_default, second.label) == (True, False, "Vendor (platform)")
    assert (secret_of(first), secret_of(second)) == (CANARY, OTHER)
    assert limit_of(first) == 100 * MONEY
    listed = run(app, "list").output
    assert f"{platform.slug}  Platform  ••••c2d4  weight 2  $100.00 a day  Not used yet" in listed
    assert "CANARY" not in listed + added.output
    db.session.expire_all()
    assert {"small", "large"} <= {one.model for one in usable_models(db.session, acme.project)}
    acme.organization.key_strategy = KeyStrategy.BYOK
    db.session.commit()
    assert not {"small", "large"} & {one.model for one in usable_models(db.session, acme.project)}
    text = page(app, acme, f"providers/{platform.id}")
    assert "Platform" not in text, "how the operator calls its keys is not an organization's to see"
    assert "c2d4" not in text


def test_a_wrong_platform_key_is_refused_with_a_word(app: Flask, platform: Provider, vendor: Upstream) -> None:
    for args, key, words in (
        (("--provider", "no-such"), CANARY, "There is no provider 'no-such'"),
        (("--provider", "azure-openai"), CANARY, "There is no provider 'azure-openai'"),
        (("--provider", platform.slug), "", "plain letters"),
        (("--provider", platform.slug), "sk-schlüssel", "plain letters"),
        (("--provider", platform.slug, "--weight", "-1"), CANARY, "--weight"),
        (("--provider", platform.slug, "--daily-quota", "NaN"), CANARY, "must not be negative"),
        (("--provider", platform.slug, "--key-file", "/no/such/file"), CANARY, "No such file"),
    ):
        result = run(app, "add", *args, input=key)
        assert result.exit_code in (1, 2), args
        assert words in result.output
        assert "CANARY" not in result.output
    assert vendor.requests == []
    refuses(vendor, f"Wrong: {CANARY}")
    result = run(app, "add", "--provider", platform.slug, input=CANARY)
    assert result.exit_code == 1
    assert "did not accept it: Wrong: [key]" in result.output
    assert not db.session.scalars(select(APIKey).where(APIKey.provider_id == platform.id)).all()


def test_an_organization_cannot_touch_a_platform_key(app: Flask, platform: Provider, acme: people.Cast) -> None:
    key = seal(platform, None, None, "Platform", CANARY)
    db.session.commit()
    for act in ("settings", "secret", "test", "state", "default", "deletion"):
        assert submit(app, acme, f"keys/{key.id}/{act}").status_code == 404


def test_a_key_opens_with_its_own_encryption_key_only(app: Flask, acme: people.Cast, key: APIKey) -> None:
    other = create_app(replace(app.extensions["dataelan_settings"], keys=(("k9", b"x" * 32),)))
    with other.app_context(), pytest.raises(Failure, match="Enter it again"):
        secret_of(db.session.get_one(APIKey, key.id))
