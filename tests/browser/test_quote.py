"""The quote beside Run, as one writes: it comes, follows and goes; and a run's page holds it to account."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from dataelan_web.extensions import db
from dataelan_web.models import Quote, Template
from tests import people
from tests.test_quotes import priced

from . import steps
from .test_pages import assert_fine, look  # noqa: F401  (a fixture)

Opener = Callable[..., Page]


def shoot(page: Page, name: str, *, full_page: bool = True) -> None:
    """Pictures to look at, into the folder that SHOTS names."""
    if "SHOTS" not in os.environ:
        return
    for width, height in ((1440, 900), (390, 780)):
        for scheme in ("light", "dark"):
            page.set_viewport_size({"width": width, "height": height})
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.screenshot(path=Path(os.environ["SHOTS"]) / f"{name}-{width}-{scheme}.png", full_page=full_page)
    page.set_viewport_size({"width": 1440, "height": 900})


def test_a_quote_follows_what_is_written_and_is_kept_with_the_run(
    look: Opener,  # noqa: F811
    simulated: str,
    acme: people.Cast,
) -> None:
    model = priced(acme, simulated)
    page = look(acme.mia)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/quote") else None)
    page.goto(acme.session_url)
    said = page.locator("#quote-said")
    expect(page.locator("#quote")).to_be_hidden()
    page.locator("#composer select[name=model]").select_option(model)
    before = len(asked)
    page.locator("#text").press_sequentially("!simulate rate=0\nWhat is a token, and why?", delay=15)
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
    shoot(page, "quote", full_page=False)
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
    shoot(page, "held")


def test_a_draft_is_quoted_compared_with_its_version_and_what_differs_is_told(
    look: Opener,  # noqa: F811
    simulated: str,
    acme: people.Cast,
) -> None:
    model = priced(acme, simulated)
    template = people.template(acme, "!simulate rate=0\nGreet {{name}}", name="Greeting", requested=model)
    page = look(acme.mia)
    page.goto(f"{acme.home}/prompts/{template.id}")
    expect(page.locator("#quote")).to_be_hidden()
    page.locator("#message-0").fill("!simulate rate=0\nGreet {{name}} warmly")
    page.locator("#value-name").fill("Ada")
    expect(page.locator("#quote-said")).to_contain_text("≈ $0.")
    page.locator("#quote summary").click()
    expect(page.locator("#quote-how")).to_contain_text("Nothing was sent to a provider")
    assert steps.in_view(page.locator("#quote-how"))
    assert_fine(page, "a saved prompt with its quote")
    shoot(page, "prompt-quote", full_page=False)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Compare with").click()
    expect(page.locator(".try .answer.markdown")).to_have_count(2)
    shoot(page, "tries")
    page.get_by_role("link", name="What differs in the answers").click()
    expect(page.get_by_role("heading", name="What differs in the answers")).to_be_visible()
    expect(page.locator(".compare-diff")).to_contain_text("Version 1")
    assert_fine(page, "what differs between a draft's answer and a version's")
    shoot(page, "together")
    page.goto(f"{acme.home}/prompts/{template.id}/runs")
    expect(page.locator(".quote-record")).to_contain_text("The last quote here")
    shoot(page, "runs")
    db.session.rollback()
    assert db.session.get_one(Template, template.id).newest == 1, "nothing was published for it"
