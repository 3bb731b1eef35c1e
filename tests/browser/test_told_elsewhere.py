"""The end of what somebody began is told once, wherever they are by then; while nothing runs, nothing is asked."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests import people

from . import steps
from .test_batches import begun_of
from .test_finding import AWAY

FAST, INSTANT = "simulated/simulated-fast", "simulated/simulated-instant"
LONG = "!simulate tokens=60 rate=30\nA story"


def toast(page: Page) -> str:
    shown = page.locator("#toasts .toast-card")
    shown.wait_for()
    return " ".join(shown.inner_text().split())


def test_who_is_on_another_page_hears_that_their_answer_is_there(
    open_page: Callable[..., Page], acme: people.Cast, worker: object
) -> None:
    page = open_page(acme.mia, strict=False)  # a stream that is left complains
    page.goto(acme.session_url)
    name = page.title().split(" · ")[0]
    run = steps.ask(page, LONG, FAST)
    id = steps.id_of(run)
    page.goto(f"{acme.home}/limits")
    assert toast(page).startswith(f"Answer ready {name}")
    page.get_by_role("link", name="Look").click()
    expect(page).to_have_url(re.compile(f"/sessions/{acme.session.id}\\?run={id}$"))
    expect(page.locator(f"#run-{id}")).to_have_attribute("data-state", "completed")
    page.goto(f"{acme.home}/")
    page.wait_for_timeout(1500)
    expect(page.locator("#toasts .toast-card")).to_have_count(0)
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('watched:'))") == []


def test_who_looks_at_no_page_is_notified_and_told_once_when_they_come_back(
    open_page: Callable[..., Page], acme: people.Cast, worker: object
) -> None:
    page = open_page(acme.mia, strict=False, permissions=["notifications"], script=AWAY)
    page.goto(acme.session_url)
    name = page.title().split(" · ")[0]
    run = steps.ask(page, "!simulate tokens=90 rate=20 fail=cut after=70\nA story", FAST)
    run.get_by_role("button", name="Notify me when a run ends").click()
    page.goto(f"{acme.home}/limits")
    title = page.title()
    page.evaluate("look(true)")
    page.wait_for_function("() => notes.length > 0", polling=50)
    ((said, about),) = page.evaluate("notes")
    assert about == name
    assert page.title() == f"! {said} · {title}"
    expect(page.locator("#toasts .toast-card")).to_have_count(0)
    page.evaluate("look(false)")
    assert page.title() == title
    assert toast(page).startswith(said)
    page.goto(f"{acme.home}/")
    page.wait_for_timeout(1500)
    expect(page.locator("#toasts .toast-card")).to_have_count(0)


def test_of_two_pages_the_one_that_is_seen_tells_it(
    open_page: Callable[..., Page], acme: people.Cast, worker: object
) -> None:
    page = open_page(acme.mia, script=AWAY)
    page.goto(acme.session_url)
    other = page.context.new_page()
    other.goto(f"{acme.home}/limits")
    steps.ask(page, LONG, FAST)
    page.evaluate("look(true)")
    assert toast(other).startswith("Answer ready")
    page.evaluate("look(false)")
    page.wait_for_timeout(1500)
    expect(page.locator("#toasts .toast-card")).to_have_count(0)


def test_the_end_of_a_batch_and_of_a_comparison_is_told_as_well(
    open_page: Callable[..., Page], acme: people.Cast, worker: object
) -> None:
    batch = begun_of(acme, "text\n" + "!simulate tokens=60 rate=30 words\n" * 2)
    page = open_page(acme.mia, strict=False)
    page.goto(f"{acme.home}/batches/{batch.id}")
    page.get_by_role("button", name="Ask 2 times").click()
    page.locator("#results[data-state=running]").wait_for()
    page.goto(f"{acme.home}/limits")
    assert toast(page).startswith(f"The batch is done {batch.name}")
    page.get_by_role("link", name="Look").click()
    expect(page).to_have_url(re.compile(f"/batches/{batch.id}$"))
    page.goto(f"{acme.session_url}/comparisons/new")
    for name in (FAST, INSTANT):
        page.get_by_label("Add a model or rule").select_option(name)
        expect(page.get_by_role("button", name=f"Remove {name}")).to_have_count(1)
    page.locator("#text").fill(LONG)
    page.get_by_role("button", name="Run all").click()
    page.locator("#compare-head").wait_for()
    page.goto(f"{acme.home}/limits")
    assert toast(page).startswith("All answers are there")


@pytest.mark.parametrize("path", ["/", "/limits"])
def test_while_nothing_runs_nothing_is_asked(open_page: Callable[..., Page], acme: people.Cast, path: str) -> None:
    page = open_page(acme.mia)
    page.goto(f"{acme.home}{path}")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(3000)
    assert asked == []


def test_what_a_colleague_began_is_told_to_the_colleague(
    open_page: Callable[..., Page], acme: people.Cast, worker: object
) -> None:
    page, adams = open_page(acme.mia), open_page(acme.adam, strict=False, locale="en-GB")
    adams.goto(acme.session_url)
    steps.ask(page_of(page, acme.session_url), LONG, FAST)
    adams.reload()
    adams.locator(".run[data-by]").wait_for()
    adams.goto(f"{acme.home}/limits")
    adams.wait_for_timeout(4000)
    expect(adams.locator("#toasts .toast-card")).to_have_count(0)


def page_of(page: Page, url: str) -> Page:
    page.goto(url)
    return page
