"""Saying what one thinks of a run, showing it to a stranger, taking it elsewhere, and bringing others in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from dataelan_web.extensions import db
from tests import people

from . import steps  # noqa: F401  (sets how patient `expect` is)
from .test_pages import assert_fine, look  # noqa: F401  (a fixture)

EXPORT = Path(__file__).parent.parent / "exports" / "chatgpt.json"
Opener = Callable[..., Page]


def test_a_run_is_rated_talked_about_shared_and_taken_along(look: Opener, acme: people.Cast) -> None:  # noqa: F811
    model = people.simulated_model()
    run = people.ended(acme, "What is a fjord?", "A **drowned** valley, cut by ice.", cost=1_230_000)
    run.model, run.provider = model, model.provider
    db.session.commit()
    page = look(acme.mia)
    page.goto(acme.session_url)
    card = page.locator(f"#run-{run.id}")

    # A thumb by keyboard, which keeps its place; and why.
    up = card.get_by_role("button", name="Good answer")
    up.focus()
    page.keyboard.press("Enter")
    expect(up).to_have_attribute("aria-pressed", "true")
    expect(up).to_be_focused()
    card.get_by_text("Add a note").click()
    card.get_by_label("Your note").fill("Short and right")
    card.get_by_role("button", name="Save").click()
    expect(card.locator(".feedback-note")).to_contain_text("Short and right")

    # Comments: written, changed, deleted, brought back.
    card.get_by_role("button", name="1 comment").click()
    card.get_by_label("Comment, for everybody").fill("See https://example.com/fjords")
    page.keyboard.press("Control+Enter")
    expect(card.locator(".comment-text a")).to_have_attribute("href", "https://example.com/fjords")
    assert_fine(page, "comments")
    card.get_by_role("button", name="Change your comment").click()
    card.get_by_label("Your comment", exact=True).fill("See the atlas")
    card.get_by_role("button", name="Save", exact=True).last.click()
    expect(card.locator(".comment-text").last).to_have_text("See the atlas")
    expect(card.locator(".comment-by").last).to_contain_text("edited")
    card.get_by_role("button", name="Delete the comment").click()
    expect(card.locator(".comment-text")).to_have_count(1)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".comment-text").last).to_have_text("See the atlas")
    assert_fine(page, "run-with-comments")

    # As code, and as a file.
    page.goto(acme.session_url)
    card.get_by_label("More for this run").click()
    card.get_by_role("link", name="As cURL or Python").click()
    expect(page.locator("#code-sh")).to_contain_text("curl -sS")
    assert_fine(page, "code")
    page.get_by_role("button", name="Close").last.click()
    page.get_by_label("More for this session").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Export as JSON").click()
    exported = Path(download.value.path()).read_text()
    assert json.loads(exported)["runs"][0]["cost_usd"] == "0.00123"

    # To a stranger, until it is revoked.
    page.get_by_role("link", name="Public link…").click()
    page.get_by_role("button", name="Make a link").click()
    expect(page.locator("#made-link")).to_be_visible()
    url = page.locator("#made-link").input_value()
    assert_fine(page, "links")
    field, copy = page.locator("#made-link").bounding_box(), page.get_by_role("button", name="Copy", exact=True).last
    beside = copy.bounding_box()
    assert field
    assert beside
    assert (field["y"], field["height"]) == (beside["y"], beside["height"])
    page.keyboard.press("Escape")
    expect(page.get_by_label("More for this session")).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Public link…").click()
    stranger = look()
    stranger.goto(url)
    expect(stranger.locator(".answer strong")).to_have_text("drowned")
    expect(stranger.locator("body")).not_to_contain_text("Mia")
    assert_fine(stranger, "public")
    page.get_by_role("button", name="Revoke").click()
    expect(page.locator("#toasts")).to_contain_text("leads nowhere")
    stranger.goto(url)
    expect(stranger.get_by_role("heading", name="This link leads nowhere")).to_be_visible()
    assert_fine(stranger, "no-link")


def test_conversations_are_looked_into_chosen_and_brought_in(look: Opener, acme: people.Cast) -> None:  # noqa: F811
    page = look(acme.olivia)
    page.goto(f"{acme.home}/projects/{acme.project.id}")
    page.get_by_label("More for this project").click()
    page.get_by_role("link", name="Import conversations").click()
    assert_fine(page, "import")
    page.get_by_label("File", exact=True).set_input_files(EXPORT)
    page.get_by_role("button", name="Look into it").click()
    expect(page.get_by_role("heading", name="2 conversations from ChatGPT")).to_be_visible()
    assert_fine(page, "import-preview")
    page.get_by_label("Bring in Untitled").uncheck()
    page.get_by_role("button", name="Bring them in").click()
    expect(page.get_by_text("1 conversation is here")).to_be_visible()
    assert_fine(page, "import-done")
    page.locator("main").get_by_role("link", name="Fjords", exact=True).click()
    expect(page.locator(".run")).to_have_count(2)
    expect(page.get_by_role("group", name="Branch 2 of 2")).to_have_count(2)
    expect(page.locator(".run").first).to_contain_text("Imported from ChatGPT")
    assert_fine(page, "imported")
    page.locator(".run").last.get_by_role("group").locator("a").first.click()  # to the branch beside it
    expect(page.locator(".run").last).to_contain_text("Scoresby Sund")
    page.goto(f"{acme.home}/public-links")
    assert_fine(page, "public-links")
