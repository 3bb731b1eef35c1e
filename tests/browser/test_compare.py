"""Comparing, as one does it: models chosen, answers side by side, the best picked blind, and gone on from."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests import people
from tests.test_quotes import priced

from .test_pages import assert_fine, look  # noqa: F401  (a fixture)
from .test_quote import shoot

Opener = Callable[..., Page]


def add(page: Page, name: str) -> None:
    before = page.locator(".compare-chip").count()
    page.get_by_label("Add a model or rule").select_option(name)
    expect(page.locator(".compare-chip")).to_have_count(before + 1)


def test_models_are_compared_blind_and_the_talk_goes_on_from_the_best(
    look: Opener,  # noqa: F811
    simulated: str,
    acme: people.Cast,
) -> None:
    model = priced(acme, simulated, refuses=["temperature"])
    page = look(acme.mia)
    page.goto(acme.session_url)
    page.locator("#text").fill("!simulate tokens=30 rate=12\nWhat is a token?")
    page.get_by_role("link", name="Compare models").click()
    expect(page.locator("#text")).to_have_value("!simulate tokens=30 rate=12\nWhat is a token?")
    for name in (model, "simulated/simulated-fast", "simulated/simulated-instant"):
        add(page, name)
    expect(page.locator("#quote-said")).to_contain_text("≈ $0.")
    page.get_by_role("button", name="Remove simulated/simulated-instant").press("Enter")
    expect(page.locator(".compare-chip")).to_have_count(2)
    assert_fine(page, "comparison, new")
    shoot(page, "new")
    page.get_by_label("Same settings for all").uncheck()
    expect(page.locator("#c1-temperature")).to_be_visible()
    expect(page.locator("#c0-temperature")).to_be_hidden()
    expect(page.locator("#c0-reasoning_effort")).to_be_visible()
    expect(page.locator(".compare-chip [data-takes]").first).to_have_text("This model takes no temperature.")
    assert_fine(page, "comparison, each by itself")
    shoot(page, "each")
    page.get_by_label("Same settings for all").check()
    page.locator("#text").press("Control+Enter")

    page.wait_for_url(re.compile(r"/comparisons/[0-9a-f-]{36}$"))
    texts = page.locator(".compare-answer .live-text")
    expect(texts.nth(1)).not_to_be_empty()
    expect(page.get_by_text("All answers are there. Pick the best.")).to_be_visible()
    expect(page.locator(".compare-answer .markdown")).to_have_count(2)
    page.get_by_role("button", name="Choose answer A as the best").press("Enter")
    expect(page.locator(".column-best")).to_have_count(1)
    page.locator(".diff-form button").click()
    expect(page.locator("#differences .panel-body")).to_be_visible()
    assert_fine(page, "comparison")
    shoot(page, "board")
    page.get_by_role("button", name="Continue from answer A").click()
    page.wait_for_url("**/sessions/*")
    expect(page.locator("#text")).to_have_value("")
    expect(page.locator(".run .markdown")).to_have_count(1)
    assert_fine(page, "session with a comparison")
    shoot(page, "session")

    page.get_by_role("link", name="Compare models").click()
    page.get_by_label("Blind").check()
    page.get_by_label("Repeat").select_option("2")
    page.locator("#text").fill("!simulate tokens=40 rate=60\nAnd now?")
    page.get_by_role("button", name="Run all").click()
    page.wait_for_url(re.compile(r"/comparisons/[0-9a-f-]{36}$"))
    expect(page.get_by_text("Which answer is the best?")).to_be_visible()
    assert "simulated" not in "".join(page.locator(".columns header").all_inner_texts())
    expect(page.locator(".compare-answer .facts")).to_have_count(0)
    shoot(page, "blind")
    page.get_by_role("button", name="Choose answer B1 as the best").click()
    expect(page.locator(".compare-answer .facts")).to_have_count(4)
    expect(page.locator(".spread .table")).to_have_count(2)
    expect(page.locator(".spread-answers")).to_have_count(2)
    assert_fine(page, "comparison, repeated")
    shoot(page, "repeats")
    page.get_by_role("link", name="Compare again").click()
    expect(page.get_by_role("heading", name="Blind votes in this project")).to_be_visible()
    assert_fine(page, "comparison, new, with votes")
    shoot(page, "votes")


def test_all_columns_are_stopped_by_one_button(open_page: Opener, acme: people.Cast) -> None:
    page = open_page(acme.mia)
    page.goto(f"{acme.session_url}/comparisons/new")
    for name in ("simulated/simulated-fast", "simulated/simulated-instant"):
        add(page, name)
    page.locator("#text").fill("!simulate tokens=900 rate=30\nA long story")
    page.get_by_role("button", name="Run all").click()
    expect(page.locator(".compare-answer .live-text").first).not_to_be_empty()
    page.get_by_role("button", name="Stop all").click()
    expect(page.locator(".compare-answer .notice").first).to_contain_text("Stopped")
    expect(page.get_by_role("button", name="Stop all")).to_have_count(0)


def test_what_each_column_is_set_to_outlives_a_reload_and_follows_its_model(
    open_page: Opener, acme: people.Cast
) -> None:
    page = open_page(acme.mia)
    page.goto(f"{acme.session_url}/comparisons/new")
    fast, instant = "simulated/simulated-fast", "simulated/simulated-instant"
    for name in (fast, instant, fast):
        add(page, name)
    page.get_by_label("Same settings for all").uncheck()
    page.locator("#c0-temperature").fill("0.1")
    page.locator("#c1-system").fill("Be brief.")
    page.locator("#c2-temperature").fill("1.5")
    page.locator(".compare-chip").nth(2).get_by_text("JSON schema and tools").click()
    page.locator("#c2-schema").fill('{"type": "object"}')
    page.reload()
    expect(page.locator("#c0-temperature")).to_have_value("0.1")
    expect(page.locator("#c1-system")).to_have_value("Be brief.")
    expect(page.locator("#c2-temperature")).to_have_value("1.5")
    expect(page.locator("#c2-schema")).to_be_visible()  # what is folded away would be sent unseen
    page.get_by_role("button", name=f"Remove {fast}").first.click()
    expect(page.locator(".compare-chip")).to_have_count(2)
    page.reload()
    expect(page.locator("#c0-system")).to_have_value("Be brief.")
    expect(page.locator("#c1-temperature")).to_have_value(re.compile("^1.50?$"))
    page.locator("#text").fill("What is a token?")
    page.locator("#c1-temperature").press("Control+Enter")
    page.wait_for_url(re.compile(r"/comparisons/[0-9a-f-]{36}$"))
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.includes(':columns'))") == []
