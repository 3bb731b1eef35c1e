# ruff: noqa: F811  (fixtures are arguments)
"""What gives somebody power over an organization: only by who proved who they are in the last 15 minutes."""

from __future__ import annotations

import html
import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from dataelan_web.accounts import proving, throttle
from dataelan_web.extensions import db
from dataelan_web.models import AuditEvent, Invitation, Membership, Organization, Role, SignIn, User, now

from . import people
from .authenticator import Device
from .test_access import HTMX, ROUTES, rows_of
from .test_accounts import PASSWORD
from .test_own_account import ada  # noqa: F401  (a fixture)
from .test_passkeys import added, asked
from .test_sent_twice import ROUTE, filled, made_for, vendor  # noqa: F401  (a fixture)
from .test_two_factor import Shared, app_of_ada, clock  # noqa: F401  (fixtures)
from .upstream import Upstream

ALWAYS = set(
    "account.end_others account.end_sign_in"
    " admin_hub.create_key admin_hub.replace_secret hub.create_key hub.replace_secret members.change_role"
    " organizations.change_sign_in organizations.change_ways organizations.delete organizations.export"
    " organizations.transfer programs.create programs.issue programs.rotate projects.create_token projects.rotate_token"
    " sso_settings.change sso_settings.check_domain sso_settings.enforce sso_settings.remove".split()
)
"""Routes that ask whatever is sent to them."""
SOMETIMES: dict[str, dict[str, str]] = {
    "members.invite": {"emails": "ada-{unique}@example.com", "role": "ADMIN"},
    "members.remove": {},
    "members.renew": {},
}
"""Those that ask where it is about an owner or an admin."""
SAYS = {
    "hub.replace_secret": {"key": "sk-another-1234567"},
    "organizations.change_sign_in": {"two_factor": "not needed"},
    "organizations.change_ways": {"way": "password"},
    "organizations.delete": {"name": "Acme"},
    "organizations.transfer": {"to": "{member}"},
}
"""endpoint → what is sent, where that of test_access.py changes nothing."""
OTHERWISE = set(
    "admin_hub.replace_secret hub.replace_secret"
    " sso_settings.change sso_settings.check_domain sso_settings.enforce".split()
)
"""What is refused after it for another reason: a key that no provider accepts, what only an enterprise has."""
PROOF = "/account/proof"


def at_a_desk(app: Flask, person: User, minutes: int = 16) -> people.Browser:
    """Signed in, and for so long has nobody looked who sits there."""
    person.set_password(PASSWORD)
    row, secret = SignIn.begin(person)
    row.proven_at = now() - timedelta(minutes=minutes)
    db.session.add(row)
    db.session.commit()
    client = people.browser(app)
    with client.session_transaction() as session:
        session["_user_id"], session["_fresh"] = secret, True
    return client


def is_asked(answer: TestResponse) -> bool:
    is_dialog = answer.headers.get("Dataelan-Proof") == "needed" and answer.headers.get("HX-Reswap") == "none"
    return answer.status_code == 422 and (is_dialog or 'id="prove-form"' in answer.get_data(as_text=True))


def fields_of(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page)
    return {name: html.unescape(said) for name, said in found if name not in ("csrf_token", "once")}


def where_to(page: str) -> str:
    return html.unescape(re.search(r'id="prove-form" method="post" action="([^"]+)"', page)[1])  # type: ignore[index]


def lines(action: str, about: User) -> list[dict[str, Any]]:
    db.session.rollback()
    here = AuditEvent.action == action, AuditEvent.subject_id == about.id
    return list(db.session.scalars(select(AuditEvent.detail).where(*here)))


def is_proven(person: User) -> bool:
    """In the browser in which they signed in last."""
    db.session.rollback()
    mine = select(SignIn).where(SignIn.user_id == person.id).order_by(SignIn.created_at.desc())
    return db.session.scalars(mine.execution_options(populate_existing=True)).first().is_proven_lately  # type: ignore[union-attr]


def test_the_table_names_each_route_that_asks(app: Flask) -> None:
    asking = {name for name, view in app.view_functions.items() if getattr(view, "is_proven_lately", False)}
    assert asking == ALWAYS
    assert ROUTE.keys() >= ALWAYS | SOMETIMES.keys()


@pytest.mark.parametrize("endpoint", sorted(ALWAYS | SOMETIMES.keys()))
def test_it_is_held_back_and_goes_on_as_it_was_sent(
    app: Flask, acme: people.Cast, vendor: Upstream, endpoint: str
) -> None:
    """By a dialog, or by a page that holds what was typed."""
    said, values = made_for(endpoint, acme, vendor)
    said |= SAYS.get(endpoint, {}) | SOMETIMES.get(endpoint, {})
    if "{member}" in said.values():
        here = Membership.organization_id == acme.organization.id, Membership.user_id == acme.mia.id
        values["member"] = str(db.session.scalar(select(Membership.id).where(*here)))
    if endpoint in ("members.remove", "members.renew"):
        for_admins = {"members.remove": Membership, "members.renew": Invitation}[endpoint]
        name = {"members.remove": "member", "members.renew": "invitation"}[endpoint]
        row = db.session.get_one(for_admins, uuid.UUID(values[name]))
        row.role = Role.ADMIN  # type: ignore[attr-defined]
    acme.olivia.is_superuser = ROUTE[endpoint].is_admin
    url = ROUTE[endpoint].path.format(**values)
    form = {filled(name, values): filled(words, values) for name, words in said.items()}
    olivia = at_a_desk(app, acme.olivia)
    before = rows_of(acme)
    assert is_asked(olivia.submit(url, form))
    page = olivia.post(url, data={**form, "csrf_token": olivia.csrf(), "once": uuid.uuid4().hex})
    assert is_asked(page)
    assert rows_of(acme) == before, "something was done"
    shown = page.get_data(as_text=True)
    assert fields_of(shown) == form
    proof = {**fields_of(shown), "csrf_token": olivia.csrf(), "current": PASSWORD, "once": uuid.uuid4().hex}
    answer = olivia.post(where_to(shown), data=proof)
    assert answer.status_code == 307, answer.get_data(as_text=True)
    assert answer.location == url
    done = olivia.post(answer.location, data={**proof, "csrf_token": olivia.csrf()})
    assert not is_asked(done)
    assert (done.status_code < 400) != (endpoint in OTHERWISE), done.get_data(as_text=True)
    assert len(lines("account.proven", acme.olivia)) == 1


def test_after_the_proof_the_page_sends_its_form_again(app: Flask, acme: people.Cast) -> None:
    """As static/proof.js does: the mark of the form is not spent, and the secret of before is worth nothing."""
    olivia, url = at_a_desk(app, acme.olivia), f"{acme.home}/invitations"
    form: dict[str, object] = {"emails": "ada@example.com", "role": "OWNER", "once": uuid.uuid4().hex}
    answer = olivia.submit(url, form)
    assert is_asked(answer)
    assert 'hx-target="#proof"' in answer.get_data(as_text=True)
    with olivia.session_transaction() as session:
        stolen = session["_user_id"]
    given = olivia.submit(PROOF, {"current": PASSWORD})
    assert (given.status_code, given.headers["Dataelan-Proof"]) == (204, "given")
    assert olivia.submit(url, form).status_code == 201
    thief = people.browser(app)
    with thief.session_transaction() as session:
        session["_user_id"], session["_fresh"] = stolen, True
    assert thief.get(f"{acme.home}/").location.startswith("/login")


def test_a_wrong_password_proves_nothing_and_is_counted(app: Flask, acme: people.Cast) -> None:
    olivia, url = at_a_desk(app, acme.olivia), f"{acme.home}/service-accounts"
    for wrong in ({"current": "not this one"}, {"current": ""}, {"credential": "{}"}):
        assert is_asked(olivia.submit(PROOF, wrong))
    assert is_asked(olivia.submit(url, {"name": "Nightly"}))
    assert len(lines("account.password_refused", acme.olivia)) == 1
    assert len(lines("account.passkey_refused", acme.olivia)) == 1
    page = olivia.post(f"{PROOF}?to={url}", data={"csrf_token": olivia.csrf(), "name": "Nightly", "current": "wrong"})
    assert "This is not your password." in page.get_data(as_text=True)
    assert fields_of(page.get_data(as_text=True)) == {"name": "Nightly"}
    for _ in range(throttle.PER_ACCOUNT):
        throttle.failed(acme.olivia.email, "127.0.0.1")
    assert "Too many wrong passwords" in olivia.submit(PROOF, {"current": PASSWORD}).get_data(as_text=True)
    assert lines("account.proven", acme.olivia) == []
    assert not is_proven(acme.olivia)


def test_who_has_a_second_factor_shows_both_or_a_passkey(app: Flask, ada: User, app_of_ada: Shared, clock: Any) -> None:
    totp, _, client = app_of_ada
    grow_old(ada)
    assert "Your password alone is not enough" in client.submit(PROOF, {"current": PASSWORD}).get_data(as_text=True)
    assert is_asked(client.submit(PROOF, {"current": PASSWORD, "code": "000000"}))
    assert not is_proven(ada)
    assert client.submit(PROOF, {"current": PASSWORD, "code": totp.at(clock.now)}).status_code == 204
    assert is_proven(ada)
    clock.now += 60
    device = Device()
    added(client, device, {"current": PASSWORD, "code": totp.at(clock.now)})
    grow_old(ada)
    shown = client.submit(PROOF, {"credential": device.use(asked(client, f"{PROOF}/options"))})
    assert shown.status_code == 204
    assert is_proven(ada)


def test_half_a_proof_that_opens_an_organization_is_none_for_its_power(
    app: Flask, acme: people.Cast, ada: User, app_of_ada: Shared
) -> None:
    """Its ways in ask for what somebody did not sign in by, and not for all that they have."""
    _, _, client = app_of_ada
    db.session.add(Membership(organization=acme.organization, user=ada, role=Role.ADMIN))
    db.session.get_one(Organization, acme.organization.id).allowed_ways = ["password"]
    db.session.execute(update(SignIn).where(SignIn.user_id == ada.id).values(ways=["passkey"]))
    db.session.commit()
    grow_old(ada)
    assert client.submit(f"/sso/{acme.organization.slug}/anew", {"current": PASSWORD}).status_code == 204
    assert client.get(f"{acme.home}/").status_code == 200
    assert not is_proven(ada)
    assert is_asked(client.submit(f"{acme.home}/service-accounts", {"name": "Nightly"}))


def grow_old(person: User) -> None:
    before = now() - timedelta(minutes=16)
    db.session.execute(update(SignIn).where(SignIn.user_id == person.id).values(proven_at=before))
    db.session.commit()


def test_nobody_is_asked_without_need(app: Flask, acme: people.Cast) -> None:
    here = Membership.organization_id == acme.organization.id, Membership.user_id == acme.victor.id
    victor = db.session.scalar(select(Membership.id).where(*here))
    olivia = at_a_desk(app, acme.olivia)
    assert olivia.submit(f"{acme.home}/invitations", {"emails": "a@example.com", "role": "MEMBER"}).status_code == 201
    waiting = db.session.scalars(select(Invitation).where(Invitation.organization_id == acme.organization.id)).one()
    assert olivia.submit(f"{acme.home}/invitations/{waiting.id}/renewal").status_code == 201
    assert olivia.submit(f"{acme.home}/members/{victor}/removal").status_code == 200
    lately = at_a_desk(app, acme.adam, minutes=14)
    assert lately.submit(f"{acme.home}/service-accounts", {"name": "Nightly"}).status_code == 204
    db.session.execute(update(SignIn).where(SignIn.user_id == acme.adam.id).values(proven_at=None))  # as begun before
    db.session.commit()
    assert lately.submit(f"{acme.home}/service-accounts", {"name": "Weekly"}).status_code == 204
    long_ago = now() - timedelta(minutes=16)
    db.session.execute(update(SignIn).where(SignIn.user_id == acme.adam.id).values(created_at=long_ago))
    db.session.commit()
    assert is_asked(lately.submit(f"{acme.home}/service-accounts", {"name": "Daily"}))


def test_who_may_not_is_refused_as_ever(app: Flask, acme: people.Cast) -> None:
    url = f"{acme.home}/service-accounts"
    for who, status in ((acme.ned, 404), (acme.gina, 404)):
        assert at_a_desk(app, who, minutes=1).submit(url, {"name": "Nightly"}).status_code in (status, 403)
    assert at_a_desk(app, acme.ned).submit(url, {"name": "Nightly"}).status_code == 404
    victor = at_a_desk(app, acme.victor)
    assert is_asked(victor.submit(url, {"name": "Nightly"}))
    assert victor.submit(PROOF, {"current": PASSWORD}).status_code == 204
    assert victor.submit(url, {"name": "Nightly"}).status_code == 403
    bearer = {"Authorization": f"Bearer {acme.secret}", **HTMX}
    program = people.browser(app)
    for address in (PROOF, url):
        said = {"csrf_token": program.csrf(), "current": PASSWORD, "name": "Nightly"}
        assert program.post(address, data=said, headers=bearer).headers["HX-Redirect"].startswith("/login")


def test_who_acts_as_somebody_proves_nothing_for_them(app: Flask, acme: people.Cast) -> None:
    here = Membership.organization_id == acme.organization.id, Membership.user_id == acme.adam.id
    adam = db.session.scalar(select(Membership.id).where(*here))
    sue = people.user("sue")
    sue.is_superuser = True
    db.session.commit()
    client = at_a_desk(app, sue)
    acting = {"acting_as_id": acme.olivia.id, "acting_until": now() + timedelta(minutes=30)}
    db.session.execute(update(SignIn).where(SignIn.user_id == sue.id).values(**acting))
    acme.olivia.set_password(PASSWORD)
    db.session.commit()
    answer = client.submit(f"{acme.home}/members/{adam}/removal")
    assert answer.status_code == 403
    assert "Not in somebody else" in answer.get_data(as_text=True)
    assert client.submit(PROOF, {"current": PASSWORD}).status_code == 403
    assert not is_proven(sue)


@pytest.mark.parametrize(
    "to", ["", "//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:alert(1)"]
)
def test_it_leads_to_no_other_site(app: Flask, acme: people.Cast, to: str) -> None:
    mia = at_a_desk(app, acme.mia)
    form = {"csrf_token": mia.csrf(), "current": PASSWORD}
    answer = mia.post(PROOF, query_string={"to": to}, data=form)
    assert (answer.status_code, answer.location) == (303, "/")


def test_no_route_that_asks_has_a_field_of_the_proof(app: Flask) -> None:
    names = {name for route in ROUTES if route.endpoint in ALWAYS | SOMETIMES.keys() for name in route.form}
    assert not names & {"current", "code", "credential"}
    assert proving.TRIES == 10
