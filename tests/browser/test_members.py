"""A team comes together: one founds it and invites, another comes in by the link, is given a role and taken out."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable

from playwright.sync_api import Page, expect

from dataelan_web.extensions import db
from tests import people

from .test_pages import assert_fine, look  # noqa: F401  (a fixture)

PASSWORD = "correct horse battery"


def test_a_team_is_founded_joined_and_looked_after(look: Callable[..., Page], context: None) -> None:  # noqa: F811
    person, mark = people.user("olivia"), uuid.uuid4().hex[:8]
    db.session.commit()
    olivia, ada = look(person), look()
    olivia.goto("/organizations/new")
    assert_fine(olivia, "a new organization")
    olivia.get_by_label("Name").fill("Acme")
    olivia.get_by_role("button", name="Create organization").click()
    olivia.get_by_role("button", name="Invite people").click()
    olivia.get_by_label("E-mail addresses").fill(f"ada-{mark}@example.com")
    olivia.get_by_role("button", name="Invite", exact=True).click()
    link = re.search(r"/join/[\w-]{40,}", olivia.locator("#link-1").inner_text())
    assert link
    assert_fine(olivia, "members, somebody invited")

    ada.goto(link[0])
    assert_fine(ada, "an invitation")
    ada.get_by_label("Your name").fill("Ada")
    ada.get_by_label("Password").fill(PASSWORD)
    ada.get_by_role("button", name="Create account and join").click()
    expect(ada.locator("#toasts")).to_contain_text("Welcome to Acme")
    home = ada.url.rstrip("/")

    olivia.goto(f"{home}/members")
    olivia.get_by_label("Role of Ada").select_option("VIEWER")
    expect(olivia.locator("#toasts")).to_contain_text("Ada is a viewer now.")
    for path in ("settings/kind", "settings/ownership", "service-accounts", "help/roles"):
        olivia.goto(f"{home}/{path}")
        assert_fine(olivia, path)
    olivia.goto(f"{home}/settings/sign-in")
    olivia.get_by_label("Password", exact=True).uncheck()
    olivia.get_by_role("button", name="Save").click()
    expect(olivia.get_by_text("would be the first to be kept out")).to_be_visible()
    assert_fine(olivia, "ways in, not one's own")
    ada.goto(f"{home}/help/roles")
    expect(ada.get_by_text("You are a viewer here")).to_be_visible()
    olivia.goto(f"{home}/members")
    olivia.get_by_role("button", name="Remove Ada").click()
    olivia.locator("#confirm-ok").click()
    expect(olivia.locator("#toasts")).to_contain_text("Ada was removed")
    ada.reload()
    expect(ada.get_by_text("There is nothing here")).to_be_visible()
