"""A newcomer's first minutes: from /signup to the first streamed answer in three steps, and a key of one's own."""

from __future__ import annotations

import uuid

from playwright.sync_api import Page, expect
from sqlalchemy import select

from dataelan_web.extensions import db
from dataelan_web.models import Model, Provider, new_id
from tests.test_gateway import openai_client

from . import steps


def sign_up(page: Page) -> None:
    page.goto("/signup")
    page.get_by_label("Your name").fill("Nora Newcomer")
    page.get_by_label("E-mail").fill(f"nora-{uuid.uuid4().hex[:8]}@example.com")
    page.get_by_label("Password").fill("correct horse battery staple")
    page.get_by_role("button", name="Create account").click()
    page.wait_for_url("**/o/*/sessions/*")


def test_from_sign_up_to_the_first_streamed_answer_in_three_steps(context: None, page: Page) -> None:
    sign_up(page)  # step 1: three fields; step 2: the button
    expect(page.get_by_label("Prompt", exact=True)).not_to_be_empty()
    expect(page.locator(".composer-note")).to_contain_text("Simulated")

    page.get_by_role("button", name="Run", exact=True).click()  # step 3
    run = steps.card(page)
    first = steps.wait_for_text(page)
    assert steps.wait_for_text(page, first) > first, "the text grows as it arrives"
    expect(run.locator(".fact-model")).to_contain_text("Simulated")

    steps.finished(run)
    facts = run.locator(".facts").inner_text()
    for name in ("Cost", "$0", "First token", "Total", "Tokens in", "Simulated"):
        assert name in facts
    execution = steps.stored(run)
    assert str(execution.tokens_out) in facts
    assert execution.body.text

    run.get_by_text("Why this model?").click()
    receipt = run.locator(".receipt-body")
    expect(receipt.get_by_role("heading", name="Models considered")).to_be_visible()
    expect(receipt).to_contain_text("simulated-fast")
    expect(receipt.get_by_role("heading", name="Calls made")).to_be_visible()

    expect(page.locator("#side-here")).to_have_text(page.locator("#session-title").input_value())
    expect(page.locator("#connect")).not_to_have_attribute("open", "")
    page.reload()
    expect(page.get_by_label("Prompt", exact=True)).to_be_empty()


def test_a_wrong_key_gets_a_clear_word_and_a_good_one_lists_models_and_chooses_one(
    context: None, page: Page, simulated: str
) -> None:
    sign_up(page)
    provider = a_provider_with_keys(simulated)
    page.reload()
    page.get_by_label("Prompt", exact=True).fill("My own words")
    page.get_by_label("Provider").select_option(str(provider.id))
    page.get_by_label("Key", exact=True).fill("sk-wrong-0123456789")
    with page.expect_response("**/hub/keys") as refused:
        page.get_by_role("button", name="Check key").click()
    assert refused.value.status == 422
    expect(page.locator("#connect-error")).to_contain_text("Strict did not accept it")
    expect(page.get_by_label("Provider")).to_have_value(str(provider.id))
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("My own words")

    page.get_by_label("Key", exact=True).fill("sk-good-0123456789")
    with page.expect_navigation():
        page.get_by_role("button", name="Check key").click()
    expect(page.locator("[data-toast]")).to_contain_text("models can be used")
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("My own words")
    chosen = page.locator("#composer select[name=model]").input_value()
    assert chosen.startswith(f"{provider.slug}/simulated-")
    listed = db.session.scalars(select(Model.name).where(Model.provider_id == provider.id)).all()
    assert len(listed) >= 4
    box = page.get_by_label("Prompt", exact=True)
    page.evaluate("localStorage.clear()")
    page.reload()
    expect(box).not_to_be_empty()  # the starter, until something has been run
    page.get_by_role("button", name="Run", exact=True).click()
    expect(steps.finished(steps.card(page)).locator(".fact-model")).to_contain_text("Strict")


def a_provider_with_keys(base_url: str) -> Provider:
    """The simulated provider's address, offered to everybody as one that wants a key."""
    row = Provider(id=new_id(), slug=f"strict-{uuid.uuid4().hex[:6]}", name="Strict", kind="openai", base_url=base_url)
    db.session.add(row)
    db.session.commit()
    return row


def test_from_a_new_token_to_its_first_call(page: Page, server: str) -> None:
    sign_up(page)
    page.get_by_role("link", name="First project").first.click()
    page.get_by_role("link", name="Gateway tokens").click()
    page.get_by_label("What is it for?").fill("Nightly job")
    page.get_by_role("button", name="Create token").click()
    came = page.locator("#first-call")
    expect(came).to_contain_text("Waiting for its first call…")
    with openai_client(server, page.locator("#secret").inner_text()) as client:
        client.chat.completions.create(model="simulated-instant", messages=[{"role": "user", "content": "Hello"}])
    expect(came).to_contain_text("Its first call: simulated-instant answered in")
    came.get_by_role("link", name="Open it").click()
    expect(page.locator(".facts")).to_contain_text("Simulated")
