"""A superuser looks after Dataelan, and looks at it as somebody else does."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from dataelan_web.extensions import db
from dataelan_web.models import State
from tests import people

from .test_pages import assert_fine, look  # noqa: F401  (a fixture)

PASSWORD = "correct horse battery"


def test_a_superuser_looks_around_acts_as_somebody_and_is_in_the_log(
    look: Callable[..., Page],  # noqa: F811
    acme: people.Cast,
) -> None:
    sue = people.user("sue")
    sue.is_superuser = True
    sue.set_password(PASSWORD)
    db.session.commit()
    people.ended(acme, "Hello", state=State.FAILED, error_kind="rate_limit")
    page = look(sue)
    page.goto("/admin/queue")
    expect(page.get_by_text("Acme project").first).to_be_visible()
    assert_fine(page, "the queue")
    for path, title in {"organizations": "Organizations", "platform": "Providers", "settings": "Modes"}.items():
        page.goto(f"/admin/{path}")
        expect(page.get_by_role("heading", level=1)).to_contain_text(title)
        assert_fine(page, path)
    page.goto(f"/admin/people?q={acme.adam.email}")
    page.locator("#found a.row-link").click()
    page.get_by_label("Why").fill("You asked where your batch is.")
    page.locator("#acting-current").fill("wrong")
    page.get_by_role("button", name="Act as Adam").click()
    expect(page.get_by_text("This is not your password.")).to_be_visible()
    assert_fine(page, "a person")
    page.locator("#acting-current").fill(PASSWORD)
    page.get_by_role("button", name="Act as Adam").click()
    expect(page.get_by_text("You act as Adam")).to_be_visible()
    page.goto(f"{acme.home}/audit")
    expect(page.get_by_text("Impersonation begun")).to_be_visible()
    assert_fine(page, "the audit log, in another's name")
    page.get_by_label("Kind of change").select_option("member")
    expect(page.get_by_text("No such change")).to_be_visible()
    page.get_by_role("button", name="Be yourself again").click()
    expect(page.get_by_role("heading", name="Adam", exact=True)).to_be_visible()
