"""Finding one's way by keyboard and by search, taking deletes back, and a session that stays at hand however long."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress

import pytest
from flask import Flask
from playwright.sync_api import Locator, Page, expect
from playwright.sync_api import TimeoutError as TookTooLong

from dataelan_web.extensions import db
from dataelan_web.models import ModelType, PromptSession, State, new_id, now
from dataelan_web.search import walk
from tests import people

from . import steps
from .test_pages import assert_fine, look

__all__ = ["look"]


FAST = "simulated/simulated-fast"
Opener = Callable[..., Page]


def active(page: Page) -> Locator:
    """What Enter would choose."""
    return page.locator("#palette [role=option][aria-selected=true]")


def test_every_place_is_reached_by_the_keyboard(open_page: Opener, acme: people.Cast) -> None:
    page = open_page(acme.mia)
    page.goto(f"{acme.home}/hub/models")
    page.keyboard.press("Control+k")
    field = page.get_by_role("combobox", name="Go to")
    expect(field).to_be_focused()
    expect(active(page)).to_contain_text("Acme session")
    page.keyboard.press("ArrowDown")
    expect(active(page)).to_contain_text("Acme project")
    told = field.get_attribute("aria-activedescendant")
    assert active(page).get_attribute("id") == told, "and a screen reader is told"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{acme.session_url}")

    page.locator("#text").click()
    page.keyboard.type("g h ? / z k j")  # while one writes, letters are letters
    expect(page.locator("#text")).to_have_value("g h ? / z k j")
    expect(page.locator("#shortcuts")).to_be_hidden()
    page.keyboard.press("Control+k")  # but a key with Ctrl is none
    page.keyboard.type("rout rul")
    expect(active(page)).to_contain_text("Routing rules")
    page.keyboard.press("Enter")
    page.wait_for_url("**/hub/rules")
    page.keyboard.press("g")
    page.keyboard.press("h")
    page.wait_for_url(f"**{acme.home}/")
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(keys).to_contain_text("Run the prompt")
    keys.get_by_label("Single keys work").uncheck()
    page.keyboard.press("Escape")
    expect(keys).to_be_hidden()
    page.keyboard.press("?")
    expect(keys).to_be_hidden()
    page.keyboard.press("Control+k")
    page.keyboard.type("new session")
    expect(active(page)).to_contain_text("New session in")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="New session")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.keyboard.type("rename this")  # what the page itself can do
    expect(active(page)).to_have_text("Rename this project, or change its instructions")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Name and instructions")).to_be_visible()


def test_enter_while_a_word_is_composed_is_for_that_word(open_page: Opener, acme: people.Cast) -> None:
    """As Japanese is written: Enter takes the word that is offered, and leads nowhere."""
    page = open_page(acme.mia)
    page.goto(f"{acme.home}/hub/models")
    page.keyboard.press("Control+k")
    expect(active(page)).to_contain_text("Acme session")
    pressed = "{ key, isComposing: true, bubbles: true, cancelable: true }"
    for key in ("ArrowDown", "Enter"):
        told = f"(field, key) => field.dispatchEvent(new KeyboardEvent('keydown', {pressed}))"
        assert page.locator("#palette input").evaluate(told, key), f"{key} is left to the field"
    expect(active(page)).to_contain_text("Acme session")
    expect(page.locator("#palette")).to_be_visible()
    assert page.url.endswith("/hub/models")


def test_a_dialog_stays_open_when_words_are_marked_beyond_its_edge(open_page: Opener, acme: people.Cast) -> None:
    page = open_page(acme.mia)
    page.goto(f"{acme.home}/projects/{acme.project.id}")
    page.keyboard.press("Control+k")
    page.keyboard.type("rename this")
    expect(active(page)).to_have_text("Rename this project, or change its instructions")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Name and instructions")
    box = dialog.locator("input[name=name]").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 60, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(5, box["y"] + 10, steps=3)
    page.mouse.up()
    expect(dialog).to_be_visible()
    page.mouse.click(5, 5)
    expect(dialog).to_be_hidden()


def test_on_a_phone_the_palette_opens_by_a_button(open_page: Opener, acme: people.Cast) -> None:
    page = open_page(acme.mia, viewport={"width": 390, "height": 780}, has_touch=True, is_mobile=True)
    page.goto(f"{acme.home}/")
    page.get_by_role("button", name="Go to anything").tap()
    page.get_by_role("option", name="Acme session").tap()
    page.wait_for_url(f"**{acme.session_url}")


def test_a_session_is_kept_in_order_and_every_delete_is_taken_back(
    open_page: Opener, acme: people.Cast, worker: object
) -> None:
    run = people.ended(acme, "A question about herons", "They stand still.")
    page = open_page(acme.mia)
    page.goto(acme.session_url)
    page.get_by_role("button", name="Star Acme session").click()
    expect(page.locator("#side-sessions")).to_contain_text("Starred")
    page.get_by_role("link", name="Add tags").click()
    expect(page.get_by_label("New tag")).to_be_focused()
    page.keyboard.type("birds")
    page.keyboard.press("Enter")
    expect(page.locator(".tag-chip")).to_contain_text("birds")
    expect(page.get_by_label("New tag")).to_be_focused()  # for another one

    card = page.locator(f"#run-{run.id}")
    card.locator(".menu summary").click()
    card.get_by_role("button", name="Delete").click()
    expect(card).to_have_count(0)
    expect(page.locator("#toasts")).to_contain_text("in the trash")
    page.locator("h1").evaluate("() => document.activeElement.blur()")
    page.keyboard.press("z")
    page.wait_for_url("**#run-*")
    expect(page.locator(f"#run-{run.id}")).to_be_visible()

    more = page.locator(".session-side .menu summary")
    more.click()
    page.locator(".session-side").get_by_role("button", name="Fork").click()
    expect(page.locator(".session-from")).to_contain_text("Acme session")
    expect(page.locator(".run-copied")).to_contain_text("They stand still.")
    steps.finished(steps.ask(page, "And storks?", "simulated/simulated-instant"))
    more.click()
    page.get_by_role("link", name="Move to…").click()
    expect(page.get_by_role("dialog", name="Move to another project")).to_contain_text("no other project")
    page.keyboard.press("Escape")
    more.click()
    page.locator(".session-side").get_by_role("button", name="Archive").click()
    expect(page.locator(".archived")).to_be_visible()
    page.wait_for_load_state("networkidle")  # nothing of it is asked any more when it is deleted
    more.click()
    page.locator(".session-side").get_by_role("button", name="Delete").click()
    page.wait_for_url(f"**/projects/{acme.project.id}")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".session-from")).to_be_visible()


def test_what_was_said_is_found_and_opened_where_it_was_said(open_page: Opener, acme: people.Cast) -> None:
    answers = {20: "Puffins nest in burrows. " + "More of it. " * 60}
    runs = [people.ended(acme, f"Number {n}", answers.get(n, f"Answer {n}. " * 40)) for n in range(60)]
    run = runs[20]
    page = open_page(acme.mia)
    page.goto(f"{acme.home}/search")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("burrows puff", delay=20)
    hit = page.locator(".hit").filter(has_text="Puffins nest")
    expect(hit.locator("mark").first).to_have_text("Puffins")
    page.wait_for_url(re.compile("q=burrows"))
    hit.get_by_role("link").click()
    page.wait_for_url(f"**#run-{run.id}")
    opened = page.locator(f"#run-{run.id}")
    expect(opened).to_be_in_viewport()

    # As one scrolls to either end, more comes, and what is being read stays where it is.
    for direction, last in ((-1, runs[0]), (1, runs[-1])):
        page.wait_for_timeout(300)
        for _ in range(60):
            if page.locator(f"#run-{last.id}").count():
                break
            page.mouse.move(700, 300)
            page.mouse.wheel(0, direction * 900)
            page.wait_for_timeout(60)
        expect(page.locator(f"#run-{last.id}")).to_have_count(1)
    ids = page.evaluate("[...document.querySelectorAll('#runs > .run')].map(run => run.id)")
    assert ids == sorted(set(ids)), "in order, and none twice"


def test_a_search_that_takes_long_goes_on_by_itself(
    open_page: Opener, acme: people.Cast, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.ended(acme, "Where does a heron sleep?", "Standing.")
    address = f"{acme.home}/search?q=heron+"
    with monkeypatch.context() as patch:
        patch.setattr(walk, "SECONDS", 0.0)
        patch.setattr(walk, "FIRST_STEP", 0.0)
        out_of_time = people.browser(app, acme.mia).get(address).get_data(as_text=True)
    assert "Nothing so far; looking further back" in out_of_time
    page = open_page(acme.mia)
    page.route(
        lambda url: url.endswith(address),
        lambda route: route.fulfill(body=out_of_time, content_type="text/html"),
    )
    page.goto(address)
    expect(page.locator(".hit")).to_have_count(1)
    expect(page.locator(".hit mark")).to_have_text(["heron"])
    expect(page.get_by_text("looking further back")).to_have_count(0)
    expect(page.locator("#search-said")).to_have_text("1 run")


def test_older_runs_come_without_a_jump(open_page: Opener, acme: people.Cast) -> None:
    for number in range(70):
        people.ended(acme, f"Number {number}", f"Answer {number}. " * 60)
    page = open_page(acme.mia)
    page.goto(acme.session_url)
    page.wait_for_function("() => innerHeight + scrollY >= document.documentElement.scrollHeight - 40", polling=50)
    assert page.locator(".run").count() == 15, "a page that opens at its end asks for nothing far away"
    while (count := page.locator(".run").count()) < 70:
        seen = page.evaluate("""() => {
          scrollTo({ top: 400, behavior: 'instant' });
          window.read = [...document.querySelectorAll('.run')].find(run => run.getBoundingClientRect().bottom > 200);
          return read.getBoundingClientRect().top;
        }""")
        page.wait_for_function("count => document.querySelectorAll('.run').length > count", arg=count, polling=50)
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        moved = page.evaluate("read.getBoundingClientRect().top") - seen
        assert abs(moved) <= 2, f"what was being read jumped by {moved} pixels"


def test_the_next_prompt_waits_for_its_turn_and_can_be_taken_back(
    open_page: Opener, acme: people.Cast, worker: object
) -> None:
    page = open_page(acme.mia)
    page.goto(acme.session_url)
    first = steps.ask(page, "!simulate tokens=3000 rate=40\nA long story", FAST)
    steps.wait_for_text(page, 10)
    second = steps.ask(page, "!simulate tokens=40 rate=40\nNow shorter")
    expect(second).to_have_attribute("data-state", "waiting")
    expect(page.locator("#announcer")).to_have_text("Waiting for the answer before it")
    third = steps.ask(page, "Never mind")
    third.get_by_role("button", name="Do not send").click()
    expect(third).to_have_attribute("data-state", "cancelled")
    first.get_by_role("button", name="Stop").click()
    steps.finished(first)
    expect(second).to_contain_text("It was not sent")
    second.get_by_role("button", name="Retry").click()
    expect(page.locator(".run")).to_have_count(2)  # in the place of the second, and of what followed that
    steps.card(page, 1)
    last = steps.ask(page, "And its moral?", "simulated/simulated-instant")
    steps.finished(last)
    assert last.get_attribute("data-state") == "completed"


def test_settings_that_were_not_run_yet_outlive_a_reload_in_sight(
    open_page: Opener, acme: people.Cast, worker: object
) -> None:
    page = open_page(acme.mia)
    page.goto(acme.session_url)
    more, system = page.get_by_label("More settings"), page.get_by_label("System prompt")
    more.check(force=True)
    system.fill("Answer as a pirate.")
    page.reload()
    expect(system).to_be_visible()
    expect(system).to_have_value("Answer as a pirate.")
    steps.finished(steps.ask(page, "Hello", "simulated/simulated-instant"))
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('draft:'))") == []
    page.reload()
    expect(system).to_have_value("Answer as a pirate.")  # the session knows it now
    expect(system).to_be_hidden()
    more.check(force=True)
    system.fill("")
    page.reload()
    expect(system).to_have_value("")  # what was cleared is not there again


def drafts(page: Page) -> list[str]:
    return page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('draft:'))")  # type: ignore[no-any-return]


def test_the_model_that_was_chosen_other_words_and_a_comment_outlive_a_reload(
    open_page: Opener, acme: people.Cast, worker: object
) -> None:
    page = open_page(acme.mia)
    page.goto(acme.session_url)
    steps.finished(steps.ask(page, "Hello", "simulated/simulated-instant"))
    assert drafts(page) == []
    model = page.locator("#composer select[name=model]")
    model.select_option("simulated/simulated-thoughtful")
    page.reload()
    expect(model).to_have_value("simulated/simulated-thoughtful")
    model.select_option("simulated/simulated-instant")
    assert drafts(page) == [], "as the page came"
    page.evaluate(
        "id => localStorage.setItem(`draft:${document.body.dataset.person}:session-${id}:model`, 'gone/model')",
        str(acme.session.id),
    )
    page.reload()
    expect(model).to_have_value("simulated/simulated-instant")
    steps.finished(steps.ask(page, "Hello again"))
    assert drafts(page) == []

    other_words, written = page.get_by_label("Say it otherwise, as a branch").first, page.locator(".reword textarea")
    other_words.click()
    written.fill("Good evening")
    page.reload()
    other_words.click()
    expect(written).to_have_value("Good evening")
    page.locator(".reword").get_by_role("link", name="Cancel").click()
    expect(written).to_have_count(0)
    other_words.click()
    expect(written).to_have_value("Hello")  # what was given up is not there again
    written.fill("Good night")
    page.locator(".reword").get_by_role("button", name="Run").click()
    expect(page.locator(".run")).to_have_count(1)
    steps.finished(steps.card(page))
    assert drafts(page) == []

    talk, comment = page.locator(".talk"), page.locator(".comment-form textarea")
    talk.get_by_role("button", name="Comment").click()
    comment.fill("Half a remark")
    page.reload()
    talk.get_by_role("button", name="Comment").click()
    expect(comment).to_have_value("Half a remark")
    comment.press("Control+Enter")
    expect(page.locator(".comment-text")).to_have_text("Half a remark")
    expect(comment).to_have_value("")
    assert drafts(page) == []


def test_the_columns_of_a_comparison_and_what_is_begun_at_home_outlive_a_reload(
    open_page: Opener, acme: people.Cast, worker: object
) -> None:
    page = open_page(acme.mia)
    page.goto(f"{acme.session_url}/comparisons/new")
    for name in ("simulated/simulated-fast", "simulated/simulated-instant"):
        page.get_by_label("Add a model or rule").select_option(name)
        expect(page.locator(".compare-name").last).to_have_text(name)
    page.get_by_label("Repeat").select_option("2")
    page.get_by_label("Blind").check()
    page.reload()
    expect(page.locator(".compare-name")).to_have_text(["simulated/simulated-fast", "simulated/simulated-instant"])
    expect(page.get_by_label("Repeat")).to_have_value("2")
    expect(page.get_by_label("Blind")).to_be_checked()
    page.get_by_role("button", name="Remove simulated/simulated-fast").click()
    expect(page.locator(".compare-name")).to_have_count(1)
    page.reload()
    expect(page.locator(".compare-name")).to_have_text(["simulated/simulated-instant"])

    page.goto(f"{acme.home}/")
    page.locator("#quick-text").fill("Write it in Python")
    page.locator(".quick label").filter(has_text="Code").click()
    page.reload()
    expect(page.locator("#quick-text")).to_have_value("Write it in Python")
    expect(page.locator(".quick [value=CODE]")).to_be_checked()
    page.locator("#quick-text").press("Control+Enter")
    page.wait_for_url("**/sessions/*")
    expect(page.locator("#composer")).to_have_attribute("data-type", "CODE")
    steps.finished(steps.card(page))
    assert not [key for key in drafts(page) if ":home" in key]


def test_a_draft_survives_the_end_of_the_sign_in_but_not_a_sign_out(open_page: Opener, acme: people.Cast) -> None:
    acme.mia.set_password("a few words work well")
    db.session.commit()
    page = open_page(acme.mia, strict=False)  # the browser complains of the 401
    page.goto(acme.session_url)
    page.locator("#text").fill("Half a thought that took an hour")
    page.context.clear_cookies()
    with suppress(TookTooLong):  # the question of what it may cost may be answered with the 401 first, and lead away
        page.get_by_role("button", name="Run", exact=True).click(timeout=5_000)
    page.wait_for_url(re.compile(r"/login\?next="))
    page.get_by_label("E-mail").fill(acme.mia.email)
    page.get_by_label("Password").fill("a few words work well")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**{acme.session_url}")
    expect(page.locator("#text")).to_have_value("Half a thought that took an hour")
    assert page.locator(".run").count() == 0
    other = open_page(acme.adam)
    other.goto(acme.session_url)
    expect(other.locator("#text")).to_have_value("")
    page.get_by_role("button", name="Your account").click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login")
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('draft:'))") == []


AWAY = """
window.notes = [];
window.Notification = class {
  constructor(title, options) { notes.push([title, options.body]); }
  close() {}
  static permission = 'granted';
  static async requestPermission() { return 'granted'; }
};
let hidden = false;
Object.defineProperty(Document.prototype, 'hidden', { get: () => hidden, configurable: true });
window.look = (away) => { hidden = away; document.dispatchEvent(new Event('visibilitychange')); };
"""
"""A person who looks elsewhere, and what they are told there."""


def test_the_end_of_a_long_run_is_told_to_who_looks_elsewhere(
    open_page: Opener, acme: people.Cast, worker: object
) -> None:
    page = open_page(acme.mia, permissions=["notifications"], script=AWAY)
    page.goto(acme.session_url)
    title = page.title()
    run = steps.ask(page, "!simulate tokens=60 rate=30\nA story", FAST)
    bell = run.get_by_role("button", name="Notify me when a run ends")
    bell.click()
    expect(bell).to_have_attribute("aria-pressed", "true")
    page.evaluate("look(true)")
    page.wait_for_function("() => notes.length > 0", polling=50)
    assert page.evaluate("notes") == [["Answer ready", title.split(" · ")[0]]]
    assert page.title() == f"✓ Answer ready · {title}"
    page.evaluate("look(false)")
    assert page.title() == title
    steps.finished(run)
    again = steps.ask(page, "Again", "simulated/simulated-instant")
    steps.finished(again)
    assert len(page.evaluate("notes")) == 1, "who looks needs none"


def test_the_end_of_a_comparison_is_told_to_who_looks_elsewhere(
    open_page: Opener, acme: people.Cast, worker: object
) -> None:
    page = open_page(acme.mia, permissions=["notifications"], script=AWAY)
    page.goto(f"{acme.session_url}/comparisons/new")
    for name in (FAST, "simulated/simulated-instant"):
        page.get_by_label("Add a model or rule").select_option(name)
        expect(page.get_by_role("button", name=f"Remove {name}")).to_have_count(1)
    page.locator("#text").fill("!simulate tokens=60 rate=30\nA story")
    page.get_by_role("button", name="Run all").click()
    page.get_by_role("button", name="Notify me when all answers are there").click()
    title = page.title()
    page.evaluate("look(true)")
    page.wait_for_function("() => notes.length > 0", polling=50)
    assert page.evaluate("notes") == [["All answers are there", "Comparison"]]
    assert page.title() == f"✓ All answers are there · {title}"


def test_a_page_that_is_left_does_not_call_dataelan_away(open_page: Opener, acme: people.Cast) -> None:
    """What it had asked for comes to nothing, as a browser may tell it while it goes; who comes back would see it."""
    told = "() => sessionStorage.setItem('told', document.querySelectorAll('[data-unreachable]').length)"
    page = open_page(acme.mia, script=f"document.addEventListener('htmx:error', () => queueMicrotask({told}))")
    page.route("**/waits", lambda route: None)
    page.goto(f"{acme.home}/")
    with page.expect_request("**/waits"):
        page.evaluate("() => { htmx.ajax('GET', '/waits', { target: '#toasts' }) }")
    page.goto(acme.session_url)
    assert page.evaluate("() => sessionStorage.getItem('told')") in (None, "0")


@pytest.mark.sweep
def test_pages_of_finding_have_no_fault(look: Callable[..., Page], acme: people.Cast) -> None:
    run = people.ended(acme, "A question about <herons> " + "and more " * 40, "They stand still. " * 30)
    people.ended(acme, "A heron failed", "", state=State.FAILED, error_kind="transient")
    acme.session.tags = ["birds", "a tag that is quite long, as people write them"]
    rows = [
        PromptSession(
            id=new_id(), project=acme.project, title=f"A session with quite a long title, number {number}",
            model_type=list(ModelType)[number % 5], tags=["birds"], created_by=acme.mia.id,
        )
        for number in range(4)
    ]  # fmt: skip
    db.session.add_all(rows)
    rows[3].discard(acme.mia.id)
    rows[2].archived_at = now()
    run.discard(acme.mia.id)
    db.session.commit()
    page = look(acme.olivia)
    for path in ("/search", "/search?q=heron&error=yes", "/search?q=zzz", "/trash", "/trash?kind=project"):
        page.goto(f"{acme.home}{path}")
        assert_fine(page, path)
    page.goto(f"{acme.home}/projects/{acme.project.id}?tag=birds")
    assert_fine(page, "a project's sessions")
    page.goto(f"{acme.home}/sessions/{rows[2].id}")
    page.get_by_role("link", name="Tag", exact=True).click()
    page.get_by_label("New tag").wait_for()
    assert_fine(page, "an archived session")
    page.goto(f"{acme.home}/sessions/{rows[3].id}")
    page.watch.complaints.clear()  # type: ignore[attr-defined]  (a page that is 410 is said to be one)
    assert_fine(page, "a link into the trash")
    page.goto(f"{acme.home}/")
    page.keyboard.press("Control+k")
    page.locator(".palette-item").first.wait_for()
    assert_fine(page, "the palette")
    page.keyboard.press("Escape")
    page.locator("h1").click()
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keyboard shortcuts").wait_for()
    assert_fine(page, "the keys")
