"""The headers of errors, files and cookies, and nothing of a request's own headers in a page.

That each route's answer carries them is said where each route is asked for: in test_access.py.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qsl
from urllib.request import ProxyHandler, build_opener

import pytest
from flask import Flask, request
from werkzeug.test import TestResponse

from dataelan_web import create_app
from dataelan_web.config import load
from dataelan_web.headers import PROTECTION

from . import people
from .protection import assert_protected
from .test_access import ROUTES, TOKEN, Ids

PAGES = [route for route in ROUTES if route.method == "GET" and route.endpoint != "static"]


def test_errors_and_fragments_carry_them_too(app: Flask, acme: people.Cast) -> None:
    olivia = people.browser(app, acme.olivia)
    for answer in (
        olivia.get("/no/such/address"),
        olivia.get(f"{acme.home}/no-such-page"),
        olivia.get("/v1/no-such-address"),
        olivia.post("/login"),  # 403, no token
        olivia.put("/login"),
        olivia.get(f"{acme.home}/hub/models", headers={"HX-Request": "true"}),
        olivia.submit(f"{acme.session_url}/executions", {"text": ""}),
    ):
        assert_protected(answer)


def test_files_with_a_digest_are_kept_for_ever_and_others_are_not(app: Flask) -> None:
    client = people.browser(app)
    address = re.search(r'href="(/static/app\.css\?v=\w+)"', client.get("/login").get_data(as_text=True))[1]  # type: ignore[index]
    assert "immutable" in client.get(address).headers["Cache-Control"]
    assert "immutable" not in client.get("/static/app.css").headers.get("Cache-Control", "")
    assert client.get("/static/app.css?v=0123456789ab").headers["Cache-Control"] == "no-cache", "of another version"
    up = (
        "../wsgi.py",
        "%2e%2e/wsgi.py",
        "..%2fwsgi.py",
        "%2e%2e%2f%2e%2e%2fetc/passwd",
        "....//wsgi.py",
        "..\\wsgi.py",
    )
    absolute = ("/etc/passwd", "//etc/passwd", "%2fetc%2fpasswd", "C:/windows/win.ini", "file:///etc/passwd")
    odd = ("vendor", "vendor/", "none.css", "app.css%00", "app.css%00.png", "con", "nul.css", "..\\wsgi.py")
    for path in (*up, *absolute, *odd):
        assert client.get(f"/static/{path}", follow_redirects=True).status_code == 404, path


def test_files_carry_the_headers_of_every_answer_and_say_what_they_are(server: str, secure: Flask) -> None:
    """Whatever the web server would say of them by itself."""
    files = {"app.css": "text/css; charset=utf-8", "app.js": "text/javascript; charset=utf-8"}
    files |= {"vendor/icons.svg": "image/svg+xml; charset=utf-8"}
    files |= {"vendor/fonts/geist-latin-wght-normal.woff2": "font/woff2"}
    for name, said in files.items():
        with build_opener(ProxyHandler({})).open(f"{server}/static/{name}") as answer:
            assert {key: answer.headers[key] for key in PROTECTION} == PROTECTION, name
            assert answer.headers["Content-Type"] == said
            assert answer.read() == Path("static", name).read_bytes()
    client = people.browser(secure)
    assert client.get("/static/app.css").headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    assert client.head("/static/app.css").data == b""
    assert client.post("/static/app.css").status_code == 405
    assert client.open("/static/app.css", method="TRACE").status_code == 405


@pytest.fixture(scope="module")
def secure(app: Flask, environment: dict[str, str]) -> Flask:
    """Behind one proxy, by HTTPS, with an address that says from where it was asked."""
    made = create_app(load(environment | {"DATAELAN_SECURE_COOKIES": "true", "DATAELAN_TRUSTED_PROXIES": "1"}))
    made.add_url_rule("/whence", "whence", lambda: request.remote_addr or "")
    return made


def test_the_cookie_is_for_this_site_and_no_script(app: Flask, secure: Flask) -> None:
    plain = people.browser(app).get("/login").headers["Set-Cookie"]
    assert "HttpOnly" in plain
    assert "SameSite=Lax" in plain
    assert "Domain" not in plain
    answer = people.browser(secure).get("/login", base_url="https://localhost")
    cookie = answer.headers["Set-Cookie"]
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    assert cookie.startswith("__Host-dataelan=")
    assert "Secure" in cookie
    assert "Path=/;" in cookie + ";"


def test_the_address_of_a_caller_is_what_the_trusted_proxies_say_and_no_more(secure: Flask) -> None:
    """Of one proxy the last address counts: it wrote that, and the caller what is before."""
    for said, whence in (("198.51.100.7", "198.51.100.7"), ("1.1.1.1, junk,, 2001:db8::7", "2001:db8::7")):
        assert people.browser(secure).get("/whence", headers={"X-Forwarded-For": said}).text == whence
    assert people.browser(secure).get("/whence", headers={"X-Real-IP": "1.1.1.1"}).text == "127.0.0.1"


def test_of_two_proxies_the_second_address_from_the_end_counts(environment: dict[str, str]) -> None:
    """And of fewer than that none that a header says: somebody went around them."""
    made = create_app(load(environment | {"DATAELAN_TRUSTED_PROXIES": "2"}))
    made.add_url_rule("/whence", "whence", lambda: request.remote_addr or "")
    for said, whence in (("1.1.1.1, 2001:db8::7, 3.3.3.3", "2001:db8::7"), ("3.3.3.3", "127.0.0.1"), ("", "127.0.0.1")):
        assert made.test_client().get("/whence", headers={"X-Forwarded-For": said}).text == whence


def test_people_at_the_same_time_never_get_each_others_pages(app: Flask, acme: people.Cast, rival: people.Cast) -> None:
    def look(cast: people.Cast) -> list[str]:
        client = people.browser(app, cast.mia)
        return [client.get(cast.session_url).get_data(as_text=True) for _ in range(8)]

    with ThreadPoolExecutor(4) as pool:
        for cast, pages in zip((acme, rival) * 2, pool.map(look, (acme, rival) * 2), strict=True):
            other = rival if cast is acme else acme
            for page in pages:
                assert cast.session.title in page
                assert other.session.title not in page
                assert other.mia.email not in page


PAYLOAD = "'\"><script>alert(1)</script>"


@pytest.mark.sweep
def test_nothing_of_a_requests_headers_or_address_comes_back_unescaped(app: Flask, acme: people.Cast) -> None:
    ids = Ids.of(acme, PAGES)
    names = ("Accept-Language", "Referer", "User-Agent", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-For")
    names += ("HX-Current-URL", "HX-Target", "HX-Trigger", "HX-Trigger-Name", "HX-Source", "HX-Boosted", "HX-Prompt")
    names += ("Origin", "Host", "Content-Type", "Forwarded", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Request-ID")
    query = dict.fromkeys(("q", "next", "provider", "capability", "page", "before", "error", "message"), PAYLOAD)
    shells: set[str] = set()
    for person in (None, acme.olivia):
        client = people.browser(app, person)
        for route in PAGES:
            path, _, asked = route.path.format(**vars(ids)).partition("?")
            feature = f"{route.endpoint.partition('.')[0]} for {person}"
            whole = [{}] if feature not in shells or not route.is_inside else []  # what is around a page is a feature's
            shells.add(feature)
            for htmx in (*whole, {"HX-Request": "true"}):
                answer = client.get(
                    path, headers=dict.fromkeys(names, PAYLOAD) | htmx, query_string=query | dict(parse_qsl(asked))
                )
                assert answer.status_code < 500 or route.endpoint == "health.ready"
                assert b"<script>alert" not in answer.data, route
                assert "alert(1)" not in str(answer.headers).replace(escaped_in_location(answer), "")


def escaped_in_location(answer: TestResponse) -> str:
    """An address may carry what was asked for, percent-encoded, as `next`."""
    location = answer.headers.get("Location", answer.headers.get("HX-Redirect", ""))
    assert "<" not in location
    assert location.startswith("/") or not location
    return location or "\0"


def test_a_forwarded_host_is_not_believed_without_a_trusted_proxy(app: Flask, acme: people.Cast) -> None:
    olivia = people.browser(app, acme.olivia)
    page = olivia.get(
        f"{acme.home}/projects/{acme.project.id}/tokens", headers={"X-Forwarded-Host": "evil.example"}
    ).get_data(as_text=True)
    assert "evil.example" not in page
    assert "http://localhost/v1" in page


def test_words_in_braces_come_out_as_typed(app: Flask, acme: people.Cast) -> None:
    """What a person writes is never a template."""
    mia = people.browser(app, acme.mia)
    for typed in ("{{7*7}}", "{% for x in y %}", "{0.__class__}", "${7*7}", "#{7*7}"):
        mia.submit(f"{acme.session_url}/title", {"title": typed})
        page = mia.get(acme.session_url).get_data(as_text=True)
        assert typed in page.replace("&#39;", "'")
        assert ">49<" not in page


def test_the_secret_of_a_token_goes_to_nobody_but_its_gateway(app: Flask) -> None:
    """A bearer token says who calls the gateway: its answers may be kept by nobody."""
    for route in ROUTES:
        if route.allowed is TOKEN:
            assert_protected(people.browser(app).open(route.path, method=route.method))
