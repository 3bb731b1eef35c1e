"""The operator's limits in the browser: a member who was stopped asks, a superuser sets limits and answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from dataelan_web import quota
from dataelan_web.extensions import db
from dataelan_web.models import NANO, Budget, Scope, Window
from tests import people, used
from tests.test_increases import refused

from .test_pages import assert_fine, look  # noqa: F401  (a fixture)


@pytest.fixture
def cleared(context: None) -> Iterator[None]:
    """Other tests share this Dataelan: what holds for everybody goes again."""
    used.nothing_of_the_operators()
    yield
    used.nothing_of_the_operators()


def test_the_operator_limits_the_platform_and_grants_more_to_who_was_stopped(
    look: Callable[..., Page],  # noqa: F811
    acme: people.Cast,
    cleared: None,
) -> None:
    sue = people.user("sue")
    sue.is_superuser = True
    db.session.commit()
    page = look(sue)
    page.goto("/admin/limits")
    expect(page.get_by_text("The operator limits nothing yet")).to_be_visible()
    assert_fine(page, "no limits of the operator's")
    page.get_by_role("link", name="Set a limit").first.press("Enter")
    page.get_by_label("Amount in USD").fill("400")
    words = page.locator(".said-words")
    expect(words).to_contain_text(
        "Refuse prompts paid with the platform’s keys once they cost $400.00 in a calendar month"
    )
    page.get_by_label("A limit on").select_option(label="An organization")
    expect(page.get_by_label("Which one")).to_be_visible()
    expect(page.get_by_label("Amount in USD")).to_have_value("400")
    assert_fine(page, "a limit of the operator's is made")
    page.get_by_label("A limit on").select_option(label="The whole platform")
    expect(page.get_by_label("Which one")).to_have_count(0)
    page.get_by_role("button", name="Save limit").click()
    page.wait_for_url("**/admin/limits/*-*")
    budget = db.session.scalars(select(Budget).where(Budget.organization_id.is_(None))).one()
    used.period(budget, 380 * NANO)
    one = quota.set_limit(db.session, None, Scope.ORGANIZATION, acme.organization.id, Window.WEEK, 50 * NANO)
    quota.set_rate(
        db.session, None, Scope.ORGANIZATION, acme.organization.id,
        requests_per_minute=60, tokens_per_minute=None, parallel=4,
    )  # fmt: skip
    db.session.commit()
    used.period(one, 20 * NANO)
    used.held(acme, one, 5 * NANO)
    refused(acme, budget, acme.mia)

    mia = look(acme.mia)
    mia.goto(acme.session_url)
    expect(mia.locator(".refused")).to_contain_text("A limit of whoever runs this Dataelan stopped this")
    assert_fine(mia, "stopped by a limit of the operator's")
    mia.set_viewport_size({"width": 1440, "height": 900})
    mia.get_by_role("link", name="Ask for more").press("Enter")
    mia.get_by_label("How much more").fill("25")
    mia.get_by_label("What for?").fill("The contracts of the north region")
    assert_fine(mia, "asking the operator for more")
    mia.get_by_role("button", name="Ask", exact=True).press("Enter")
    mia.wait_for_url(f"**{acme.home}/limits")
    expect(mia.locator(".asked")).to_contain_text("You asked for $25.00 more of a limit of whoever runs this Dataelan")
    assert_fine(mia, "what was asked of the operator")

    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto("/admin/limits")
    asked = page.locator(".asked")
    expect(asked).to_contain_text(f"Mia of {acme.organization.name} asked for $25.00 more on The whole platform")
    page.locator(".answering > summary").press("Enter")
    assert_fine(page, "the operator's limits, and a request")
    page.set_viewport_size({"width": 1440, "height": 900})
    page.get_by_role("button", name="Grant it").press("Enter")
    expect(asked).to_contain_text("Granted")
    expect(asked).to_be_focused()
    expect(page.locator(f"#standing-{budget.id}")).to_contain_text("left of $425.00 ($25.00 of it for a while)")
    page.goto(f"/admin/limits/{budget.id}")
    expect(page.get_by_role("heading", name="The whole platform", level=1)).to_be_visible()
    assert_fine(page, "a limit of the operator's")
    page.goto("/admin/limits/rates/new")
    page.get_by_label("Requests a minute").fill("600")
    expect(page.locator(".said-words")).to_contain_text("Refuse prompts of everybody beyond 600 requests a minute")
    assert_fine(page, "a speed of the operator's")

    mia.goto(acme.session_url)
    expect(mia.locator(".refused")).to_contain_text("Since then $25.00 more was granted: retry it.")
