"""Providers: the fixture, the wire formats a person chooses from, connecting one's own, changing and deleting them."""

from __future__ import annotations

import html
import re
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from genai_prices import data_snapshot
from sqlalchemy import func, select

from dataelan_web import create_app, quota, secrets
from dataelan_web.executions.candidates import usable_models
from dataelan_web.extensions import db
from dataelan_web.hub.keys.keeping import seal
from dataelan_web.hub.keys.rotation import place_of, rotate
from dataelan_web.hub.providers import connections, fixture
from dataelan_web.hub.providers.connections import move
from dataelan_web.hub.providers.listing import has_list
from dataelan_web.hub.providers.wire_formats import FORMATS, wire_format
from dataelan_web.models import (
    APIKey,
    AuditEvent,
    Budget,
    Execution,
    Model,
    ModelType,
    Price,
    Provider,
    RoutingRule,
    RoutingRuleModel,
    Scope,
    Window,
    new_id,
)
from dataelan_web.models.hub import ENTER_AGAIN
from dataelan_web.router.providers import KINDS, adapter, lister
from dataelan_web.router.types import FilePart, Message, Prompt, Task, TextPart
from dataelan_web.secrets import Unreadable, keyring

from . import people
from .conftest import free_port
from .upstream import Upstream, upstream

CANARY = "sk-CANARY-2c9d11e07b5f"


@pytest.fixture
def vendor() -> Iterator[Upstream]:
    with upstream() as vendor:
        yield vendor


def lists(vendor: Upstream, *names: str) -> None:
    vendor.answers({"object": "list", "data": [{"id": name} for name in names]})


def connect(app: Flask, cast: people.Cast, url: str, **fields: object):  # type: ignore[no-untyped-def]
    form = {"name": "Ours", "base_url": url, **fields}
    return people.browser(app, cast.olivia).submit(f"{cast.home}/hub/servers", form)


def own(cast: people.Cast) -> list[Provider]:
    db.session.rollback()
    query = select(Provider).where(Provider.organization_id == cast.organization.id).order_by(Provider.id)
    return list(db.session.scalars(query.execution_options(populate_existing=True)))


def page(app: Flask, cast: people.Cast, path: str, who: str = "olivia") -> str:
    return people.browser(app, getattr(cast, who)).get(f"{cast.home}{path}").get_data(as_text=True)


def events(cast: people.Cast) -> list[str]:
    query = select(AuditEvent.action).where(AuditEvent.organization_id == cast.organization.id)
    return list(db.session.scalars(query.order_by(AuditEvent.created_at)))


# -- the fixture -----------------------------------------------------------------------------------


def test_every_row_of_the_fixture_can_be_spoken_to_and_names_no_model() -> None:
    catalogues = {provider.id for provider in data_snapshot.get_snapshot().providers}
    slugs = [row.slug for row in fixture.PROVIDERS]
    assert len(slugs) == len(set(slugs)) >= 20
    for row in fixture.PROVIDERS:
        assert row.kind in KINDS, row.slug
        assert not row.catalogue or row.catalogue in catalogues, row.slug
        assert set(row.model_types) <= set(wire_format(row.kind).model_types), row.slug
        assert ("{" in row.base_url) <= row.needs_address, row.slug
        url = urlsplit(row.base_url)
        assert url.scheme == "https" or row.needs_address, row.slug
        assert not row.base_url.endswith("/"), row.slug
        assert row.key_hint.startswith("https://") or not row.needs_key, row.slug
        assert not row.check_path or row.check_path.startswith("/"), row.slug


@pytest.mark.usefixtures("context")
def test_loading_the_fixture_again_mends_what_was_changed_and_leaves_organizations_alone(
    app: Flask, environment: dict[str, str], acme: people.Cast
) -> None:
    simulated = environment["DATAELAN_SIMULATED_URL"]
    mine = people.own_provider(acme, "https://models.example.com/v1", secret=CANARY)
    mine.provider.name = "OpenAI"
    key = shared_key(acme, "groq")
    groq = key.provider
    db.session.commit()
    before = state_of_everything()
    assert fixture.load(simulated) == len(fixture.PROVIDERS) + 2
    assert state_of_everything() == before
    groq.name, groq.key_hint, groq.is_enabled = "Grok?", "https://elsewhere.example.com", False
    db.session.commit()
    fixture.load(simulated)
    assert (groq.name, groq.key_hint) == ("Groq", "https://console.groq.com/keys")
    assert not groq.is_enabled, "what the operator switched off stays off"
    groq.is_enabled = True
    db.session.commit()
    assert state_of_everything() == before


def state_of_everything() -> list[str]:
    db.session.rollback()
    tables = (Provider, Model, APIKey)
    return [str(db.session.execute(select(*one.__table__.columns).order_by(one.id)).all()) for one in tables]


def shared_key(cast: people.Cast, slug: str) -> APIKey:
    """A key of the organization's for a provider everyone has."""
    provider = db.session.scalars(
        select(Provider).where(Provider.slug == slug, Provider.organization_id.is_(None))
    ).one()
    key = seal(provider, cast.organization, cast.olivia.id, "Ours", CANARY)
    db.session.commit()
    return key


@pytest.mark.usefixtures("context")
def test_a_shared_provider_that_moves_asks_for_its_keys_again(app: Flask, acme: people.Cast) -> None:
    key = shared_key(acme, "novita")
    at = key.provider.base_url
    assert move(key.provider, f"{at}/") == 0, "the same address: the key stays readable"
    assert not key.last_error
    assert move(key.provider, "https://api.elsewhere.example.com/v1") == 1
    assert (key.last_error, key.last_error_kind) == (ENTER_AGAIN, "credential")
    assert "Enter it again" in page_after_commit(app, acme, key)
    db.session.delete(key)
    move(key.provider, at)
    db.session.commit()


def page_after_commit(app: Flask, cast: people.Cast, key: APIKey) -> str:
    db.session.commit()
    return page(app, cast, f"/hub/providers/{key.provider_id}")


@pytest.mark.usefixtures("context", "app")
def test_the_simulated_providers_make_everything_for_nothing() -> None:
    rows = db.session.scalars(select(Model).join(Model.provider).where(Provider.is_simulated)).unique().all()
    found = {(row.name, row.model_type, row.task) for row in rows}
    assert found >= {
        ("simulated-fast", ModelType.TEXT, "chat"),
        ("simulated-image", ModelType.IMAGE, "image"),
        ("simulated-voice", ModelType.VOICE, "speech"),
        ("simulated-ear", ModelType.VOICE, "transcription"),
        ("simulated/film", ModelType.VIDEO, "video"),
    }
    for row in rows:
        if row.name in {one.name for one in (*fixture.SIMULATED, *fixture.SIMULATED_STUDIO)}:
            (price,) = (one for one in row.prices if one.organization_id is None)
            assert (price.input, price.output, price.per_image, price.per_second, price.per_character) == (0,) * 5
            assert row.provider.is_trusted
            assert row.task in {task.value for task in KINDS[row.provider.kind]}


# -- wire formats ----------------------------------------------------------------------------------


def test_every_wire_format_can_be_chosen_and_is_explained() -> None:
    assert {one.kind for one in FORMATS} == set(KINDS)
    assert FORMATS[0].kind == "openai"
    for one in FORMATS:
        assert one.explanation.endswith(".")
        assert one.example.startswith("http")


SAID = (Message("user", (TextPart("Hello"),)),)
HEARD = (Message("user", (FilePart("audio/wav", data="UklGRiQAAABXQVZF", name="a.wav"),)),)


@pytest.mark.parametrize(("kind", "task"), [(kind, task) for kind, tasks in KINDS.items() for task in tasks])
def test_the_header_a_page_tells_of_is_the_one_that_is_sent(kind: str, task: Task) -> None:
    one = wire_format(kind)
    prompt = Prompt(messages=HEARD if task is Task.TRANSCRIPTION else SAID, task=task, media={"query": "Which?"})
    model = {"bedrock-invoke": "anthropic.claude-x", "bedrock": "amazon.titan-embed-text-v2:0"}.get(kind, "maker/model")
    call = adapter(kind, one.example, task).call(prompt, model, CANARY)
    assert_tells(one.headers(one.example, CANARY), call.headers)
    if (ask := lister(kind, one.example)) and has_list(kind, one.example, CANARY):
        assert_tells(one.headers(one.example, CANARY), ask.list_call(CANARY).headers)
    assert CANARY not in call.url


def assert_tells(told: dict[str, str], sent: Any) -> None:
    assert told.items() <= dict(sent).items()
    assert [value for value in dict(sent).values() if CANARY in value] == list(told.values())


def test_azure_has_a_header_of_its_own() -> None:
    azure = "https://acme.openai.azure.com/openai/v1"
    assert wire_format("openai").auth(azure) == "api-key: …"
    assert wire_format("openai").auth("https://api.openai.com/v1") == "Authorization: Bearer …"


# -- connecting ------------------------------------------------------------------------------------


def test_any_wire_format_is_connected_by_a_form(app: Flask, vendor: Upstream, acme: people.Cast) -> None:
    vendor.answers({"data": [{"id": "claude-next", "display_name": "Claude"}], "has_more": False})
    answer = connect(app, acme, vendor.url, kind="anthropic", key=CANARY, catalogue="anthropic")
    (provider,) = own(acme)
    assert answer.headers["HX-Redirect"] == f"{acme.home}/hub/providers/{provider.id}"
    assert (provider.kind, provider.catalogue, provider.needs_key) == ("anthropic", "anthropic", True)
    assert not provider.is_trusted, "a private address is reached as long as the setting allows it"
    assert {sent["headers"]["x-api-key"] for sent in vendor.requests if "x-api-key" in sent["headers"]} == {CANARY}
    assert "provider.connected" in events(acme)
    text = page(app, acme, f"/hub/providers/{provider.id}")
    assert "Anthropic Messages" in text
    assert "x-api-key: …" in text
    assert "1 model" in text
    assert CANARY not in text


def test_an_unknown_wire_format_or_catalogue_is_refused(app: Flask, vendor: Upstream, acme: people.Cast) -> None:
    for wrong in ({"kind": "telepathy"}, {"catalogue": "no-such"}):
        assert connect(app, acme, vendor.url, **wrong).status_code == 422
    assert own(acme) == []
    assert vendor.requests == []


def test_a_pattern_is_filled_in_and_brings_what_is_known_of_it(app: Flask, vendor: Upstream, acme: people.Cast) -> None:
    form = page(app, acme, "/hub/providers/new?from=azure-openai")
    assert "https://{resource}.openai.azure.com/openai/v1" in form
    left = connect(app, acme, "https://{resource}.openai.azure.com/openai/v1", pattern="azure-openai", key=CANARY)
    assert left.status_code == 422
    assert "Put your own resource in place of {resource}." in left.get_data(as_text=True)
    assert "Paste the key." in connect(app, acme, vendor.url, pattern="azure-openai").get_data(as_text=True)
    lists(vendor, "gpt-4o")
    assert connect(app, acme, vendor.url, pattern="azure-openai", key=CANARY, catalogue="azure").status_code == 204
    (provider,) = own(acme)
    assert provider.key_hint == "https://ai.azure.com"
    assert provider.slug == "ours", "named for what it was called"
    assert not provider.needs_address


def test_no_provider_is_called_like_one_that_everyone_has(app: Flask, vendor: Upstream, acme: people.Cast) -> None:
    lists(vendor, "a-model")
    connect(app, acme, vendor.url, name="OpenAI")
    connect(app, acme, f"{vendor.url}/next", name="OpenAI")
    assert [provider.slug for provider in own(acme)] == ["openai-2", "openai-3"]


def test_a_pattern_itself_takes_no_key_and_is_never_asked(app: Flask, acme: people.Cast) -> None:
    pattern = db.session.scalars(select(Provider).where(Provider.slug == "azure-openai")).one()
    olivia = people.browser(app, acme.olivia)
    assert olivia.submit(f"{acme.home}/hub/keys", {"provider_id": pattern.id, "key": CANARY}).status_code == 404
    assert olivia.submit(f"{acme.home}/hub/providers/{pattern.id}/listing").status_code == 404
    assert "address of their own" in page(app, acme, f"/hub/providers/{pattern.id}")
    acme.session.remember(starter="Hello")
    db.session.commit()
    assert ">Azure OpenAI</option>" not in page(app, acme, f"/sessions/{acme.session.id}")


def test_a_server_without_a_list_is_connected_only_when_that_is_meant(
    app: Flask, vendor: Upstream, acme: people.Cast
) -> None:
    vendor.answers({"error": {"message": "Not found"}}, status=404)
    answer = connect(app, acme, vendor.url, key=CANARY)
    assert answer.status_code == 422
    assert "shows no list of models there" in answer.get_data(as_text=True)
    assert connect(app, acme, vendor.url, key=CANARY, has_no_list="y").status_code == 204
    (provider,) = own(acme)
    assert provider.models_listed_at is None
    (key,) = db.session.scalars(select(APIKey).where(APIKey.provider_id == provider.id))
    assert key.listed_models == []


def test_a_format_without_a_list_is_connected_as_it_is(app: Flask, vendor: Upstream, acme: people.Cast) -> None:
    assert connect(app, acme, vendor.url, kind="fal", key=CANARY).status_code == 204
    (provider,) = own(acme)
    assert set(provider.model_types) == {"IMAGE", "VIDEO", "VOICE"}
    assert vendor.requests == []


def test_a_wrong_key_or_address_connects_nothing_and_says_why_beside_its_field(
    app: Flask, vendor: Upstream, acme: people.Cast
) -> None:
    vendor.answers({"error": {"message": f"Wrong key {CANARY}"}}, status=401)
    refused = connect(app, acme, vendor.url, key=CANARY)
    assert refused.status_code == 422
    assert wrong_in(refused) == {"key": "Ours did not accept it: Wrong key [key]"}
    assert wrong_in(connect(app, acme, vendor.url)) == {"key": "Ours asks for a key: Wrong key [key]"}
    dead = connect(app, acme, f"http://127.0.0.1:{free_port()}/v1", key=CANARY)
    assert wrong_in(dead).keys() == {"base_url"}
    assert "no connection to its address" in wrong_in(dead)["base_url"]
    assert "What you entered is not kept" in dead.get_data(as_text=True), "its field is empty again"
    assert own(acme) == []


def wrong_in(page: Any) -> dict[str, str]:
    """Field → what is said to be wrong with it."""
    found = re.findall(r'id="(\w+)-error"><svg.*?</svg>(.*?)</p>', page.get_data(as_text=True))
    return {name: html.unescape(words) for name, words in found}


def test_a_superuser_may_name_a_private_address_where_others_may_not(
    app: Flask, vendor: Upstream, acme: people.Cast
) -> None:
    strict = create_app(replace(app.extensions["dataelan_settings"], private_addresses=False))
    lists(vendor, "a-model")
    assert "Private addresses may not be used here" in connect(strict, acme, vendor.url).get_data(as_text=True)
    acme.olivia.is_superuser = True
    db.session.commit()
    assert connect(strict, acme, vendor.url).status_code == 204
    (provider,) = own(acme)
    assert provider.is_trusted
    with strict.app_context():
        (model,) = [one for one in usable_models(db.session, acme.project) if one.is_own]
        assert model.is_trusted
        assert model.rates
        assert model.rates.is_free


# -- a provider's page -----------------------------------------------------------------------------


def test_refreshing_asks_with_every_key_in_use_and_keeps_what_is_new(
    app: Flask, vendor: Upstream, acme: people.Cast
) -> None:
    key = people.own_provider(acme, vendor.url, secret=CANARY)
    off = seal(key.provider, acme.organization, acme.olivia.id, "Off", f"{CANARY}-off")
    off.is_enabled = False
    db.session.commit()
    lists(vendor, "first", "second")
    olivia = people.browser(app, acme.olivia)
    answer = olivia.submit(f"{acme.home}/hub/providers/{key.provider_id}/listing")
    assert "2 models are known now" in answer.get_data(as_text=True)
    sent = {request["headers"].get("Authorization") for request in vendor.requests}
    assert sent == {f"Bearer {CANARY}", None}, "with the key, and once without: does it show its list to anyone?"
    db.session.refresh(key)
    assert key.listed_models == ["first", "second"]
    vendor.answers({"error": {"message": "revoked"}}, status=401)
    refused = olivia.submit(f"{acme.home}/hub/providers/{key.provider_id}/listing").get_data(as_text=True)
    assert "“Test key”: revoked" in refused
    db.session.refresh(key)
    assert (key.last_error, key.last_error_kind) == ("revoked", "credential")


def test_a_server_that_needs_no_key_is_refreshed_without_one(app: Flask, vendor: Upstream, acme: people.Cast) -> None:
    lists(vendor, "first")
    connect(app, acme, vendor.url)
    (provider,) = own(acme)
    lists(vendor, "first", "second")
    people.browser(app, acme.olivia).submit(f"{acme.home}/hub/providers/{provider.id}/listing")
    db.session.rollback()
    usable = {one.model: one.rates for one in usable_models(db.session, acme.project) if one.is_own}
    assert set(usable) == {"first", "second"}
    assert all(rates and rates.is_free for rates in usable.values())


def rates_of_own(cast: people.Cast) -> dict[str, bool | None]:
    """Model → is it free? None: its price is unknown."""
    db.session.rollback()
    own = [one for one in usable_models(db.session, cast.project) if one.is_own]
    return {one.model: one.rates.is_free if one.rates else None for one in own}


def test_a_server_at_home_is_free_until_it_has_a_key_and_then_unknown_until_it_is_said(
    app: Flask, vendor: Upstream, acme: people.Cast
) -> None:
    """Whoever asks for a key may hand on what it is asked to somebody who bills. A price of nothing would let that past
    every limit of money."""
    lists(vendor, "first")
    connect(app, acme, vendor.url)
    assert rates_of_own(acme) == {"first": True}
    (provider,) = own(acme)
    before = provider_prices(provider)
    lists(vendor, "first", "second")
    olivia = people.browser(app, acme.olivia)
    answer = olivia.submit(f"{acme.home}/hub/keys", {"provider_id": provider.id, "key": CANARY, "weight": "1"})
    assert "2 unknown" in answer.get_data(as_text=True)
    assert rates_of_own(acme) == {"first": None, "second": None}
    assert provider_prices(provider) == before, "what was charged by it can still be explained"
    assert "provider.prices_unknown" in events(acme)
    olivia.submit(f"{acme.home}/hub/providers/{provider.id}/listing")
    assert rates_of_own(acme) == {"first": None, "second": None}
    stated = olivia.submit(f"{acme.home}/hub/providers/{provider.id}/prices").get_data(as_text=True)
    assert "2 models are free now" in stated
    assert "2 unknown" not in stated
    assert rates_of_own(acme) == {"first": True, "second": True}


def test_a_server_that_moves_out_or_is_connected_with_a_key_is_not_free_by_itself(
    app: Flask, vendor: Upstream, acme: people.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists(vendor, "first")
    connect(app, acme, vendor.url)
    (provider,) = own(acme)
    monkeypatch.setattr(connections, "check_address", lambda url, may_be_private: False)  # as a public one would be
    change(app, acme, provider, base_url=vendor.url.replace("127.0.0.1", "localhost"))
    assert rates_of_own(acme) == {"first": None}
    monkeypatch.undo()
    lists(vendor, "second")
    connect(app, acme, vendor.url, key=CANARY)
    assert rates_of_own(acme) == {"first": None, "second": None}


def provider_prices(provider: Provider) -> int:
    query = select(func.count()).select_from(Price).join(Model, Model.id == Price.model_id)
    return db.session.scalar(query.where(Model.provider_id == provider.id)) or 0


def change(app: Flask, cast: people.Cast, provider: Provider, **fields: object):  # type: ignore[no-untyped-def]
    form = {"name": provider.name, "base_url": provider.base_url, "is_enabled": "y", **fields}
    form = {name: value for name, value in form.items() if value != ""}
    return people.browser(app, cast.olivia).submit(f"{cast.home}/hub/providers/{provider.id}/settings", form)


def test_an_address_on_another_origin_needs_a_word_and_asks_for_the_keys_again(
    app: Flask, vendor: Upstream, acme: people.Cast
) -> None:
    key = people.own_provider(acme, vendor.url, secret=CANARY)
    lists(vendor, "a-model")
    with upstream() as elsewhere:
        elsewhere.answers({"error": {"message": "Who are you?"}}, status=401)
        asked = change(app, acme, key.provider, base_url=elsewhere.url)
        assert asked.status_code == 422
        assert "will never be sent elsewhere" in asked.get_data(as_text=True)
        assert elsewhere.requests == []
        assert change(app, acme, key.provider, base_url=elsewhere.url, gives_up_keys="y").status_code == 204
        assert CANARY not in str(elsewhere.requests)
    db.session.refresh(key)
    assert key.provider.base_url == elsewhere.url
    assert key.last_error == ENTER_AGAIN
    assert "Enter it again" in page(app, acme, f"/hub/providers/{key.provider_id}")
    assert "provider.changed" in events(acme)


def test_another_path_of_the_same_host_needs_the_keys_again_too(
    app: Flask, vendor: Upstream, acme: people.Cast
) -> None:
    """It may be another's server: some hosts tell their tenants apart by the path."""
    key = people.own_provider(acme, vendor.url, secret=CANARY)
    lists(vendor, "a-model")
    assert change(app, acme, key.provider, base_url=f"{vendor.url}/").status_code == 204
    assert change(app, acme, key.provider, base_url=f"{vendor.url}/next").status_code == 422
    renamed = change(app, acme, key.provider, base_url=f"{vendor.url}/next", name="Renamed", gives_up_keys="y")
    assert renamed.status_code == 204
    db.session.refresh(key)
    assert (key.provider.name, key.provider.base_url) == ("Renamed", f"{vendor.url}/next")
    assert key.last_error == ENTER_AGAIN
    assert vendor.requests[0]["path"] == "/v1/next/models"
    assert CANARY not in str(vendor.requests)


def test_what_was_sealed_for_an_origin_opens_there_and_is_sealed_for_its_address_by_the_next_rotation(
    app: Flask, acme: people.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = people.own_provider(acme, "https://models.example.com/v1", secret=CANARY)
    place = place_of(key)
    older = replace(place, address="https://models.example.com:443")
    with monkeypatch.context() as before:
        before.setattr(secrets, "VERSION", secrets.OLDER)
        key.ciphertext = keyring().encrypt(CANARY, older)
    db.session.commit()
    assert keyring().decrypt(key.ciphertext, place) == CANARY
    assert rotate() >= 1
    db.session.refresh(key)
    assert key.ciphertext.startswith(f"{secrets.VERSION}.")
    assert keyring().decrypt(key.ciphertext, place) == CANARY
    with pytest.raises(Unreadable):
        keyring().decrypt(key.ciphertext, older)


def test_what_is_switched_off_is_not_used(app: Flask, simulated: str, acme: people.Cast) -> None:
    connect(app, acme, simulated)
    (provider,) = own(acme)
    assert [one for one in usable_models(db.session, acme.project) if one.is_own]
    assert change(app, acme, provider, is_enabled="").status_code == 204
    db.session.expire_all()
    assert not [one for one in usable_models(db.session, acme.project) if one.is_own]
    assert "Switched off" in page(app, acme, "/hub/providers")


def test_no_wrong_address_is_taken_at_a_change(app: Flask, acme: people.Cast) -> None:
    key = people.own_provider(acme, "https://models.example.com/v1", secret=CANARY)
    for url in ("http://[::1", "ftp://x/v1", "http://u:p@127.0.0.1/v1", "http://127.0.0.1:99999/v1", "x"):
        assert change(app, acme, key.provider, base_url=url, gives_up_keys="y").status_code == 422, url
    db.session.refresh(key.provider)
    assert key.provider.base_url == "https://models.example.com/v1"


def test_deleting_a_provider_says_what_goes_with_it_and_takes_it(app: Flask, acme: people.Cast) -> None:
    key = people.own_provider(acme, "https://models.example.com/v1", secret=CANARY)
    models = [people.own_model(acme, key, name) for name in ("one", "two")]
    rule = RoutingRule(id=new_id(), organization_id=acme.organization.id, name="Rule")
    rule.models = [RoutingRuleModel(model=model) for model in models]
    run = Execution(
        id=new_id(), organization_id=acme.organization.id, project_id=acme.project.id, api_key_id=key.id,
        provider_id=key.provider_id, model_id=models[0].id, origin="gateway", state="failed",
    )  # fmt: skip
    db.session.add_all([rule, run])
    subjects = {Scope.KEY: key.id, Scope.MODEL: models[0].id, Scope.PROVIDER: key.provider_id}
    for scope, subject in subjects.items():
        quota.set_limit(db.session, acme.organization.id, scope, subject, Window.DAY, 1)
    db.session.commit()
    id = key.provider_id
    text = page(app, acme, f"/hub/providers/{id}")
    assert "2 models, their places in 1 rule, and 1 key" in text
    gone = people.browser(app, acme.olivia).submit(f"{acme.home}/hub/providers/{id}/deletion")
    assert gone.headers["HX-Redirect"] == f"{acme.home}/hub/providers"
    db.session.expire_all()
    assert [one.archived_at is not None for one in own(acme)] == [True]
    assert f"/hub/providers/{id}" not in page(app, acme, "/hub/providers")
    assert db.session.scalar(select(func.count()).where(Budget.subject_id.in_(subjects.values()))) == 0
    assert db.session.get_one(RoutingRule, rule.id).models == []
    assert db.session.get_one(Execution, run.id).provider_id == id, "it goes on saying who answered"
    assert "provider.archived" in events(acme)


def test_what_everyone_has_is_not_an_organizations_to_change(app: Flask, acme: people.Cast) -> None:
    openai = db.session.scalars(select(Provider).where(Provider.slug == "openai")).one()
    olivia = people.browser(app, acme.olivia)
    for act in ("settings", "deletion"):
        assert olivia.submit(f"{acme.home}/hub/providers/{openai.id}/{act}").status_code == 403
    text = page(app, acme, f"/hub/providers/{openai.id}")
    assert "Delete this provider" not in text
    assert "Add a key" in text


def test_who_may_only_look_sees_states_and_no_forms(app: Flask, acme: people.Cast) -> None:
    key = people.own_provider(acme, "https://models.example.com/v1", secret=CANARY)
    for who in ("mia", "victor"):
        for path in ("/hub/providers", f"/hub/providers/{key.provider_id}"):
            text = page(app, acme, path, who)
            assert "Test key" in text
            assert "Not used yet" in text
            main = text[text.index("<main") : text.index("</main>")]
            assert not re.search(r"<form|hub/providers/new", main), (who, path)


# -- settings --------------------------------------------------------------------------------------


def test_the_hubs_settings_are_kept_and_audited(app: Flask, acme: people.Cast) -> None:
    olivia = people.browser(app, acme.olivia)
    url = f"{acme.home}/hub/settings"
    assert "who gets the provider’s bill" in olivia.get(url).get_data(as_text=True)
    form = {"key_strategy": "BYOK", "unknown_price": "ceiling", "unknown_price_ceiling": "0.25"}
    assert "Settings saved." in olivia.submit(url, form).get_data(as_text=True)
    db.session.refresh(acme.organization)
    organization = acme.organization
    assert (organization.key_strategy, organization.unknown_price) == ("BYOK", "ceiling")
    assert organization.unknown_price_ceiling == 250_000_000
    assert events(acme).count("organization.hub_settings_changed") == 1
    olivia.submit(url, form)
    assert events(acme).count("organization.hub_settings_changed") == 1, "nothing changed the second time"


@pytest.mark.parametrize(
    "wrong",
    [
        {"unknown_price": "ceiling", "unknown_price_ceiling": ""},
        {"key_strategy": "FREE"},
        {"unknown_price": "guess"},
        {"unknown_price_ceiling": "-1"},
        {"unknown_price_ceiling": "NaN"},
        {"unknown_price_ceiling": "1e999999"},
        {"unknown_price_ceiling": "0.0000000001"},
        {"unknown_price_ceiling": "a lot"},
    ],
)
def test_wrong_settings_change_nothing(app: Flask, acme: people.Cast, wrong: dict[str, str]) -> None:
    form = {"key_strategy": "BYOK", "unknown_price": "allow", "unknown_price_ceiling": "", **wrong}
    assert people.browser(app, acme.olivia).submit(f"{acme.home}/hub/settings", form).status_code == 422
    db.session.refresh(acme.organization)
    assert (acme.organization.key_strategy, acme.organization.unknown_price) == ("HYBRID", "refuse")


def test_a_project_can_refuse_the_platforms_keys(app: Flask, acme: people.Cast) -> None:
    adam, url = people.browser(app, acme.adam), f"{acme.home}/hub/projects/{acme.project.id}/platform-keys"
    assert "platform’s keys" in adam.get(f"{acme.home}/projects/{acme.project.id}").get_data(as_text=True)
    for form, expected in (({}, False), ({"is_allowed": "yes"}, True)):
        assert adam.submit(url, form).status_code == 204
        db.session.refresh(acme.project)
        assert acme.project.allows_platform_keys is expected
    assert events(acme).count("project.platform_keys_changed") == 2
    for who in ("mia", "gina"):
        assert people.browser(app, getattr(acme, who)).submit(url).status_code == 403
        assert "platform’s keys" not in page(app, acme, f"/projects/{acme.project.id}", who)


def test_an_unknown_pattern_is_a_plain_form(app: Flask, acme: people.Cast) -> None:
    assert "Check and connect" in page(app, acme, f"/hub/providers/new?from={uuid.uuid4()}")
