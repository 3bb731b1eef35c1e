"""A session's page: the answer as it arrives, whatever happens to the connection, and all that one does around it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from playwright.sync_api import Page, expect

from dataelan_web.extensions import db
from dataelan_web.models import State
from tests import people

from . import steps
from .wire import Wire

FAST = "simulated/simulated-fast"
INSTANT = "simulated/simulated-instant"
"""Where it does not matter how an answer comes."""
WATCH_TEXT = """
new MutationObserver(() => {
  const live = [...document.querySelectorAll('.answer-live')].at(-1);
  if (live) (window.seen ??= []).push(live.querySelector('.live-words').textContent);
  const said = document.querySelector('#announcer')?.textContent;
  if (said && (window.told ??= []).at(-1) !== said) told.push(said);
}).observe(document, { childList: true, subtree: true, characterData: true });
"""
"""Keeps every state of the answer being written, to compare its last with what was stored; and what was announced."""
WATCH_THEME = """
new MutationObserver((_, self) => {
  if (document.body) { window.darkAtFirst = document.documentElement.classList.contains('dark'); self.disconnect(); }
}).observe(document, { childList: true, subtree: true });
"""
LINE = "Forty-two characters are in a line such as\n"
WRITE_LONG = f"""
async () => {{
  const live = document.createElement('div'), blocks = new Map(), text = {LINE!r}.repeat(200);
  live.className = 'live-text';
  document.getElementById('runs').append(live);
  for (let at = 0; at < text.length; at += 25) {{
    live.append(text.slice(at, at + 25));
    /* mark */
    await Promise.resolve().then(() => {{}});        // whoever watches the page has seen it
    for (const block of live.children) if (!blocks.has(block)) blocks.set(block, block.textContent);
  }}
  const told = [...blocks].map(([block, then]) => [block.textContent, then]);
  const last = [...live.childNodes].slice(live.childElementCount).map(({{ data }}) => data).join('');
  live.remove();
  return [told, last];
}}
"""
"""Writes a long answer piece by piece; what each finished block held at the end and at first, and what came after."""

Opener = Callable[..., Page]


@pytest.fixture
def wire(server: str) -> Iterator[Wire]:
    wire = Wire(server)
    yield wire
    wire.close()


@pytest.fixture
def session(open_page: Opener, acme: people.Cast) -> Page:
    page = open_page(acme.mia, script=WATCH_TEXT)
    page.goto(acme.session_url)
    return page


# -- the stream ------------------------------------------------------------------------------------


def test_words_appear_as_they_arrive_and_nothing_is_lost_at_the_end(session: Page) -> None:
    run = steps.ask(session, "!simulate tokens=120 rate=80\nA story", FAST)
    expect(run.locator(".state:visible")).to_contain_text("Running")
    steps.finished(run)
    states = [steps.letters(state) for state in session.evaluate("seen")]
    assert len(set(states)) > 8, "many small steps, not one jump"
    assert states[-1] == steps.letters(steps.stored(run).body.text)
    assert all(later.startswith(earlier) for earlier, later in pairwise(states))
    expect(session.locator("#announcer")).to_have_text("Answer ready")
    assert session.evaluate("told") == ["Answering", "Answer ready"], "never the words as they grow"
    assert run.evaluate("run => run.closest('[aria-live], [role=log], [role=status]')") is None
    expect(session.locator("#totals")).to_contain_text("run1")


def test_a_long_answer_is_laid_out_by_its_last_lines_and_reads_as_one(session: Page) -> None:
    run = steps.finished(steps.ask(session, "!simulate tokens=1200 rate=3000\nA long story", FAST))
    states = [steps.letters(state) for state in session.evaluate("seen")]
    written = steps.letters(steps.stored(run).body.text)
    assert states[-1] == written
    assert all(written.startswith(state) for state in states)
    done, being_written = session.evaluate(WRITE_LONG)
    assert len(done) > 3
    assert all(block.endswith("\n") and block == then for block, then in done), "what is done is left alone"
    assert "".join(block for block, _ in done) + being_written == LINE * 200
    assert len(being_written) < 1500 + len(LINE) + 25
    done, being_written = session.evaluate(WRITE_LONG.replace("/* mark */", "getSelection().selectAllChildren(live);"))
    assert done == []
    assert being_written == LINE * 200, "what somebody marks does not move"


def test_a_reload_in_the_middle_continues_without_loss_or_doubling(session: Page) -> None:
    steps.ask(session, "!simulate tokens=180 rate=100\nA story to be reloaded", FAST)
    steps.wait_for_text(session, 60)
    session.reload()
    steps.wait_for_text(session, 60)
    run = steps.finished(steps.card(session))
    assert steps.letters(session.evaluate("seen").pop()) == steps.letters(steps.stored(run).body.text)


def test_a_dropped_connection_continues_where_it_was(open_page: Opener, acme: people.Cast, wire: Wire) -> None:
    # The browser complains of the lost connection.
    page = open_page(acme.mia, base_url=wire.url, script=WATCH_TEXT, strict=False)
    page.goto(acme.session_url)
    run = steps.ask(page, "!simulate tokens=250 rate=100\nA story on a train", FAST)
    steps.wait_for_text(page, 60)
    wire.cut()
    page.wait_for_timeout(200)
    seen = steps.live_text(run)
    page.wait_for_timeout(300)
    assert steps.live_text(run) == seen, "really cut"
    wire.mend()
    steps.wait_for_text(page, len(seen))
    steps.finished(run)
    assert steps.letters(page.evaluate("seen").pop()) == steps.letters(steps.stored(run).body.text)


def test_stop_keeps_what_had_come_and_retry_runs_it_again(session: Page) -> None:
    run = steps.ask(session, "!simulate tokens=900 rate=40\nA very long story", FAST)
    steps.wait_for_text(session, 40)
    run.get_by_role("button", name="Stop").click()
    steps.finished(run)
    expect(run.locator(".notice")).to_contain_text("stopped")
    execution = steps.stored(run)
    assert execution.state is State.CANCELLED
    assert len(execution.body.text) > 40
    assert steps.live_text(run) == execution.body.text

    run.get_by_role("button", name="Retry").click()
    expect(session.get_by_role("group", name="Branch 2 of 2")).to_be_visible()
    again = steps.card(session)
    steps.wait_for_text(session, 10)
    assert steps.stored(again).prompt_id == execution.prompt_id
    again.get_by_role("button", name="Stop").click()
    steps.finished(again)


def test_a_failure_says_what_to_do_and_offers_another_try(session: Page) -> None:
    run = steps.finished(steps.ask(session, "!simulate fail=unauthorized\nHello", FAST))
    assert run.get_attribute("data-state") == "failed"
    expect(run.locator(".notice")).to_contain_text("key")
    expect(run.get_by_role("button", name="Retry")).to_be_visible()
    expect(run.locator(".prompt-text")).to_contain_text("Hello")


def test_the_page_follows_the_answer_only_while_the_reader_is_at_its_end(session: Page) -> None:
    session.set_viewport_size({"width": 1000, "height": 600})
    run = steps.ask(session, "!simulate tokens=900 rate=400\nA long story", FAST)
    steps.wait_for_text(session, 1500)
    session.wait_for_function("() => innerHeight + scrollY >= document.documentElement.scrollHeight - 40", polling=50)
    session.mouse.move(500, 200)
    while session.evaluate("scrollY") > 0:  # a turn that meets a move of ours is lost to it; the next ones are not
        session.mouse.wheel(0, -5000)
        session.wait_for_timeout(100)
    steps.finished(run)
    assert session.evaluate("scrollY") == 0, "a reader who went back up is left alone"


# -- writing -------------------------------------------------------------------------------------


def test_a_draft_survives_a_reload_and_is_gone_once_it_was_run_by_ctrl_enter(session: Page) -> None:
    box = session.get_by_label("Prompt", exact=True)
    box.fill("Half a thought")
    session.reload()
    expect(box).to_have_value("Half a thought")
    session.locator("#composer select[name=model]").select_option(INSTANT)
    box.press("Control+Enter")
    expect(box).to_have_value("")
    steps.finished(steps.card(session))
    session.reload()
    expect(box).to_have_value("")
    assert session.locator(".run").count() == 1


def test_a_refused_form_says_why_and_keeps_every_word(session: Page) -> None:
    session.get_by_label("Prompt", exact=True).fill("Keep this")
    session.get_by_label("More settings").check(force=True)
    session.get_by_label("Temperature").fill("9")
    session.get_by_label("More settings").uncheck(force=True)
    session.get_by_role("button", name="Run", exact=True).click()
    expect(session.get_by_label("Temperature")).to_be_focused()  # the browser's own word, not a dead button
    session.locator("#composer").evaluate("form => { form.noValidate = true }")
    session.get_by_role("button", name="Run", exact=True).click()
    expect(session.locator(".field-error")).to_contain_text("from 0 to 2")
    expect(session.get_by_label("Prompt", exact=True)).to_have_value("Keep this")
    assert session.locator(".run").count() == 0
    session.get_by_label("Temperature").fill("1")
    models, takes = session.locator("#composer select[name=model]"), session.locator("[data-takes]")
    models.evaluate(
        "select => select.options[1].dataset.omits = 'seed stop temperature tools'"
    )  # as one that always thinks
    chosen = models.locator("option").nth(1).get_attribute("value") or ""
    models.select_option(chosen)
    expect(takes).to_have_text("This model takes no seed, no stop sequences, no temperature, and no tools.")
    expect(session.get_by_label("Temperature")).to_be_hidden()
    expect(session.get_by_label("Temperature")).to_be_disabled()
    expect(session.get_by_label("Seed")).to_be_hidden()
    expect(session.get_by_label("Top P")).to_be_visible()
    expect(session.get_by_label("Max tokens")).to_have_attribute("max", "8192")
    models.select_option("auto")
    expect(takes).to_contain_text("your rules choose")
    expect(session.get_by_label("Temperature")).to_have_value("1")
    expect(session.get_by_label("Max tokens")).to_have_attribute("max", "1000000")
    models.select_option(chosen)
    session.get_by_role("button", name="Run", exact=True).click()
    steps.finished(steps.card(session))
    expect(session.get_by_label("Prompt", exact=True)).to_have_value("")


# -- the answer ------------------------------------------------------------------------------------


def test_an_answer_is_markdown_with_highlighted_code_that_can_be_copied_and_saved(
    open_page: Opener, acme: people.Cast
) -> None:
    page = open_page(acme.mia, permissions=["clipboard-read", "clipboard-write"])
    page.goto(acme.session_url)
    run = steps.finished(steps.ask(page, "Write a Python function for the median", INSTANT))
    expect(run.locator(".answer blockquote")).to_be_visible()
    code = run.locator(".code-block pre")
    assert code.locator("span.k, span.kn, span.nf").count() > 0
    run.get_by_role("button", name="Copy", exact=True).click()
    expect(run.locator(".btn-copy")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == code.text_content()
    with page.expect_download() as block:
        run.get_by_role("button", name="Download", exact=True).click()
    assert block.value.suggested_filename == "code-1.py"
    assert block.value.path().read_text() == code.text_content()
    save, copy = run.locator(".btn-save").bounding_box(), run.locator(".btn-copy").bounding_box()
    assert save
    assert copy
    assert save["x"] < copy["x"], "as the Tab key goes"
    run.locator(".btn-save").focus()
    page.keyboard.press("Tab")
    expect(run.locator(".btn-copy")).to_be_focused()
    run.get_by_role("button", name="Copy the answer").click()
    expect(run.locator(".copied")).to_have_count(2)
    assert page.evaluate("navigator.clipboard.readText()") == steps.stored(run).body.text

    run.get_by_role("link", name="1 block of code").click()
    found = page.locator("#action-0")
    expect(found.locator("pre")).to_be_visible()
    with page.expect_download() as download:
        found.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "code-1.py"
    assert download.value.path().read_text() == code.text_content()


def test_without_a_clipboard_of_its_own_a_page_copies_keeps_the_keyboard_s_place_and_tells_no_lie(
    open_page: Opener, acme: people.Cast
) -> None:
    """As over plain http, where a browser offers the older way alone."""
    people.ended(acme, "A question about herons", "They stand still.\n\n```python\nprint(1)\n```\n")
    page = open_page(acme.mia, script="Object.defineProperty(navigator, 'clipboard', { value: undefined });")
    page.goto(acme.session_url)
    button = page.locator(".btn-copy").first
    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#announcer")).to_have_text("Copied")
    expect(button).to_be_focused()
    page.reload()
    page.evaluate("document.execCommand = () => false")
    button.click()
    expect(page.locator("#toasts")).to_contain_text("Not copied")
    expect(page.locator("#announcer")).to_have_text("")


def test_any_sign_can_be_typed(session: Page) -> None:
    """Whoever complains in the console fails the test."""
    session.locator("#text").click()
    session.keyboard.type('"\\]')
    expect(session.locator("#text")).to_have_value('"\\]')


def test_a_session_is_printed_as_what_was_asked_and_answered(open_page: Opener, acme: people.Cast) -> None:
    people.ended(acme, "What is a token?", "A piece of a *word*.")
    page = open_page(acme.victor)
    page.goto(acme.session_url)
    page.emulate_media(media="print")
    expect(page.get_by_text("What is a token?")).to_be_visible()
    expect(page.locator(".answer em")).to_be_visible()
    for other in (".side", ".composer-dock", ".run-acts", ".menu"):
        assert page.locator(f"{other}:visible").count() == 0, other
    assert page.pdf().startswith(b"%PDF")


# -- any screen, any hands -------------------------------------------------------------------------


def test_on_a_phone_the_sidebar_opens_and_the_composer_is_at_hand(open_page: Opener, acme: people.Cast) -> None:
    page = open_page(acme.mia, viewport={"width": 390, "height": 780}, has_touch=True, is_mobile=True)
    page.goto(acme.session_url)
    sidebar = page.locator("#sidebar")
    expect(sidebar).to_be_hidden()
    page.get_by_role("button", name="Open navigation").tap()
    expect(sidebar).to_be_visible()
    expect(sidebar.get_by_role("link", name="Home")).to_be_visible()
    page.get_by_role("button", name="Close navigation").tap()
    expect(sidebar).to_be_hidden()
    for control in ("#text", "#composer button[type=submit]", "#composer select[name=model]"):
        assert steps.in_view(page.locator(control))
    run = steps.finished(steps.ask(page, "A table of rivers", INSTANT))
    assert run.bounding_box()["width"] <= 390  # type: ignore[index]
    assert steps.in_view(page.locator("#composer button[type=submit]"))


def test_the_dark_theme_is_kept_and_never_flashes_light(open_page: Opener, acme: people.Cast) -> None:
    page = open_page(acme.mia, color_scheme="light", script=WATCH_THEME)
    page.goto(acme.home + "/")
    assert page.evaluate("darkAtFirst") is False
    page.get_by_role("button", name="Your account").click()
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_class("dark")
    page.goto(acme.session_url)
    assert page.evaluate("darkAtFirst") is True, "dark before there is anything to see"
    page.get_by_role("button", name="Your account").click()
    expect(page.get_by_role("button", name="Dark")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="System").click()
    expect(page.locator("html")).not_to_have_class("dark")


def test_a_prompt_is_reworded_and_one_walks_between_the_branches(open_page: Opener, acme: people.Cast) -> None:
    for asked in ("What is a tokn?", "And a quota?"):
        people.ended(acme, asked, "An answer.", requested=INSTANT)
    session = open_page(acme.mia)
    session.goto(acme.session_url)
    session.locator("#composer select[name=model]").select_option(INSTANT)
    session.get_by_label("Say it otherwise").first.click()
    words = session.locator(".reword textarea")
    expect(words).to_be_focused()
    words.fill("What is a token?")
    words.press("Control+Enter")
    expect(session.locator(".run")).to_have_count(1)
    run = steps.finished(steps.card(session))
    expect(run.locator(".prompt-text")).to_have_text("What is a token?")
    run.get_by_label("Run again").click()
    expect(session.get_by_role("group", name="Branch 3 of 3")).to_be_visible()
    steps.finished(steps.card(session))
    run.get_by_label("More for this run").click()
    run.get_by_role("link", name="What changed").click()
    expect(session.get_by_role("dialog")).to_contain_text("What changed")
    session.keyboard.press("Escape")
    for number in (2, 1):
        session.get_by_label("The earlier branch").click()
        expect(session.get_by_role("group", name=f"Branch {number} of 3")).to_be_visible()
    expect(session.locator(".run")).to_have_count(2)
    steps.finished(steps.ask(session, "Go on", INSTANT))
    session.reload()
    expect(session.locator(".prompt-text")).to_have_text(["What is a tokn?", "And a quota?", "Go on"])


def test_a_run_s_own_page_leads_to_that_of_the_run_in_other_words(open_page: Opener, acme: people.Cast) -> None:
    url = f"{acme.home}/executions/{people.ended(acme, 'What is a tokn?', 'An answer.', requested=INSTANT).id}"
    page = open_page(acme.mia)
    page.goto(url)
    page.get_by_label("Say it otherwise").click()
    words = page.locator(".reword textarea")
    words.fill("What is a token?")
    words.press("Control+Enter")
    expect(page.locator(".prompt-text")).to_have_text("What is a token?")
    reworded = page.url
    assert reworded != url
    steps.finished(steps.card(page)).get_by_label("Run again").click()
    page.wait_for_url(lambda address: "/executions/" in address and address != reworded)
    steps.finished(steps.card(page))
    page.reload()
    expect(page.locator(".prompt-text")).to_have_text("What is a token?")
    page.goto(url)
    page.get_by_label("Say it otherwise").click()
    expect(words).to_have_value("What is a tokn?")  # what was sent is no draft


def test_the_numbers_of_a_table_are_charted_in_the_colours_of_the_page(session: Page) -> None:
    run = steps.finished(steps.ask(session, "A short table about spend, latency and quota", INSTANT))
    run.get_by_role("link", name="1 table").click()
    head = session.locator("table.sortable th[tabindex]").last
    for order in ("ascending", "descending"):
        head.press("Enter")
        expect(head).to_have_attribute("aria-sort", order)
    session.get_by_text("Chart it").click()
    bars = session.locator(".chart .bars path")
    expect(bars).to_have_count(3)
    light = bars.first.evaluate("bar => getComputedStyle(bar).fill")
    session.locator("select[name=kind]").select_option("line")
    expect(session.locator(".chart .scatterlayer path.js-line")).to_have_count(1)
    session.locator("select[name=kind]").select_option("bar")
    session.emulate_media(color_scheme="dark")
    session.reload()
    session.get_by_text("Chart it").click()
    expect(bars).to_have_count(3)
    colour = "bar => getComputedStyle(bar).fill"
    dark = bars.first.evaluate(colour)
    assert dark != light
    session.evaluate("dispatchEvent(new Event('beforeprint'))")  # paper is white
    assert bars.first.evaluate(colour) == light
    session.evaluate("dispatchEvent(new Event('afterprint'))")
    session.wait_for_function("dark => getComputedStyle(document.querySelector('.bars path')).fill === dark", arg=dark)


def test_with_the_keyboard_alone_one_signs_in_runs_a_prompt_and_stops_it(page: Page, acme: people.Cast) -> None:
    acme.mia.set_password("a few words work well")
    db.session.commit()
    page.goto("/login")
    expect(page.get_by_label("E-mail")).to_be_focused()
    page.keyboard.type(acme.mia.email)
    page.keyboard.press("Tab")
    page.keyboard.type("a few words work well")
    page.keyboard.press("Enter")
    page.wait_for_url("**/o/*/")
    tab_to(page, "#quick-text")
    page.keyboard.type(f"A long story {uuid.uuid4().hex}")
    page.keyboard.press("Enter")
    page.keyboard.type("!simulate tokens=900 rate=30")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/sessions/*")
    steps.wait_for_text(page)
    tab_to(page, ".run-acts form button")
    page.keyboard.press("Enter")
    run = steps.finished(steps.card(page))
    assert run.get_attribute("data-state") == "cancelled"


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until it has the focus, and see that the focus can be seen."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    pytest.fail(f"Tab does not reach {selector}")
