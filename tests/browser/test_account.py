"""Somebody looks after their own account: who they are, and where they are signed in."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from dataelan_web.extensions import db
from dataelan_web.models import SignIn
from tests import people

from .test_pages import assert_fine, look  # noqa: F401  (a fixture)

PASSWORD = "correct horse battery"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Version/19.0 Mobile Safari/604.1"


def test_an_account_is_looked_after(look: Callable[..., Page], acme: people.Cast) -> None:  # noqa: F811
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
