"""What a run's receipt tells of the hub: models that are not in use, keys that may not be used, and to whom."""

from __future__ import annotations

import json
import random
import re
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from html import unescape
from types import SimpleNamespace

import pytest
from flask import Flask

from dataelan_web import quota
from dataelan_web.executions import usable_keys
from dataelan_web.executions.execute import choose
from dataelan_web.executions.key_use import KeyUse
from dataelan_web.extensions import db
from dataelan_web.hub.keys import keeping
from dataelan_web.hub.keys.keeping import reseal, seal
from dataelan_web.hub.providers.connections import move
from dataelan_web.models import (
    APIKey,
    Execution,
    KeyStrategy,
    Model,
    ModelType,
    Origin,
    Project,
    Provider,
    RoutingRule,
    RoutingRuleModel,
    Scope,
    Strategy,
    Window,
    new_id,
    now,
)
from dataelan_web.models.base import NIL
from dataelan_web.models.records import RunRecord
from dataelan_web.router.candidates import NOT_LISTED
from dataelan_web.router.plan import Plan
from dataelan_web.router.types import Failure, Kind, Prompt, user

from . import people
from .upstream import Upstream, upstream

RULE = "Receipts"
SECRET = "sk-canary-0123456789abcdef"


@pytest.fixture
def key(acme: people.Cast) -> APIKey:
    return people.own_provider(acme, "http://127.0.0.1:9/v1", secret=SECRET)


@pytest.fixture
def vendor() -> Iterator[Upstream]:
    with upstream() as vendor:
        yield vendor


@pytest.fixture
def platform_provider(context: None, acme: people.Cast) -> Iterator[Provider]:
    """A provider everyone has, for which the platform has two keys."""
    provider = Provider(id=new_id(), slug=f"vendor-{new_id().hex[-6:]}", name="Vendor", kind="openai")
    provider.base_url = "https://vendor.example.com/v1"
    db.session.add(provider)
    db.session.flush()
    for label in ("Operator’s first", "Operator’s second"):
        seal(provider, None, None, label, SECRET)
    db.session.commit()
    yield provider
    db.session.rollback()
    db.session.delete(provider)
    db.session.commit()


def everyones(provider: Provider, name: str) -> Model:
    model = Model(id=new_id(), provider_id=provider.id, name=name, display_name=name, model_type=ModelType.TEXT)
    db.session.add(model)
    db.session.commit()
    return model


def a_rule(cast: people.Cast, *models: Model) -> RoutingRule:
    rule = RoutingRule(id=new_id(), organization_id=cast.organization.id, name=RULE, strategy=Strategy.ORDERED)
    rule.models = [RoutingRuleModel(model_id=model.id, position=place) for place, model in enumerate(models)]
    db.session.add(rule)
    db.session.commit()
    return rule


def planned(cast: people.Cast, requested: str = RULE) -> Plan:
    """As the next prompt of this project would be, in a transaction of its own."""
    db.session.commit()
    project = db.session.get_one(Project, cast.project.id)
    asked = RunRecord(
        id=uuid.uuid4(),
        organization_id=project.organization_id,
        project_id=project.id,
        project=project,
        user_id=None,
        token_id=None,
        origin=Origin.PLAYGROUND,
        model_type=ModelType.TEXT,
        requested=requested,
    )
    made = choose(asked, Prompt((user("Hi"),)), random.Random(1))
    db.session.rollback()
    return made


def reasons(made: Plan) -> dict[str, str]:
    return {row["model"]: row["reason"] for row in made.receipt["candidates"]}


def keys_told(made: Plan, model: str) -> dict[str, str | None]:
    """Key → why it is not used; None: it is."""
    (row,) = [row for row in made.receipt["candidates"] if row["model"] == model]
    return {told["key"]: told.get("why") for told in row.get("keys", ())}


# -- models --------------------------------------------------------------------------------------


def test_each_model_of_a_rule_that_is_not_in_use_is_told_with_its_reason(
    acme: people.Cast, key: APIKey, platform_provider: Provider
) -> None:
    usual, off, archived = (people.own_model(acme, key, name) for name in ("usual", "off", "archived"))
    elsewhere = people.own_model(acme, people.own_provider(acme, "http://127.0.0.1:9/v2"), "elsewhere")
    shared, forbidden = everyones(platform_provider, "shared"), everyones(platform_provider, "forbidden")
    off.is_enabled, archived.archived_at, shared.is_enabled = False, now(), False
    elsewhere.provider.is_enabled, elsewhere.provider.name = False, "Elsewhere"
    acme.organization.allowed_providers = [str(key.provider_id), str(elsewhere.provider_id)]
    a_rule(acme, off, archived, elsewhere, shared, forbidden, usual)
    made = planned(acme)
    assert [step.candidate.model for step in made.steps] == ["usual"]
    assert reasons(made) == {
        "usual": "first choice",
        "off": "it is switched off in the Model Hub",
        "archived": "it was deleted",
        "elsewhere": "its provider Elsewhere is switched off in the Model Hub",
        "shared": "it is switched off by whoever runs Dataelan",
        "forbidden": "the organization does not allow Vendor",
    }
    off.is_enabled = True
    assert [step.candidate.model for step in planned(acme).steps] == ["off", "usual"]


def test_who_asks_by_name_for_what_is_switched_off_is_told_so_and_what_was_deleted_is_not_there(
    acme: people.Cast, key: APIKey
) -> None:
    off, archived = (people.own_model(acme, key, name) for name in ("off-model", "archived-model"))
    off.is_enabled, archived.archived_at = False, now()
    made = planned(acme, "off-model")
    assert made.problem == "Own / off-model cannot be used: it is switched off in the Model Hub."
    assert made.problem_code == "model_not_found"
    assert "No model or rule named" in planned(acme, "archived-model").problem


def test_what_a_server_without_a_key_no_longer_lists_is_asked_last(app: Flask, acme: people.Cast, key: APIKey) -> None:
    gone, listed, typed = (people.own_model(acme, key, name, input=0, output=0) for name in ("gone", "listed", "typed"))
    key.provider.needs_key, key.is_enabled = False, False
    key.provider.models_listed_at = listed.listed_at = now()
    gone.listed_at = now() - timedelta(days=1)
    rule = a_rule(acme, gone, listed, typed)
    made = planned(acme)
    assert [step.candidate.model for step in made.steps] == ["listed", "typed", "gone"]
    assert reasons(made)["gone"] == "last, for its provider no longer lists it"
    assert [step.candidate.model for step in planned(acme, "gone").steps] == ["gone"]
    form = page(app, acme, "olivia", f"/hub/rules/{rule.id}")
    assert "Own does not list it any more: it is asked last." in form
    db.session.delete(rule)
    assert "gone" not in reasons(planned(acme, "auto")), "nobody named it, so it is not among what is there"


def page(app: Flask, cast: people.Cast, who: str, path: str) -> str:
    """Its words."""
    answer = people.browser(app, getattr(cast, who)).get(cast.home + path)
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", answer.get_data(as_text=True))))


def test_what_one_key_of_an_own_provider_lists_is_there_though_another_does_not(acme: people.Cast, key: APIKey) -> None:
    seen = people.own_model(acme, key, "seen")
    key.listed_models = ["seen"]
    seen.listed_at, key.provider.models_listed_at = now() - timedelta(seconds=9), now()
    other = people.own_model(acme, key, "other", listed_at=seen.listed_at)
    a_rule(acme, seen, other)
    made = planned(acme)
    assert [step.candidate.model for step in made.steps] == ["seen"]
    assert reasons(made)["other"] == "Own does not list it"


def test_a_list_says_nothing_of_a_model_that_a_person_typed_in(app: Flask, acme: people.Cast, key: APIKey) -> None:
    key.listed_models = ["speaks"]
    typed = people.own_model(acme, key, "writes-down", input=0, output=0)
    assert [step.candidate.model for step in planned(acme, "writes-down").steps] == ["writes-down"]
    assert "Usable Yes" in page(app, acme, "olivia", f"/hub/models/{typed.id}")
    typed.organization_id = None
    assert not planned(acme, "writes-down").steps, "what everyone has was not typed in here"
    typed.organization_id, typed.listed_at = acme.organization.id, now()
    assert not planned(acme, "writes-down").steps
    db.session.commit()
    assert "Usable No: no key for it" in page(app, acme, "olivia", f"/hub/models/{typed.id}")


# -- keys ----------------------------------------------------------------------------------------


def test_each_key_that_is_not_used_is_told_by_its_label_with_its_reason(acme: people.Cast, key: APIKey) -> None:
    def another(label: str) -> APIKey:
        return seal(key.provider, acme.organization, acme.olivia.id, label, SECRET)

    model = people.own_model(acme, key, "m", listed_at=now())
    key.label = "Used"
    off, old, narrow, unlisted = (another(label) for label in ("Off", "Old", "Narrow", "Unlisted"))
    old.expires_at = now() - timedelta(days=1)
    off.is_enabled, narrow.allowed_models, unlisted.listed_models = False, ["another"], ["another"]
    a_rule(acme, model)
    told = keys_told(planned(acme), "m")
    assert told == {
        "Used": None,
        "Off": "it is switched off",
        "Old": f"it expired on {old.expires_at:%-d %B %Y at %H:%M} UTC",
        "Narrow": "it is not for this model",
        "Unlisted": NOT_LISTED,
    }
    key.archived_at = now()
    assert "Used" not in keys_told(planned(acme), "m")
    assert SECRET[-4:] not in json.dumps(planned(acme).receipt)


def test_keys_of_one_label_are_told_apart(acme: people.Cast, key: APIKey) -> None:
    seal(key.provider, acme.organization, acme.olivia.id, key.label, SECRET)
    a_rule(acme, people.own_model(acme, key, "m"))
    assert set(keys_told(planned(acme), "m")) == {"Test key", "Test key (2)"}


def test_what_organization_and_project_decide_of_keys_is_told_and_the_platforms_have_no_name(
    acme: people.Cast, platform_provider: Provider
) -> None:
    model = everyones(platform_provider, "m")
    seal(platform_provider, acme.organization, acme.olivia.id, "Ours", SECRET)
    a_rule(acme, model)
    told: dict[str, dict[str, str | None]] = {}
    for strategy in KeyStrategy:
        acme.organization.key_strategy = strategy
        told[strategy.value] = keys_told(planned(acme), "m")
    assert told == {
        "HYBRID": {"Ours": None, usable_keys.PLATFORM: None},
        "BYOK": {"Ours": None, usable_keys.PLATFORM: "the organization uses keys of its own only"},
        "DATAELAN": {usable_keys.PLATFORM: None, "Ours": "the organization uses the platform’s keys only"},
    }
    acme.organization.key_strategy, acme.project.allows_platform_keys = KeyStrategy.HYBRID, False
    made = planned(acme)
    assert keys_told(made, "m")[usable_keys.PLATFORM] == "the project does not use the platform’s keys"
    assert "Operator" not in json.dumps(made.receipt)


def test_what_ails_the_platforms_keys_is_its_operators_to_know(
    acme: people.Cast, rival: people.Cast, platform_provider: Provider
) -> None:
    model = everyones(platform_provider, "m")
    seal(platform_provider, rival.organization, rival.olivia.id, "Rival’s own", SECRET)
    for platform in db.session.query(APIKey).filter_by(provider_id=platform_provider.id, organization_id=None):
        platform.is_enabled = False
    a_rule(acme, model)
    made = planned(acme)
    assert not made.steps
    assert keys_told(made, "m") == {usable_keys.PLATFORM: usable_keys.OFF_DUTY}
    assert "Rival" not in json.dumps(made.receipt)
    assert "Operator" not in json.dumps(made.receipt)


def test_a_key_that_expires_by_itself_is_told_from_then_on(acme: people.Cast, key: APIKey) -> None:
    a_rule(acme, people.own_model(acme, key, "m"))
    key.expires_at = now() + timedelta(seconds=1)
    assert planned(acme).steps
    while now() < key.expires_at:
        time.sleep(0.02)
    made = planned(acme)
    assert not made.steps
    assert "it expired on" in (keys_told(made, "m")["Test key"] or "")


def test_a_key_whose_provider_moved_is_left_out_until_the_same_is_entered_again(acme: people.Cast, key: APIKey) -> None:
    a_rule(acme, people.own_model(acme, key, "m"))
    assert planned(acme).steps
    move(key.provider, "http://127.0.0.1:9/moved")
    made = planned(acme)
    assert not made.steps
    assert keys_told(made, "m") == {"Test key": "its provider’s address changed, so it must be entered again"}
    reseal(key, SECRET)
    assert planned(acme).steps, "though nothing that one sees of the key has changed"


def a_test_of_it(key: APIKey) -> None:
    with pytest.raises(Failure):
        keeping.test_key(key)


def a_call_in_flight_that_fails(key: APIKey) -> None:
    KeyUse(key.id).note(Failure(Kind.RATE_LIMIT, "Slow down."), key.organization_id or NIL)


def a_call_in_flight_that_ends_well(key: APIKey) -> None:
    KeyUse(key.id, is_stale=True).note(None, key.organization_id or NIL)


@pytest.mark.parametrize("heard", [a_test_of_it, a_call_in_flight_that_fails, a_call_in_flight_that_ends_well])
def test_whatever_is_heard_of_a_key_whose_provider_moved_it_must_be_entered_again(
    acme: people.Cast, key: APIKey, heard: Callable[[APIKey], None]
) -> None:
    """One that no more seemed to need it was tried at each prompt, and could not be opened."""
    a_rule(acme, people.own_model(acme, key, "m"))
    move(key.provider, "http://127.0.0.1:9/moved")
    db.session.commit()
    heard(key)
    key.weight += 1  # the hub is read anew
    assert not planned(acme).steps


def test_a_key_whose_provider_moved_there_and_back_works_again_once_it_is_tested(
    acme: people.Cast, vendor: Upstream
) -> None:
    key = people.own_provider(acme, vendor.url, secret=SECRET)
    vendor.answers({"data": [{"id": "m"}]})
    a_rule(acme, people.own_model(acme, key, "m"))
    with upstream() as elsewhere:
        move(key.provider, elsewhere.url)
        move(key.provider, vendor.url)
        assert not planned(acme).steps
        keeping.test_key(key)
        assert planned(acme).steps
        assert elsewhere.requests == []


def test_the_rules_page_says_so_of_a_model_whose_key_must_be_entered_again(
    app: Flask, acme: people.Cast, key: APIKey
) -> None:
    key.provider.needs_key = True
    rule = a_rule(acme, people.own_model(acme, key, "m"))
    assert "There is no usable key for Own." not in page(app, acme, "olivia", f"/hub/rules/{rule.id}")
    move(key.provider, "http://127.0.0.1:9/moved")
    db.session.commit()
    assert "There is no usable key for Own." in page(app, acme, "olivia", f"/hub/rules/{rule.id}")


# -- who reads it --------------------------------------------------------------------------------


def test_a_run_shows_its_keys_to_members_and_not_to_guests_or_programs(
    app: Flask, acme: people.Cast, simulated: str
) -> None:
    key = people.own_provider(acme, simulated, secret=SECRET)
    key.label, key.provider.needs_key = "Finance key", True
    old = seal(key.provider, acme.organization, acme.olivia.id, "Expired key", SECRET)
    old.expires_at = now() - timedelta(days=1)
    used, off = (people.own_model(acme, key, name, input=0, output=0) for name in ("simulated-instant", "off"))
    off.is_enabled = False
    a_rule(acme, off, used)
    signed = {"Authorization": f"Bearer {acme.token()}"}
    asked = {"model": RULE, "messages": [{"role": "user", "content": "Hi"}]}
    answer = app.test_client().post("/v1/chat/completions", json=asked, headers=signed)
    id = uuid.UUID(answer.headers["x-dataelan-execution-id"])
    told = app.test_client().get(f"/v1/executions/{id}", headers=signed).json["receipt"]
    assert {row["model"]: row["reason"] for row in told["candidates"]} == {
        "simulated-instant": "first choice",
        "off": "it is switched off in the Model Hub",
    }
    assert "Expired key" not in str(told)
    kept = db.session.get_one(Execution, id).body.receipt
    assert SECRET[-4:] not in json.dumps(kept)
    for who in ("olivia", "mia", "victor"):
        words = page(app, acme, who, f"/executions/{id}")
        assert "it is switched off in the Model Hub" in words
        assert "Expired key: it expired on" in words
        assert "with your organization’s key “Finance key”" in words
    words = page(app, acme, "gina", f"/executions/{id}")
    assert "it is switched off in the Model Hub" in words
    assert "Expired key" not in words
    assert "Finance key" not in words


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_key_that_cannot_be_read_is_named_to_its_own_people_only(acme: people.Cast, is_ours: bool) -> None:
    row = SimpleNamespace(
        organization_id=acme.organization.id if is_ours else None,
        label="Named key",
        ciphertext="damaged",
        base_url="https://vendor.example.com/v1",
    )
    with pytest.raises(Failure) as failed:
        KeyUse.of(new_id(), row)
    assert ("Named key" in failed.value.message) is is_ours


def test_a_run_shows_the_calls_that_a_limit_refused_and_how_many_more_models_there_were(
    app: Flask, acme: people.Cast, simulated: str
) -> None:
    key = people.own_provider(acme, simulated)
    refused, used, *others = (
        people.own_model(acme, key, name, input=10**9, output=10**9)
        for name in ("simulated-fast", "simulated-instant", *(f"spare-{number}" for number in range(12)))
    )
    quota.set_limit(db.session, acme.organization.id, Scope.MODEL, refused.id, Window.TOTAL, 1)
    a_rule(acme, refused, used, *others)
    signed = {"Authorization": f"Bearer {acme.token()}"}
    asked = {"model": RULE, "messages": [{"role": "user", "content": "Hi"}]}
    answer = app.test_client().post("/v1/chat/completions", json=asked, headers=signed)
    words = page(app, acme, "mia", f"/executions/{answer.headers['x-dataelan-execution-id']}")
    assert "And 2 more models: enough others come before it." in words
    assert "Calls not made Own / simulated-fast The model's limit of $0.000000001" in words
