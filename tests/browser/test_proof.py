"""Before what gives somebody power a page that was open for long asks whether it is still them, and then goes on."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

from flask import Flask
from playwright.sync_api import Page, expect
from sqlalchemy import update

from dataelan_web.extensions import db
from dataelan_web.models import SignIn, User, now
from tests import people
from tests.test_sso import ROLES, issuer  # noqa: F401  (a fixture)
from tests.test_sso import home as enterprise

from .steps import has_passkeys
from .test_pages import PHONE, WIDE, assert_fine, look  # noqa: F401  (a fixture)
from .test_single_sign_on import only_the_provider_was_asked, provider_is_plain

PASSWORD = "correct horse battery"


def grow_old(person: User) -> None:
    """All sign-ins of theirs."""
    before = now() - timedelta(minutes=16)
    db.session.execute(update(SignIn).where(SignIn.user_id == person.id).values(proven_at=before))
    db.session.commit()


def signed_in(look: Callable[..., Page], person: User, home: str) -> Page:  # noqa: F811
    """By themselves, so that no other test has a sign-in that grew old."""
    person.set_password(PASSWORD)
    db.session.commit()
    page = look()
    page.goto(f"{home}/login")
    page.get_by_label("E-mail").fill(person.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/o/**")
    return page


def test_a_dialog_asks_and_the_form_goes_on(look: Callable[..., Page], acme: people.Cast) -> None:  # noqa: F811
    olivia = signed_in(look, acme.olivia, "")
    olivia.goto(f"{acme.home}/members")
    olivia.get_by_role("button", name="Invite people").click()
    olivia.get_by_label("E-mail addresses").fill("ada@example.com")
    olivia.get_by_label("Role", exact=True).select_option("ADMIN")
    grow_old(acme.olivia)
    olivia.get_by_role("button", name="Invite", exact=True).click()
    dialog = olivia.get_by_role("dialog", name="Is it still you?")
    expect(dialog.get_by_label("Your password")).to_be_focused()
    assert_fine(olivia, "it is asked who sits there")
    olivia.emulate_media(color_scheme="dark")
    olivia.set_viewport_size(PHONE)
    assert_fine(olivia, "it is asked who sits there, in the dark, on a phone")
    olivia.emulate_media(color_scheme="light")
    olivia.set_viewport_size(WIDE)
    dialog.get_by_label("Your password").fill("not this one")
    dialog.get_by_role("button", name="Go on").click()
    expect(dialog.get_by_text("This is not your password.")).to_be_visible()
    assert_fine(olivia, "a wrong password")
    dialog.get_by_label("Your password").fill(PASSWORD)
    dialog.get_by_label("Your password").press("Enter")
    expect(olivia.locator("#link-1")).to_contain_text("/join/")
    expect(dialog).to_have_count(0)
    expect(olivia.get_by_role("row", name=re.compile("ada@example.com"))).to_contain_text("Admin")

    # What is sent as it is chosen, and asks before: left alone, and then not.
    grow_old(acme.olivia)
    role = olivia.get_by_label("Role of Victor")
    role.select_option("ADMIN")
    dialog.get_by_role("button", name="Cancel").click()
    expect(role).to_have_value("VIEWER")
    role.select_option("ADMIN")
    dialog.get_by_label("Your password").fill(PASSWORD)
    dialog.get_by_role("button", name="Go on").click()
    expect(olivia.locator("#toasts")).to_contain_text("Victor is an admin now.")
    grow_old(acme.olivia)
    olivia.get_by_role("button", name="Remove Victor").click()
    olivia.locator("#confirm-ok").click()
    dialog.get_by_label("Your password").fill(PASSWORD)
    dialog.get_by_role("button", name="Go on").click()
    expect(olivia.locator("#toasts")).to_contain_text("Victor was removed")

    # A form of the browser's own: a page holds what it said.
    grow_old(acme.olivia)
    olivia.goto(f"{acme.home}/settings/ownership")
    olivia.get_by_label("New owner").select_option(label=f"Mia ({acme.mia.email}), member")
    olivia.get_by_role("button", name="Hand over").click()
    olivia.locator("#confirm-ok").click()
    expect(olivia.get_by_role("heading", name="Is it still you?")).to_be_visible()
    assert_fine(olivia, "a page that asks who sits there")
    olivia.get_by_label("Your password").fill(PASSWORD)
    olivia.get_by_role("button", name="Go on").click()
    expect(olivia.locator("#toasts")).to_contain_text("Mia owns Acme now")


def test_a_passkey_is_enough(look: Callable[..., Page], acme: people.Cast, server: str) -> None:  # noqa: F811
    """On a page that has no buttons of passkeys of its own."""
    by_name = server.replace("127.0.0.1", "localhost")  # which passkeys are made for
    adam = signed_in(look, acme.adam, by_name)
    adam.watch.origin = by_name  # type: ignore[attr-defined]
    adam.watch.elsewhere.clear()  # type: ignore[attr-defined]
    has_passkeys(adam)
    adam.goto(f"{by_name}/account/passkeys")
    adam.get_by_label("Your password").fill(PASSWORD)
    adam.get_by_role("button", name="Continue").click()
    adam.get_by_label("Name").fill("A laptop")
    adam.get_by_role("button", name="Make the passkey").click()
    expect(adam.locator("#recovery-codes")).to_be_visible()
    for name in ("Nightly", "Weekly"):  # twice, as the dialog brings the script along each time
        adam.goto(f"{by_name}{acme.home}/service-accounts")
        adam.get_by_label("Name").fill(name)
        grow_old(acme.adam)
        adam.get_by_role("button", name="Create").click()
        dialog = adam.get_by_role("dialog", name="Is it still you?")
        expect(dialog.get_by_label("A recovery code, without a passkey")).to_be_visible()
        assert_fine(adam, "with a passkey")
        dialog.get_by_role("button", name="Cancel").click()
        adam.get_by_role("button", name="Create").click()
        dialog.get_by_role("button", name="Use a passkey instead").click()
        expect(adam.get_by_role("heading", name=name)).to_be_visible()


def test_who_came_by_single_sign_on_signs_in_there_in_another_tab(
    look: Callable[..., Page],  # noqa: F811
    app: Flask,
    acme: people.Cast,
    issuer: str,  # noqa: F811
) -> None:
    home = enterprise(app, acme, issuer)
    with home.changed(roles=ROLES):
        subject = home.knows("ada", groups=["admins"])
        ada = look()
        provider_is_plain(ada)
        ada.goto(f"/sso/{home.slug}?next={acme.home}/service-accounts")
        ada.get_by_placeholder("sub").fill(subject)
        ada.get_by_role("button", name="Authorize").click()
        ada.get_by_label("Name").fill("Nightly")
        only_the_provider_was_asked(ada, issuer)
        person = home.user(subject)
        assert person is not None
        grow_old(person)
        ada.get_by_role("button", name="Create").click()
        dialog = ada.get_by_role("dialog", name="Is it still you?")
        expect(dialog.get_by_text("Sign in at its provider once more")).to_be_visible()
        assert_fine(ada, "the provider is to ask who sits there")
        dialog.get_by_role("button", name="Go on").click()  # too early: it is asked again
        with ada.expect_popup() as opened:
            dialog.get_by_role("link", name="Sign in again").click()
        tab = opened.value
        tab.get_by_placeholder("sub").fill(subject)
        tab.get_by_role("button", name="Authorize").click()
        expect(tab.get_by_role("heading", name="It is you")).to_be_visible()
        tab.close()
        dialog.get_by_role("button", name="Go on").click()
        expect(ada.get_by_role("heading", name="Nightly")).to_be_visible()
