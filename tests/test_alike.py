# ruff: noqa: F811  (fixtures are arguments)
"""Nobody learns who has an account: not by what an answer says, nor by the time it takes. Attack case 32."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from statistics import median
from time import perf_counter

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from dataelan_web.accounts import confirming, resetting, routes, throttle
from dataelan_web.extensions import db
from dataelan_web.models import User, accounts

from . import people
from .test_access import seen
from .test_accounts import PASSWORD, address
from .test_own_account import ada, mail  # noqa: F401  (fixtures)

SAMPLES = 500
CLIENTS = 4
"""At once, each asking for one and the other in turn, so that whatever else the machine does troubles both alike."""
TAKES = 0.12
"""Seconds, for all doors here: less than they take by themselves, so that so many samples are taken in a minute."""


def wrong_password(client: people.Browser, email: str) -> TestResponse:
    return client.submit("/login", {"email": email, "password": f"wrong {PASSWORD}"}, environ_overrides=address())


def forgotten(client: people.Browser, email: str) -> TestResponse:
    return client.submit("/forgot", {"email": email}, environ_overrides=address())


def sign_up(client: people.Browser, email: str) -> TestResponse:
    form = {"name": "Nora", "email": email, "password": PASSWORD}
    return client.submit("/signup", form, environ_overrides=address())


DOORS = (wrong_password, forgotten, sign_up)
OF_EACH_PAGE = re.compile(r'(?<=name="csrf_token" value=")[^"]+|(?<=name="once" value=")[^"]+')
by_door = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)


def nobody() -> str:
    """As long as Ada's."""
    return f"bob-{uuid.uuid4().hex[:8]}@example.com"


@pytest.fixture(params=["with a password", "by single sign-on", "unconfirmed", "switched off", "deleted"])
def known(ada: User, request: pytest.FixtureRequest) -> User:
    if request.param == "by single sign-on":
        ada.password_hash = ""
    elif request.param == "unconfirmed":
        ada.unconfirmed_since = accounts.now()
    elif request.param == "switched off":
        ada.disabled_at = accounts.now()
    elif request.param == "deleted":
        ada.deleted_at = accounts.now()
    db.session.commit()
    return ada


@by_door
def test_a_known_and_an_unknown_address_are_answered_alike_after_the_same_work(
    app: Flask, known: User, mail: None, monkeypatch: pytest.MonkeyPatch, door: Callable[..., TestResponse]
) -> None:
    """Status, headers and body; and argon2id, which takes longest, is asked as often."""
    for place, name in ((routes, "REFUSAL_TAKES"), (resetting, "TAKES"), (confirming, "TAKES")):
        monkeypatch.setattr(place, name, 0)
    told = []
    for email in (known.email, nobody()):
        hashed = Hashed()
        monkeypatch.setattr(accounts, "_hasher", hashed)
        client = people.browser(app)
        client.get("/login")
        status, headers, page = seen(door(client, email))
        told.append((status, headers, OF_EACH_PAGE.sub("…", page).replace(email, "…"), hashed.times))
    assert told[0] == told[1]
    assert told[0][3] == (0 if door is forgotten else 1)


def test_an_invitation_is_the_same_for_who_has_an_account(app: Flask, acme: people.Cast, ada: User, mail: None) -> None:
    """An owner, who types any address, learns nothing of whose it is."""
    olivia, told = people.browser(app, acme.olivia), []
    before = olivia.get(f"{acme.home}/members").text
    for email in (ada.email, nobody()):
        answer = olivia.submit(f"{acme.home}/invitations", {"emails": email, "role": "MEMBER"})
        assert answer.status_code < 300
        assert email not in before
        status, headers, page = seen(answer)
        told.append((status, set(headers), page.count(email) > 0))
    assert told[0] == told[1]


class Hashed:
    """The hasher of tests, which counts."""

    def __init__(self) -> None:
        self._hasher, self.times = accounts._hasher, 0

    def hash(self, password: str) -> str:
        self.times += 1
        return self._hasher.hash(password)

    def verify(self, stored: str, password: str) -> bool:
        self.times += 1
        return self._hasher.verify(stored, password)

    def check_needs_rehash(self, stored: str) -> bool:
        return self._hasher.check_needs_rehash(stored)


@pytest.mark.sweep
@by_door
def test_the_time_of_an_answer_does_not_tell_who_has_an_account(
    app: Flask, ada: User, mail: None, monkeypatch: pytest.MonkeyPatch, door: Callable[..., TestResponse]
) -> None:
    """Of 500 samples by turns the medians are less than 5 ms apart, and whoever guesses by them is right in less than
    60 of 100 pairs."""
    for place, name in ((routes, "REFUSAL_TAKES"), (resetting, "TAKES"), (confirming, "TAKES")):
        monkeypatch.setattr(place, name, TAKES)
    monkeypatch.setattr(throttle, "spend", lambda *_: 0)  # a letter each time: the most that is done for who is known
    monkeypatch.setattr(accounts, "_DECOY", accounts._hasher.hash("nothing"))  # as cheap as the passwords of tests
    email = ada.email

    def ask(client: people.Browser, whom: str) -> float:
        began = perf_counter()
        door(client, whom)
        return perf_counter() - began

    def by_turns(_: int) -> list[tuple[float, float]]:
        client = people.browser(app)
        client.get("/login")
        for whom in (email, nobody()):  # whatever is made once is made
            ask(client, whom)
        return [(ask(client, email), ask(client, nobody())) for _ in range(SAMPLES // 2 // CLIENTS)]

    with ThreadPoolExecutor(CLIENTS) as pool:
        pairs = list(chain.from_iterable(pool.map(by_turns, range(CLIENTS))))
    known, unknown = zip(*pairs, strict=True)
    assert abs(median(known) - median(unknown)) < 0.005
    assert 0.4 < right_guesses(known, unknown) < 0.6


def right_guesses(known: tuple[float, ...], unknown: tuple[float, ...]) -> float:
    """Of all pairs, how many a guess gets right that takes the slower one for the known: the area under the curve."""
    slower = sum((one > other) + (one == other) / 2 for one in known for other in unknown)
    return slower / (len(known) * len(unknown))
