# ruff: noqa: F811  (fixtures are arguments)
"""Organizations that say by which ways of signing in people come in: whoever came another way is led to one of them."""

from __future__ import annotations

from itertools import product

import pytest
from flask import Flask
from sqlalchemy import literal, null, select, update

from dataelan_web.accounts import passkeys
from dataelan_web.extensions import db
from dataelan_web.models import (
    AuditEvent,
    Membership,
    Organization,
    OrganizationKind,
    Role,
    SignIn,
    User,
    Way,
    new_id,
    now,
)
from dataelan_web.models.sign_ins import led_to
from dataelan_web.organizations import kinds, ways
from dataelan_web.sso import settings

from . import people
from .authenticator import Device
from .test_accounts import PASSWORD, sign_in
from .test_own_account import ada, fresh, letters_to, mail, signed_in  # noqa: F401  (fixtures)
from .test_passkeys import HERE as PASSKEYS
from .test_passkeys import added, answered, asked, fresh_home
from .test_sso import Home, acmes, issuer  # noqa: F401  (fixtures)


def page_of(cast: people.Cast) -> str:
    return f"{cast.home}/settings/sign-in/ways"


def with_password(person: User) -> User:
    person.set_password(PASSWORD)
    db.session.commit()
    return person


def with_passkey(app: Flask, person: User) -> tuple[people.Browser, Device]:
    """Signed in by their password, and then their passkey was made."""
    client, device = signed_in(app, with_password(person)), Device()
    assert added(client, device).status_code == 200
    return client, device


def shown(user: User) -> list[list[str]]:
    """By what each browser of theirs signed in, the first first."""
    db.session.rollback()
    return list(db.session.scalars(select(SignIn.ways).where(SignIn.user_id == user.id).order_by(SignIn.id)))


def test_only_by_a_passkey(app: Flask, acme: people.Cast, mail: None) -> None:
    olivia, device = signed_in(app, with_password(acme.olivia)), Device()
    only = {"way": "passkey"}
    refused = olivia.submit(page_of(acme), only)
    assert refused.status_code == 422
    assert "the first to be kept out" in refused.get_data(as_text=True)
    assert olivia.submit(page_of(acme), {}).status_code == 422, "nobody could come in"
    assert olivia.submit(page_of(acme), {"way": ["passkey", "sso"]}).status_code == 422, "there is none here"
    assert not fresh_home(acme).allowed_ways
    added(olivia, device)
    mia, url = signed_in(app, with_password(acme.mia)), acme.session_url
    assert mia.get(url).status_code == 200
    for _ in range(2):
        assert olivia.submit(page_of(acme), only).status_code == 200
    assert fresh_home(acme).allowed_ways == ["passkey"]
    assert olivia.get(f"{acme.home}/").status_code == 200

    led = mia.get(url)
    assert led.status_code == 403
    said = led.get_data(as_text=True)
    assert "signs in by <strong>a passkey</strong>. You came by a password." in said
    assert PASSKEYS in said
    assert mia.submit(f"{acme.home}/projects", {"name": "Sneaked"}).status_code == 403
    assert people.browser(app, acme.adam).get(url).status_code == 403, "of whom it is not known by what they came"
    assert mia.get("/account").status_code == 200
    assert people.browser(app, acme.ned).get(url).status_code == 404, "who is not of them learns nothing"
    assert app.test_client().get("/v1/models", headers={"Authorization": f"Bearer {acme.secret}"}).status_code == 200
    mia.get(url)
    made = added(mia, Device()).get_data(as_text=True)
    assert f'href="{url}"' in made, "where she was going"
    assert mia.get(url).status_code == 200, "she has it in her hand"

    (letter,) = letters_to(acme.victor.email)
    assert letter.payload["title"] == f"{acme.organization.name} wants you to sign in by a passkey"
    assert letters_to(acme.ned.email) == [], "who does not belong there"
    told = select(AuditEvent.detail).where(
        AuditEvent.organization_id == acme.organization.id, AuditEvent.action == "organization.ways_changed"
    )
    assert list(db.session.scalars(told)) == [{"before": "any", "after": ["passkey"]}]


def test_who_came_another_way_shows_what_leads_in_without_signing_out(app: Flask, acme: people.Cast) -> None:
    mia, device = with_passkey(app, acme.mia)
    acme.organization.allowed_ways = ["passkey"]
    db.session.execute(update(SignIn).where(SignIn.user_id == acme.mia.id).values(ways=["password"]))
    db.session.commit()
    assert "Use your passkey" in mia.get(acme.session_url).get_data(as_text=True)
    way = f"/sso/{acme.organization.slug}/anew?next={acme.session_url}"
    assert mia.submit(way, {"current": "wrong"}).status_code == 422
    stranger = {"credential": Device(handle=device.handle).use(asked(mia, "/account/proof/options"))}
    assert "not known here" in mia.submit(way, stranger).get_data(as_text=True)
    mia.submit(way, {"current": PASSWORD})
    assert mia.get(acme.session_url).status_code == 403, "her password is no way in"
    answer = mia.submit(way, {"credential": device.use(asked(mia, "/account/proof/options"))})
    assert answer.headers["HX-Redirect"] == acme.session_url
    assert mia.get(acme.session_url).status_code == 200
    assert people.browser(app, acme.ned).submit(way, {"current": PASSWORD}).status_code == 404

    after_the_password = people.browser(app)
    assert sign_in(after_the_password, acme.mia.email).location == "/login/code"
    answered(after_the_password, device, "/login/code/passkey")
    assert after_the_password.get(acme.session_url).status_code == 200, "it is a passkey, too"


def test_only_by_a_password(app: Flask, acme: people.Cast) -> None:
    _, device = with_passkey(app, acme.mia)
    acme.organization.allowed_ways = ["password"]
    db.session.commit()
    client = people.browser(app)
    answered(client, device)
    assert client.get(acme.session_url).status_code == 403
    client.submit(f"/sso/{acme.organization.slug}/anew", {"current": PASSWORD})
    assert client.get(acme.session_url).status_code == 200
    assert shown(acme.mia)[-1] == ["passkey", "password"]


def test_what_was_shown_in_a_browser_is_not_lost_by_signing_in_anew_there(app: Flask, ada: User) -> None:
    client, device = with_passkey(app, ada)
    answered(client, device)
    assert shown(ada)[-1] == ["passkey", "password"]
    answered(people.browser(app), device)
    assert shown(ada)[-1] == ["passkey"]
    bob = with_password(people.user("bob"))
    sign_in(client, bob.email)
    assert shown(bob) == [["password"]], "what ada showed is hers"


def test_a_passkey_that_is_gone_counts_for_no_sign_in(app: Flask, ada: User) -> None:
    client, device = with_passkey(app, ada)
    answered(people.browser(app), device)
    (passkey,) = passkeys.of(ada)
    proof = {"credential": device.use(asked(client, "/account/proof/options"))}
    assert client.submit(f"{PASSKEYS}/{passkey.id}/removal", proof).status_code == 200
    assert shown(ada) == [["password"], []]


def test_whoever_takes_their_deleted_account_back_came_by_what_they_signed_in_by(app: Flask, ada: User) -> None:
    ada.deleted_at = now()
    db.session.commit()
    client = people.browser(app)
    sign_in(client, ada.email)
    client.submit("/login/deleted", {"wanted": "yes"})
    assert shown(ada) == [["password"]]


def test_one_person_alone_chooses_no_ways_and_nothing_is_left_behind(app: Flask, acme: people.Cast) -> None:
    solo = acme.organization
    solo.allowed_ways = ["passkey"]
    db.session.commit()
    assert any("way of signing in" in one for one in kinds.problems(solo, OrganizationKind.SOLO))
    solo.allowed_ways, solo.kind = [], OrganizationKind.SOLO
    db.session.commit()
    olivia = signed_in(app, with_password(acme.olivia))
    assert olivia.submit(page_of(acme), {"way": "password"}).status_code == 422
    assert "It is for teams and enterprises" in olivia.get(f"{acme.home}/settings/sign-in").get_data(as_text=True)


def test_owners_and_admins_see_who_could_not_come_in(app: Flask, acme: people.Cast) -> None:
    adam, _ = with_passkey(app, acme.adam)
    mark, members = "No way in yet", f"{acme.home}/members"
    assert mark not in adam.get(members).get_data(as_text=True)
    adam.submit(page_of(acme), {"way": "passkey"})
    assert adam.get(members).get_data(as_text=True).count(mark) == 4, "olivia, mia, victor and gina"
    listed = adam.get(f"{acme.home}/settings/sign-in").get_data(as_text=True)
    assert "4 people here could come by none of these yet" in listed
    mia, _ = with_passkey(app, acme.mia)
    assert mark not in mia.get(members).get_data(as_text=True), "it is not for her to see"
    adam.submit(page_of(acme), {"way": ["password", "passkey"]})
    assert fresh_home(acme).allowed_ways == [], "all that there are is any"


def test_with_single_sign_on(acmes: Home) -> None:
    cast, app = acmes.cast, acmes.app
    olivia, _ = with_passkey(app, cast.olivia)
    ada = acmes.knows("ada")
    too_soon = olivia.submit(page_of(cast), {"way": "sso"})
    assert "the first to be kept out" in too_soon.get_data(as_text=True)
    assert olivia.submit(page_of(cast), {"way": ["passkey", "sso"]}).status_code == 200
    acmes.comes(ada)
    inside = acmes.last
    assert inside.get(f"{cast.home}/").status_code == 200
    assert signed_in(app, with_password(cast.victor)).get(f"{cast.home}/").status_code == 403
    led = signed_in(app, cast.victor).get(cast.session_url).get_data(as_text=True)
    assert "a passkey or single sign-on" in led
    assert f"/sso/{acmes.slug}?next=" in led

    assert olivia.submit(page_of(cast), {"way": "passkey"}).status_code == 200
    shut = inside.get(f"{cast.home}/")
    assert shut.status_code == 403
    assert "You came by single sign-on." in shut.get_data(as_text=True)
    assert people.browser(app).get(f"/sso/{acmes.slug}").status_code == 404, "it leads in no more"

    # Alone it is what is enforced, by who came by it; and what is chosen instead ends that.
    olivia.submit(page_of(cast), {"way": ["passkey", "sso"]})
    person = acmes.user(ada)
    db.session.execute(update(Membership).where(Membership.user_id == person.id).values(role=Role.ADMIN))
    db.session.commit()
    assert inside.submit(page_of(cast), {"way": "sso"}).status_code == 200
    assert fresh_home(cast).enforces_sso
    assert olivia.get(f"{cast.home}/").status_code == 403
    assert len(acmes.log("sso.enforced")) == 1
    assert inside.submit(page_of(cast), {"way": ["passkey", "sso"]}).status_code == 200
    assert not fresh_home(cast).enforces_sso
    assert olivia.get(f"{cast.home}/").status_code == 200
    settings.remove(acmes.provider())
    assert fresh_home(cast).allowed_ways == ["passkey"]


def test_single_sign_on_alone_has_to_work_first(acmes: Home) -> None:
    with pytest.raises(settings.CannotEnforce):
        ways.allow(acmes.cast.organization, [Way.SSO])
    assert ways.allowed(fresh_home(acmes.cast)) == [Way.PASSWORD, Way.PASSKEY, Way.SSO]


def test_a_statement_says_the_same_as_a_sign_in(context: None) -> None:
    """Of each organization, whatever it asks, by whatever somebody came."""
    home, other = people.cast("Home").organization, new_id()
    asked = [[], ["password"], ["passkey"], ["passkey", "sso"]]
    for allowed, enforces in product(asked, (False, True)):
        home.allowed_ways, home.enforces_sso = allowed, enforces
        db.session.commit()
        for through, beside, shown in product((None, home.id, other), (None, home.id), ([], ["password"], ["passkey"])):
            row = SignIn(through_id=through, beside_id=beside, beside_until=now().replace(year=2100), ways=shown)
            said = led_to(*(null() if one is None else literal(one) for one in (through, beside)), row.shown)
            found = db.session.scalar(select(Organization.id).where(Organization.id == home.id, said))
            assert bool(found) is row.leads_to(home), (allowed, enforces, through, beside, shown)
