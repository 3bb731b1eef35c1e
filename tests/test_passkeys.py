# ruff: noqa: F811  (fixtures are arguments)
"""Passkeys: what a device signs lets its person in, and nothing that is only like it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from dataelan_web.accounts import challenges, passkeys, two_factor
from dataelan_web.extensions import db
from dataelan_web.models import AuditEvent, Passkey, RecoveryCode, SignIn, User, now
from dataelan_web.organizations import kinds
from dataelan_web.organizations import sign_in as setting

from . import people
from .authenticator import PRESENT, SYNCABLE, SYNCED, VERIFIED, Device
from .test_accounts import PASSWORD, is_in, sign_in
from .test_own_account import NEW, ada, fresh, letters_to, link_in, mail, signed_in  # noqa: F401  (fixtures)
from .test_two_factor import app_of_ada, clock, second  # noqa: F401  (fixtures)

HERE = "/account/passkeys"


def added(client: people.Browser, device: Device, proof: dict[str, object] | None = None, name: str = "A phone") -> Any:
    page = client.submit(f"{HERE}/new", proof or {"current": PASSWORD}).get_data(as_text=True)
    options = json.loads(html.unescape(re.search(r'data-makes-passkey="([^"]+)"', page)[1]))  # type: ignore[index]
    return client.submit(HERE, {"name": name, "credential": device.make(options)})


def asked(client: people.Browser, url: str = "/login/passkey/options") -> dict[str, Any]:
    return dict(client.submit(url).get_json())


def answered(client: people.Browser, device: Device, url: str = "/login/passkey") -> Any:
    return client.submit(url, {"credential": device.use(asked(client, f"{url}/options"))})


def codes_in(answer: Any) -> list[str]:
    return re.findall(r"\b[a-z2-7]{4}(?:-[a-z2-7]{4}){5}\b", answer.get_data(as_text=True))


@pytest.fixture
def phone(app: Flask, ada: User) -> Device:
    device = Device()
    assert added(signed_in(app, ada), device).status_code == 200
    return device


def test_a_passkey_is_added_named_used_renamed_and_removed(app: Flask, ada: User, mail: None) -> None:
    there, client, device = (
        signed_in(app, ada),
        signed_in(app, ada),
        Device(flags=PRESENT | VERIFIED | SYNCABLE | SYNCED),
    )
    assert client.submit(f"{HERE}/new", {"current": "wrong"}).status_code == 422
    codes = codes_in(added(client, device))
    assert len(set(codes)) == 10
    assert (is_in(client), is_in(there)) == (True, False), "who knows only the password is out"
    row = db.session.scalars(select(Passkey).where(Passkey.user_id == ada.id)).one()
    assert (row.name, row.is_synced, row.transports, row.used_at) == ("A phone", True, ["internal", "hybrid"], None)

    browser = people.browser(app)
    assert answered(browser, device).status_code == 204
    assert is_in(browser)
    db.session.refresh(row)
    assert row.used_at is not None
    assert row.sign_count == 1
    assert client.submit(f"{HERE}/{row.id}/name", {"name": "My phone"}).status_code == 200
    assert "My phone" in client.get("/account").get_data(as_text=True)
    assert client.submit(f"{HERE}/{row.id}/removal", {"current": "wrong"}).status_code == 422
    other = signed_in(app, people_of(app))
    assert other.submit(f"{HERE}/{row.id}/removal", {"current": PASSWORD}).status_code == 404
    proof = {"credential": device.use(asked(client, "/account/proof/options"))}
    assert client.submit(f"{HERE}/{row.id}/removal", proof).status_code == 200
    assert not is_in_with(app, ada, device)
    assert sign_in(people.browser(app), ada.email).location != "/login/code", "the password alone is enough again"
    assert not db.session.scalars(select(RecoveryCode).where(RecoveryCode.user_id == ada.id)).all()
    said = [one.action for one in db.session.scalars(select(AuditEvent).where(AuditEvent.subject_id == ada.id))]
    for act in ("added", "used", "renamed", "removed"):
        assert f"account.passkey_{act}" in said
    titles = [one.payload["title"] for one in letters_to(ada.email)]
    assert {"A passkey was added", "A passkey was removed"} <= set(titles)


def people_of(app: Flask) -> User:
    made = people.user("bob")
    made.set_password(PASSWORD)
    db.session.commit()
    return made


def is_in_with(app: Flask, ada: User, device: Device) -> bool:
    client = people.browser(app)
    answered(client, device)
    return is_in(client)


def test_it_is_the_second_factor_after_the_password_and_a_recovery_code_is_when_it_is_lost(
    app: Flask, ada: User, phone: Device
) -> None:
    client = people.browser(app)
    assert sign_in(client, ada.email).location == "/login/code"
    assert not is_in(client)
    options = asked(client, "/login/code/passkey/options")
    assert [one["transports"] for one in options["allowCredentials"]] == [["internal", "hybrid"]]
    client.submit("/login/code/passkey", {"credential": Device(handle=phone.handle).use(options)})
    assert not is_in(client)
    assert answered(client, phone, "/login/code/passkey").status_code == 204
    assert is_in(client)
    alone = client.submit(f"{HERE}/recovery-codes", {"current": PASSWORD})
    assert (alone.status_code, "Your password alone is not enough" in alone.text) == (422, True)
    proof = {"credential": phone.use(asked(client, "/account/proof/options"))}
    codes = codes_in(client.submit(f"{HERE}/recovery-codes", proof))
    assert is_in(second(app, ada, codes[0]))
    assert not is_in(second(app, ada, codes[0]))


def test_beside_an_app_either_will_do_and_one_goes_without_the_other(
    app: Flask, ada: User, clock: Any, app_of_ada: Any
) -> None:
    totp, codes, client = app_of_ada
    device = Device()
    assert not codes_in(added(client, device, {"current": PASSWORD, "code": codes[2]})), "those of before go on"
    assert is_in(second(app, ada, totp.at(clock.now)))
    clock.now += 60
    assert client.submit("/account/two-factor/removal", {"code": totp.at(clock.now)}).status_code == 204
    assert is_in(second(app, ada, codes[1])), "a passkey is left, whose loss they are for"
    assert is_in_with(app, ada, device)
    said = app.test_cli_runner().invoke(args=["turn-off-two-factor", "--email", ada.email])
    assert said.exit_code == 0
    assert sign_in(people.browser(app), ada.email).location != "/login/code"


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        (lambda device: setattr(device, "origin", "https://dataelan.example.evil"), passkeys.REFUSED),
        (lambda device: setattr(device, "origin", "http://localhost:8001"), passkeys.REFUSED),
        (lambda device: setattr(device, "rp_id", "evil"), passkeys.REFUSED),
        (lambda device: setattr(device, "flags", PRESENT), passkeys.REFUSED),
        (lambda device: setattr(device, "flags", VERIFIED), passkeys.REFUSED),
        (lambda device: setattr(device, "key", Device().key), passkeys.REFUSED),
        (lambda device: setattr(device, "id", Device().id), passkeys.UNKNOWN),
        (lambda device: setattr(device, "handle", "AAAA"), passkeys.UNKNOWN),
        (lambda device: setattr(device, "handle", ""), passkeys.UNKNOWN),
        (lambda device: setattr(device, "count", -1), passkeys.COPIED),
        (lambda device: setattr(device, "counts", False), passkeys.COPIED),
    ],
    ids="origin port name unverified absent key id person nobody back same".split(),
)
def test_what_is_only_like_it_lets_nobody_in(
    app: Flask,
    ada: User,
    phone: Device,
    lie: Callable[[Device], None],
    words: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert is_in_with(app, ada, phone), "counted once"
    lie(phone)
    client = people.browser(app)
    answer = answered(client, phone)
    assert answer.status_code == 422
    assert words in answer.get_data(as_text=True)
    assert "a passkey is refused" in caplog.text
    assert not is_in(client)
    refused = db.session.scalars(select(AuditEvent).where(AuditEvent.action == "account.passkey_refused")).all()
    assert (words == passkeys.COPIED) == any(one.subject_id == ada.id for one in refused)


def test_one_that_does_not_count_is_taken_as_often_as_it_signs(app: Flask, ada: User) -> None:
    device = Device(counts=False)
    added(signed_in(app, ada), device)
    assert is_in_with(app, ada, device)
    assert is_in_with(app, ada, device)


def test_a_challenge_is_for_one_browser_one_purpose_one_answer_and_five_minutes(
    app: Flask, ada: User, phone: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, thief = people.browser(app), people.browser(app)
    said = phone.use(asked(mine))
    asked(thief)
    thief.submit("/login/passkey", {"credential": said})
    assert not is_in(thief), "of another browser"

    cookie = app.config["SESSION_COOKIE_NAME"]
    before = mine.get_cookie(cookie)
    assert before is not None
    mine.submit("/login/passkey", {"credential": said})
    assert is_in(mine)
    db.session.execute(update(Passkey).values(sign_count=0))
    db.session.commit()
    thief.set_cookie(cookie, before.value)
    thief.submit("/login/passkey", {"credential": said})
    assert not is_in(thief), "replayed, with the cookie of then"

    late = people.browser(app)
    said, clock = phone.use(asked(late)), challenges.time.time
    monkeypatch.setattr(challenges.time, "time", lambda: clock() + challenges.LASTS + 1)
    late.submit("/login/passkey", {"credential": said})
    monkeypatch.undo()
    assert not is_in(late)

    other = signed_in(app, people_of(app))
    assert other.submit("/account/name", {"name": "B"}).status_code == 204
    said = phone.use(asked(other, "/account/proof/options"))
    assert (
        other.submit("/account/password", {"password": "a new and longer one", "credential": said}).status_code == 422
    )
    said = phone.use(asked(people.browser(app)))
    assert people.browser(app).submit("/login/passkey", {"credential": said}).status_code == 422


def test_what_no_device_makes_is_no_passkey(app: Flask, ada: User) -> None:
    client = signed_in(app, ada)
    for device in (Device(origin="https://evil.example"), Device(rp_id="evil"), Device(flags=PRESENT)):
        assert added(client, device).status_code == 422
    assert added(client, Device(), name="").status_code == 422
    parts = {"clientDataJSON": "e30", "attestationObject": "oA", "authenticatorData": "oA", "signature": "oA"}
    broken = json.dumps({"id": "AA", "rawId": "AA", "type": "public-key", "response": parts})
    for said in ("", "{}", "[1]", "x" * 30_000, '{"id": 1}', broken):
        client.submit(f"{HERE}/new", {"current": PASSWORD})
        assert client.submit(HERE, {"name": "A", "credential": said}).status_code == 422
        asked(client)
        assert client.submit("/login/passkey", {"credential": said}).status_code == 422
    assert not db.session.scalars(select(Passkey).where(Passkey.user_id == ada.id)).all()


def test_a_passkey_belongs_to_one_account_and_the_only_way_in_stays(app: Flask, ada: User, phone: Device) -> None:
    assert added(signed_in(app, people_of(app)), replace(phone)).status_code == 422
    client = people.browser(app)
    answered(client, phone)
    user = fresh(ada)
    user.password_hash = "-"
    db.session.commit()
    row = db.session.scalars(select(Passkey).where(Passkey.user_id == ada.id)).one()
    proof = {"credential": phone.use(asked(client, "/account/proof/options"))}
    answer = client.submit(f"{HERE}/{row.id}/removal", proof)
    assert answer.status_code == 422
    assert "your only way in" in answer.get_data(as_text=True)
    user.disabled_at = now()
    db.session.commit()
    assert not is_in_with(app, ada, phone)


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("https://dataelan.example.com", ("dataelan.example.com", "https://dataelan.example.com")),
        ("https://example.com:8443", ("example.com", "https://example.com:8443")),
        ("http://127.0.0.1:8000", ("localhost", "http://localhost:8000")),
        ("http://[::1]:8000", ("localhost", "http://localhost:8000")),
        ("http://192.0.2.7", None),
    ],
)
def test_they_are_made_for_the_name_of_the_public_address(
    app: Flask, monkeypatch: pytest.MonkeyPatch, address: str, place: tuple[str, str] | None
) -> None:
    settings = replace(app.extensions["dataelan_settings"], public_url=address)
    monkeypatch.setitem(app.extensions, "dataelan_settings", settings)
    with app.app_context():
        found = passkeys.place()
    assert (found and (found.id, found.origin)) == place
    if place is None:
        client = people.browser(app)
        assert client.submit("/login/passkey/options").status_code == 404
        assert "passkey" not in client.get("/login").get_data(as_text=True).replace("/login/passkey", "")


# -- organizations that want two factors -----------------------------------------------------------


def test_who_has_no_second_factor_gets_a_letter_when_one_is_needed(app: Flask, acme: people.Cast, mail: None) -> None:
    two_factor.set_up(acme.adam)
    two_factor.of(acme.adam).confirmed_at = now()  # type: ignore[union-attr]
    for _ in range(2):
        setting.require_two_factor(acme.organization, True)
    for person in (acme.olivia, acme.mia, acme.gina):
        (letter,) = letters_to(person.email)
        assert letter.payload["title"] == f"{acme.organization.name} wants a second factor of you"
        page = people.browser(app, person).get(link_in(letter)).get_data(as_text=True)
        assert f"One more step for {acme.organization.name}" in page
    assert letters_to(acme.adam.email) == letters_to(acme.ned.email) == []


def test_an_organization_that_wants_two_factors_leads_whoever_has_none_to_one(app: Flask, acme: people.Cast) -> None:
    admin, mia = people.browser(app, acme.adam), people.browser(app, acme.mia)
    url, wanted = f"{acme.home}/settings/sign-in", {"two_factor": "needed"}
    assert "Mia" in admin.get(url).get_data(as_text=True)
    refused = admin.submit(url, wanted)
    assert refused.status_code == 422
    assert "Set up yours first" in refused.get_data(as_text=True)
    db.session.execute(update(SignIn).where(SignIn.user_id == acme.adam.id).values(is_two_factor=True))
    db.session.commit()
    assert admin.submit(url, wanted).status_code == 200
    assert kinds.problems(fresh_home(acme), kinds.OrganizationKind.SOLO)

    led = mia.get(f"{acme.home}/")
    assert led.status_code == 303
    assert "/account/needed" in led.location
    page = mia.get(led.location).get_data(as_text=True)
    assert f"One more step for {acme.organization.name}" in page
    assert mia.get("/account").status_code == 200
    sneaked = mia.submit(f"{acme.home}/projects", {"name": "Sneaked"})
    assert sneaked.headers["HX-Redirect"] == led.location
    user = db.session.get_one(User, acme.mia.id)
    user.set_password(PASSWORD)
    db.session.commit()
    mia, device = signed_in(app, user), Device()
    assert mia.get(f"{acme.home}/").status_code == 303, "a password alone"
    added(mia, device)
    assert mia.get(f"{acme.home}/").status_code == 200
    assert setting.without_second_factor(acme.organization)[1] == 4

    assert admin.submit(url, {"two_factor": "not needed"}).status_code == 200
    assert people.browser(app, acme.victor).get(f"{acme.home}/").status_code == 200
    said = select(AuditEvent.action).where(AuditEvent.organization_id == acme.organization.id)
    assert list(db.session.scalars(said)).count("organization.two_factor_changed") == 2


def fresh_home(acme: people.Cast) -> Any:
    db.session.refresh(acme.organization)
    return acme.organization
