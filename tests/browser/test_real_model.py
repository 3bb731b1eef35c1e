"""A real, small language model behind a server on this machine: connected by address, asked in the browser."""

from __future__ import annotations

import os

import pytest
from playwright.sync_api import Page, expect

from tests import people
from tests.browser import steps
from tests.browser.conftest import Opener

pytestmark = pytest.mark.skipif(
    "DATAELAN_TEST_MODEL_SERVER" not in os.environ,
    reason="DATAELAN_TEST_MODEL_SERVER is not set (the base URL of an OpenAI-compatible server with a small model)",
)


def test_a_real_model_is_connected_and_answers_in_the_browser(open_page: Opener, acme: people.Cast) -> None:
    page: Page = open_page(acme.olivia)
    page.goto(f"{acme.home}/hub/providers")
    page.get_by_role("link", name="Connect a provider").click()
    page.get_by_label("Name", exact=True).fill("Small and real")
    page.get_by_label("Address").fill(os.environ["DATAELAN_TEST_MODEL_SERVER"])
    page.get_by_role("button", name="Check and connect").click()
    expect(page.get_by_role("heading", name="Small and real")).to_be_visible()

    page.goto(acme.session_url)
    page.get_by_label("More settings").check(force=True)
    page.get_by_label("Max tokens").fill("24")
    run = steps.finished(steps.ask(page, "The capital of France is"))
    expect(run).to_have_attribute("data-state", "completed")
    expect(run.locator(".answer.markdown")).not_to_be_empty()
    expect(run.locator(".facts")).to_contain_text("Small and real")
    execution = steps.stored(run)
    assert execution.tokens_out
    assert execution.cost == 0
