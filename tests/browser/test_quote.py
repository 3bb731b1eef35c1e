"""The quote beside Run, as one writes: it comes, follows and goes; and a run's page holds it to account."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from dataelan_web.extensions import db
from dataelan_web.models import Quote
from tests import people
from tests.test_quotes import priced

from . import steps
from .test_pages import AXE, assert_fine

pytestmark = pytest.mark.browser

Opener = Callable[..., Page]


def test_a_quote_follows_what_is_written_and_is_kept_with_the_run(
    open_page: Opener, simulated: str, acme: people.Cast
) -> None:
    model = priced(acme, simulated)
    page = open_page(acme.mia, bypass_csp=True, reduced_motion="reduce")
    page.add_init_script(AXE)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/quote") else None)
    page.goto(acme.session_url)
    said = page.locator("#quote-said")
    expect(page.locator("#quote")).to_be_hidden()
    page.locator("#composer select[name=model]").select_option(model)
    before = len(asked)
    page.locator("#text").press_sequentially("What is a token, and why does it cost money?", delay=15)
    expect(said).to_contain_text("≈ $0.")
    assert len(asked) - before <= 4, "one a pause, not one a key"
    page.locator("#composer select[name=model]").select_option("simulated/simulated-fast")
    expect(said).to_contain_text("Free, simulated")
    page.locator("#composer select[name=model]").select_option(model)
    expect(said).to_contain_text("≈ $0.")

    page.locator("#quote summary").focus()
    page.keyboard.press("Enter")
    how = page.locator("#quote-how")
    expect(how).to_contain_text("Nothing was sent to a provider")
    assert steps.in_view(how)
    assert_fine(page, "quote")
    if "SHOTS" in os.environ:
        for width, height in ((1440, 900), (390, 780)):
            for scheme in ("light", "dark"):
                page.set_viewport_size({"width": width, "height": height})
                page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                page.screenshot(path=Path(os.environ["SHOTS"]) / f"quote-{width}-{scheme}.png")
    page.set_viewport_size({"width": 1440, "height": 900})
    page.keyboard.press("Escape")
    expect(how).to_be_hidden()

    page.get_by_role("button", name="Run", exact=True).click()
    run = steps.finished(steps.card(page))
    expect(page.locator("#quote")).to_be_hidden()
    db.session.rollback()
    assert db.session.get(Quote, steps.id_of(run)) is not None
    page.goto(f"{acme.home}/executions/{steps.id_of(run)}")
    expect(page.locator("#quoted")).to_contain_text("The quote")
    assert_fine(page, "run with its quote")
    if "SHOTS" in os.environ:
        page.set_viewport_size({"width": 1440, "height": 900})
        page.screenshot(path=Path(os.environ["SHOTS"]) / "held.png", full_page=True)
