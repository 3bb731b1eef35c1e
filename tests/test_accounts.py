"""Signing up, in and out."""

from __future__ import annotations

import itertools
import random
import re
import secrets
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import redis
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from dataelan_web import create_app
from dataelan_web.accounts import guessing, routes, throttle
from dataelan_web.extensions import db
from dataelan_web.models import Membership, Organization, OrganizationKind, Project, PromptSession, Role, User, accounts

from . import people

PASSWORD = "correct horse battery"
OLDER = PasswordHasher(time_cost=1, memory_cost=32, parallelism=1)
"""As of a release before, with settings that are no longer enough."""
_hosts = itertools.count(random.randrange(1, 2**23))


def address() -> dict[str, str]:
    """A client address no other test has: wrong passwords are counted by it."""
    n = next(_hosts)
    return {"REMOTE_ADDR": f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}"}


def newcomer(**fields: object) -> dict[str, object]:
    return {"name": "Nora", "email": f"nora-{uuid.uuid4().hex[:8]}@example.com", "password": PASSWORD, **fields}


def sign_in(client: FlaskClient, email: str, password: str = PASSWORD, **options: object) -> TestResponse:
    options.setdefault("environ_overrides", address())
    form = {"csrf_token": client.csrf(), "email": email, "password": password}
    return client.post("/login", data=form, **options)


def is_in(client: FlaskClient) -> bool:
    return not client.get("/").location.startswith(("/login", "/signup"))


@pytest.fixture(scope="module")
def account(app: Flask) -> str:
    """The address of somebody with a password. Hashing one is slow, so there is one for all."""
    form = newcomer()
    client = people.browser(app)
    client.post("/signup", data={"csrf_token": client.csrf(), **form})
    return str(form["email"])


def person(email: str) -> User:
    db.session.rollback()
    return db.session.scalars(select(User).where(User.email == email)).one()


# -- signing up ------------------------------------------------------------------------------------


def test_a_newcomer_lands_in_a_first_session_of_a_workspace_of_their_own(app: Flask, context: None) -> None:
    client, form = people.browser(app), newcomer(email=f"  NORA-{uuid.uuid4().hex[:6]}@Example.com ")
    answer = client.post("/signup", data={"csrf_token": client.csrf(), **form})
    user = person(str(form["email"]).strip().lower())
    membership = db.session.scalars(select(Membership).where(Membership.user_id == user.id)).one()
    organization = db.session.get_one(Organization, membership.organization_id)
    project = db.session.scalars(select(Project).where(Project.organization_id == organization.id)).one()
    session = db.session.scalars(select(PromptSession).where(PromptSession.project_id == project.id)).one()
    assert membership.role is Role.OWNER
    assert organization.kind is OrganizationKind.SOLO
    assert answer.status_code == 303
    assert answer.location == f"/o/{organization.slug}/sessions/{session.id}"
    page = client.get(answer.location)
    assert page.status_code == 200
    assert session.settings["starter"] in page.get_data(as_text=True)
    assert PASSWORD not in user.password_hash


def test_the_first_visitor_of_all_is_led_to_sign_up(
    app: Flask, acme: people.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = people.browser(app)
    assert client.get("/").location == "/login", "somebody has an account"
    assert "Create your account" in client.get("/signup").get_data(as_text=True)
    monkeypatch.setattr("dataelan_web.accounts.routes.is_first", lambda: True)
    assert client.get("/").location == "/signup"
    page = client.get("/signup").get_data(as_text=True)
    assert "Create the first account" in page
    assert "Already have an account?" not in page
    closed = create_app(replace(app.extensions["dataelan_settings"], open_sign_up=False))
    assert people.browser(closed).get("/").location == "/login"


def test_a_sign_up_makes_nobody_a_superuser_or_a_member_elsewhere(app: Flask, acme: people.Cast) -> None:
    planted = {"is_superuser": "1", "role": "OWNER", "organization_id": str(acme.organization.id), "kind": "ENTERPRISE"}
    form = newcomer(id=str(acme.ned.id), session_key="known", password_hash="known", **planted)
    people.browser(app).submit("/signup", form)
    user = person(str(form["email"]))
    assert not user.is_superuser
    assert user.id != acme.ned.id
    assert "known" not in (user.session_key, user.password_hash)
    assert [membership.organization_id for membership in user.memberships] != [acme.organization.id]


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"password": "eleven char"}, "at least 12 characters"),
        ({"password": ""}, "Choose a password"),
        ({"password": "qwerty123456"}, "is in lists of leaked ones"),
        ({"email": "not-an-address"}, "This is not an e-mail address"),
        ({"email": ""}, "Enter your e-mail address"),
        ({"name": "  "}, "Tell us what to call you"),
        ({"name": "n" * 101}, "100"),
    ],
)
def test_a_wrong_field_is_told_in_plain_words_and_the_rest_is_kept(
    app: Flask, context: None, wrong: dict[str, object], word: str
) -> None:
    form = newcomer(**wrong)
    answer = people.browser(app).submit("/signup", form)
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert word in page
    for name in {"name", "email"} - set(wrong):
        assert f'value="{form[name]}"' in page
    assert PASSWORD not in page
    assert not db.session.scalars(select(User).where(User.email == form["email"])).first()


@pytest.mark.parametrize(
    "password",
    [
        "1qaz2wsx3edc",
        "Password123456",
        "qwertyuiop123",
        "aaaaaaaaaaaaaaaa",
        "iloveyou12345",
        "1q2w-3e4r-5t6y",
        "password-password",
        "nora@example.com",
    ],
)
def test_what_would_be_tried_first_is_no_password(password: str) -> None:
    assert guessing.is_guessable(password, "nora@example.com", "Nora")


def test_a_long_password_is_looked_at_in_a_short_time_and_a_few_words_are_good() -> None:
    for password in (PASSWORD, "x" * 3 + "kfj38fjs92" * 90, "a few words work well", secrets.token_urlsafe(12)):
        assert not guessing.is_guessable(password, "nora@example.com", "Nora")


def test_a_taken_address_is_told_and_the_account_stays_as_it_was(app: Flask, context: None, account: str) -> None:
    hash_before = person(account).password_hash
    form = newcomer(email=account.upper(), password="another password altogether")
    answer = people.browser(app).submit("/signup", form)
    assert answer.status_code == 422
    assert "There is an account with this address" in answer.get_data(as_text=True)
    assert "another password" not in answer.get_data(as_text=True)
    assert person(account).password_hash == hash_before


def test_the_same_sign_up_twice_at_once_is_one_account(app: Flask, context: None) -> None:
    form = newcomer()
    clients = [people.browser(app) for _ in range(4)]
    forms = [form | {"csrf_token": client.csrf()} for client in clients]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda pair: pair[0].post("/signup", data=pair[1]), zip(clients, forms, strict=True)))
    assert sorted(answer.status_code for answer in answers) == [303, 422, 422, 422]
    assert len(person(str(form["email"])).memberships) == 1


def test_from_one_address_so_many_sign_up_in_an_hour(app: Flask) -> None:
    here = address()
    for _ in range(routes.SIGN_UPS):
        with app.app_context():
            throttle.spend("sign-up", here["REMOTE_ADDR"], routes.SIGN_UPS, routes.HOUR)
    answer = people.browser(app).submit("/signup", newcomer(), environ_overrides=here)
    assert answer.status_code == 429
    assert "Many accounts were made from here" in answer.get_data(as_text=True)


def test_a_hash_of_older_settings_is_made_anew_with_the_right_password(context: None) -> None:
    user, older = people.user("ada"), OLDER.hash(PASSWORD)
    user.password_hash = older
    db.session.commit()
    for said in (f"{PASSWORD} ", PASSWORD.title(), PASSWORD[:-1]):
        assert not user.has_password(said), "a password counts exactly as it was chosen"
    assert user.password_hash == older
    assert user.has_password(PASSWORD)
    db.session.commit()
    assert user.password_hash != older
    assert not accounts._hasher.check_needs_rehash(user.password_hash)
    assert user.has_password(PASSWORD)


def test_a_hash_that_is_made_anew_does_not_bring_an_old_password_back(context: None) -> None:
    user = people.user("ada")
    user.password_hash = OLDER.hash(PASSWORD)
    db.session.commit()
    assert user.password_hash, "read before the new password is set"
    with db.engine.begin() as elsewhere:
        elsewhere.execute(update(User).where(User.id == user.id).values(password_hash=OLDER.hash(f"{PASSWORD} anew")))
    assert user.has_password(PASSWORD), "as it was when it was read"
    db.session.commit()
    db.session.refresh(user)
    assert user.has_password(f"{PASSWORD} anew")
    assert not user.has_password(PASSWORD)


# -- signing in ------------------------------------------------------------------------------------


def test_the_right_password_leads_to_the_workspace(app: Flask, context: None, account: str) -> None:
    client = people.browser(app)
    answer = sign_in(client, account.upper())
    assert answer.status_code == 303
    assert client.get(answer.location).status_code == 200


def test_a_wrong_password_and_an_unknown_address_are_answered_alike(app: Flask, context: None, account: str) -> None:
    client = people.browser(app)
    client.get("/login")
    unknown = f"nobody-{account}"
    answers = [sign_in(client, email, "a wrong password") for email in (account, unknown)]
    pages = [
        re.sub(r"[\w-]{40,}\.[\w-]{6}\.[\w-]{27}|\b[0-9a-f]{32}\b", "…", answer.get_data(as_text=True)).replace(
            email, "…"
        )
        for answer, email in zip(answers, (account, unknown), strict=True)
    ]
    assert [answer.status_code for answer in answers] == [422, 422]
    assert pages[0] == pages[1]
    assert "This address and password do not match" in pages[0]
    assert set(answers[0].headers.keys()) == set(answers[1].headers.keys())
    assert not is_in(client)


def test_an_unknown_address_costs_the_same_work_as_a_known_one() -> None:
    assert not PasswordHasher().check_needs_rehash(accounts._DECOY), "make it anew with the hasher of today"


def test_ten_wrong_passwords_block_the_eleventh_from_there_but_not_the_owner_elsewhere(
    app: Flask, context: None, account: str
) -> None:
    thief, here = people.browser(app), address()
    for n in range(10):
        assert sign_in(thief, account, f"guess number {n}", environ_overrides=here).status_code == 422
    blocked = sign_in(thief, account, PASSWORD, environ_overrides=here)
    assert blocked.status_code == 429
    assert "Too many wrong passwords. Try again in 15 minutes" in blocked.get_data(as_text=True)
    assert not is_in(thief)
    spoofed = {"X-Forwarded-For": "198.51.100.7", "X-Real-IP": "198.51.100.7", "Forwarded": "for=198.51.100.7"}
    assert sign_in(thief, account, environ_overrides=here, headers=spoofed).status_code == 429
    assert sign_in(people.browser(app), account).status_code == 303


def test_guesses_spread_over_accounts_are_counted_by_address_and_never_without_an_end(
    app: Flask, context: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis.Redis, "expire", None)  # as if we died between a count and its end
    thief, here = people.browser(app), address()
    for n in range(throttle.PER_ADDRESS):
        throttle.failed(f"somebody-{n}@example.com", here["REMOTE_ADDR"])
    assert sign_in(thief, "yet-another@example.com", environ_overrides=here).status_code == 429
    assert throttle.blocked("yet-another@example.com", here["REMOTE_ADDR"]) > 1


ELSEWHERE = (
    "//evil.example",
    "///evil.example",
    "/////evil.example",
    r"/\evil.example",
    r"\\evil.example",
    r"/\/evil.example",
    "https:evil.example",
    "https://evil.example",
    "https:/evil.example",
    "http:///evil.example",
    "https://localhost@evil.example/",
    "//localhost:80@evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r\nLocation: https://evil.example",
    "\t//evil.example",
    " //evil.example",
    "\x00//evil.example",
    "evil.example",
    "//[",
    "http://[",
    "/\u2028/evil.example",
    "\u3000//evil.example",
)


@pytest.mark.parametrize("next_url", ELSEWHERE)
def test_signing_in_never_leads_to_another_site(app: Flask, context: None, next_url: str) -> None:
    from dataelan_web.web import local_path

    assert local_path(next_url) == ""
    page = people.browser(app).get("/login", query_string={"next": next_url})
    assert page.status_code == 200
    assert "evil" not in page.get_data(as_text=True)


def test_signing_in_leads_back_to_where_one_was_going(app: Flask, context: None, account: str) -> None:
    client = people.browser(app)
    wanted = f"/o/{person(account).memberships[0].organization.slug}/hub/models?q=gpt"
    to_login = client.get(wanted).location
    page = client.get(to_login).get_data(as_text=True)
    action = re.search(r'<form method="post"[^>]*action="([^"]+)"', page)[1].replace("&amp;", "&")  # type: ignore[index]
    form = {"csrf_token": client.csrf(), "email": account, "password": PASSWORD}
    assert client.post(action, data=form, environ_overrides=address()).location == wanted
    for odd in ("//evil.example", r"/\evil.example", "/%09/evil.example", "/%0d%0aX:1", "https://evil.example"):
        for headers in ({}, {"HX-Request": "true"}):
            client = people.browser(app)
            where = {"query_string": {"next": odd}, "headers": headers, "environ_overrides": address()}
            answer = sign_in(client, account, **where)
            target = answer.headers.get("HX-Redirect") or answer.location
            assert target == odd if odd.startswith("/%") else target.startswith("/o/")


# -- the session -----------------------------------------------------------------------------------


def cookie(client: FlaskClient) -> str:
    found = client.get_cookie("dataelan")
    assert found
    return found.value


def with_cookie(app: Flask, value: str) -> FlaskClient:
    client = people.browser(app)
    client.set_cookie("dataelan", value)
    return client


def test_a_cookie_planted_before_the_sign_in_is_worth_nothing_after_it(app: Flask, context: None, account: str) -> None:
    client = people.browser(app)
    with client.session_transaction() as session:
        session["planted"] = "by a thief"
    planted_token = client.csrf()
    planted = cookie(client)
    sign_in(client, account)
    assert is_in(client)
    assert not is_in(with_cookie(app, planted))
    with client.session_transaction() as session:
        assert "planted" not in session
        assert session.permanent
    answer = client.post("/logout", data={"csrf_token": planted_token})
    assert answer.status_code == 403, "the form token of before the sign-in is dead too"


def test_signing_out_kills_the_cookie_even_one_that_was_copied(app: Flask, context: None, account: str) -> None:
    client = people.browser(app)
    sign_in(client, account)
    copied = cookie(client)
    assert is_in(with_cookie(app, copied))
    answer = client.post("/logout", data={"csrf_token": client.csrf()})
    assert answer.location == "/login"
    assert answer.headers["Clear-Site-Data"] == '"cache"'
    assert not is_in(client)
    assert not is_in(with_cookie(app, copied))


def test_a_new_password_kills_every_older_cookie(app: Flask, acme: people.Cast) -> None:
    mia = people.browser(app, acme.mia)
    assert is_in(mia)
    acme.mia.set_password("a new and longer one")
    db.session.commit()
    assert not is_in(mia)
    assert mia.get(acme.session_url).location.startswith("/login?next=")


def test_a_forged_cookie_is_nobody(app: Flask, acme: people.Cast) -> None:
    for id in ("", "x", str(acme.mia.id), f"{acme.mia.id}.", f"{acme.mia.id}.wrong", f"{uuid.uuid4()}.x", "\x00.x"):
        client = people.browser(app)
        with client.session_transaction() as session:
            session["_user_id"], session["_fresh"] = id, True
        assert not is_in(client)
