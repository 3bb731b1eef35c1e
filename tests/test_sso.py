"""Single sign-on at a real OpenID provider, over HTTP: who comes in, as what, where it leads, and who never does."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from urllib.error import HTTPError
from urllib.parse import parse_qs, quote, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

import pyotp
import pytest
from flask import Flask
from sqlalchemy import delete, select, update
from werkzeug.test import TestResponse

from dataelan_web.accounts import two_factor
from dataelan_web.extensions import db
from dataelan_web.hub.keys import rotation
from dataelan_web.members import managing
from dataelan_web.models import (
    AuditEvent,
    Identity,
    IdentityProvider,
    OrganizationKind,
    Passkey,
    ProvenBy,
    Role,
    SignIn,
    User,
    new_id,
    now,
)
from dataelan_web.models.sign_ins import LONGEST_THROUGH
from dataelan_web.notify import tell
from dataelan_web.sso import domains, proving, settings

from . import people
from .conftest import TO_START, answers, free_port, process, wait_until

PASSWORD = "correct horse battery"
CLIENT, SECRET = "dataelan", "sk-CANARY a client secret"
ROLES = {"admins": "ADMIN", "staff": "MEMBER"}


class NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


ask = build_opener(ProxyHandler({}), NoRedirect()).open


@pytest.fixture(scope="module")
def issuer(environment: dict[str, str]) -> Iterator[str]:
    """The provider, running, as long as this file needs it."""
    port = free_port()
    with process(["-m", "tests.identity_provider", str(port), SECRET], environment):
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(f"{url}/jwks"), TO_START)
        yield url


@dataclass
class Home:
    """An enterprise whose people sign in at the provider, with a domain of its own."""

    app: Flask
    cast: people.Cast
    issuer: str
    domain: str

    @property
    def slug(self) -> str:
        return str(self.cast.organization.slug)

    @property
    def page(self) -> str:
        return f"{self.cast.home}/settings/single-sign-on"

    def provider(self) -> IdentityProvider:
        db.session.rollback()
        here = IdentityProvider.organization_id == self.cast.organization.id
        return db.session.scalars(select(IdentityProvider).where(here).execution_options(populate_existing=True)).one()

    def knows(self, name: str, **claims: object) -> str:
        """The provider knows somebody. Their subject there."""
        subject = f"{name}-{uuid.uuid4().hex[:8]}"
        self.says(
            subject, **{"email": f"{subject}@{self.domain}", "email_verified": True, "name": name.title()} | claims
        )
        return subject

    def says(self, subject: str, **claims: object) -> None:
        known_at(self.issuer, subject, **claims)

    def comes(self, subject: str, client: people.Browser | None = None, next: str = "") -> TestResponse:
        """There and back in a browser; what Dataelan answers."""
        client = client or people.browser(self.app)
        self.last = client
        return client.get(self.answer(subject, client, next))

    def answer(self, subject: str, client: people.Browser, next: str = "") -> str:
        """Where the provider sends the browser back to."""
        begun = client.get(f"/sso/{self.slug}?next={quote(next)}")
        assert begun.status_code == 303, begun.get_data(as_text=True)
        return signed_in_there(begun.location, subject)

    def user(self, subject: str) -> User | None:
        db.session.rollback()
        query = select(User).where(User.email == f"{subject}@{self.domain}")
        return db.session.scalars(query.execution_options(populate_existing=True)).first()

    def role(self, subject: str) -> Role | None:
        found = self.user(subject)
        return managing.role_of(self.cast.organization.id, found.id) if found else None

    def has_account(self, name: str, role: Role | None = None) -> tuple[User, str]:
        """Somebody whom the provider knows, and who has an account of before: with a password. (who, subject)"""
        subject = self.knows(name)
        made = User(email=f"{subject}@{self.domain}", name=name.title())
        made.set_password(PASSWORD)
        db.session.add(made)
        db.session.flush()
        if role is not None:
            db.session.add(people.Membership(organization=self.cast.organization, user=made, role=role))
        db.session.commit()
        return made, subject

    def log(self, action: str) -> list[dict[str, object]]:
        db.session.rollback()
        here = AuditEvent.organization_id == self.cast.organization.id, AuditEvent.action == action
        return list(db.session.scalars(select(AuditEvent.detail).where(*here).order_by(AuditEvent.id)))

    @contextmanager
    def changed(self, **values: object) -> Iterator[None]:
        provider = self.provider()
        before = {name: getattr(provider, name) for name in values}
        for one in (values, before):
            for name, value in one.items():
                setattr(self.provider(), name, value)
                db.session.commit()
            if one is values:
                yield


def known_at(issuer: str, subject: str, **claims: object) -> None:
    """What the provider says of somebody from now on."""
    headers = {"Content-Type": "application/json"}
    ask(Request(f"{issuer}/users/{subject}", json.dumps(claims).encode(), headers, method="PUT"))


def signed_in_there(url: str, subject: str) -> str:
    """What the provider's page does when somebody signs in there: the address that it sends the browser to."""
    try:
        answer = ask(Request(url, urlencode({"sub": subject}).encode()))
    except HTTPError as error:
        answer = error
    back = urlsplit(answer.headers["Location"])
    return f"{back.path}?{back.query}"


def home(app: Flask, cast: people.Cast, issuer: str) -> Home:
    cast.organization.kind = OrganizationKind.ENTERPRISE
    wanted = settings.Wanted(issuer, CLIENT, SECRET, "groups", {}, Role.VIEWER)
    settings.change(cast.organization, cast.olivia, wanted)
    domain = f"d{uuid.uuid4().hex[:10]}.example"
    domains.prove(domains.claim(cast.organization, domain), ProvenBy.OPERATOR)
    return Home(app, cast, issuer, domain)


@pytest.fixture
def acmes(app: Flask, acme: people.Cast, issuer: str) -> Home:
    return home(app, acme, issuer)


# -- coming in -------------------------------------------------------------------------------------


def test_who_comes_for_the_first_time_gets_an_account_and_their_groups_say_what_they_may(acmes: Home) -> None:
    with acmes.changed(roles=ROLES):
        ada = acmes.knows("ada", groups=["staff", "admins", "chess"])
        answer = acmes.comes(ada, next=acmes.cast.session_url)
        assert answer.location == acmes.cast.session_url
        assert acmes.last.get(answer.location).status_code == 200
        assert acmes.role(ada) is Role.ADMIN
        made = acmes.user(ada)
        assert (made.name, made.password_hash) == ("Ada", "")  # type: ignore[union-attr]
        for groups, role in ((["staff"], Role.MEMBER), ([], Role.VIEWER), ("admins", Role.ADMIN)):
            acmes.says(ada, email="somebody.else@example.org", groups=groups)  # they are known by their subject
            assert acmes.comes(ada).location == f"{acmes.cast.home}/"
            assert acmes.role(ada) is role
        assert [line["after"] for line in acmes.log("member.role_changed")] == ["MEMBER", "VIEWER", "ADMIN"]
        assert acmes.log("member.joined") == [{"role": "ADMIN", "how": "single sign-on"}]
        assert len(acmes.log("sso.signed_in")) == 4


def test_who_is_in_no_group_that_may_come_in_is_out_everywhere(acmes: Home) -> None:
    with acmes.changed(roles=ROLES, default_role=None):
        ada = acmes.knows("ada", groups=["staff"])
        acmes.comes(ada)
        elsewhere = acmes.last
        acmes.says(ada, groups=["chess"])
        assert acmes.comes(ada).status_code == 403
        assert elsewhere.get(f"{acmes.cast.home}/").location.startswith("/login")
        assert "None of your groups" in str(acmes.log("sso.refused")[0]["why"])


def test_where_two_factors_are_wanted_a_provider_that_tells_of_one_is_not_enough(acmes: Home) -> None:
    """Of one that tells nothing it is taken that it asks for what the organization wants."""
    ada, one = acmes.knows("ada"), {"email_verified": True, "name": "Ada"}
    email = f"{ada}@{acmes.domain}"
    weak = (["pwd"], ["pwd", "pin"], ["otp"], "pwd", ["face", "fpt"])
    for methods in weak:
        acmes.says(ada, **one, email=email, amr=methods)
        assert acmes.comes(ada).status_code == 303, "nobody wants two"
    acmes.cast.organization.needs_two_factor = True
    db.session.commit()
    for methods in weak:
        acmes.says(ada, **one, email=email, amr=methods)
        answer = acmes.comes(ada)
        assert answer.status_code == 403, methods
        assert "your provider says that you showed one" in answer.text
    assert len(acmes.log("sso.refused")) == len(weak)
    for methods in (["pwd", "otp"], ["mfa"], ["pwd", "mfa"], ["hwk", "pin"], ["fido"], [], None, 7):
        acmes.says(ada, **one, email=email, amr=methods)
        assert acmes.comes(ada).status_code == 303, methods


def test_an_answer_counts_once_and_in_the_browser_that_asked_for_it(acmes: Home) -> None:
    ada, mallory = acmes.knows("ada"), people.browser(acmes.app)
    theirs = acmes.answer(ada, mallory)
    victim = people.browser(acmes.app)
    code = parse_qs(urlsplit(theirs).query)["code"][0]
    path = urlsplit(theirs).path
    begun = parse_qs(urlsplit(victim.get(f"/sso/{acmes.slug}").location).query)
    assert begun["code_challenge_method"] == ["S256"]
    assert begun["redirect_uri"][0].endswith(path)
    forged = {
        "of another browser": theirs,
        "without a state": f"{path}?code={code}",
        "of no one": f"{path}?state=&code=x",
    }
    for what, url in forged.items():
        assert victim.get(url).status_code == 400, what
    stolen = victim.get(f"{path}?code={code}&state={begun['state'][0]}")
    assert stolen.status_code == 403, "a code is of no use without its verifier"
    assert "not yours" in stolen.get_data(as_text=True)
    assert acmes.user(ada) is None
    assert mallory.get(theirs).status_code == 303
    assert mallory.get(theirs).status_code == 400, "once"
    again = parse_qs(urlsplit(mallory.get(f"/sso/{acmes.slug}").location).query)["state"][0]
    assert mallory.get(f"{path}?code={code}&state={again}").status_code == 403, "a code was used"
    assert victim.get(f"{path}?state={begun['state'][0]}&error=access_denied").status_code == 400
    other = parse_qs(urlsplit(victim.get(f"/sso/{acmes.slug}").location).query)["state"][0]
    broken_off = victim.get(f"{path}?state={other}&error=access_denied")
    assert "broke off" in broken_off.get_data(as_text=True)
    another = parse_qs(urlsplit(victim.get(f"/sso/{acmes.slug}").location).query)["state"][0]
    mixed_up = victim.get(f"{path}?state={another}&code=x&iss=https://evil.example")
    assert "another provider" in mixed_up.get_data(as_text=True)


def test_a_token_that_is_not_of_this_sign_in_is_refused(acmes: Home) -> None:
    wrong = {
        "another sign-in": {"nonce": "another"},
        "another application": {"aud": "another"},
        "given to another": {"aud": [CLIENT, "another"], "azp": "another"},
        "another provider": {"iss": "https://evil.example"},
        "time was over": {"exp": 1},
    }
    for why, claims in wrong.items():
        ada = acmes.knows("ada", **claims)
        answer = acmes.comes(ada)
        assert answer.status_code == 403
        assert why.split(" ")[-1] in answer.get_data(as_text=True), why
        assert acmes.user(ada) is None


def test_an_address_counts_if_it_is_verified_and_of_a_domain_that_is_proven(acmes: Home, rival: people.Cast) -> None:
    their = home(acmes.app, rival, acmes.issuer)
    claimed = domains.claim(rival.organization, acmes.domain)
    for name, claims in {
        "unverified": {"email_verified": False},
        "unsaid": {"email_verified": None},
        "foreign": {"email": "foreign@example.org"},
        "none": {"email": ""},
        "kelvin": {"email": f"\u212aate@{acmes.domain}"},
        "below": {"email": f"ada@sub.{acmes.domain}"},
    }.items():
        subject = acmes.knows(name, **claims)
        assert acmes.comes(subject).status_code == 403, name
        assert acmes.user(subject) is None
    ada = acmes.knows("ada")
    meant_for_acme = acmes.answer(ada, mixed := people.browser(acmes.app)).replace(acmes.slug, their.slug)
    assert mixed.get(meant_for_acme).status_code == 400, "begun at another provider"
    assert their.comes(ada).status_code == 403, "another organization's provider says that she is one of theirs"
    with pytest.raises(domains.NotProven):
        domains.prove(claimed, ProvenBy.OPERATOR)
    assert acmes.user(ada) is None
    entra = acmes.knows("eve", email_verified=None, xms_edov="1")
    assert acmes.comes(entra).status_code == 303
    assert their.comes(entra).status_code == 403, "her subject is known at one provider, and says nothing at another"


# -- accounts of before ----------------------------------------------------------------------------


def test_an_account_of_before_is_opened_to_nobody_who_does_not_know_its_password(
    acmes: Home, rival: people.Cast
) -> None:
    ada, subject = acmes.has_account("ada", Role.OWNER)
    app, code = two_factor_of(ada)
    answer = acmes.comes(subject, next=acmes.cast.session_url)
    assert answer.location == "/sso/link"
    browser = acmes.last
    assert browser.get(acmes.cast.session_url).location.startswith("/login"), "nobody is signed in yet"
    assert ada.email in browser.get("/sso/link").get_data(as_text=True)
    assert browser.submit("/sso/link", {"current": "wrong", "code": app.now()}).status_code == 422
    assert browser.submit("/sso/link", {"current": PASSWORD, "code": "000000"}).status_code == 422
    assert people.browser(acmes.app).submit("/sso/link", {"current": PASSWORD, "code": code}).status_code == 400
    assert db.session.scalar(select(Identity.id).where(Identity.user_id == ada.id)) is None
    noted = set(db.session.scalars(select(AuditEvent.action).where(AuditEvent.subject_id == ada.id)))
    assert {"account.sign_in_refused", "account.code_refused"} <= noted
    linked = browser.submit("/sso/link", {"current": PASSWORD, "code": code})
    assert linked.headers["HX-Redirect"] == acmes.cast.session_url
    assert len(acmes.log("sso.linked")) == 1
    with acmes.changed(roles=ROLES):
        assert acmes.comes(subject).status_code == 303, "from now on it leads there"
        assert acmes.role(subject) is Role.OWNER, "no group makes or unmakes owners"
    recycled = acmes.knows("new", email=ada.email)
    assert acmes.comes(recycled).location == "/sso/link", "the address is another person's at the provider by now"


def two_factor_of(user: User) -> tuple[pyotp.TOTP, str]:
    """(their app, one of their recovery codes)"""
    two_factor.set_up(user)
    found = two_factor.of(user)
    assert found
    found.confirmed_at = now()
    return pyotp.TOTP(two_factor.secret_of(found)), two_factor._new_codes(user)[0]


def test_an_address_that_the_provider_gives_to_another_person_does_not_bring_them_the_account(acmes: Home) -> None:
    ada = acmes.knows("ada")
    acmes.comes(ada)
    browser, before = acmes.last, acmes.user(ada)
    heir = acmes.knows("heir", email=f"{ada}@{acmes.domain}")
    assert "somebody else" in acmes.comes(heir).get_data(as_text=True)
    identity = db.session.scalars(select(Identity).where(Identity.user_id == before.id)).one()  # type: ignore[union-attr]
    olivia = people.browser(acmes.app, acmes.cast.olivia)
    assert ada in olivia.get(acmes.page).get_data(as_text=True)
    assert olivia.submit(f"{acmes.page}/people/{identity.id}/removal").status_code == 200
    assert browser.get(f"{acmes.cast.home}/").location.startswith("/login")
    assert acmes.comes(heir).status_code == 303, "an admin said so"
    moved = acmes.user(ada)
    moved.disabled_at = now()  # type: ignore[union-attr]
    db.session.commit()
    assert "switched off" in acmes.comes(heir).get_data(as_text=True)


# -- where it leads --------------------------------------------------------------------------------


def test_it_leads_into_its_organization_and_nowhere_else(acmes: Home, rival: people.Cast) -> None:
    ada, subject = acmes.has_account("ada", Role.MEMBER)
    ada.is_superuser = True
    db.session.add(people.Membership(organization=rival.organization, user=ada, role=Role.OWNER))
    tell(db.session, rival.organization.id, [ada.id], f"{uuid.uuid4()}", "limit.reached", "A rival limit")
    db.session.commit()
    assert b"Rival" in people.browser(acmes.app, ada).get(f"{acmes.cast.home}/").data
    acmes.comes(subject)
    browser = acmes.last
    browser.submit("/sso/link", {"current": PASSWORD})
    inside = browser.get(f"{acmes.cast.home}/").get_data(as_text=True)
    assert "Rival" not in inside
    assert "/admin" not in inside
    refused = browser.get(f"{rival.home}/")
    assert refused.status_code == 403
    assert "Sign in with your password" in refused.get_data(as_text=True)
    assert "A rival" not in browser.get(f"{acmes.cast.home}/notices").get_data(as_text=True)
    assert browser.get("/admin/people").status_code == 403
    assert browser.get("/organizations/new").status_code == 403
    assert browser.submit("/account/password", {"password": "another long one", "current": PASSWORD}).status_code == 403
    assert b"Two-factor" not in browser.get("/account").data
    assert browser.get("/").location == f"{acmes.cast.home}/"
    old = now() - LONGEST_THROUGH
    db.session.execute(update(SignIn).where(SignIn.user_id == ada.id).values(created_at=old))
    db.session.commit()
    assert browser.get(f"{acmes.cast.home}/").location.startswith("/login"), "the provider is asked again each day"


def test_where_it_is_enforced_there_is_no_other_way_in(acmes: Home) -> None:
    olivia, gina, cast = people.browser(acmes.app, acmes.cast.olivia), acmes.cast.gina, acmes.cast
    cast.olivia.set_password(PASSWORD)
    db.session.commit()
    olivia = people.browser(acmes.app, cast.olivia)
    on, off = {"is_enforced": "yes"}, {"is_enforced": "no"}
    too_soon = olivia.submit(f"{acmes.page}/enforcement", on)
    assert "Sign in through it once" in too_soon.get_data(as_text=True)
    ada = acmes.knows("ada")
    acmes.comes(ada)
    inside = acmes.last
    tell(db.session, cast.organization.id, [cast.mia.id], f"{uuid.uuid4()}", "limit.reached", "Inside alone")
    db.session.commit()
    assert olivia.submit(f"{acmes.page}/enforcement", on).status_code == 204
    assert inside.get(f"{cast.home}/").status_code == 200
    for person in (cast.olivia, cast.adam, cast.mia, gina):
        browser = people.browser(acmes.app, person)
        for answer in (browser.get(cast.session_url), browser.submit(f"{cast.home}/projects", {"name": "New"})):
            assert answer.status_code == 403
            assert f"/sso/{acmes.slug}" in answer.get_data(as_text=True)
        assert browser.get(f"{cast.session_url}/states", headers={"HX-Request": "true"}).status_code == 403
        assert browser.get("/account").status_code == 200
    assert people.browser(acmes.app, cast.ned).get(f"{cast.home}/").status_code == 404, (
        "who is not of them learns nothing"
    )
    way = f"/sso/{acmes.slug}/beside"
    assert people.browser(acmes.app, cast.adam).submit(way, {"current": PASSWORD}).status_code == 403
    assert people.browser(acmes.app, cast.ned).submit(way, {"current": PASSWORD}).status_code == 404
    assert inside.submit(way, {"current": PASSWORD}).headers["HX-Redirect"] == f"{cast.home}/", "she is in already"
    assert olivia.submit(way, {"current": "wrong"}).status_code == 422
    assert (
        olivia.submit(f"{way}?next={cast.session_url}", {"current": PASSWORD}).headers["HX-Redirect"]
        == cast.session_url
    )
    assert olivia.get(f"{cast.home}/").status_code == 200
    assert people.browser(acmes.app, cast.olivia).get(f"{cast.home}/").status_code == 303, (
        "a copy of its cookie of before"
    )
    assert len(acmes.log("sso.bypassed")) == 1
    assert "Enforced" in olivia.get(acmes.page).get_data(as_text=True)
    domain = domains.listed(cast.organization.id)[0]
    kept = olivia.submit(f"{acmes.page}/domains/{domain.id}/removal")
    assert "leads nowhere without a domain" in kept.get_data(as_text=True)
    moved = olivia.submit(acmes.page, form(acmes, issuer="http://127.0.0.1:9", secret=SECRET))
    assert "Stop enforcing" in moved.get_data(as_text=True)
    db.session.execute(update(SignIn).where(SignIn.beside_id == cast.organization.id).values(beside_until=now()))
    db.session.commit()
    over = olivia.get(f"{cast.home}/")
    assert over.status_code == 403, "for an hour"
    assert "with your password. It is written" in over.get_data(as_text=True), "no word of passkeys to who has none"
    olivia.submit(way, {"current": PASSWORD})
    assert olivia.submit(f"{acmes.page}/enforcement", off).status_code == 204
    assert people.browser(acmes.app, cast.mia).get(cast.session_url).status_code == 200


# -- setting it up ---------------------------------------------------------------------------------


def form(acmes: Home, **values: str) -> dict[str, object]:
    fields = {"issuer": acmes.issuer, "client_id": CLIENT, "groups_claim": "groups", "default_role": "MEMBER"}
    return {**fields, **values}


def test_it_is_set_up_by_owners_and_admins_and_its_secret_is_never_shown(acmes: Home) -> None:
    adam = people.browser(acmes.app, acmes.cast.adam)
    told = {
        "Enter the client secret": form(acmes, issuer="http://127.0.0.1:9"),
        "without a user name": form(acmes, issuer="http://a@127.0.0.1"),
        "named twice": form(acmes, admins="staff", viewers="staff"),
        "Nobody could come in": form(acmes, default_role=""),
    }
    for words, said in told.items():
        answer = adam.submit(acmes.page, said)
        assert answer.status_code == 422
        assert words in answer.get_data(as_text=True)
    assert adam.submit(acmes.page, form(acmes, admins=" heads \n\nroot", default_role="")).status_code == 200
    stored = acmes.provider()
    assert (stored.roles, stored.default_role) == ({"heads": "ADMIN", "root": "ADMIN"}, None)
    assert settings.secret_of(stored) == SECRET, "an empty field keeps it"
    assert acmes.log("sso.changed")[-1]["default_role"] is None
    page = adam.get(acmes.page).get_data(as_text=True)
    assert f"/sso/{acmes.slug}/callback" in page
    assert SECRET not in page + str(acmes.log("sso.changed")) + str(acmes.log("sso.set_up"))
    for client in (adam, people.browser(acmes.app, acmes.cast.olivia)):
        assert "Remove that in the settings" in client.get(f"{acmes.cast.home}/settings/kind").get_data(as_text=True)
    assert IdentityProvider in {sealed.model for sealed in rotation.SEALED}
    ada = acmes.knows("ada", groups=["root"])
    acmes.comes(ada)
    inside = acmes.last
    settings.change(
        acmes.cast.organization,
        acmes.cast.olivia,
        settings.Wanted("http://127.0.0.1:9", CLIENT, "new", "", {}, Role.VIEWER),
    )
    assert inside.get(f"{acmes.cast.home}/").location.startswith("/login"), "who was known by the old issuer is nobody"
    assert settings.known(acmes.provider()) == []
    assert adam.submit(f"{acmes.page}/removal").status_code == 204
    assert people.browser(acmes.app).get(f"/sso/{acmes.slug}").status_code == 404


def test_owners_who_come_in_without_the_provider_are_counted(acme: people.Cast) -> None:
    """By a password that fits, or a passkey."""
    olivia = acme.olivia
    for nothing in ("", "-"):
        olivia.password_hash = nothing
        assert settings.owners_on_their_own(acme.organization) == 0
    passkey = Passkey(id=new_id(), user_id=olivia.id, name="A phone", credential_id=new_id().bytes, public_key=b"-")
    db.session.add(passkey)
    assert settings.owners_on_their_own(acme.organization) == 1
    olivia.set_password("correct horse battery staple")
    assert settings.owners_on_their_own(acme.organization) == 1
    db.session.delete(passkey)
    assert settings.owners_on_their_own(acme.organization) == 1


def test_the_connection_is_tested_and_says_what_to_do(acmes: Home) -> None:
    adam = people.browser(acmes.app, acmes.cast.adam)

    def tested(**values: str) -> str:
        return adam.submit(f"{acmes.page}/test", form(acmes, **values)).get_data(as_text=True)

    assert "The provider answers" in tested()
    assert "The client secret is refused" in tested(secret="wrong")
    assert "cannot be reached" in tested(issuer="http://127.0.0.1:9")
    assert "calls itself" in tested(issuer=f"{acmes.issuer}/.well-known/..")
    assert "calls itself" in tested(issuer=f"{acmes.issuer}/")
    assert "answered 404" in tested(issuer=f"{acmes.issuer}/realms/none")
    assert len(acmes.log("sso.tested")) == 6
    before = acmes.app.extensions["dataelan_settings"]
    acmes.app.extensions["dataelan_settings"] = replace(before, private_addresses=False)
    try:
        assert "a private address" in tested()
        down = people.browser(acmes.app).get(f"/sso/{acmes.slug}")
        assert down.status_code == 502
        assert "a private address" in down.get_data(as_text=True)
    finally:
        acmes.app.extensions["dataelan_settings"] = before
    with acmes.changed(issuer="http://127.0.0.1:9"):
        down = people.browser(acmes.app).get(f"/sso/{acmes.slug}")
        assert "cannot be reached" in down.get_data(as_text=True)


def test_another_site_signs_nobody_in_without_a_click(acmes: Home) -> None:
    visitor, led = people.browser(acmes.app), {"Sec-Fetch-Site": "cross-site"}
    asked = visitor.get(f"/sso/{acmes.slug}?next={acmes.cast.session_url}", headers=led)
    assert asked.status_code == 200
    assert f"Sign in to {acmes.cast.organization.name}?" in asked.get_data(as_text=True)
    assert f"/sso/{acmes.slug}?next=" in asked.get_data(as_text=True)
    for own in ({**led, "Sec-Fetch-User": "?1"}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}):
        assert visitor.get(f"/sso/{acmes.slug}", headers=own).status_code == 303


def test_ones_provider_is_found_by_address_and_by_the_organizations(acmes: Home) -> None:
    visitor, deep = people.browser(acmes.app), acmes.cast.session_url
    asked = visitor.get(deep).location
    assert f"/sso?next={quote(deep, safe='/')}" in visitor.get(asked).get_data(as_text=True).replace("%2F", "/")
    assert visitor.get(f"/sso?next={deep}").location == f"/sso/{acmes.slug}?next={deep}", (
        "nobody is asked what is known"
    )
    to = f"/sso/{acmes.slug}"
    for who in (f"Ada@{acmes.domain}", acmes.slug, f"https://dataelan.example/o/{acmes.slug}/"):
        assert visitor.submit(f"/sso?next={deep}", {"who": who}).headers["HX-Redirect"].startswith(f"{to}?next=")
    for who in ("ada@example.org", "no-such-place"):
        assert visitor.submit("/sso", {"who": who}).status_code == 422
    for evil in ("//evil.example", "https://evil.example", "/\\evil"):
        assert acmes.comes(acmes.knows("ada"), next=evil).location == f"{acmes.cast.home}/"


def test_a_domain_is_proven_by_its_zone_or_by_the_operator(
    acmes: Home, rival: people.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    adam, here = people.browser(acmes.app, acmes.cast.adam), f"{acmes.page}/domains"
    assert adam.submit(here, {"domain": "no domain"}).status_code == 422
    page = adam.submit(here, {"domain": "@Bücher.example."}).get_data(as_text=True)
    claimed = next(one for one in domains.listed(acmes.cast.organization.id) if one.domain == "xn--bcher-kva.example")
    assert f"{domains.PREFIX}{claimed.challenge}" in page
    with zone(monkeypatch) as records:
        unproven = adam.submit(f"{here}/{claimed.id}/check").get_data(as_text=True)
        assert "has no TXT record" in unproven
        records["_dataelan.xn--bcher-kva.example."] = [f"{domains.PREFIX}{claimed.challenge}"]
        assert "Proven" in adam.submit(f"{here}/{claimed.id}/check").get_data(as_text=True)
    assert adam.submit(f"{here}/{claimed.id}/removal").status_code == 200
    domains.release(domains.listed(acmes.cast.organization.id)[0])
    nowhere = people.browser(acmes.app).get(f"/sso/{acmes.slug}")
    assert nowhere.status_code == 404, "who has proven nothing leads nobody from here to wherever they like"
    operator = acmes.app.test_cli_runner()
    free = f"f{uuid.uuid4().hex[:8]}.example"
    said = operator.invoke(args=["prove-domain", "--organization", rival.organization.slug, "--domain", free])
    assert said.exit_code == 0, said.output
    taken = operator.invoke(args=["prove-domain", "--organization", acmes.slug, "--domain", free])
    assert "another organization’s" in taken.output


@contextmanager
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, list[str]]]:
    """A name server that answers with these TXT records, and is the one that Dataelan asks."""
    import socket
    import threading

    import dns.flags
    import dns.message
    import dns.rcode
    import dns.resolver
    import dns.rrset

    records: dict[str, list[str]] = {}
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            data, asker = server.recvfrom(4096)
            if not data:
                return
            query = dns.message.from_wire(data)
            answer = dns.message.make_response(query)
            answer.flags |= dns.flags.AA
            name = query.question[0].name.to_text().lower()
            if texts := records.get(name):
                answer.answer.append(dns.rrset.from_text(name, 60, "IN", "TXT", *(f'"{one}"' for one in texts)))
            else:
                answer.set_rcode(dns.rcode.NXDOMAIN)
            server.sendto(answer.to_wire(), asker)

    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], server.getsockname()[1]
    monkeypatch.setattr(domains, "_resolver", lambda: resolver)
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield records
    finally:
        server.sendto(b"", server.getsockname())
        thread.join()
        server.close()


# -- proving it anew ---------------------------------------------------------------------------------


def proves(home: Home, subject: str, client: people.Browser) -> TestResponse:
    """Signed in at the provider anew, from the page that asks for it."""
    begun = client.get(f"/sso/{home.slug}?proof=yes")
    asked = parse_qs(urlsplit(begun.location).query)
    assert (asked["prompt"], asked["max_age"]) == (["login"], ["0"])
    return client.get(signed_in_there(begun.location, subject))


def grow_old(user: User) -> None:
    before = now() - timedelta(minutes=16)
    db.session.execute(update(SignIn).where(SignIn.user_id == user.id).values(proven_at=before))
    db.session.commit()


def test_who_came_by_it_proves_by_it_that_they_still_sit_there(acmes: Home) -> None:
    """In another tab, after which the form of the first goes on: it is the same sign-in, with a new secret."""
    with acmes.changed(roles=ROLES):
        ada, ben = acmes.knows("ada", groups=["admins"]), acmes.knows("ben", groups=["admins"])
        acmes.comes(ben)
        acmes.comes(ada)
        client, made = acmes.last, acmes.user(ada)
        assert made is not None
        form = {"csrf_token": client.csrf(), "name": "Nightly"}
        url = f"{acmes.cast.home}/service-accounts"
        grow_old(made)
        page = client.post(url, data=form).get_data(as_text=True)
        assert f"/sso/{acmes.slug}?proof=yes" in page
        assert f'action="{url}"' in page
        assert 'name="name" value="Nightly"' in page
        assert 'type="password"' not in page
        assert "proof=yes" in client.submit(url, {"name": "Nightly"}).get_data(as_text=True)
        assert client.submit("/account/proof", {"current": PASSWORD}).status_code == 403  # theirs is not asked

        answer = proves(acmes, ben, client)
        assert (answer.status_code, "is not who is signed in" in answer.get_data(as_text=True)) == (403, True)
        long_ago = {"email": f"{ada}@{acmes.domain}", "email_verified": True, "auth_time": int(time.time()) - 3600}
        acmes.says(ada, groups=["admins"], **long_ago)
        assert "did not ask who you are" in proves(acmes, ada, client).get_data(as_text=True)
        assert [line["address"] for line in acmes.log("sso.refused")] == [f"{one}@{acmes.domain}" for one in (ben, ada)]
        assert client.post(url, data=form).status_code == 422

        acmes.says(ada, groups=["admins"], **long_ago | {"auth_time": int(time.time())})
        assert "It is you" in proves(acmes, ada, client).get_data(as_text=True)
        assert client.post(url, data=form).status_code == 303
        assert acmes.log("account.proven") == [{"how": "single sign-on"}]
        assert len(acmes.log("sso.signed_in")) == 2


def test_a_provider_that_says_nothing_of_when_is_taken_at_its_word(acmes: Home) -> None:
    with acmes.changed(roles=ROLES):
        ada = acmes.knows("ada", groups=["admins"], auth_time=None)
        acmes.comes(ada)
        grow_old(acmes.user(ada))  # type: ignore[arg-type]
        assert "It is you" in proves(acmes, ada, acmes.last).get_data(as_text=True)


def test_what_the_provider_took_from_a_sign_in_of_before_proves_nothing(acmes: Home) -> None:
    with acmes.changed(roles=ROLES):
        ada = acmes.knows("ada", groups=["admins"], auth_time=int(time.time()) - 3600)
        acmes.comes(ada)
        url = f"{acmes.cast.home}/service-accounts"
        assert acmes.last.get(url).status_code == 200
        assert acmes.last.submit(url, {"name": "Nightly"}).status_code == 422
        for odd in ("yesterday", -1, 1e300, True, int(time.time()) + 10**6):
            acmes.says(ada, email=f"{ada}@{acmes.domain}", email_verified=True, groups=["admins"], auth_time=odd)
            assert acmes.comes(ada).location == f"{acmes.cast.home}/", odd
            assert acmes.last.submit(url, {"name": f"Nightly {odd}"}).status_code == 204


def test_a_proof_is_of_a_sign_in_that_is_there(acmes: Home) -> None:
    """Without one it is a sign-in like any other; where it has ended meanwhile, nothing."""
    ada = acmes.knows("ada")
    client = people.browser(acmes.app)
    begun = client.get(f"/sso/{acmes.slug}?proof=yes")
    assert "prompt" not in parse_qs(urlsplit(begun.location).query)
    assert client.get(signed_in_there(begun.location, ada)).location == f"{acmes.cast.home}/"
    begun = client.get(f"/sso/{acmes.slug}?proof=yes")
    back = signed_in_there(begun.location, ada)
    db.session.execute(delete(SignIn).where(SignIn.user_id == acmes.user(ada).id))  # type: ignore[union-attr]
    db.session.commit()
    assert "has ended" in client.get(back).get_data(as_text=True)


def test_google_is_asked_for_the_account_as_it_takes_no_other_wish() -> None:
    assert proving.wish("https://accounts.google.com") == {"prompt": "select_account"}
