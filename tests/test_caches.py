"""A cache before Dataelan that knows no cookies mixes nobody's pages and answers. Attack case 8."""

from __future__ import annotations

import http.client
import random
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from flask import Flask

from dataelan_web.extensions import db
from dataelan_web.models import Membership, Role

from . import people
from .caching_proxy import Cache, caching

REQUESTS = 1000
CLIENTS = 4
STATIC = ("/static/app.css", "/static/app.js", "/static/vendor/icons.svg")


@dataclass
class Asker:
    """Somebody, in a browser and by a program, and what of theirs alone is told them."""

    own: str
    cookie: str
    token: str
    answers: list[str]


def asker(app: Flask, shared: people.Cast, name: str) -> Asker:
    """A member of the organization of all, by another name, with an organization and a model of their own."""
    own = f"{name}{uuid.uuid4().hex[:8]}"
    home = people.cast(own)
    home.olivia.name = own
    db.session.add(Membership(organization_id=shared.organization.id, user_id=home.olivia.id, role=Role.MEMBER))
    key = people.own_provider(home, "http://127.0.0.1:9/v1")
    people.own_model(home, key, f"model-of-{own}", input=0, output=0)
    client = people.browser(app, home.olivia)
    cookie = client.get_cookie("dataelan")
    assert cookie
    return Asker(own, f"dataelan={cookie.value}", home.token(), [home.home, home.session_url])


PAGES = ("/account", "/account/passkeys", "/account/data", "{home}/", "{home}/help/roles", "{home}/notices")
"""The same address for everybody, which tells each who they are."""


def get(address: str, path: str, headers: dict[str, str]) -> tuple[int, str, str]:
    """(status, where it leads, body)"""
    line = http.client.HTTPConnection(address, timeout=30)
    line.request("GET", path, headers=headers)
    answer = line.getresponse()
    found = answer.status, answer.getheader("Location", ""), answer.read().decode(errors="replace")
    line.close()
    return found


BY_BROWSER = ("page", "page", "fragment", "own", "static", "start")


def ask(address: str, shared: people.Cast, whose: Asker, kind: str, dice: random.Random) -> str:
    """All that was told."""
    by_browser = {"Cookie": whose.cookie, **({"HX-Request": "true"} if kind == "fragment" else {})}
    if kind == "static":
        path = dice.choice(STATIC)
    elif kind == "program":
        path, by_browser = "/v1/models", {"Authorization": f"Bearer {whose.token}"}
    elif kind == "own":
        path = dice.choice(whose.answers)
    else:
        path = "/" if kind == "start" else dice.choice(PAGES).format(home=shared.home)
    status, location, body = get(address, path, by_browser)
    assert status in (200, 303, 308), (path, status)
    return location + body


def mixed(
    address: str, shared: people.Cast, two: tuple[Asker, Asker], times: int, kinds: tuple[str, ...]
) -> Counter[str]:
    """How many answers had something of the other's, and how many said whose they are."""
    told: Counter[str] = Counter()

    def by_turns(place: int) -> None:
        dice = random.Random(place)
        for n in range(times // CLIENTS):
            whose, other = two if (n + place) % 2 else two[::-1]
            answer = ask(address, shared, whose, dice.choice(kinds), dice)
            told["asked"] += 1
            told["the other's"] += other.own in answer.replace(whose.own, "") or other.answers[0] in answer
            told["own"] += whose.own in answer

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(by_turns, range(CLIENTS)))
    return told


@pytest.fixture
def two(app: Flask, acme: people.Cast, server: str) -> tuple[Asker, Asker]:
    return asker(app, acme, "ada"), asker(app, acme, "eve")


@pytest.mark.sweep
def test_a_cache_that_ignores_cookies_gives_nobody_what_is_anothers(
    app: Flask, acme: people.Cast, server: str, two: tuple[Asker, Asker]
) -> None:
    """A thousand requests by turns. What may be kept are files of ours alone, and of these each is asked for once."""
    cache = Cache(urlsplit(server).netloc)
    with caching(cache.address, cache) as address:
        told = mixed(address, acme, two, REQUESTS, (*BY_BROWSER, "program"))
    assert told["asked"] == REQUESTS
    assert told["the other's"] == 0
    assert told["own"] > REQUESTS / 2
    assert {path for path, _ in cache.kept} == set(STATIC)
    assert set(cache.given) == set(STATIC)


@pytest.mark.parametrize("heeds", ["Cache-Control", "Vary"])
def test_each_of_the_two_headers_holds_alone(
    app: Flask, acme: people.Cast, server: str, two: tuple[Asker, Asker], heeds: str
) -> None:
    """Of what browsers ask. What a program is told by its token is `no-store` alone."""
    cache = Cache(urlsplit(server).netloc, heeds == "Cache-Control", heeds == "Vary")
    with caching(cache.address, cache) as address:
        assert mixed(address, acme, two, 100, BY_BROWSER)["the other's"] == 0


def test_a_cache_that_heeds_neither_is_seen_to_mix_people(
    app: Flask, acme: people.Cast, server: str, two: tuple[Asker, Asker]
) -> None:
    """So the tests above would tell."""
    cache = Cache(urlsplit(server).netloc, heeds_cache_control=False, heeds_vary=False)
    with caching(cache.address, cache) as address:
        assert mixed(address, acme, two, 100, BY_BROWSER)["the other's"] > 0
