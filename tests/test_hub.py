"""The Model Hub: keys are checked, sealed and never shown; servers of one's own; what the catalogue knows."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Iterator
from dataclasses import replace
from threading import Thread

import pytest
from flask import Flask
from sqlalchemy import select

from dataelan_web import create_app
from dataelan_web.executions.candidates import usable_models
from dataelan_web.extensions import db
from dataelan_web.hub.keys.rotation import place_of
from dataelan_web.hub.providers.servers import AddressRefused, check_address
from dataelan_web.hub.rules import drafts
from dataelan_web.hub.rules.drafts import Draft, Entry
from dataelan_web.local.simulated.script import MAKERS, MODELS
from dataelan_web.models import APIKey, Execution, Model, Provider, new_id
from dataelan_web.models.audit import AuditEvent
from dataelan_web.secrets import Place, Unreadable, keyring

from . import people
from .conftest import free_port
from .upstream import Upstream, upstream

CANARY = "sk-CANARY-8f3b2c1d9e7a"
CARD = 'id="connect"'
SIMULATED = {name for models in (MODELS, *MAKERS.values()) for name in models}
"""What the simulated provider lists."""


@pytest.fixture
def vendor() -> Iterator[Upstream]:
    with upstream() as vendor:
        yield vendor


@pytest.fixture
def shared(context: None, vendor: Upstream) -> Iterator[Provider]:
    """A provider everyone has, whose models the catalogue knows."""
    provider = Provider(id=new_id(), slug=f"shared-{uuid.uuid4().hex[:6]}", name="Vendor", kind="openai")
    provider.base_url, provider.catalogue = vendor.url, "openai"
    db.session.add(provider)
    db.session.commit()
    yield provider
    db.session.rollback()
    db.session.delete(provider)
    db.session.commit()


def simulated_provider(cast: people.Cast, url: str) -> Provider:
    """An organization's own provider, without a key yet."""
    provider = Provider(id=new_id(), organization_id=cast.organization.id, slug="own", name="Own", kind="openai")
    provider.base_url = url
    db.session.add(provider)
    db.session.commit()
    return provider


def lists(vendor: Upstream, *names: str) -> None:
    vendor.answers({"object": "list", "data": [{"id": name} for name in names]})


def add_key(app: Flask, cast: people.Cast, provider: Provider, key: str, **fields: object):  # type: ignore[no-untyped-def]
    form = {"provider_id": provider.id, "key": key, **fields}
    return people.browser(app, cast.olivia).submit(f"{cast.home}/hub/keys", form)


def keys_of(cast: people.Cast) -> list[APIKey]:
    db.session.rollback()
    query = select(APIKey).where(APIKey.organization_id == cast.organization.id).order_by(APIKey.id)
    return list(db.session.scalars(query.execution_options(populate_existing=True)))


def page(app: Flask, cast: people.Cast, path: str, who: str = "olivia") -> str:
    return people.browser(app, getattr(cast, who)).get(f"{cast.home}{path}").get_data(as_text=True)


# -- keys ------------------------------------------------------------------------------------------


def test_a_key_is_checked_at_once_and_the_models_it_can_use_are_kept(
    app: Flask, simulated: str, acme: people.Cast
) -> None:
    answer = add_key(app, acme, simulated_provider(acme, simulated), CANARY, label="Ours")
    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert f"{len(SIMULATED)} models can be used" in answer.get_data(as_text=True)
    (key,) = keys_of(acme)
    assert key.label == "Ours"
    assert key.last_four == CANARY[-4:]
    assert key.is_default
    assert set(key.listed_models) == SIMULATED
    assert {candidate.model for candidate in usable_models(db.session, acme.project)} >= set(key.listed_models)
    assert db.session.scalar(select(AuditEvent.id).where(AuditEvent.organization_id == acme.organization.id))


def test_a_wrong_key_is_refused_in_the_providers_words_and_kept_nowhere(
    app: Flask, vendor: Upstream, acme: people.Cast, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    vendor.answers({"error": {"message": f"Incorrect API key provided: {CANARY}. You are not you."}}, status=401)
    answer = add_key(app, acme, simulated_provider(acme, vendor.url), CANARY)
    text = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert "Own did not accept it: Incorrect API key provided: [key]" in text
    assert "CANARY" not in text
    assert "CANARY" not in caplog.text
    assert keys_of(acme) == []


def test_a_provider_that_does_not_answer_is_named_and_the_key_is_not_kept(app: Flask, acme: people.Cast) -> None:
    provider = simulated_provider(acme, f"http://127.0.0.1:{free_port()}/v1")
    answer = add_key(app, acme, provider, CANARY)
    assert answer.status_code == 422
    assert "no connection to its address" in answer.get_data(as_text=True)
    assert keys_of(acme) == []


def test_an_empty_key_is_asked_for_and_a_key_with_strange_letters_is_refused(
    app: Flask, vendor: Upstream, acme: people.Cast
) -> None:
    provider = simulated_provider(acme, vendor.url)
    assert "Paste the key." in add_key(app, acme, provider, "  ").get_data(as_text=True)
    for key in ("sk-schlüssel", "sk-\x00", "sk-a\r\nX-Evil: 1", "“sk-quoted”"):
        answer = add_key(app, acme, provider, key)
        assert answer.status_code == 422, key
        assert key not in answer.get_data(as_text=True)
    assert vendor.requests == []


def test_a_shared_provider_keeps_known_models_for_all_and_private_ones_for_their_organization(
    app: Flask, vendor: Upstream, shared: Provider, acme: people.Cast, rival: people.Cast
) -> None:
    private = "ft:gpt-4o-mini:acme::secret"
    lists(vendor, "gpt-4o-mini", "gpt-4o-mini", private, "text-embedding-3-small", "babbage-002", "x" * 300)
    assert add_key(app, acme, shared, CANARY).status_code == 200
    rows = db.session.scalars(select(Model).where(Model.provider_id == shared.id)).all()
    owners = {row.name: row.organization_id for row in rows}
    assert owners == {"gpt-4o-mini": None, "text-embedding-3-small": None, private: acme.organization.id}
    assert private in page(app, acme, "/hub/models?q=secret")
    assert private not in page(app, rival, "/hub/models?q=secret")
    lists(vendor, "gpt-4o-mini", "gpt-4.1")
    assert add_key(app, rival, shared, CANARY).status_code == 200
    usable = {candidate.model for candidate in usable_models(db.session, rival.project)}
    assert {"gpt-4o-mini", "gpt-4.1"} <= usable
    assert private not in usable
    assert "gpt-4.1" not in {candidate.model for candidate in usable_models(db.session, acme.project)}


def test_a_key_from_the_newcomers_card_goes_on_in_the_session_with_a_model_of_that_key(
    app: Flask, vendor: Upstream, shared: Provider, acme: people.Cast, rival: people.Cast
) -> None:
    lists(vendor, "gpt-4o", "ft:gpt-3.5-turbo:rival::aaa")
    add_key(app, rival, shared, CANARY)
    acme.session.remember(starter="Hello")
    db.session.commit()
    assert CARD in page(app, acme, f"/sessions/{acme.session.id}")
    lists(vendor, "gpt-4o", "gpt-4o-mini", "dall-e-3", "babbage-002")
    answer = add_key(app, acme, shared, CANARY, session_id=acme.session.id)
    assert answer.headers["HX-Redirect"] == acme.session_url
    db.session.refresh(acme.session)
    assert acme.session.settings["model"] == f"{shared.slug}/gpt-4o-mini"
    after = page(app, acme, f"/sessions/{acme.session.id}")
    assert CARD not in after
    assert "2 models can be used" not in after  # three: the image model counts, the completion model does not
    assert CANARY not in after


def test_a_wrong_key_in_the_newcomers_card_is_said_in_the_card(app: Flask, simulated: str, acme: people.Cast) -> None:
    acme.session.remember(starter="Hello")
    db.session.commit()
    provider = simulated_provider(acme, simulated)
    answer = add_key(app, acme, provider, "sk-wrong-0123456789", session_id=acme.session.id)
    text = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert CARD in text
    assert "did not accept it" in text
    assert "sk-wrong-0123456789" not in text


def test_deleting_the_default_key_makes_another_the_default(app: Flask, simulated: str, acme: people.Cast) -> None:
    provider = simulated_provider(acme, simulated)
    for number in range(3):
        assert add_key(app, acme, provider, f"{CANARY}-{number}").status_code == 200
    first, second, third = keys_of(acme)
    assert [key.is_default for key in (first, second, third)] == [True, False, False]
    olivia = people.browser(app, acme.olivia)
    assert olivia.submit(f"{acme.home}/hub/keys/{first.id}/deletion").status_code == 200
    assert [key.is_default for key in keys_of(acme)] == [True, False]
    assert olivia.submit(f"{acme.home}/hub/keys/{third.id}/deletion").status_code == 200
    assert [key.id for key in keys_of(acme)] == [second.id]


def test_keys_that_come_at_the_same_moment_are_all_kept(
    app: Flask, vendor: Upstream, shared: Provider, acme: people.Cast, rival: people.Cast
) -> None:
    lists(vendor, "gpt-4o", "gpt-4o-mini", "gpt-4.1", "o3")
    id, answers = shared.id, []

    def paste(home: str, who: object, number: int) -> None:
        form = {"provider_id": id, "key": f"{CANARY}-{number}"}
        answers.append(people.browser(app, who).submit(f"{home}/hub/keys", form).status_code)  # type: ignore[arg-type]

    casts = [acme, rival] * 4
    threads = [Thread(target=paste, args=(cast.home, cast.olivia, n)) for n, cast in enumerate(casts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 8
    assert [key.is_default for key in keys_of(acme)] == [True, False, False, False]
    assert len(keys_of(rival)) == 4


def test_only_owners_and_admins_touch_keys_and_only_their_own(
    app: Flask, simulated: str, acme: people.Cast, rival: people.Cast
) -> None:
    provider = simulated_provider(acme, simulated)
    add_key(app, acme, provider, CANARY)
    (key,) = keys_of(acme)
    form = {"provider_id": provider.id, "key": CANARY}
    for who, status in {"mia": 403, "victor": 403, "gina": 403, "ned": 404}.items():
        browser = people.browser(app, getattr(acme, who))
        assert browser.submit(f"{acme.home}/hub/keys", form).status_code == status
        assert browser.submit(f"{acme.home}/hub/keys/{key.id}/deletion").status_code in (403, 404)
    outsider = people.browser(app, rival.olivia)
    assert outsider.submit(f"{rival.home}/hub/keys", form).status_code == 404  # a provider of another organization
    assert outsider.submit(f"{rival.home}/hub/keys/{key.id}/deletion").status_code == 404
    assert keys_of(acme) == [key]


def test_a_stored_key_is_on_no_page(app: Flask, simulated: str, acme: people.Cast) -> None:
    add_key(app, acme, simulated_provider(acme, simulated), CANARY)
    (key,) = keys_of(acme)
    db.session.add(
        Execution(
            id=new_id(), organization_id=acme.organization.id, project_id=acme.project.id, api_key_id=key.id,
            origin="gateway", state="failed",
        )
    )  # fmt: skip
    db.session.commit()
    ids = {"projects": [acme.project.id], "playground": [acme.session.id], "hub": [key.id, key.provider_id]}
    olivia, seen = people.browser(app, acme.olivia), 0
    for rule in app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or rule.arguments - {"slug", "id"}:
            continue
        with app.test_request_context():
            whose = ids.get(rule.endpoint.partition(".")[0], [acme.project.id])
            values = [{"slug": acme.organization.slug, "id": id} for id in whose]
            urls = {
                app.url_for(rule.endpoint, **{n: v for n, v in one.items() if n in rule.arguments}) for one in values
            }
        for url in urls:
            answer = olivia.get(url)
            text = answer.get_data(as_text=True) + str(answer.headers)
            assert "CANARY" not in text, url
            assert key.ciphertext not in text, url
            seen += answer.status_code == 200
    assert seen >= 8


# -- what a sealed key is bound to -----------------------------------------------------------------


def test_a_sealed_key_opens_in_its_own_place_only(simulated: str, acme: people.Cast, rival: people.Cast) -> None:
    key = people.own_provider(acme, "https://models.example.com/v1", secret=CANARY)
    right, ring = place_of(key), keyring()
    assert ring.decrypt(key.ciphertext, right) == CANARY
    for wrong in (
        replace(right, organization_id=rival.organization.id),
        replace(right, organization_id=None),
        replace(right, row_id=new_id()),
        replace(right, field="label"),
        *(
            replace(right, address=right.address.replace(*other))
            for other in (("https", "http"), ("443", "8443"), ("models.example", "evil"), ("/v1", "/v2"), ("/v1", ""))
        ),
    ):
        with pytest.raises(Unreadable):
            ring.decrypt(key.ciphertext, wrong)


@pytest.mark.usefixtures("context")
def test_a_damaged_ciphertext_does_not_open() -> None:
    place = Place(new_id(), new_id(), "ciphertext", "https://models.example.com:443")
    ring = keyring()
    sealed = ring.encrypt(CANARY, place)
    assert ring.encrypt(CANARY, place) != sealed
    version, name, nonce, text = sealed.split(".")
    flipped = [text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :] for at in range(len(text) - 1)]
    damaged = [
        *(".".join((version, name, nonce, one)) for one in flipped),
        ".".join((version, name, "A" * len(nonce), text)),
        ".".join((version, "k9", nonce, text)),
        ".".join(("dk1", name, nonce, text)),
        ".".join(("dk3", name, nonce, text)),
        ".".join((version, name, nonce, "")),
        ".".join((version, name, nonce, "…")),
        "",
        CANARY,
    ]
    for one in damaged:
        with pytest.raises(Unreadable):
            ring.decrypt(one, place)


def test_a_key_is_not_sent_to_an_address_that_was_changed_later(app: Flask, simulated: str, acme: people.Cast) -> None:
    """Others sent the stored key to wherever the provider now pointed. Ours does not open there."""
    key = people.own_provider(acme, simulated, secret=CANARY)
    people.own_model(acme, key, "simulated-instant")
    with upstream() as attacker:
        key.provider.base_url = attacker.url
        db.session.commit()
        answer = app.test_client().post(
            "/v1/chat/completions",
            json={"model": "simulated-instant", "messages": [{"role": "user", "content": "Hi"}]},
            headers={"Authorization": f"Bearer {acme.token()}"},
        )
        assert attacker.requests == []
    # The simulated provider everyone has offers the same name, and answers without a key.
    assert answer.headers["x-dataelan-provider"] == "Simulated"
    execution = db.session.get_one(Execution, uuid.UUID(answer.headers["x-dataelan-execution-id"]))
    refused = execution.body.receipt["attempts"][0]
    assert refused["outcome"] == "refused"
    assert "cannot be read" in refused["error"]


def test_a_key_that_its_provider_quotes_is_told_nowhere(
    app: Flask, vendor: Upstream, acme: people.Cast, caplog: pytest.LogCaptureFixture
) -> None:
    """Others had it in the error's `param`, in the log, in the audit, and in the address of an exception."""
    caplog.set_level(logging.DEBUG)
    key = people.own_provider(acme, vendor.url, secret=CANARY)
    people.own_model(acme, key, "mine")
    url = f"{vendor.url}/chat?key={CANARY}"
    for status in (400, 401, 429, 500):
        vendor.answers({"error": {"message": f"No: {url}", "param": CANARY, "code": CANARY, "type": CANARY}}, status)
        answer = app.test_client().post(
            "/v1/chat/completions",
            json={"model": "mine", "messages": [{"role": "user", "content": "Hi"}]},
            headers={"Authorization": f"Bearer {acme.secret}"},
        )
        assert answer.status_code >= 400
        assert "CANARY" not in answer.text
        execution = db.session.get_one(Execution, uuid.UUID(answer.headers["x-dataelan-execution-id"]))
        rows = [execution, execution.body, *execution.attempts, key.provider, key]
        rows += db.session.scalars(select(AuditEvent).where(AuditEvent.organization_id == acme.organization.id)).all()
        for row in rows:
            db.session.refresh(row)
            assert "CANARY" not in str(vars(row)), (status, row)
    assert "CANARY" not in caplog.text


# -- servers of one's own --------------------------------------------------------------------------


def connect(app: Flask, cast: people.Cast, url: str, **fields: object):  # type: ignore[no-untyped-def]
    """The dialog is a plain form: a whole page answers it."""
    olivia = people.browser(app, cast.olivia)
    form = {"name": "Our server", "base_url": url, "csrf_token": olivia.csrf(), **fields}
    return olivia.post(f"{cast.home}/hub/servers", data=form)


def test_a_server_of_ones_own_is_connected_and_free(app: Flask, simulated: str, acme: people.Cast) -> None:
    answer = connect(app, acme, f"{simulated}/", session_id=acme.session.id)
    assert answer.location == acme.session_url
    db.session.refresh(acme.session)
    assert acme.session.settings["model"].startswith("our-server/")
    usable = [candidate for candidate in usable_models(db.session, acme.project) if candidate.is_own]
    assert {candidate.base_url for candidate in usable} == {simulated}
    assert {candidate.model for candidate in usable} == SIMULATED
    assert all(candidate.rates and candidate.rates.is_free for candidate in usable)
    assert "Our server" in page(app, acme, "/hub/providers")
    connect(app, acme, simulated, key=CANARY)
    providers = db.session.scalars(select(Provider).where(Provider.organization_id == acme.organization.id)).all()
    assert len(providers) == 1  # found again by its address, now with a key
    assert providers[0].needs_key
    assert len(keys_of(acme)) == 1


def test_a_server_cannot_be_connected_from_anothers_session(
    app: Flask, simulated: str, acme: people.Cast, rival: people.Cast
) -> None:
    assert connect(app, acme, simulated, session_id=rival.session.id).status_code == 404
    assert not db.session.scalars(select(Provider).where(Provider.organization_id == acme.organization.id)).all()


def test_a_local_server_is_found_and_offered_until_it_is_connected(
    app: Flask, simulated: str, acme: people.Cast
) -> None:
    settings = replace(app.extensions["dataelan_settings"], local_servers=(simulated, "http://127.0.0.1:9/v1"))
    here = create_app(settings)
    offered = "A model server"
    assert offered in page(here, acme, "/hub/providers")
    assert connect(here, acme, simulated).status_code == 303
    assert offered not in page(here, acme, "/hub/providers")
    elsewhere = create_app(replace(settings, private_addresses=False))
    assert offered not in page(elsewhere, acme, "/hub/providers")


def test_what_is_no_model_server_is_refused_with_a_reason(app: Flask, vendor: Upstream, acme: people.Cast) -> None:
    vendor.answers({"hello": "world"})
    answer = connect(app, acme, vendor.url)
    assert answer.status_code == 422
    assert "not a list of models" in answer.get_data(as_text=True)
    assert "no connection to its address" in connect(app, acme, f"http://127.0.0.1:{free_port()}").get_data(
        as_text=True
    )


NO_ADDRESS = (
    "file:///etc/passwd",
    "ftp://example.com/v1",
    "gopher://127.0.0.1:6379/",
    "http://user:password@127.0.0.1/v1",
    "https://models.example.com@127.0.0.1/v1",
    "https://example.com\\@127.0.0.1/v1",
    "https://example.com/v1?x=",
    "https://example.com/v1#",
    "https://exa mple.com/v1",
    "https://127。0。0。1/v1",
    "https://localhost\t/v1",
    "http://",
    "http:///v1",
    "http://[::1/v1",
    "http://127.0.0.1:99999/v1",
    "http://127.0.0.1:port/v1",
    "//127.0.0.1/v1",
    "127.0.0.1",
    "javascript:alert(1)",
)
PRIVATE = (
    "127.0.0.1", "127.1", "0x7f.1", "2130706433", "017700000001", "0", "0.0.0.0", "localhost", "localhost.",
    "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::7f00:1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::1]",
    "[2002:a9fe:a9fe::]", "[2001:0:4136:e378::1]", "[fec0::1]", "[fe80::1]", "[fd00:ec2::254]", "[ff02::1]",
    "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200", "168.63.129.16",
    "192.0.0.8", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
)  # fmt: skip


def test_no_private_address_is_asked_where_they_are_not_allowed(
    app: Flask, vendor: Upstream, acme: people.Cast
) -> None:
    strict = create_app(replace(app.extensions["dataelan_settings"], private_addresses=False))
    port = vendor.url.split(":")[2].removesuffix("/v1")
    with strict.app_context():
        for host in PRIVATE:
            for url in (f"http://{host}:{port}/v1", f"https://{host}/v1", f"https://{host}:{port}"):
                with pytest.raises(AddressRefused):
                    check_address(url)
    for url in (vendor.url, f"http://2130706433:{port}/v1"):
        answer = connect(strict, acme, url)
        assert answer.status_code == 422
        assert "Private addresses may not be used here" in answer.get_data(as_text=True)
    assert vendor.requests == []


def test_what_is_no_http_address_is_refused_everywhere(app: Flask, acme: people.Cast) -> None:
    for url in NO_ADDRESS:
        answer = connect(app, acme, url)
        assert answer.status_code == 422, url
        assert "Enter an address such as" in answer.get_data(as_text=True), url


def test_a_public_address_must_use_https_even_where_private_ones_are_allowed(app: Flask) -> None:
    with app.app_context():
        with pytest.raises(AddressRefused, match="must use https"):
            check_address("http://1.1.1.1/v1")
        assert check_address("https://1.1.1.1/v1") is False
        assert check_address("http://127.0.0.1:11434/v1") is True


# -- what a list says ------------------------------------------------------------------------------


def test_geminis_list_denies_no_abilities_that_it_does_not_speak_of(
    app: Flask, vendor: Upstream, acme: people.Cast
) -> None:
    """It says of every model that it can chat, and of none that it can use tools."""
    methods = {"supportedGenerationMethods": ["generateContent"], "thinking": True}
    vendor.answers({"models": [{"name": "models/gemini-x", "inputTokenLimit": 1000, **methods}]})
    provider = simulated_provider(acme, vendor.url)
    provider.kind = "google"
    db.session.commit()
    assert add_key(app, acme, provider, CANARY).status_code == 200
    (found,) = [one for one in usable_models(db.session, acme.project) if one.model == "gemini-x"]
    assert found.capabilities is None
    assert found.context_window == 1000


# -- the list of models ----------------------------------------------------------------------------


def test_the_models_page_filters_and_says_what_can_be_used(app: Flask, simulated: str, acme: people.Cast) -> None:
    add_key(app, acme, simulated_provider(acme, simulated), CANARY)
    found = page(app, acme, "/hub/models?q=simulated-thoug")
    assert "simulated-thoughtful" in found
    assert "simulated-second" not in found
    assert "simulated-thoughtful" not in page(app, acme, "/hub/models?q=%25%25%25_")
    assert "simulated-second" in page(app, acme, "/hub/models?provider=own")
    assert re.search(r"</html>", page(app, acme, "/hub/models?page=99999999999"))


def test_what_the_organization_does_not_allow_is_not_called_usable(
    app: Flask, simulated: str, acme: people.Cast
) -> None:
    provider = simulated_provider(acme, simulated)
    add_key(app, acme, provider, CANARY)
    model = db.session.scalars(select(Model).where(Model.provider_id == provider.id).order_by(Model.name)).first()
    assert model
    rule = Draft("Ours", (Entry(model.id),))
    drafts.save(rule, acme.organization, None)
    its_page, listed = f"/hub/models/{model.id}", "/hub/models?provider=own&usable=yes"
    assert "<dd>Yes</dd>" in page(app, acme, its_page)
    assert model.name in page(app, acme, listed)
    acme.organization.allowed_providers = [str(people.simulated_model().provider_id)]
    db.session.commit()
    assert model.id not in {candidate.model_id for candidate in usable_models(db.session, acme.project)}
    assert "No: your organization’s prompts do not go to Own" in page(app, acme, its_page)
    assert model.name not in page(app, acme, listed)
    assert "Not allowed" in page(app, acme, "/hub/models?provider=own")
    rules = page(app, acme, "/hub/rules")
    assert "None of its models can be used now." in rules
    assert "Your organization does not allow Own" in rules
