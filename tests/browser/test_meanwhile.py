"""What happens while something else is on its way: an answer, a list, a page's own news, somebody's decision."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import timedelta

from playwright.sync_api import Page, Route, expect

from dataelan_web.extensions import db
from dataelan_web.models import Execution, State, now
from tests import people

from . import steps
from .test_admin import superuser
from .test_finding import active
from .test_media import NOTES, PICTURE, attach, attached, opened
from .test_session import FAST, INSTANT

Opener = Callable[..., Page]


def sent_and_held(page: Page) -> Route:
    """A prompt on its way, whose answer waits until the route is let go on."""
    held: list[Route] = []
    page.route("**/executions", lambda route: held.append(route))
    page.locator("#composer select[name=model]").select_option(INSTANT)
    page.locator("#text").fill("What is this?")
    with page.expect_request("**/executions"):
        page.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_timeout(50)
    return held[0]


def test_what_is_prepared_while_a_prompt_is_sent_is_the_next_one_s(
    open_page: Opener, acme: people.Cast, worker: object
) -> None:
    page = opened(open_page(acme.mia), acme, "TEXT")
    attach(page, PICTURE)
    expect(attached(page)).to_have_count(1)
    on_its_way = sent_and_held(page)
    attach(page, NOTES)
    page.locator("#text").fill("And these?")
    page.locator("#composer select[name=model]").select_option(FAST)
    on_its_way.continue_()
    run = steps.finished(steps.card(page))
    expect(run.locator(".given-picture img")).to_have_attribute("alt", "Attached: harbour.png")
    for _ in range(2):
        expect(page.locator("#text")).to_have_value("And these?")
        expect(attached(page)).to_have_count(1)
        expect(attached(page)).to_contain_text("notes.md")
        expect(page.locator("#composer select[name=model]")).to_have_value(FAST)
        page.reload()


def test_who_writes_elsewhere_while_a_prompt_is_sent_goes_on_writing_there(
    open_page: Opener, acme: people.Cast, worker: object
) -> None:
    page = opened(open_page(acme.mia), acme, "TEXT")
    on_its_way = sent_and_held(page)
    title = page.get_by_label("Session title")
    title.fill("My own na")
    on_its_way.continue_()
    steps.finished(steps.card(page))
    page.keyboard.type("me")
    expect(title).to_have_value("My own name")
    expect(page.locator("#text")).to_have_value("")


def test_the_palette_waits_for_what_was_typed(open_page: Opener, acme: people.Cast) -> None:
    def slowly(route: Route) -> None:
        time.sleep(0.3)
        route.continue_()

    page = open_page(acme.mia)
    page.goto(f"{acme.home}/hub/models")
    page.keyboard.press("Control+k")
    expect(active(page)).to_contain_text("Acme session")
    page.route(re.compile("q=rout"), slowly)
    page.keyboard.type("routing rules")
    page.keyboard.press("Enter")  # the list of before is still there
    page.wait_for_url("**/hub/rules")


def test_what_was_agreed_to_is_done_to_nothing_else(open_page: Opener, acme: people.Cast) -> None:
    """The list of what runs looks for its own news every few seconds, while it is asked whether to stop one of them."""
    begun = now() - timedelta(days=3000)
    oldest, next_one = [
        people.ended(acme, asked, state=State.RUNNING, finished_at=None, created_at=at, started_at=at)
        for asked, at in (("One", begun), ("Two", begun + timedelta(days=1)))
    ]
    page = open_page(superuser())
    page.goto("/admin/queue")
    stop = page.locator(f"form[action*='{oldest.id}']").get_by_role("button", name="Stop")
    expect(page.locator("#queue form[action*='/runs/']").first).to_have_attribute("action", re.compile(str(oldest.id)))
    stop.click()
    expect(page.locator("#confirm")).to_be_visible()
    oldest.state, oldest.finished_at = State.COMPLETED, now()
    db.session.commit()
    expect(page.locator(f"form[action*='{oldest.id}']")).to_have_count(0)
    page.locator("#confirm-ok").click()
    expect(page.locator("#toasts")).to_contain_text("nothing was done")
    db.session.rollback()
    assert db.session.get_one(Execution, next_one.id, populate_existing=True).cancel_requested_at is None

    page.locator(f"form[action*='{next_one.id}']").get_by_role("button", name="Stop").click()
    page.locator("#queue").evaluate("region => { region.outerHTML = region.outerHTML }")  # the same, drawn anew
    with page.expect_navigation():
        page.locator("#confirm-ok").click()
    db.session.rollback()
    assert db.session.get_one(Execution, next_one.id, populate_existing=True).cancel_requested_at


def test_the_bell_that_is_looked_at_again_keeps_the_keyboard_s_place(open_page: Opener, acme: people.Cast) -> None:
    page = open_page(acme.mia, locale="en-US")  # not kept: a clock cannot be taken out of a page again
    page.clock.install()
    page.goto(acme.session_url)
    bell = page.locator("#bell")
    bell.focus()
    bell.evaluate("bell => { bell.dataset.old = 'yes' }")
    page.clock.run_for(70_000)
    expect(page.locator("#bell[data-old]")).to_have_count(0)
    expect(bell).to_be_focused()


def test_the_microphone_is_asked_for_once_by_a_double_click(open_page: Opener, acme: people.Cast) -> None:
    page = open_page(
        acme.mia,
        script="""
        window.asked = 0;
        const getUserMedia = () => new Promise((go) => {
          asked += 1;
          setTimeout(() => go(new AudioContext().createMediaStreamDestination().stream), 300);
        });
        Object.defineProperty(navigator, 'mediaDevices', { value: { getUserMedia } });
        """,
    )
    opened(page, acme, "VOICE")
    page.locator("[data-record]").dblclick()
    expect(page.locator("[data-record]")).to_have_attribute("aria-label", "Stop recording")
    page.wait_for_timeout(400)
    assert page.evaluate("asked") == 1


def test_a_recording_that_is_still_fetched_is_not_fetched_again_for_what_comes_beside_it(
    open_page: Opener, acme: people.Cast, worker: object
) -> None:
    """Opened twice, its button would play it and stop it at once."""
    page = opened(open_page(acme.mia), acme, "VOICE")
    steps.finished(steps.ask(page, "Good morning"))
    fetched: list[Route] = []
    page.route(re.compile("/assets/"), lambda route: fetched.append(route) if is_fetch(route) else route.continue_())
    page.reload()
    page.locator(".sound audio").first.scroll_into_view_if_needed()
    until(page, lambda: len(fetched) == 1)
    page.locator("#runs").evaluate("runs => runs.append(document.createElement('p'))")
    page.wait_for_timeout(500)
    fetched[0].continue_()
    play = page.locator("[data-wave-play]")
    expect(play).to_be_visible()
    assert len(fetched) == 1


def is_fetch(route: Route) -> bool:
    return route.request.resource_type == "fetch"


def until(page: Page, holds: Callable[[], bool]) -> None:
    """Not tests.conftest.wait_until: what a route hears of is told while the driver has its turn."""
    for _ in range(200):
        if holds():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it did not come to be")


def test_a_button_that_was_pressed_by_the_keyboard_is_where_the_keyboard_is_after_a_refusal(
    open_page: Opener, acme: people.Cast
) -> None:
    page = open_page(acme.mia, strict=False)
    page.goto(acme.session_url)
    page.locator("#text").fill("What is this?")
    page.route("**/executions", lambda route: route.fulfill(status=503, body="<p>Not now</p>"))
    run = page.get_by_role("button", name="Run", exact=True)
    run.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#problem")).to_contain_text("Not now")
    expect(run).to_be_focused()
