"""A secret of each kind is entered, made and used; then all that Dataelan keeps, says and shows is searched for them.
For those that other tests plant the same is done when all are over (conftest.app)."""

from __future__ import annotations

import base64
import re
import secrets
import subprocess
import sys
import uuid
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request

import pyotp
import pytest
from flask import Flask

from dataelan_web.accounts import resetting
from dataelan_web.dashboards import exporting
from dataelan_web.extensions import db
from dataelan_web.jobs.queue import store
from dataelan_web.models import GatewayToken, OrganizationKind, Role, SignIn
from dataelan_web.notify import webhooks
from dataelan_web.sso import settings

from . import leaks, people
from .conftest import DIRECTLY
from .test_access import HTMX, PUBLIC, ROUTES, TOKEN, Ids, send
from .upstream import upstream

KEY = "a provider’s key"


def planted(app: Flask, cast: people.Cast, url: str) -> dict[str, str]:
    """What is worth stealing, of each kind, by what it is. Commits."""
    olivia, home = cast.olivia, cast.organization
    home.kind = OrganizationKind.ENTERPRISE
    made = {f"a {kind}": f"sk-CANARY-{secrets.token_urlsafe(24)}" for kind in ("provider’s key", "client secret")}
    people.own_model(cast, people.own_provider(cast, url, secret=made[KEY]), "mine")
    settings.change(home, olivia, settings.Wanted(url, "dataelan", made["a client secret"], "groups", {}, Role.VIEWER))
    made["a password"] = f'{secrets.token_urlsafe(12)} "words" {secrets.token_urlsafe(12)}'
    olivia.set_password(made["a password"])
    token, made["a gateway token"] = GatewayToken.issue(cast.project, olivia.id, "A program")
    sign_in, made["a cookie's secret"] = SignIn.begin(olivia, "127.0.0.1", "Firefox")
    db.session.add_all([token, sign_in])
    _, made["a webhook's secret"] = webhooks.create(home, olivia.id, "Ours", url, [])
    db.session.commit()
    client = people.browser(app, olivia)
    client.submit("/account/two-factor", {"current": made["a password"]})
    page = client.get("/account/two-factor").text
    made["an app’s secret"] = re.search(r'id="two-factor-secret">([A-Z2-7]{32})<', page)[1]  # type: ignore[index]
    code = pyotp.TOTP(made["an app’s secret"]).now()
    confirmed = client.submit("/account/two-factor/confirmation", {"code": code}).text
    made["a recovery code"] = re.search(r"\b[a-z2-7]{4}(?:-[a-z2-7]{4}){5}\b", confirmed)[0]  # type: ignore[index]
    db.session.refresh(olivia)  # whose other sign-ins ended
    client = people.browser(app, olivia)
    made["a link for a new password"] = resetting.link_for(cast.mia).rpartition("/")[2]
    invited = client.submit(f"{cast.home}/invitations", {"emails": f"{uuid.uuid4().hex}@example.com", "role": "MEMBER"})
    made["an invitation"] = re.search(r"/join/([\w-]{40,})", invited.text)[1]  # type: ignore[index]
    db.session.commit()
    return made


def used(url: str, token: str) -> bytes:
    """What a call answers that its provider refuses, quoting the key."""
    body = b'{"model": "mine", "messages": [{"role": "user", "content": "Hello"}]}'
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with pytest.raises(HTTPError) as refused:
        DIRECTLY.open(Request(f"{url}/v1/chat/completions", body, headers))
    return refused.value.read() + str(refused.value.headers).encode()


def shown(client: people.Browser, ids: Ids) -> list[leaks.Place]:
    """Every page, and every file that is taken out."""
    pages = [one for one in ROUTES if one.method == "GET" and one.allowed not in (PUBLIC, TOKEN)]
    pages = [one for one in pages if not one.endpoint.endswith("stream") and "olivia" in one.allowed]
    answers = [(str(one), send(client, one, ids, "", HTMX)) for one in pages]
    return [(f"page {name}", answer.get_data() + str(answer.headers).encode()) for name, answer in answers]


@pytest.mark.sweep
def test_no_secret_is_found_outside_its_ciphertext(
    app: Flask,
    environment: dict[str, str],
    data_dir: Path,
    acme: people.Cast,
    server: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with upstream() as vendor:
        known = planted(app, acme, vendor.url)
        client = people.browser(app, acme.olivia)
        vendor.answers({"error": {"message": f"Incorrect API key: {known[KEY]}"}}, status=401)
        told = [("an answer", used(server, known["a gateway token"]))]
        assert any(known[KEY] in str(one["headers"]) for one in vendor.requests), "it was used"
        people.browser(app).submit("/login", {"email": acme.olivia.email, "password": f"{known['a password']}?"})
        export = client.submit(f"{acme.home}/export").headers["HX-Redirect"]
        exporting.write(uuid.UUID(export.rpartition("/")[2]))
        told += [("an export", client.get(f"{export}/file").data), ("the log", caplog.text.encode())]
        told += shown(people.browser(app, acme.olivia), Ids.of(acme, ROUTES))
    known |= {name: environment[name] for name in ("SECRET_KEY", "DATAELAN_KEYS")}
    assert b"Listening at" in (data_dir / "web.log").read_bytes(), "what the web said"
    assert leaks.found(known, told) == []
    assert leaks.found(known, leaks.everything(app, data_dir)) == []


@pytest.mark.sweep
def test_what_is_searched_for_is_found_in_each_of_these_places(app: Flask, data_dir: Path, context: None) -> None:
    """Or nothing found would say nothing."""
    made = people.user("olivia")
    marks = {place: f"no secret {secrets.token_hex(8)}" for place in ("table users", "Valkey's", "file", "title")}
    made.name = marks["table users"]
    db.session.commit()
    store().hset("marks", "a", marks["Valkey's"])
    (data_dir / "marked").write_bytes(base64.b64encode(b"xy" + marks["file"].encode() + b"z"))
    waits = [sys.executable, "-c", "input()", marks["title"]]
    with subprocess.Popen(waits, stdin=subprocess.PIPE):  # until its input ends with the block
        found = leaks.found(marks, leaks.everything(app, data_dir))
    store().delete("marks")
    for place in marks:
        assert any(one.startswith(f"{place}: {place}") for one in found), place
