# ruff: noqa: F811  (fixtures are arguments)
"""A second factor: asked at every sign-in, each code taken once, and off again only with one."""

from __future__ import annotations

import re

import pyotp
import pytest
from flask import Flask
from sqlalchemy import select

from dataelan_web.accounts import proving, throttle, two_factor
from dataelan_web.extensions import db
from dataelan_web.hub.keys import rotation
from dataelan_web.models import AuditEvent, Authenticator, RecoveryCode, User, now

from . import people
from .test_accounts import PASSWORD, address, is_in, sign_in
from .test_own_account import NEW, ada, fresh, letters_to, mail, signed_in  # noqa: F401  (fixtures)

NOW = 1_800_000_000
HERE = "/account/two-factor"


Shared = tuple[pyotp.TOTP, list[str], people.Browser]
"""(an authenticator app, its recovery codes, the browser in which it was set up)"""


class Clock:
    """Codes are asked for in steps that a test takes itself."""

    def __init__(self) -> None:
        self.now = NOW

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(two_factor, "time", made)
    return made


@pytest.fixture
def app_of_ada(app: Flask, ada: User, clock: Clock) -> Shared:
    client = signed_in(app, ada)
    assert client.submit(HERE, {"current": "wrong"}).status_code == 422
    assert client.submit(HERE, {"current": PASSWORD}).status_code == 204
    page = client.get(HERE).get_data(as_text=True)
    assert "<svg" in page
    totp = pyotp.TOTP(re.search(r'id="two-factor-secret">([A-Z2-7]{32})<', page)[1])  # type: ignore[index]
    assert client.submit(f"{HERE}/confirmation", {"code": totp.at(NOW - 300)}).status_code == 422
    shown = client.submit(f"{HERE}/confirmation", {"code": totp.at(NOW)}).get_data(as_text=True)
    codes = re.findall(r"\b[a-z2-7]{4}(?:-[a-z2-7]{4}){5}\b", shown)
    assert len(set(codes)) == 10
    clock.now += 60
    return totp, codes, client


def second(app: Flask, user: User, code: str) -> people.Browser:
    """Signed in as far as this code leads."""
    client = people.browser(app)
    assert sign_in(client, user.email).location == "/login/code"
    assert not is_in(client)
    client.submit("/login/code", {"code": code})
    return client


def test_it_is_asked_after_the_password_and_each_code_is_taken_once(
    app: Flask, ada: User, clock: Clock, app_of_ada
) -> None:
    totp, _, _ = app_of_ada
    assert not is_in(second(app, ada, "123456"))
    assert not is_in(second(app, ada, "١٢٣٤٥٦"))
    assert not is_in(second(app, ada, totp.at(clock.now - 90)))
    refused = select(AuditEvent).where(AuditEvent.subject_id == ada.id, AuditEvent.action == "account.code_refused")
    assert len(db.session.scalars(refused).all()) == 3
    code = totp.at(clock.now)
    assert is_in(second(app, ada, f" {code[:3]} {code[3:]}"))
    assert not is_in(second(app, ada, code)), "replayed"
    assert not is_in(second(app, ada, totp.at(clock.now - 30))), "older than one that was taken"
    assert is_in(second(app, ada, totp.at(clock.now + 30))), "a phone’s clock may be ahead"
    late = people.browser(app)
    sign_in(late, ada.email)
    ada.disabled_at = now()
    db.session.commit()
    assert late.get("/login/code").location == "/login", "who is switched off between the two is not signed in"


def test_a_recovery_code_works_once_however_it_is_written(
    app: Flask, ada: User, app_of_ada: Shared, mail: None
) -> None:
    _, codes, _ = app_of_ada
    assert is_in(second(app, ada, codes[0].upper().replace("-", " ")))
    assert not is_in(second(app, ada, codes[0]))
    assert "9 are left" in letters_to(ada.email)[-1].payload["body"]
    kept = str([vars(row) for row in db.session.scalars(select(RecoveryCode))])
    assert not any(code in kept or code.replace("-", "") in kept for code in codes)


def test_wrong_codes_are_counted_for_the_account(app: Flask, ada: User, clock: Clock, app_of_ada: Shared) -> None:
    totp, _, _ = app_of_ada
    client = people.browser(app)
    sign_in(client, ada.email)
    for _ in range(proving.TRIES - 1):
        throttle.spend("code", str(ada.id), proving.TRIES, proving.WINDOW)
    client.submit("/login/code", {"code": "123456"}, environ_overrides=address())
    blocked = client.submit("/login/code", {"code": totp.at(clock.now)}, environ_overrides=address())
    assert "Too many codes" in blocked.get_data(as_text=True)
    assert not is_in(client)


def test_it_goes_off_only_with_a_code_and_new_recovery_codes_want_one_too(
    app: Flask, ada: User, clock: Clock, app_of_ada: Shared
) -> None:
    totp, codes, client = app_of_ada
    assert is_in(client), "the browser that set it up stays signed in"
    assert client.submit(f"{HERE}/removal", {"code": "000000"}).status_code == 422
    proof = {"current": PASSWORD, "code": codes[0]}
    assert client.submit(HERE, proof).status_code == 204
    assert two_factor.is_on(fresh(ada)), "set up anew it would be off without a code"
    assert client.submit(f"{HERE}/recovery-codes", {"code": "000000"}).status_code == 422
    assert client.submit(f"{HERE}/recovery-codes", {"code": totp.at(clock.now)}).status_code == 200
    assert not is_in(second(app, ada, codes[1])), "those of before are worth nothing"
    clock.now += 60
    assert client.submit(f"{HERE}/removal", {"code": totp.at(clock.now)}).status_code == 204
    assert sign_in(people.browser(app), ada.email).location != "/login/code"


def test_who_has_it_on_proves_both_factors_before_their_account_changes(
    app: Flask, ada: User, clock: Clock, app_of_ada: Shared
) -> None:
    """The password alone, as somebody has it who looked over their shoulder, changes nothing of it."""
    totp, codes, client = app_of_ada
    page = client.get("/account").get_data(as_text=True)
    assert page.count("Code of your app, or a recovery code") == 2
    changes: dict[str, dict[str, object]] = {
        "/account/password": {"password": NEW},
        "/account/address": {"email": "ada-elsewhere@example.com"},
        "/account/deletion": {"address": ada.email},
        "/account/export": {},
        "/account/passkeys/new": {},
    }
    for path, form in changes.items():
        alone = client.submit(path, form | {"current": PASSWORD})
        assert (alone.status_code, "Your password alone is not enough" in alone.text) == (422, True), path
        wrong = client.submit(path, form | {"current": PASSWORD, "code": "000000"})
        assert (wrong.status_code, "not a code that counts now" in wrong.text) == (422, True), path
    proof: dict[str, object] = {"current": PASSWORD, "code": totp.at(clock.now)}
    assert client.submit("/account/password", {"password": NEW, **proof, "current": "wrong"}).status_code == 422
    assert client.submit("/account/password", {"password": NEW, **proof}).status_code == 204, "its code is not used up"
    assert fresh(ada).has_password(NEW)
    again = client.submit("/account/passkeys/new", {"current": NEW, "code": totp.at(clock.now)})
    assert again.status_code == 422, "replayed"
    assert client.submit("/account/passkeys/new", {"current": NEW, "code": codes[1]}).status_code == 200


def test_neither_a_new_password_nor_time_helps_who_has_only_the_password(
    app: Flask, ada: User, app_of_ada: Shared
) -> None:
    _, codes, _ = app_of_ada
    half = people.browser(app)
    sign_in(half, ada.email)
    assert half.get(HERE).location.startswith("/login")
    user = fresh(ada)
    user.set_password(NEW)
    db.session.commit()
    assert half.submit("/login/code", {"code": codes[2]}).headers["HX-Redirect"] == "/login"
    assert sign_in(half, ada.email, NEW).location == "/login/code", "nor does a reset lead past it"


def test_the_secret_is_sealed_and_sealed_anew_with_the_other_keys(
    app: Flask, ada: User, clock: Clock, app_of_ada: Shared
) -> None:
    totp, codes, client = app_of_ada
    row = db.session.scalars(select(Authenticator).where(Authenticator.user_id == ada.id)).one()
    assert totp.secret not in str(vars(row))
    assert Authenticator in {sealed.model for sealed in rotation.SEALED}
    assert ada.email == rotation.name_of(row)
    row.ciphertext = "dk2.gone.x.x"
    db.session.commit()
    assert not is_in(second(app, ada, totp.at(clock.now)))
    assert is_in(second(app, ada, codes[0])), "without the encryption key the recovery codes still lead in"
    row.confirmed_at = None
    db.session.commit()
    assert client.get("/account/two-factor").status_code == 200, "one can begin anew"
    row.confirmed_at = now()
    db.session.commit()
    said = app.test_cli_runner().invoke(args=["turn-off-two-factor", "--email", ada.email])
    assert said.exit_code == 0
    assert not two_factor.is_on(fresh(ada))
