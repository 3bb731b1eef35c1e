"""The dashboard in the browser: charts are drawn, and drawn anew when a filter answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from playwright.sync_api import Page, expect

from dataelan_web.models import Scope, Window, now
from dataelan_web.rollups.keeping import fold_all
from dataelan_web.rollups.rebuilding import rebuild
from tests import people, used
from tests.test_rollups import paid

from .test_pages import assert_fine, look  # noqa: F401 (a fixture)


def assert_fine_at_rest(page: Page, name: str) -> None:
    """What is asked for anew is pale meanwhile."""
    expect(page.locator(".dash > .htmx-request, .dash > .dash-filters .htmx-request")).to_have_count(0)
    assert_fine(page, name)


def test_charts_are_drawn_and_follow_the_filters(look: Callable[..., Page], acme: people.Cast) -> None:  # noqa: F811
    model = people.simulated_model()
    for number in range(3):
        people.ended(acme, f"Number {number}", model_id=model.id, provider_id=model.provider_id, cost=5_000_000)
    before = now() - timedelta(days=9)
    paid(acme, 9_000_000, model, created_at=before, model_id=model.id, provider_id=model.provider_id)
    limit = used.limit(acme, Scope.ORGANIZATION, acme.organization.id, window=Window.WEEK)
    used.held(acme, limit, 1_000_000)
    used.asked(acme, limit, acme.mia)
    fold_all()
    rebuild(acme.organization)  # whoever else was at it
    page = look(acme.olivia)
    page.goto(f"{acme.home}/dashboard")
    drawn = page.locator(".js-plotly-plot svg.main-svg, .plotly svg.main-svg")
    expect(drawn.first).to_be_attached()
    expect(page.locator("main")).to_contain_text("Runs")
    assert_fine_at_rest(page, "the overview")
    page.get_by_label("Range").or_(page.locator("main select").first).first.select_option("7d")
    page.wait_for_url("**range=7d**")
    expect(page.locator("main")).to_contain_text("Last 7 days")
    expect(drawn.first).to_be_attached()
    assert_it_prints(page)
    for tab in ("Spend", "Performance", "Quota", "Routing", "Mine"):
        page.get_by_role("navigation").get_by_role("link", name=tab, exact=True).click()
        page.wait_for_url(f"**/dashboard/{tab.lower()}**range=7d**")
        assert_fine_at_rest(page, tab)
    page.get_by_role("link", name="Summaries").click()
    page.wait_for_url("**/summaries/*-W*")
    page.goto(f"{acme.home}/summaries/{before:%G-W%V}")
    expect(page.locator("main")).to_contain_text("Spend by day")
    assert_fine_at_rest(page, "a summary")

    page.goto(f"{acme.home}/settings")
    page.get_by_label("Shown in").select_option("EUR")
    page.get_by_label("What one US dollar is in it").fill("0.92")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#toasts")).to_contain_text("Settings saved.")
    assert_fine_at_rest(page, "settings")
    page.goto(f"{acme.home}/dashboard?range=7d")
    expect(page.locator("#panel-forecast .figure")).to_contain_text("€")
    assert_fine_at_rest(page, "the overview, in euros")


def assert_it_prints(page: Page) -> None:
    """Light whatever the theme is, as wide as a page, and on the screen as before when it is done."""
    width = "document.querySelector('#panel-runs .main-svg').getBoundingClientRect().width"
    expect(page.locator("#panel-runs .main-svg").first).to_be_attached()
    page.emulate_media(color_scheme="light")
    page.evaluate("document.documentElement.classList.add('dark'), dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.evaluate(width) == 690
    expect(page.locator("html")).not_to_have_class("dark")
    expect(page.locator(".dash .page-tabs")).to_be_hidden()
    expect(page.get_by_text("Overview. Printed")).to_be_visible()
    page.emulate_media(media="screen")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    expect(page.locator("html")).to_have_class("dark")
    page.evaluate("document.documentElement.classList.remove('dark')")
    page.wait_for_function(f"{width} === document.querySelector('#panel-runs .figure').clientWidth", polling=50)


def test_a_view_is_kept_and_what_happened_is_noted(look: Callable[..., Page], acme: people.Cast) -> None:  # noqa: F811
    model = people.simulated_model()
    paid(acme, 5_000_000, model, model_id=model.id, provider_id=model.provider_id)
    rebuild(acme.organization)
    page = look(acme.olivia)
    page.goto(f"{acme.home}/dashboard/spend?range=7d")
    page.get_by_text("Views", exact=True).click()
    page.get_by_role("button", name="Save this view").click()
    page.get_by_label("Name").fill("A week")
    page.get_by_label("The dashboard opens with it").check()
    page.get_by_role("button", name="Save view").click()
    expect(page.locator("#views-menu > summary")).to_have_text("A week")
    page.locator("#views-menu > summary").click()
    page.get_by_role("button", name="Save this view").click()
    page.get_by_label("Name").fill("a week")
    page.get_by_label("Everyone in the organization").check()
    page.get_by_role("button", name="Save view").click()
    expect(page.locator("#save-view .field-error")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Note", exact=True).click()
    page.get_by_label("In words").fill(" ")
    page.get_by_role("button", name="Note it").click()
    expect(page.locator("#note .field-error")).to_be_visible()
    page.get_by_label("In words").fill("It was moved")
    page.get_by_role("button", name="Note it").click()
    expect(page.locator("#panel-spend .annotation-text")).to_have_text("It was moved")
    page.get_by_role("button", name="Delete the note").click()
    page.get_by_role("button", name="Delete note").click()
    expect(page.locator("#panel-notes")).to_contain_text("Nothing is noted")
    page.goto(f"{acme.home}/dashboard")
    page.wait_for_url("**/dashboard/spend?range=7d")
    page.locator("#views-menu > summary").click()
    page.get_by_role("link", name="Manage views").click()
    page.wait_for_url("**/dashboard/views")
    page.get_by_label("More about “A week”").click()
    assert_fine_at_rest(page, "the views of the dashboard")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete view").click()
    expect(page.locator("#views")).to_contain_text("No views yet")


def test_a_number_opens_the_runs_behind_it_and_they_can_be_walked_through(
    look: Callable[..., Page],  # noqa: F811
    acme: people.Cast,
) -> None:
    model = people.simulated_model()
    for number in range(60):
        asked = now() - timedelta(minutes=number + 2)
        times = {"created_at": asked, "first_token_at": asked + timedelta(seconds=1), "finished_at": now()}
        paid(
            acme,
            5_000_000 + 100_000 * number,
            model,
            model_id=model.id,
            provider_id=model.provider_id,
            tokens_input=12,
            **times,
        )
    rebuild(acme.organization)
    page = look(acme.olivia)
    page.goto(f"{acme.home}/dashboard/spend?range=24h")
    page.locator("#panel-models td a").first.click()
    page.wait_for_url("**/dashboard/runs?**model=**")
    expect(page.locator(".dash-sums")).to_contain_text("60")
    expect(page.locator(".dash-runs tbody tr")).to_have_count(50)
    assert_fine_at_rest(page, "the runs of a model")
    page.get_by_role("link", name="Page after").click()
    expect(page.locator(".dash-runs tbody tr")).to_have_count(10)
    page.get_by_role("link", name="Page before").click()
    expect(page.locator(".dash-runs tbody tr")).to_have_count(50)
    page.get_by_role("link", name="Cost", exact=True).click()
    expect(page.get_by_role("columnheader", name="Cost")).to_have_attribute("aria-sort", "descending")
    expect(page.locator(".dash-runs tbody tr").first).to_contain_text("$0.0109")
    page.get_by_text("Columns").click()
    page.get_by_label("Provider", exact=True).locator("visible=true").last.check()
    page.get_by_role("button", name="Show these").click()
    expect(page.get_by_role("columnheader", name="Provider")).to_be_visible()
    page.goto(f"{acme.home}/dashboard/runs?range=24h")
    page.get_by_text("More filters").click()
    page.get_by_label("From $").fill("0.0108")
    page.get_by_label("From $").press("Enter")
    expect(page.locator(".dash-runs tbody tr")).to_have_count(2)
    assert_fine_at_rest(page, "runs that cost much")
    page.get_by_role("link", name="Without this cost").click()
    page.get_by_role("button", name="Watch").click()
    expect(page.locator("#run-list")).to_contain_text("Nothing new yet")
    people.ended(acme, "Just now")
    expect(page.locator("#run-list")).to_contain_text("1 new since you watch", timeout=15_000)
    assert_fine_at_rest(page, "runs that are watched")
    page.locator(".dash-runs tbody a").first.click()
    page.wait_for_url("**/executions/**")
    page.goto(f"{acme.home}/dashboard/runs?range=24h")
    page.get_by_text("Export", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    assert len(Path(download.value.path()).read_text().splitlines()) == 62


def test_a_bar_filters_by_its_time_and_a_chip_undoes_it(look: Callable[..., Page], acme: people.Cast) -> None:  # noqa: F811
    model = people.simulated_model()
    paid(acme, 5_000_000, model, model_id=model.id, provider_id=model.provider_id)
    rebuild(acme.organization)
    page = look(acme.olivia)
    page.goto(f"{acme.home}/dashboard/spend?range=7d")
    bars = page.locator("#panel-spend .bars path")
    expect(bars.last).to_be_attached()
    box = page.locator("#panel-spend .points path[d]:not([d='M0,0Z'])").last.bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_url("**range=custom**")
    expect(page.get_by_role("link", name="Without this model")).to_be_visible()
    page.get_by_role("link", name="Without this time").click()
    page.wait_for_url("**range=30d**")
