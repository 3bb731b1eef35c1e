"""Nobody who uses Dataelan makes it connect to where the operator did not allow, by any door; and no stored key
travels to where it was not entered for."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from flask import Flask
from sqlalchemy import select

from dataelan_web import create_app
from dataelan_web.extensions import db
from dataelan_web.hub.providers import servers
from dataelan_web.models import Model, ModelType, Provider, new_id
from dataelan_web.notify import posting
from dataelan_web.router import run

from . import people
from .connections import connections
from .hostile_addresses import PUBLIC, one_of_each_kind, targets
from .upstream import Upstream, upstream

CANARY = "sk-CANARY-0123456789abcdef"
ASK = [{"role": "user", "content": "What is a token?"}]
REFUSED = re.compile(
    "Private addresses may not be used here|A public address must use https|Enter an address such as"
    "|No machine is known|leads to a private address|leads to port|cannot be reached|cannot be sent"
)
ANSWER = {"choices": [{"message": {"content": "Here."}, "finish_reason": "stop"}], "usage": {}}


@pytest.fixture(scope="module")
def strict(app: Flask) -> Flask:
    """Dataelan as it is shipped: organizations may not use private addresses. One for all tests here, as each
    would compile its statements anew."""
    return create_app(replace(app.extensions["dataelan_settings"], private_addresses=False))


@pytest.fixture
def vendor() -> Iterator[Upstream]:
    with upstream() as vendor:
        vendor.answers(ANSWER)
        yield vendor


@pytest.fixture
def victim() -> Iterator[Upstream]:
    """What listens inside, or belongs to an attacker: nothing may ever reach it."""
    with upstream() as victim:
        victim.answers(ANSWER)
        yield victim
        assert victim.requests == []


@pytest.fixture
def addresses(victim: Upstream) -> list[str]:
    """One of each kind: each way in asks one of two guards, which are tried with every address of the table, here and
    in router/test_addresses.py."""
    return one_of_each_kind(urlsplit(victim.url).port or 0)


@contextmanager
def nowhere(app: Flask) -> Iterator[None]:
    """Meanwhile nobody is connected to but our own store."""
    store = urlsplit(app.extensions["dataelan_settings"].redis_url)
    with connections() as seen:
        yield
    assert [place for place in seen.tried if place != (store.hostname, store.port)] == []


def complete(app: Flask, cast: people.Cast, body: dict[str, Any], query: str = "", **headers: str) -> Any:
    """Through the gateway's own code, in this process."""
    headers = {"Authorization": f"Bearer {cast.secret}", **headers}
    return app.test_client().post(f"/v1/chat/completions{query}", json={"messages": ASK} | body, headers=headers)


def open_provider(cast: people.Cast, url: str, model: str = "mine") -> Provider:
    """A provider that asks for no key, with one model."""
    (provider,) = open_providers(cast, [url], [model])
    return provider


def open_providers(cast: people.Cast, urls: list[str], models: list[str]) -> list[Provider]:
    mine = {"organization_id": cast.organization.id}
    opened = []
    for url, name in zip(urls, models, strict=True):
        slug = f"own-{uuid.uuid4().hex[:6]}"
        provider = Provider(
            id=new_id(), slug=slug, name="Own", kind="openai", base_url=url, needs_key=False, **mine
        )  # fmt: skip
        model = Model(provider=provider, name=name, display_name=name, model_type=ModelType.TEXT, **mine)
        db.session.add_all([provider, model])
        opened.append(provider)
    db.session.commit()
    return opened


# -- each kind of address, by every door -----------------------------------------------------------


def test_no_address_of_the_table_may_be_named(app: Flask, strict: Flask, victim: Upstream) -> None:
    every = targets(urlsplit(victim.url).port or 0)
    with strict.app_context(), nowhere(app):
        for url in every:
            if f"//{PUBLIC}:" in url:
                assert not servers.check_address(url), "its port is looked at when it is called"
                continue
            with pytest.raises(servers.AddressRefused) as caught:
                servers.check_address(url)
            assert REFUSED.search(str(caught.value)), url
    print(f"\n{len(every)} addresses: 0 connections")


def test_a_form_connects_no_such_address(app: Flask, strict: Flask, acme: people.Cast, addresses: list[str]) -> None:
    olivia = people.browser(strict, acme.olivia)
    for url in addresses:
        with nowhere(app):
            answer = olivia.submit(f"{acme.home}/hub/servers", {"name": "Ours", "base_url": url, "kind": "openai"})
        assert answer.status_code == 422, url
        assert REFUSED.search(answer.get_data(as_text=True)), url
    assert not db.session.scalars(select(Provider).where(Provider.organization_id == acme.organization.id)).all()


def test_where_hosts_are_listed_no_other_can_be_named(app: Flask) -> None:
    listed = create_app(replace(app.extensions["dataelan_settings"], reachable_hosts=("127.0.0.1",)))
    checks = (servers.check_address, servers.AddressRefused), (posting.check_address, posting.AddressRefused)
    with listed.app_context():
        for check, refused in checks:
            check("http://127.0.0.1:11434/v1")
            with pytest.raises(refused, match="is no host that may be called from here"):
                check("https://models.example.com/v1")


def test_a_provider_is_moved_to_no_such_address(
    app: Flask, strict: Flask, acme: people.Cast, vendor: Upstream, addresses: list[str]
) -> None:
    provider = open_provider(acme, vendor.url)
    olivia = people.browser(strict, acme.olivia)
    for url in addresses:
        form = {"name": "Own", "base_url": url, "is_enabled": "y", "gives_up_keys": "y"}
        with nowhere(app):
            answer = olivia.submit(f"{acme.home}/hub/providers/{provider.id}/settings", form)
        assert answer.status_code == 422, url
        assert REFUSED.search(answer.get_data(as_text=True)), url
    db.session.refresh(provider)
    assert provider.base_url == vendor.url


def test_an_import_brings_no_such_address(app: Flask, strict: Flask, acme: people.Cast, addresses: list[str]) -> None:
    entries = [
        {"slug": f"p{number}", "name": f"P {number}", "kind": "openai", "address": url}
        for number, url in enumerate(addresses)
        if url.isprintable()
    ]
    text = yaml.safe_dump({"dataelan": 1, "providers": entries})
    with nowhere(app):
        answer = people.browser(strict, acme.olivia).submit(
            f"{acme.home}/hub/import", {"format": "dataelan", "text": text}
        )
    assert answer.status_code == 200, answer.get_data(as_text=True)[:2000]
    made = db.session.scalars(select(Provider).where(Provider.organization_id == acme.organization.id)).all()
    # A public address at a port that is not one of the web may be named; it is refused when it is called.
    assert all("//1.1.1.1:" in provider.base_url for provider in made)


def test_a_provider_that_came_to_lie_inside_is_not_called_nor_asked(
    app: Flask, strict: Flask, acme: people.Cast, addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name leads elsewhere now, the setting was taken back, or the row was changed: what counts is the call."""
    olivia = people.browser(strict, acme.olivia)
    monkeypatch.setattr(run, "RETRIES", 0)
    told = []
    names = [f"model-{number}" for number in range(len(addresses))]
    # A new one each, for none to be at rest.
    providers = open_providers(acme, ["https://models.example.com/v1"] * len(addresses), names)
    for provider, name, url in zip(providers, names, addresses, strict=True):
        provider.base_url = url
        db.session.commit()
        with nowhere(app):
            answer = complete(strict, acme, {"model": name})
            assert answer.status_code >= 400, url
            told.append(answer.get_json()["error"]["message"])
            assert REFUSED.search(told[-1]), url
            olivia.submit(f"{acme.home}/hub/providers/{provider.id}/listing")
    assert "127.0.0.1 leads to a private address. Ask the operator to allow it (DATAELAN_PRIVATE_ADDRESSES)." in told


def test_a_key_is_checked_at_no_such_address(
    app: Flask, strict: Flask, acme: people.Cast, addresses: list[str]
) -> None:
    provider = open_provider(acme, "https://models.example.com/v1")
    olivia = people.browser(strict, acme.olivia)
    for url in addresses:
        provider.base_url = url
        db.session.commit()
        with nowhere(app):
            answer = olivia.submit(f"{acme.home}/hub/keys", {"provider_id": provider.id, "key": CANARY, "label": "x"})
        assert answer.status_code == 422, url
        assert REFUSED.search(answer.get_data(as_text=True)), url
        assert CANARY not in answer.get_data(as_text=True)


def test_the_address_of_a_picture_in_a_prompt_is_passed_on_and_never_visited(
    app: Flask, acme: people.Cast, vendor: Upstream, addresses: list[str]
) -> None:
    """The provider fetches it, from where it stands; we do not, even where private addresses are allowed."""
    open_provider(acme, vendor.url)
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in addresses]
    with connections() as seen:
        answer = complete(app, acme, {"model": "mine", "messages": [{"role": "user", "content": parts}]})
    assert answer.status_code == 200, answer.text
    (sent,) = vendor.requests
    assert [part["image_url"]["url"] for part in sent["body"]["messages"][0]["content"]] == addresses
    store = urlsplit(app.extensions["dataelan_settings"].redis_url)
    assert {port for _, port in seen.tried} <= {store.port, urlsplit(vendor.url).port}


# -- a stored key and another address ----------------------------------------------------------------


def test_a_key_does_not_follow_its_provider_to_another_address(
    app: Flask, acme: people.Cast, vendor: Upstream, victim: Upstream
) -> None:
    """Whoever changes the row, by whatever means: what was sealed for one address does not open at another."""
    people.own_model(acme, key := people.own_provider(acme, vendor.url, secret=CANARY), "mine")
    port, other = urlsplit(vendor.url).port, urlsplit(victim.url).port
    for url in (
        victim.url,  # another port
        f"http://localhost:{port}/v1",  # another name for the very same server
        f"http://127.0.0.2:{port}/v1",
        f"https://127.0.0.1:{port}/v1",  # another scheme
        f"http://127.0.0.1:{port}@127.0.0.1:{other}/v1",
        f"http://127.0.0.1:{port}\\@127.0.0.1:{other}/v1",
        f"http://127.0.0.1:{other}/127.0.0.1:{port}/v1",
        f"http://127.0.0.1:{other}#127.0.0.1:{port}/v1",
        f"http://127.0.0.1.:{port}/v1",
        f"http://127.0.0.1:{port}/v2",  # another path: on a shared host that may be another's server
        f"http://127.0.0.1:{port}/v1/someone-else",
        f"http://127.0.0.1:{port}/v1?api-version=2",
    ):
        key.provider.base_url = url
        db.session.commit()
        for stream in (False, True):
            answer = complete(app, acme, {"model": "mine", "stream": stream})
            assert answer.status_code >= 400, url
            assert "key" in answer.get_json()["error"]["message"].lower(), url
            assert "CANARY" not in answer.text
        people.browser(app, acme.olivia).submit(f"{acme.home}/hub/keys/{key.id}/test")
        people.browser(app, acme.olivia).submit(f"{acme.home}/hub/providers/{key.provider_id}/listing")
    assert not any(CANARY in str(request) for request in vendor.requests)


# -- what a request says of its own way --------------------------------------------------------------

STEERING = (
    "api_base base_url api_key api_version api_type azure_endpoint azure_ad_token organization organization_id project "
    "provider custom_llm_provider deployment_id engine proxy proxies proxy_url http_proxy http_client client url host "
    "endpoint headers extra_headers default_headers extra_body extra_query default_query fallbacks model_list "
    "user_config litellm_params router_settings_override mock_response metadata aws_bedrock_runtime_endpoint "
    "aws_session_token vertex_credentials vertex_location region region_name timeout max_retries callbacks "
    "success_callback webhook callback_url image_url file_url guardrails input_cost_per_token output_cost_per_token "
    "no-log is_trusted private_addresses base_model_url openai_api_base OPENAI_BASE_URL __class__ constructor"
).split()


@pytest.mark.sweep
def test_no_field_parameter_or_header_steers_a_request_elsewhere(
    app: Flask, acme: people.Cast, vendor: Upstream, victim: Upstream
) -> None:
    people.own_model(acme, people.own_provider(acme, vendor.url, secret=CANARY), "mine")
    plain = complete(app, acme, {"model": "mine"})
    assert plain.status_code == 200, plain.text
    usual = vendor.requests.pop()
    for name in STEERING:
        for value in (victim.url, {"url": victim.url, "api_base": victim.url, "X-Evil": "1"}):
            message = {"role": "user", "content": "What is a token?", name: value}
            body = {"model": "mine", name: value, "messages": [message]}
            header = {} if isinstance(value, dict) else {f"X-{name.strip('_')}": value, name.strip("_"): value}
            answer = complete(app, acme, body, f"?{name}={victim.url}", **header)
            assert answer.status_code in (200, 400, 401), name  # 401: it looks like another token
            if answer.status_code == 200:
                sent = vendor.requests.pop()
                assert sent["body"] == usual["body"], name
                assert {k.lower(): v for k, v in sent["headers"].items()} == {
                    k.lower(): v for k, v in usual["headers"].items()
                }, name
            assert vendor.requests == []
    print(f"\n{len(STEERING)} fields: nothing changed")


def test_no_header_of_a_caller_is_passed_on(app: Flask, acme: people.Cast, vendor: Upstream) -> None:
    people.own_model(acme, people.own_provider(acme, vendor.url, secret=CANARY), "mine")
    headers = {
        "OpenAI-Organization": "org-evil", "OpenAI-Project": "p", "OpenAI-Beta": "b", "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Host": "evil.example.com", "Forwarded": "for=127.0.0.1", "Cookie": "session=x", "Referer": "x",
        "anthropic-beta": "b", "x-goog-user-project": "p", "Proxy-Authorization": "Basic eDp5", "Accept-Encoding": "br",
        "User-Agent": "evil", "TE": "trailers", "X-Request-Id": "1",
    }  # fmt: skip
    assert complete(app, acme, {"model": "mine"}, **headers).status_code == 200
    (sent,) = vendor.requests
    got = {name.lower(): value for name, value in sent["headers"].items()}
    assert set(got) == {
        "host", "accept", "accept-encoding", "connection", "user-agent", "authorization", "content-type",
        "content-length",
    }  # fmt: skip
    assert (got["user-agent"], got["accept-encoding"]) == ("Dataelan", "identity")
    assert got["authorization"] == f"Bearer {CANARY}"


def test_a_provider_named_in_the_model_is_one_that_is_there(app: Flask, acme: people.Cast, victim: Upstream) -> None:
    open_provider(acme, victim.url.replace("127.0.0.1", "unknown.invalid"))
    for model in (
        victim.url,
        f"openai/{victim.url}",
        f"{victim.url}/mine",
        "../mine",
        "simulated/../mine",
        "http:mine",
    ):
        assert complete(app, acme, {"model": model}).status_code == 404, model
    assert db.session.scalars(select(Model.id).where(Model.name == victim.url)).first() is None
    assert json.dumps(victim.requests) == "[]"
