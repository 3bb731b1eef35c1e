"""What people change of their own account, and where they are signed in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import event, select, update

from dataelan_web.accounts import browsers, signing_in, throttle
from dataelan_web.config import MailServer
from dataelan_web.extensions import db
from dataelan_web.models import AccountLink, AuditEvent, Delivery, SignIn, User, now
from dataelan_web.models.sign_ins import IDLE
from dataelan_web.notify import letters

from . import people
from .test_accounts import PASSWORD, address, cookie, is_in, sign_in, with_cookie

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
NEW = "a new and longer one"


@pytest.fixture
def ada(context: None) -> User:
    made = people.user("ada")
    made.set_password(PASSWORD)
    db.session.commit()
    return made


@pytest.fixture
def mail(app: Flask) -> Iterator[None]:
    """There is a mail server; nothing is sent to it here: letters wait in the outbox."""
    before = app.extensions["dataelan_settings"]
    server = MailServer("127.0.0.1", 9, "off", "", "", "no-reply@example.com", "Dataelan")
    app.extensions["dataelan_settings"] = replace(before, mail=server)
    yield
    app.extensions["dataelan_settings"] = before


def fresh(user: User) -> User:
    db.session.rollback()
    return db.session.get_one(User, user.id, populate_existing=True)


def signed_in(app: Flask, user: User, **headers: str) -> people.Browser:
    client = people.browser(app)
    assert sign_in(client, user.email, headers=headers).status_code == 303
    return client


def letters_to(email: str) -> list[Delivery]:
    db.session.rollback()
    return list(db.session.scalars(select(Delivery).where(Delivery.address == email).order_by(Delivery.id)))


def link_in(letter: Delivery) -> str:
    return str(letters.opened(letter)["path"])


# -- sign-ins --------------------------------------------------------------------------------------


def test_browsers_are_listed_and_each_is_signed_out_alone(app: Flask, ada: User) -> None:
    here, there = signed_in(app, ada), signed_in(app, ada, **{"User-Agent": FIREFOX})
    page = here.get("/account").get_data(as_text=True)
    assert "Firefox on Linux" in page
    assert page.count("This one") == 1
    end = re.search(r'action="(/account/sign-ins/[\w-]{36}/revocation)"', page)
    assert end
    assert here.submit(end[1]).status_code == 204
    assert is_in(here)
    assert not is_in(there)
    assert here.submit(end[1]).status_code == 404
    others = signed_in(app, ada)
    here.submit("/account/sign-ins/revocation")
    assert is_in(here)
    assert not is_in(others)


def test_the_cookies_secret_is_not_in_the_database_and_a_sign_in_ends_with_time(app: Flask, ada: User) -> None:
    client = signed_in(app, ada)
    with client.session_transaction() as session:
        secret = session["_user_id"]
    row = db.session.scalars(select(SignIn).where(SignIn.user_id == ada.id)).one()
    assert secret not in vars(row).values()
    earlier = update(SignIn).where(SignIn.id == row.id)
    db.session.execute(earlier.values(seen_at=now() - timedelta(hours=2)))
    db.session.commit()
    assert is_in(client)
    db.session.refresh(row)
    assert now() - row.seen_at < timedelta(minutes=5), "that it was used is noted, now and then"
    db.session.execute(earlier.values(seen_at=now() - IDLE - timedelta(hours=2)))
    db.session.commit()
    assert not is_in(client)


def test_who_is_signed_in_is_found_by_one_query(app: Flask, ada: User) -> None:
    client, asked = signed_in(app, ada), []
    event.listen(db.engine, "after_cursor_execute", listener := lambda *of: asked.append(of[2]))
    client.get("/healthz")
    client.get("/signup")
    event.remove(db.engine, "after_cursor_execute", listener)
    assert len([one for one in asked if "FROM users" in one]) <= 1
    assert not any(one.startswith("UPDATE") for one in asked)


def test_a_sign_in_that_raced_with_a_new_password_is_dead(app: Flask, ada: User) -> None:
    """The old password was checked, then the new one was set, then the sign-in was written."""
    row, secret = SignIn.begin(ada)
    ada.set_password(NEW)
    db.session.add(row)
    db.session.commit()
    with app.test_request_context():
        assert signing_in.load(secret) is None


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (FIREFOX, "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 19) AppleWebKit/605 Version/19 Safari/604", "Safari on an iPhone"),
        ("curl/8.0", "An unknown browser"),
    ],
)
def test_a_browser_is_named_in_words(agent: str, words: str) -> None:
    assert browsers.described(agent) == words


# -- name, password, address -----------------------------------------------------------------------


def test_a_new_password_wants_the_old_one_and_signs_out_everywhere_else(app: Flask, ada: User, mail: None) -> None:
    here, there = signed_in(app, ada), signed_in(app, ada)
    copied = cookie(here)
    wrong = here.submit("/account/password", {"password": NEW, "current": "wrong"})
    assert wrong.status_code == 422
    assert "This is not your password" in wrong.get_data(as_text=True)
    assert here.submit("/account/password", {"password": NEW, "current": PASSWORD}).status_code == 204
    assert (is_in(here), is_in(there)) == (True, False)
    assert not is_in(with_cookie(app, copied)), "who proved again who they are has another cookie since"
    assert fresh(ada).has_password(NEW)
    assert [one.payload["title"] for one in letters_to(ada.email)] == ["Your password was changed"]
    said = db.session.scalars(select(AuditEvent).where(AuditEvent.subject_id == ada.id).order_by(AuditEvent.id)).all()
    assert [one.action for one in said][-2:] == ["account.password_refused", "account.password_changed"]
    assert {one.subject_type for one in said} == {"User"}
    assert PASSWORD not in str([vars(one) for one in said])


def test_ten_wrong_passwords_at_the_account_page_block_the_eleventh(app: Flask, ada: User) -> None:
    client, here = signed_in(app, ada), address()
    for _ in range(throttle.PER_ACCOUNT - 1):
        throttle.failed(ada.email, here["REMOTE_ADDR"])
    client.submit("/account/password", {"password": NEW, "current": "wrong"}, environ_overrides=here)
    answer = client.submit("/account/password", {"password": NEW, "current": PASSWORD}, environ_overrides=here)
    assert "Too many wrong passwords" in answer.get_data(as_text=True)
    assert fresh(ada).has_password(PASSWORD)


def test_without_mail_a_new_address_counts_at_once_unless_it_is_somebodys(app: Flask, ada: User) -> None:
    here, there, bob = signed_in(app, ada), signed_in(app, ada), people.user("bob")
    db.session.commit()
    form = {"email": bob.email, "current": PASSWORD}
    taken = here.submit("/account/address", form)
    assert "There is an account with this address" in taken.get_data(as_text=True)
    assert here.submit("/account/address", form | {"email": f"new-{ada.email}"}).status_code == 204
    assert fresh(ada).email.startswith("new-")
    assert (is_in(here), is_in(there)) == (True, False)


def test_with_mail_a_new_address_is_confirmed_there_once_and_the_old_one_is_told(
    app: Flask, ada: User, mail: None
) -> None:
    here, before, after = signed_in(app, ada), ada.email, f"new-{ada.email}"
    form = {"email": after, "current": PASSWORD}
    for _ in range(2):
        assert here.submit("/account/address", form).status_code == 204
    assert fresh(ada).email == before
    old, path = (link_in(letter) for letter in letters_to(after))
    stranger = people.browser(app)
    assert stranger.get(old).status_code == 404, "a newer link puts an older one out of use"
    assert after in stranger.get(path).get_data(as_text=True)
    assert fresh(ada).email == before, "to look changes nothing"
    assert stranger.submit(path).status_code == 204
    assert stranger.submit(path).status_code == 404
    assert fresh(ada).email == after
    assert not is_in(here)
    assert "Your address was changed" in letters_to(before)[-1].payload["title"]
    secret = path.rpartition("/")[2]
    assert secret not in str([vars(one) for one in db.session.scalars(select(AccountLink))])
    assert secret not in str([one.payload for one in letters_to(after)])


def test_nobody_is_told_that_an_address_is_somebodys_and_no_link_takes_it(app: Flask, ada: User, mail: None) -> None:
    here, bob = signed_in(app, ada), people.user("bob")
    db.session.commit()
    answer = here.submit("/account/address", {"email": bob.email, "current": PASSWORD})
    assert answer.status_code == 204
    assert not letters_to(bob.email)
    answers = [here.submit("/account/address", {"email": bob.email, "current": PASSWORD}) for _ in range(5)]
    assert answers[-1].status_code == 429, "five an hour"


def test_a_person_of_no_organization_has_an_account_too(app: Flask, ada: User) -> None:
    client = signed_in(app, ada)
    assert client.submit("/account/name", {"name": "Ada L."}).status_code == 204
    assert "Ada L." in client.get("/account").get_data(as_text=True)
    assert client.submit("/account/name", {"name": " "}).status_code == 422
