# ruff: noqa: F811  (fixtures are arguments)
"""Who forgot their password sets a new one by a link, and nobody learns by it who has an account."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from dataelan_web.accounts import alike, changing, resetting
from dataelan_web.extensions import db
from dataelan_web.models import AccountLink, User, now

from . import people
from .test_access import seen
from .test_accounts import PASSWORD, address, is_in, sign_in
from .test_own_account import NEW, ada, fresh, letters_to, link_in, mail, signed_in  # noqa: F401  (fixtures)


@pytest.fixture(autouse=True)
def _in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resetting, "TAKES", 0)


def ask(app: Flask, email: str, **where: str):  # type: ignore[no-untyped-def]
    return people.browser(app).submit("/forgot", {"email": email}, environ_overrides=where or address())


def test_a_link_sets_a_new_password_once_and_ends_every_sign_in(app: Flask, ada: User, mail: None) -> None:
    client = signed_in(app, ada)
    for _ in range(2):
        ask(app, ada.email.upper())
    older, path = (link_in(letter) for letter in letters_to(ada.email))
    stranger = people.browser(app)
    assert stranger.get(older).status_code == 404
    assert ada.email in stranger.get(path).get_data(as_text=True)
    assert stranger.submit(path, {"password": "short"}).status_code == 422
    assert is_in(client)
    assert stranger.submit(path, {"password": NEW}).headers["HX-Redirect"] == "/login"
    assert not is_in(client)
    assert not is_in(stranger), "a link is no sign-in: what else is asked there is asked"
    assert stranger.submit(path, {"password": "and another new one"}).status_code == 404
    assert sign_in(stranger, ada.email, NEW).status_code == 303
    assert letters_to(ada.email)[-1].payload["title"] == "Your password was changed"


def test_a_known_and_an_unknown_address_are_answered_alike(app: Flask, ada: User, mail: None) -> None:
    unknown = f"nobody-{ada.email}"
    answers = [seen(ask(app, email)) for email in (ada.email, unknown)]
    assert answers[0][0] == 200
    assert answers[0][2].replace(ada.email, "…") == answers[1][2].replace(unknown, "…")
    assert len(letters_to(ada.email)) == 1
    assert not letters_to(unknown)


def test_an_answer_takes_the_same_time_either_way(app: Flask, ada: User, mail: None, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    rested: list[float] = []
    monkeypatch.setattr(resetting, "TAKES", 5.0)
    monkeypatch.setattr(alike, "sleep", rested.append)
    for email in (ada.email, f"nobody-{ada.email}"):
        ask(app, email)
    assert len(rested) == 2
    assert all(0 < seconds < 5 for seconds in rested)


def test_a_mailbox_is_sent_few_letters_and_an_address_asks_for_few(app: Flask, ada: User, mail: None) -> None:
    for _ in range(resetting.PER_ACCOUNT + 2):
        assert ask(app, ada.email).status_code == 200, "whoever asks is told nothing else"
    assert len(letters_to(ada.email)) == resetting.PER_ACCOUNT
    here = address()
    for n in range(resetting.PER_ADDRESS):
        with app.app_context():
            resetting.ask(f"{n}-{ada.email}", here["REMOTE_ADDR"])
    assert ask(app, ada.email, **here).status_code == 429


@pytest.mark.parametrize("why", ["old", "address", "password", "purpose"])
def test_a_link_that_is_out_of_date_leads_nowhere(app: Flask, ada: User, why: str) -> None:
    path = resetting.link_for(ada).partition("/reset/")[2]
    if why == "old":
        late = update(AccountLink).where(AccountLink.user_id == ada.id).values(expires_at=now() - timedelta(seconds=1))
        db.session.execute(late)
    elif why == "address":
        ada.email = f"new-{ada.email}"
    elif why == "password":
        changing.forget_links(ada)
    else:
        path = f"../account/address/{path}"
    db.session.commit()
    assert people.browser(app).submit(f"/reset/{path}", {"password": NEW}).status_code == 404
    assert fresh(ada).has_password(PASSWORD)


def test_one_link_used_by_many_at_once_sets_one_password(app: Flask, ada: User) -> None:
    path = resetting.link_for(ada)[len("http://127.0.0.1:8000") :]
    clients = [people.browser(app) for _ in range(8)]
    tokens = [client.csrf() for client in clients]

    def use(n: int) -> int:
        form = {"csrf_token": tokens[n], "password": f"{NEW} {n}"}
        return clients[n].post(path, data=form).status_code

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(use, range(8)))
    assert sorted(answers) == [303, *[404] * 7]
    assert fresh(ada).has_password(f"{NEW} {answers.index(303)}")


def test_without_mail_an_operator_makes_the_link(app: Flask, ada: User) -> None:
    assert "Ask whoever runs this Dataelan" in people.browser(app).get("/forgot").get_data(as_text=True)
    assert ask(app, ada.email).status_code == 404
    said = app.test_cli_runner().invoke(args=["reset-password", "--email", ada.email])
    assert re.fullmatch(r"http\S+/reset/[\w-]{43}\n", said.output)
    assert app.test_cli_runner().invoke(args=["reset-password", "--email", "nobody@example.com"]).exit_code == 1
    rows = db.session.scalars(select(AccountLink).where(AccountLink.user_id == ada.id)).all()
    assert said.output.strip().rpartition("/")[2] not in str([vars(row) for row in rows])


def test_tokens_that_are_none_are_refused(app: Flask, context: None) -> None:
    for odd in ("null", "%00", "[]", "true", "undefined", "%20", "a" * 5000):
        assert people.browser(app).submit(f"/reset/{odd}", {"password": NEW}).status_code == 404
