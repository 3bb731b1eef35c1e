"""The dashboard in the browser: charts are drawn, and drawn anew when a filter answers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from dataelan_web.rollups.keeping import fold_all
from dataelan_web.rollups.rebuilding import rebuild
from tests import people

from .test_pages import assert_fine, look  # noqa: F401 (a fixture)

pytestmark = pytest.mark.browser


def test_charts_are_drawn_and_follow_the_filters(look: Callable[..., Page], acme: people.Cast) -> None:  # noqa: F811
    model = people.simulated_model()
    for number in range(3):
        people.ended(acme, f"Number {number}", model_id=model.id, provider_id=model.provider_id, cost=5_000_000)
    fold_all()
    rebuild(acme.organization)  # whoever else was at it
    page = look(acme.olivia)
    page.goto(f"{acme.home}/dashboard")
    drawn = page.locator(".js-plotly-plot svg.main-svg, .plotly svg.main-svg")
    expect(drawn.first).to_be_attached()
    expect(page.locator("main")).to_contain_text("Runs")
    assert_fine(page, "the overview")
    page.get_by_label("Range").or_(page.locator("main select").first).first.select_option("7d")
    page.wait_for_url("**range=7d**")
    expect(page.locator("main")).to_contain_text("Last 7 days")
    expect(drawn.first).to_be_attached()
    for tab in ("Spend", "Performance", "Mine"):
        page.get_by_role("navigation").get_by_role("link", name=tab, exact=True).click()
        page.wait_for_url(f"**/dashboard/{tab.lower()}**range=7d**")
        assert_fine(page, tab)
