# ruff: noqa: F811  (fixtures are arguments)
"""By which names Dataelan answers, once whoever runs it has said them: attack case 22."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from flask import Flask

from dataelan_web import create_app
from dataelan_web.accounts import resetting
from dataelan_web.config import load
from dataelan_web.headers import PROTECTION
from dataelan_web.hosts import WORDS
from dataelan_web.models import User
from dataelan_web.notify import letters
from dataelan_web.notify import mail as mails

from . import people
from .conftest import TO_START, answers, free_port, process, wait_until
from .test_access import ROUTES, Ids
from .test_accounts import address
from .test_own_account import ada, letters_to, mail  # noqa: F401  (fixtures)

NAMED = {"DATAELAN_PUBLIC_URL": "https://dataelan.example.com", "DATAELAN_TRUSTED_HOSTS": "web *.internal.example"}
OURS = (
    "dataelan.example.com",
    "Dataelan.Example.Com:8443",
    "dataelan.example.com.",
    "web:8000",
    "a.b.internal.example",
    "localhost",
    "127.0.0.1:8000",
    "[::1]:8000",
)
OTHERS = (
    "evil.example",
    "evil.example:443",
    "dataelan.example.com.evil.example",
    "evil-dataelan.example.com",
    "dataelan.example.com@evil.example",
    "evil.example/dataelan.example.com",
    "evil.example?dataelan.example.com",
    "evil.example#dataelan.example.com",
    r"evil.example\dataelan.example.com",
    "dataelan.example.com, evil.example",
    "dataelan.example.com evil.example",
    "internal.example",
    "192.0.2.7",
    "[2001:db8::7]",
    "[::1",
    "'\"><script>alert(1)</script>",
    " ",
)


@pytest.fixture(scope="module")
def named(app: Flask, environment: dict[str, str]) -> Flask:
    return create_app(load(environment | NAMED))


@pytest.fixture(scope="module")
def behind(app: Flask, environment: dict[str, str]) -> Flask:
    return create_app(load(environment | NAMED | {"DATAELAN_TRUSTED_PROXIES": "1"}))


def test_whoever_says_where_it_is_reached_has_it_answer_there_alone(environment: dict[str, str]) -> None:
    def names(**settings: str) -> tuple[str, ...]:
        return load(environment | settings).trusted_hosts

    here = ("localhost", "127.0.0.1", "::1")
    assert names() == (), "opened by a number or this machine’s name, as after `make run`"
    assert names(DATAELAN_PUBLIC_URL="https://Dataelan.example.com/") == ("dataelan.example.com", *here)
    assert names(DATAELAN_PUBLIC_URL="https://münchen.example:8443") == ("xn--mnchen-3ya.example", *here)
    assert names(DATAELAN_TRUSTED_HOSTS="web") == ("web", "127.0.0.1", *here)


def test_another_name_is_refused_on_every_route_and_told_nothing(named: Flask, behind: Flask) -> None:
    nobody = vars(Ids.of_nobody("nowhere"))
    for route in ROUTES:
        if route.endpoint in ("static", "health.up", "health.ready", "metrics.show"):
            continue  # nothing there tells a name, and what watches over a process may know none
        path = route.path.format(**nobody)
        for app, headers in ((named, {"Host": "evil.example"}), (behind, {"X-Forwarded-Host": "evil.example"})):
            answer = app.test_client().open(path, method=route.method, headers=headers)
            assert (answer.status_code, answer.text) == (400, WORDS), route
            assert PROTECTION.items() <= dict(answer.headers).items()
            assert answer.headers["Cache-Control"] == "no-store"
            assert "Set-Cookie" not in answer.headers


def test_its_own_names_are_answered_with_any_port_and_no_other_spelling_is(named: Flask) -> None:
    client = named.test_client()
    for host in OURS:
        assert client.get("/login", headers={"Host": host}).status_code == 200, host
    for host in OTHERS:
        assert client.get("/login", headers={"Host": host}).status_code == 400, host
        assert client.get("/healthz", headers={"Host": host}).status_code == 200, host
    assert client.get("/login", headers={"X-Forwarded-Host": "evil.example"}).status_code == 200, "nobody believes it"


def test_a_link_in_a_letter_leads_to_the_public_address_whatever_name_was_asked(
    app: Flask, ada: User, mail: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no name was said, and so each is answered."""
    monkeypatch.setattr(resetting, "TAKES", 0)
    forged = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    browser = people.browser(app)
    page = browser.get("/forgot", headers=forged)
    assert page.status_code == 200
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)[1]  # type: ignore[index]
    cookie = {"Cookie": page.headers["Set-Cookie"].partition(";")[0]}
    form = {"csrf_token": token, "email": ada.email}
    asked = app.test_client(use_cookies=False).post(
        "/forgot", data=form, headers=forged | cookie, environ_overrides=address()
    )
    assert asked.status_code == 200
    (letter,) = letters_to(ada.email)
    written = str(mails.letter(str(letter.id), ada.email, {**letters.opened(letter), "name": ""}))
    for told in (page.text, asked.text, written):
        assert "evil.example" not in told
    assert f"{app.extensions['dataelan_settings'].public_url}/reset/" in written.replace("=\n", "")


@pytest.fixture(scope="module")
def named_server(environment: dict[str, str], app: Flask) -> Iterator[str]:
    port = free_port()
    command = f"serve.py --port {port}"
    with process(command.split(), environment | NAMED | {"PORT": str(port)}):
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/healthz"), TO_START)
        yield f"127.0.0.1:{port}"


def test_the_web_server_hands_on_the_name_that_was_asked(named_server: str) -> None:
    """Also of an address that names a host itself, and of two names at once."""

    def asked(target: str, *hosts: str) -> int:
        line = http.client.HTTPConnection(named_server, timeout=10)
        line.putrequest("GET", target, skip_host=True)
        for host in hosts:
            line.putheader("Host", host)
        line.endheaders()
        status = line.getresponse().status
        line.close()
        return status

    assert asked("/login", "dataelan.example.com") == 200
    assert asked("/login", named_server) == 200
    assert asked("/login", "evil.example") == 400
    assert asked("/login") in (200, 400), "HTTP/1.1 wants a name; without one nothing can be told back but our own"
    assert asked("/login", "evil.example", "dataelan.example.com") == 400
    assert asked("/healthz", urlsplit(f"//{named_server}").hostname or "") == 200
