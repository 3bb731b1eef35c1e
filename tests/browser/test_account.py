"""Somebody looks after their own account: who they are, and where they are signed in."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import pyotp
from playwright.sync_api import Page, expect

from dataelan_web.accounts import resetting
from dataelan_web.extensions import db
from dataelan_web.models import Membership, OrganizationKind, Role, SignIn
from tests import people

from .steps import has_passkeys
from .test_pages import assert_fine, look  # noqa: F401  (a fixture)

PASSWORD = "correct horse battery"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Version/19.0 Mobile Safari/604.1"


def test_an_account_is_looked_after(look: Callable[..., Page], acme: people.Cast, server: str) -> None:  # noqa: F811
    acme.mia.set_password(PASSWORD)
    row, _ = SignIn.begin(acme.mia, "203.0.113.7", PHONE)
    db.session.add(row)
    db.session.commit()
    mia = look(acme.mia)
    mia.goto("/account")
    expect(mia.get_by_text("Safari on an iPhone")).to_be_visible()
    assert_fine(mia, "an account")
    mia.get_by_role("button", name="Sign out Safari on an iPhone").click()
    expect(mia.locator("#toasts")).to_contain_text("That browser is signed out.")
    mia.get_by_label("New password").fill("a new and longer one")
    mia.get_by_label("Your password until now").fill("not this one")
    mia.get_by_role("button", name="Change password").click()
    expect(mia.get_by_text("This is not your password.")).to_be_visible()
    assert_fine(mia, "an account, a wrong password")

    mia.goto("/account/two-factor")
    mia.get_by_label("Your password").fill(PASSWORD)
    mia.get_by_role("button", name="Set it up").click()
    app = pyotp.TOTP(mia.locator("#two-factor-secret").inner_text())
    assert_fine(mia, "an authenticator app")
    mia.get_by_label("The six digits that it shows").fill(app.now())
    mia.get_by_role("button", name="Switch it on").click()
    expect(mia.locator("#recovery-codes")).to_be_visible()
    recovery = re.findall(r"[a-z2-7]{4}(?:-[a-z2-7]{4}){5}", mia.locator("#recovery-codes").inner_text())
    assert_fine(mia, "recovery codes")
    mia.get_by_role("link", name="I have kept them").click()
    expect(mia.get_by_text("of which 10 are left")).to_be_visible()
    assert_fine(mia, "two-factor sign-in")

    phone = look()
    phone.goto("/forgot")
    assert_fine(phone, "a forgotten password, without mail")
    phone.goto(urlsplit(resetting.link_for(acme.mia)).path)
    assert_fine(phone, "a new password")
    by_name = server.replace("127.0.0.1", "localhost")  # which passkeys are made for
    phone.watch.origin = by_name  # type: ignore[attr-defined]
    phone.goto(f"{by_name}/login")
    phone.get_by_label("E-mail").fill(acme.mia.email)
    phone.get_by_label("Password").fill(PASSWORD)
    phone.get_by_role("button", name="Sign in", exact=True).click()
    phone.wait_for_url("**/login/code")
    assert_fine(phone, "a code")
    phone.get_by_label("Code").fill(app.at(time.time() + app.interval))
    phone.get_by_role("button", name="Sign in", exact=True).click()
    phone.wait_for_url("**/o/*/")
    has_passkeys(phone)
    phone.goto(f"{by_name}/account/passkeys")
    phone.get_by_label("Your password").fill(PASSWORD)
    phone.get_by_role("button", name="Continue").click()
    expect(phone.get_by_text("Your password alone is not enough")).to_be_visible()
    phone.get_by_label("Your password").fill(PASSWORD)
    phone.get_by_label("Code of your app, or a recovery code").fill(recovery[0])
    phone.get_by_role("button", name="Continue").click()
    phone.get_by_label("Name").fill("My phone")
    phone.get_by_role("button", name="Make the passkey").click()
    expect(phone.get_by_text("On one device only")).to_be_visible()
    assert_fine(phone, "passkeys")
    phone.get_by_role("button", name="Remove My phone").click()
    assert_fine(phone, "a passkey to be removed")
    phone.context.clear_cookies()
    phone.route("**/login/passkey/options", lambda route: None, times=1)  # what the address’s field asks at once
    phone.goto(f"{by_name}/login")
    phone.get_by_role("button", name="Sign in with a passkey").click()
    phone.wait_for_url("**/o/*/")
    phone.goto(f"{by_name}/account/data")
    assert_fine(phone, "one's own data")

    # An organization that lets in by passkeys alone, to who came by a password.
    acme.organization.allowed_ways = ["passkey"]
    db.session.query(SignIn).filter_by(user_id=acme.mia.id).update({"ways": ["password"]})
    db.session.commit()
    phone.goto(f"{by_name}{acme.session_url}")
    expect(phone.get_by_role("heading", name="Sign in another way for Acme")).to_be_visible()
    assert_fine(phone, "another way in")
    phone.get_by_role("button", name="Use your passkey").click()
    expect(phone.locator("form[data-composer]")).to_be_visible()

    # An organization that enforces its single sign-on, to its owner, when the provider is down.
    membership = {"organization_id": acme.organization.id, "user_id": acme.mia.id}
    db.session.query(Membership).filter_by(**membership).update({"role": Role.OWNER})
    acme.organization.kind, acme.organization.enforces_sso = OrganizationKind.ENTERPRISE, True
    db.session.commit()
    phone.goto(f"{by_name}{acme.home}/")
    phone.get_by_text("The provider is down?").click()
    expect(phone.get_by_text("with your password or a passkey")).to_be_visible()
    assert_fine(phone, "a way past single sign-on")
    phone.get_by_role("button", name="Use a passkey instead").click()
    expect(phone.get_by_role("link", name=acme.project.name).first).to_be_visible()
