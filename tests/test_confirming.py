# ruff: noqa: F811  (fixtures are arguments)
"""Who signs up where mail is sent shows that the address is theirs; and of which domains addresses may sign up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from dataelan_web.accounts import confirming, resetting
from dataelan_web.accounts.sign_up import find
from dataelan_web.executions import departed, purge
from dataelan_web.extensions import db
from dataelan_web.members import inviting
from dataelan_web.models import IN_TRASH, AuditEvent, Role, User, now

from . import people
from .test_accounts import PASSWORD, address, is_in, newcomer, sign_in
from .test_own_account import NEW, letters_to, link_in, mail  # noqa: F401  (a fixture)

WAITS = "Confirm your address first"


def sign_up(app: Flask, **fields: object) -> tuple[people.Browser, str]:
    """(the browser, the address)"""
    client, form = people.browser(app), newcomer(**fields)
    answer = client.submit("/signup", form, environ_overrides=address())
    assert answer.status_code == 200
    assert f"on its way to {form['email']}" in answer.get_data(as_text=True)
    return client, str(form["email"])


def person(email: str) -> User:
    db.session.rollback()
    found = find(email)
    assert found
    return found


def test_nobody_is_in_before_the_mailbox_has_confirmed_the_address(app: Flask, context: None, mail: None) -> None:
    client, email = sign_up(app)
    assert not is_in(client)
    for wrong, said in ((PASSWORD + "!", "do not match"), (PASSWORD, WAITS)):
        refused = sign_in(client, email, wrong)
        assert refused.status_code == 422
        assert said in refused.get_data(as_text=True)
    assert not is_in(client)
    older, path = (link_in(letter) for letter in letters_to(email))
    stranger = people.browser(app)
    assert stranger.get(older).status_code == 404, "a newer link puts an older one out of use"
    assert email in stranger.get(path).get_data(as_text=True)
    assert person(email).unconfirmed_since, "to look changes nothing"
    assert stranger.submit(path).headers["HX-Redirect"] == "/login"
    assert not is_in(stranger), "whoever reads a mailbox has not chosen the password"
    assert stranger.submit(path).status_code == 404
    assert sign_in(client, email).status_code == 303
    assert is_in(client)
    about = select(AuditEvent.action).where(AuditEvent.subject_id == person(email).id).order_by(AuditEvent.id)
    assert [*db.session.scalars(about)][-2:] == ["account.address_confirmed", "account.signed_in"]


def test_few_letters_are_sent_and_the_last_one_counts(app: Flask, context: None, mail: None) -> None:
    client, email = sign_up(app)
    for _ in range(confirming.LETTERS + 1):
        assert WAITS in sign_in(client, email).get_data(as_text=True)
    letters = letters_to(email)
    assert len(letters) == confirming.LETTERS
    assert people.browser(app).submit(link_in(letters[-1])).headers["HX-Redirect"] == "/login"
    assert not person(email).unconfirmed_since


def test_a_link_for_a_new_password_confirms_the_address_too(app: Flask, context: None, mail: None) -> None:
    """So nobody keeps an address from whose it is by signing up with it."""
    _, email = sign_up(app)
    path = resetting.link_for(person(email)).partition("/reset/")[2]
    assert people.browser(app).submit(f"/reset/{path}", {"password": NEW}).headers["HX-Redirect"] == "/login"
    assert sign_in(people.browser(app), email, NEW).status_code == 303
    assert sign_in(people.browser(app), email).status_code == 422


def test_an_address_that_is_taken_is_told_to_whose_it_is_and_to_nobody_else(
    app: Flask, context: None, mail: None
) -> None:
    """By three letters an hour at most, none of which is a way in; also while nobody has confirmed it."""
    _, email = sign_up(app)
    before = person(email).password_hash
    for n in range(confirming.LETTERS + 1):
        client, _ = sign_up(app, email=email, password=f"{PASSWORD} {n}", name=f"Eve {n}")
        assert not is_in(client)
    assert person(email).password_hash == before
    assert person(email).name == "Nora"
    to_confirm, *told = letters_to(email)
    assert [letter.payload["title"] for letter in told] == ["You have an account already"] * confirming.LETTERS
    assert {link_in(letter) for letter in told} == {"/login"}
    assert people.browser(app).submit(link_in(to_confirm)).headers["HX-Redirect"] == "/login", "the first one counts"
    sign_up(app, email=email)
    assert sign_in(people.browser(app), email).status_code == 303


@pytest.mark.parametrize("came", ["never", "confirmed", "in", "lately"])
def test_an_account_that_nobody_ever_confirmed_is_gone_after_30_days(
    app: Flask, context: None, mail: None, came: str
) -> None:
    """And its address is free again; whoever confirmed it, or came in while no mail was sent, keeps theirs."""
    client, email = sign_up(app)
    if came == "confirmed":
        client.submit(link_in(letters_to(email)[0]))
    one = person(email)
    one.last_seen_at = now() if came == "in" else None
    if one.unconfirmed_since:
        one.unconfirmed_since = now() - IN_TRASH + timedelta(hours=1 if came == "lately" else -1)
    home = one.memberships[0].organization
    db.session.commit()
    for _ in range(3):  # the organization goes first, with one look, and its owner with the next
        purge.purge()
    db.session.expire_all()
    assert (find(email) is None) == (came == "never")
    assert (home.purged_at is not None) == (came == "never")
    if came == "never":
        assert one.name == departed.NAME
        assert letters_to(email) == []
        sign_up(app, email=email)
        assert person(email).id != one.id


def test_where_no_mail_is_sent_any_more_nobody_waits_for_any(app: Flask, context: None, mail: None) -> None:
    client, email = sign_up(app)
    settings = app.extensions["dataelan_settings"]
    app.extensions["dataelan_settings"] = replace(settings, mail=None)
    assert sign_in(client, email).status_code == 303


def test_who_was_invited_has_shown_it_by_the_link(app: Flask, acme: people.Cast, mail: None) -> None:
    email = str(newcomer()["email"])
    path = inviting.invite(acme.organization, acme.olivia, email, Role.MEMBER).link.partition("/join/")[2]
    client = people.browser(app)
    client.submit(f"/join/{path}", {"name": "Nora", "password": PASSWORD})
    assert is_in(client)


@pytest.fixture
def domains(app: Flask, mail: None) -> Iterator[None]:
    before = app.extensions["dataelan_settings"]
    app.extensions["dataelan_settings"] = replace(before, sign_up_domains=("example.com", "example.org"))
    yield
    app.extensions["dataelan_settings"] = before


def test_where_domains_are_named_only_their_addresses_sign_up(app: Flask, context: None, domains: None) -> None:
    sign_up(app)
    client = people.browser(app)
    assert "Of example.com or example.org." in client.get("/signup").get_data(as_text=True)
    for host in ("example.net", "sub.example.com", "notexample.com", "example.com.example.net"):
        form = newcomer(email=f"nora@{host}")
        answer = client.submit("/signup", form, environ_overrides=address())
        assert answer.status_code == 422, host
        assert "ask for an invitation" in answer.get_data(as_text=True)
        assert find(str(form["email"])) is None


def test_whom_an_organization_invites_comes_from_anywhere(app: Flask, acme: people.Cast, domains: None) -> None:
    path = inviting.invite(acme.organization, acme.olivia, f"nora-{acme.organization.slug}@example.net", Role.MEMBER)
    client = people.browser(app)
    client.submit(f"/join/{path.link.partition('/join/')[2]}", {"name": "Nora", "password": PASSWORD})
    assert is_in(client)
