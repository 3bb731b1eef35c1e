"""A batch in the browser: from pasted rows to scores by keyboard, on a wide page and on a phone."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect
from sqlalchemy import select

from dataelan_web.extensions import db
from dataelan_web.models import Batch, BatchRow, BatchScore, new_id
from dataelan_web.prompts.content import Content, Turn
from tests import people
from tests.conftest import wait_until

from . import steps  # noqa: F401  (patience)
from .test_finding import AWAY
from .test_pages import assert_fine, look  # noqa: F401  (a fixture)
from .test_session import WATCH_TEXT

ROWS = "text\texpected\nGuten Tag\tGerman\nBuongiorno\tItalian\n!simulate fail=unauthorized\tBroken\nHello\tEnglish"
SLOW = "simulated/simulated-fast"
FAST = "simulated/simulated-instant"


def test_a_batch_from_pasted_rows_to_scores_by_keyboard(
    look: Callable[..., Page],  # noqa: F811
    acme: people.Cast,
    worker: object,
) -> None:
    page = look(acme.mia)
    page.goto(f"{acme.home}/projects/{acme.project.id}")
    page.get_by_role("link", name="Batches", exact=True).click()
    assert_fine(page, "no batches yet")
    page.get_by_role("link", name="New batch").first.click()
    page.get_by_role("button", name="Look at the rows").click()
    expect(page.get_by_role("alert")).to_contain_text("Write something first")
    page.locator("#text").fill("{{text}}")
    page.locator("#pasted").fill(ROWS)
    assert_fine(page, "a new batch")
    page.get_by_role("button", name="Look at the rows").click()

    # Every change is kept and answered with what it may cost.
    setup = page.locator("#setup")
    expect(setup.get_by_label("Expected answer")).to_have_value("expected")
    setup.get_by_label("Model 1").select_option(FAST)
    setup.get_by_label("Model 2").select_option(SLOW)
    expect(setup.get_by_role("button", name="Ask 8 times")).to_be_enabled()
    name, expected = setup.locator("[name=name]"), setup.get_by_label("Expected answer")
    called = name.input_value()
    name.evaluate("name => { name.required = false; }")  # else the browser would not send it
    name.fill("")
    expected.focus()
    expect(setup).to_contain_text("A batch needs a name.")
    expect(expected).to_be_focused()  # what is kept by itself takes nobody from where they are
    name.fill(called)
    expected.focus()
    expect(setup).not_to_contain_text("A batch needs a name.")
    setup.get_by_label("text", exact=True).select_option("")
    expect(setup).to_contain_text("No row can be asked without it")
    expect(setup.get_by_role("button", name="Ask 0 times")).to_be_disabled()
    setup.get_by_label("text", exact=True).select_option("text")
    expect(setup.get_by_role("button", name="Ask 8 times")).to_be_enabled()
    page.locator(".check-add > summary").click()
    page.get_by_label("How").select_option("judge")
    page.locator("#judge").select_option(FAST)
    assert_fine(page, "before it begins")
    page.get_by_role("button", name="Add check").click()
    expect(page.locator(".check-list")).to_contain_text("A model judges")

    # The table keeps up by itself; what failed is found, and asked again.
    page.get_by_role("button", name="Ask 8 times").click()
    results = page.locator("#results")
    expect(results.locator(".batch-head > p")).to_contain_text("8 of 8, 2 failed")
    expect(page.locator("#results[data-state=done]")).to_be_visible()
    assert_fine(page, "a batch that is done")
    results.get_by_role("link", name="Failed", exact=True).click()
    expect(page.locator(".batch-table tbody tr")).to_have_count(1)
    page.get_by_role("button", name="Retry failed").click()
    expect(page.locator("#results[data-state=done]")).to_be_visible()

    # One answer after the other, by keyboard.
    page.get_by_role("link", name="Score one by one").click()
    expect(page.get_by_role("heading", name="Row 1")).to_be_visible()
    page.wait_for_load_state()
    page.evaluate("localStorage.setItem('keys', 'off')")  # as the list of shortcuts offers
    page.keyboard.press("2")
    page.keyboard.press("j")
    expect(page.locator("[data-grade='2']")).to_have_attribute("aria-pressed", "false")
    page.wait_for_timeout(300)
    assert page.url.endswith("/answers/1/0")
    page.evaluate("localStorage.removeItem('keys')")
    page.keyboard.press("5")
    expect(page).to_have_url(re.compile(r"/answers/1/1$"))
    page.keyboard.press("j")
    expect(page.get_by_role("heading", name="Row 2")).to_be_visible()
    page.keyboard.press("k")
    expect(page).to_have_url(re.compile(r"/answers/1/1$"))
    page.keyboard.press("k")
    expect(page).to_have_url(re.compile(r"/answers/1/0$"))
    expect(page.locator("[data-grade='5']")).to_have_attribute("aria-pressed", "true")
    assert_fine(page, "one answer")
    scores = select(BatchScore.value).where(BatchScore.user_id == acme.mia.id)
    assert db.session.scalars(scores).all() == [1.0]

    # A run says where it belongs; the batch goes into the trash and comes back.
    page.get_by_role("link", name="The run", exact=True).click()
    page.get_by_role("link", name="The batch").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download all results as CSV").click()
    assert download.value.suggested_filename.endswith(".csv")
    page.locator(".page-actions details.menu summary").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No batches in this project yet")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    wait_until(lambda: not is_deleted())


def is_deleted() -> bool:
    db.session.rollback()
    newest = db.session.scalars(select(Batch).order_by(Batch.id.desc()).limit(1)).one()
    return newest.deleted_at is not None


def test_what_is_written_for_a_new_batch_survives_a_reload_and_is_gone_once_it_is_made(
    open_page: Callable[..., Page], acme: people.Cast
) -> None:
    page = open_page(acme.mia)
    url = f"{acme.home}/projects/{acme.project.id}/batches/new"
    page.goto(url)
    page.locator("#text").fill("Say {{text}}")
    page.locator("#pasted").fill(ROWS)
    page.locator("summary", has_text="System prompt and settings").click()
    page.get_by_label("Seed").fill("9999999999")
    page.get_by_label("Thinking").select_option("low")
    page.reload()
    expect(page.locator("#text")).to_have_value("Say {{text}}")
    expect(page.locator("#pasted")).to_have_value(ROWS)
    expect(page.get_by_label("Thinking")).to_have_value("low")  # and what is folded away is open
    page.locator("#new").evaluate("form => { form.noValidate = true }")  # else the browser says so itself
    page.get_by_role("button", name="Look at the rows").click()
    expect(page.locator(".field-error")).to_contain_text("A whole number from 0 to 2,147,483,647")
    expect(page.locator("#pasted")).to_have_value(ROWS)
    page.get_by_label("Seed").fill("7")
    page.get_by_role("button", name="Look at the rows").click()
    expect(page.locator("#setup")).to_be_visible()
    page.goto(url)
    for field in ("#text", "#pasted"):
        expect(page.locator(field)).to_have_value("")
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('draft:'))") == []


def test_a_chosen_file_outlives_a_reload_and_a_refused_form_and_is_sent_by_the_keyboard(
    open_page: Callable[..., Page], acme: people.Cast
) -> None:
    page = open_page(acme.mia)
    url = f"{acme.home}/projects/{acme.project.id}/batches/new"
    page.goto(url)
    file, remove = page.locator("#batch-file"), page.get_by_role("button", name="Remove the file")
    names = "input => [...input.files].map((file) => `${file.name} ${file.size}`).join()"
    file.set_input_files({"name": "Grüße.csv", "mimeType": "text/csv", "buffer": ROWS.replace("\t", ",").encode()})
    kept = f"Grüße.csv {len(ROWS.encode())}"
    page.wait_for_function(
        "async () => (await draftFiles((store) => store.getAll())).some((one) => one.files[0].size > 0)", polling=50
    )
    page.reload()
    expect(remove).to_be_visible()
    assert file.evaluate(names) == kept
    page.locator("#pasted").press("Control+Enter")  # from whichever field
    expect(page.get_by_role("alert")).to_contain_text("Write something first")
    expect(remove).to_be_visible()
    assert file.evaluate(names) == kept
    remove.click()
    assert file.evaluate(names) == ""
    page.reload()
    expect(remove).to_be_hidden()
    file.set_input_files({"name": "Grüße.csv", "mimeType": "text/csv", "buffer": ROWS.replace("\t", ",").encode()})
    page.locator("#text").fill("Say {{text}}")
    page.locator("#text").press("Control+Enter")
    expect(page.locator("#setup")).to_contain_text("Guten Tag")
    page.goto(url)
    page.wait_for_load_state("networkidle")
    assert file.evaluate(names) == ""


def test_a_file_that_was_taken_away_stays_away_though_the_page_is_left_before_that_is_written(
    open_page: Callable[..., Page], acme: people.Cast
) -> None:
    page = open_page(acme.mia)
    page.goto(f"{acme.home}/projects/{acme.project.id}/batches/new")
    remove = page.get_by_role("button", name="Remove the file")
    for is_cut in (True, False):
        page.locator("#batch-file").set_input_files({"name": "a.csv", "mimeType": "text/csv", "buffer": b"text\nHello"})
        page.wait_for_function("async () => (await draftFiles((store) => store.count())) > 0", polling=50)
        if is_cut:
            page.evaluate("() => { IDBObjectStore.prototype.delete = function () { this.transaction.abort(); } }")
            remove.click()
        page.reload()
        page.wait_for_load_state("networkidle")
        expect(remove).to_be_visible(visible=not is_cut)


def test_the_end_of_a_batch_is_told_to_who_looks_elsewhere_and_to_who_listens(
    open_page: Callable[..., Page], acme: people.Cast, worker: object
) -> None:
    rows = "text\n" + "!simulate tokens=60 rate=30 words\n" * 2
    batch = begun_of(acme, rows)
    page = open_page(acme.mia, permissions=["notifications"], script=AWAY + WATCH_TEXT)
    page.goto(f"{acme.home}/batches/{batch.id}")
    page.get_by_role("button", name="Ask 2 times").click()
    bell = page.get_by_role("button", name="Notify me when it ends")
    bell.click()
    expect(bell).to_have_attribute("aria-pressed", "true")
    title = page.title()
    page.evaluate("look(true)")
    page.wait_for_function("() => notes.length > 0", polling=50)
    assert page.evaluate("notes") == [["The batch is done", batch.name]]
    assert page.title() == f"✓ The batch is done · {title}"
    page.evaluate("look(false)")
    assert page.title() == title
    said = [words for words in page.evaluate("told") if "told when" not in words]
    assert said == ["The batch is running", "The batch is done"], "its start and its end"
    live = "[aria-live]:not([aria-live=off]), [role=status], [role=log]"
    assert page.locator("#results").evaluate("(results, live) => results.querySelector(live)", live) is None, "no count"
    expect(bell).to_be_hidden()


def begun_of(cast: people.Cast, rows: str) -> Batch:
    """A batch whose model takes its time, before it begins."""
    content = Content(messages=(Turn("user", "{{text}}"),), requested=SLOW)
    batch = Batch(id=new_id(), project_id=cast.project.id, name="Two stories", created_by=cast.mia.id)
    batch.content, batch.columns, batch.models = content.settled.to_json(), ["text"], [SLOW]
    batch.mapping, lines = {"text": "text"}, rows.strip().split("\n")[1:]
    batch.rows_count = len(lines)
    db.session.add(batch)
    db.session.flush()
    for place, line in enumerate(lines, 1):
        db.session.add(BatchRow(batch_id=batch.id, position=place, line=place + 1, values=[line]))
    db.session.commit()
    return batch
