"""The five types of sessions in a browser: files in, pictures, sound and film out, and all one does with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from dataelan_web.extensions import db
from dataelan_web.local.simulated.painting import png
from dataelan_web.local.simulated.sounds import tune
from dataelan_web.models import ModelType, PromptSession, State, new_id
from tests import people

from . import steps
from .test_pages import assert_fine, look

__all__ = ["look"]


Opener = Callable[..., Page]
File = dict[str, Any]

PICTURE: File = {"name": "harbour.png", "mimeType": "image/png", "buffer": png(b"a seed" * 6, 300, 200)}
SOUND: File = {"name": "monday.wav", "mimeType": "audio/wav", "buffer": tune("words that were said " * 6)}
NOTES: File = {"name": "notes.md", "mimeType": "text/markdown", "buffer": b"The budget is twelve."}
IS_DRAWN = "picture => picture.complete && picture.naturalWidth > 0"


def opened(page: Page, cast: people.Cast, model_type: str) -> Page:
    row = PromptSession(id=new_id(), project=cast.project, title="New session", model_type=ModelType(model_type))
    db.session.add(row)
    db.session.commit()
    page.goto(f"{cast.home}/sessions/{row.id}")
    return page


def attach(page: Page, *files: File | Path) -> None:
    """A file on disk is read by the browser itself: a large one should not travel there as text."""
    page.locator("[data-files]").set_input_files(list(files))  # type: ignore[arg-type]


def attached(page: Page) -> Locator:
    return page.locator("#attached .file-chip")


def drop(page: Page, target: str, *names: str) -> None:
    """Files from the desktop."""
    page.evaluate(
        """([target, names]) => {
          const dataTransfer = new DataTransfer();
          names.forEach(name => dataTransfer.items.add(new File(['words of ' + name], name, { type: 'text/plain' })));
          const options = { bubbles: true, cancelable: true, dataTransfer };
          for (const type of ['dragenter', 'dragover', 'drop'])
            document.querySelector(target).dispatchEvent(new DragEvent(type, options));
        }""",
        [target, list(names)],
    )


# -- what comes out --------------------------------------------------------------------------------


def test_pictures_are_drawn_opened_large_and_used_for_the_next(
    open_page: Opener, acme: people.Cast, worker: object
) -> None:
    page = opened(open_page(acme.mia), acme, "IMAGE")
    page.get_by_label("How many").select_option("2")
    run = steps.finished(steps.ask(page, "A small harbour at dawn"))
    pictures = run.locator(".shot-open img")
    expect(pictures).to_have_count(2)
    for picture in pictures.all():
        picture.scroll_into_view_if_needed()
        page.wait_for_function(IS_DRAWN, arg=picture.element_handle(), polling=50)
    run.get_by_role("button", name="Picture 1 of 2: A small harbour at dawn").click()
    first, second = page.locator("dialog.lightbox").all()
    expect(first).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(second).to_be_visible()
    expect(first).to_be_hidden()
    second.get_by_role("button", name="Use").click()
    expect(second).to_be_hidden()
    expect(attached(page)).to_contain_text("image-2.png")
    expect(page.locator("#text")).to_be_focused()
    again = steps.finished(steps.ask(page, "The same at night"))
    assert steps.stored(again).state is State.COMPLETED
    expect(again.locator(".given-picture img")).to_have_attribute("alt", "Attached: image-2.png")
    expect(attached(page)).to_have_count(0)
    again.locator(".shot-open").first.click()
    page.locator("dialog.lightbox[open]").get_by_role("button", name="Variations of").click()
    expect(page.locator("dialog.lightbox[open]")).to_have_count(0)
    varied = steps.finished(steps.card(page, 2))
    expect(varied.locator(".prompt-text")).to_have_text("The same at night")
    expect(varied.locator(".given-picture img")).to_have_attribute("alt", "Attached: image-1.png")
    again.get_by_role("button", name="Keep image-1.png in project").first.click()
    expect(page.locator("#toasts")).to_contain_text("now among the project’s files")
    page.reload()
    page.get_by_role("link", name="A file of the project").click()
    page.locator("#choose-file").get_by_role("button", name="The same at night.png").click()
    expect(page.locator("#choose-file")).to_be_hidden()
    expect(attached(page)).to_contain_text("The same at night.png")
    again = page.locator(".run").nth(1)
    with page.expect_download() as saved:
        again.get_by_role("link", name="Download image-1.png").first.click()
    assert saved.value.suggested_filename == "image-1.png"
    page.goto(f"{acme.home}/projects/{acme.project.id}/files")
    page.get_by_role("button", name="Remove The same at night.png").click()
    expect(page.locator(".shelf-file")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".shelf-file img")).to_have_count(1)


def test_speech_plays_and_can_be_sought(open_page: Opener, acme: people.Cast, worker: object) -> None:
    page = opened(open_page(acme.mia), acme, "VOICE")
    page.get_by_role("main").get_by_label("Voice", exact=True).fill("coral")
    run = steps.finished(steps.ask(page, "Good morning, and welcome aboard this train to the coast"))
    sound = run.locator("audio").element_handle()
    page.wait_for_function("sound => sound.readyState > 0 && sound.duration > 1", arg=sound, polling=50)
    page.evaluate("sound => { sound.currentTime = 1 }", sound)
    page.wait_for_function("sound => !sound.seeking && sound.currentTime >= 1", arg=sound, polling=50)
    assert_a_waveform_plays(page, run)
    run.get_by_role("button", name="Write down").click()
    expect(attached(page)).to_contain_text("audio-1.wav")
    page.get_by_role("button", name="Run", exact=True).click()
    heard = steps.finished(steps.card(page, 1))
    expect(heard.locator(".transcript")).to_contain_text("audio-1.wav")


DRAWN = """line => {
  const { width, height } = line.querySelector('canvas'), copy = new OffscreenCanvas(width, height);
  const pen = copy.getContext('2d', { willReadFrequently: true }), colours = new Set();
  pen.drawImage(line.querySelector('canvas'), 0, 0);
  const { data } = pen.getImageData(0, 0, width, height);
  for (let at = 0; at < data.length; at += 4) if (data[at + 3] === 255) colours.add(data.slice(at, at + 3).join());
  return colours.size;
}"""
"""How many colours its waveform has: two, where some of it was played."""


def assert_a_waveform_plays(page: Page, run: Locator) -> None:
    line, sound = run.get_by_role("slider"), run.locator("audio")
    expect(line).to_be_visible()
    expect(sound).to_be_hidden()
    line.focus()
    page.keyboard.press("Home")
    expect(line).to_have_attribute("aria-valuenow", "0")
    assert line.evaluate(DRAWN) == 1
    page.keyboard.press("ArrowRight")
    expect(line).to_have_attribute("aria-valuenow", "1")
    length = float(sound.evaluate("sound => sound.duration"))
    assert line.evaluate(DRAWN) == 2
    box = line.bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert abs(float(sound.evaluate("sound => sound.currentTime")) - length / 2) < length / 10
    run.get_by_role("button", name="Play", exact=True).click()
    expect(run.get_by_role("button", name="Pause")).to_be_visible()
    run.get_by_role("button", name="Pause").click()
    run.get_by_role("button", name="Speed 1×").click()
    assert sound.evaluate("sound => sound.playbackRate") == 1.25


def test_a_recording_is_written_down_and_its_marks_play_it(
    open_page: Opener, acme: people.Cast, worker: object
) -> None:
    page = opened(open_page(acme.mia), acme, "VOICE")
    expect(page.get_by_label("Language")).to_be_hidden()
    attach(page, SOUND)
    expect(page.get_by_text("The recording will be written down")).to_be_visible()
    expect(page.get_by_label("Language")).to_be_visible()
    expect(page.get_by_role("main").get_by_label("Voice", exact=True)).to_be_hidden()
    expect(page.get_by_label("Model for transcripts")).to_be_visible()
    page.get_by_role("button", name="Run", exact=True).click()  # no words are needed
    run = steps.finished(steps.card(page))
    run.get_by_role("button", name="Play from 0:00").click()
    page.wait_for_function(
        "() => { const heard = document.querySelector('.run audio'); return heard.currentTime > 0.1 }",
        polling=50,
    )
    expect(run.locator(".time-mark[aria-current]")).to_have_count(1)


MICROPHONE = """
navigator.mediaDevices.getUserMedia = async () => {
  if (globalThis.forbidden) throw new DOMException('no', 'NotAllowedError');
  const sound = new AudioContext(), tone = sound.createOscillator(), heard = sound.createMediaStreamDestination();
  tone.connect(heard);
  tone.start();
  return (globalThis.microphone = heard.stream);
};
"""
"""A tone in the place of a person: all else is the browser's own."""


def test_what_the_microphone_records_is_written_down(open_page: Opener, acme: people.Cast, worker: object) -> None:
    page = opened(open_page(acme.mia, script=MICROPHONE), acme, "VOICE")
    page.evaluate("forbidden = true")
    page.get_by_role("button", name="Record with the microphone").click()
    expect(page.get_by_text("The microphone cannot be used.")).to_be_visible()
    page.evaluate("forbidden = false")
    page.get_by_role("button", name="Record with the microphone").click()
    stop = page.get_by_role("button", name="Stop recording")
    expect(stop).to_be_visible()
    page.wait_for_timeout(400)  # something to hear
    stop.click()
    expect(attached(page)).to_contain_text("recording.")
    assert page.evaluate("microphone.getTracks().every(track => track.readyState === 'ended')"), "it hears no more"
    page.get_by_role("button", name="Run", exact=True).click()
    run = steps.finished(steps.card(page))
    expect(run).to_have_attribute("data-state", "completed")
    expect(run.locator(".transcript, .transcript-plain")).to_contain_text("recording.")


def test_a_film_shows_how_far_it_is_after_a_reload_too_and_can_be_stopped(
    open_page: Opener, acme: people.Cast, worker: object
) -> None:
    page = opened(open_page(acme.mia), acme, "VIDEO")
    attach(page, PICTURE)
    run = steps.ask(page, "!simulate seconds=30\nA paper boat")
    expect(run.locator("progress")).to_be_visible()
    expect(run.locator(".fact-model")).to_contain_text("Simulated film")
    expect(run.locator(".state-line")).to_contain_text("Running")
    page.wait_for_function("() => document.querySelector('progress')?.value > 0", polling=50)
    page.reload()
    page.wait_for_function("() => document.querySelector('progress')?.value > 0.02", polling=50)
    page.locator(".run").get_by_role("button", name="Stop").click()
    run = steps.finished(page.locator(".run"))
    assert steps.stored(run).state is State.CANCELLED
    short = steps.finished(steps.ask(page, "!simulate seconds=0.2\nA paper boat"))
    page.wait_for_function(IS_DRAWN, arg=short.locator(".shot-open img").element_handle(), polling=50)


def test_a_tool_call_is_answered_under_it(open_page: Opener, acme: people.Cast, worker: object) -> None:
    page = opened(open_page(acme.mia), acme, "CODE")
    page.get_by_label("More settings").check(force=True)
    page.locator("summary", has_text="JSON schema and tools").click()
    page.get_by_label("Tools").fill('[{"name": "get_weather"')
    page.locator("#text").fill("What is the weather in Paris?")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator("#tools-error")).to_be_in_viewport()
    expect(page.locator("#text")).to_have_value("What is the weather in Paris?")
    page.get_by_label("Tools").fill('[{"name": "get_weather", "description": "The weather now"}]')
    run = steps.finished(steps.ask(page, "What is the weather in Paris?", "simulated/simulated-instant"))
    run.get_by_label("What get_weather answers").fill("18 °C")
    run.get_by_role("button", name="Send result").click()
    steps.finished(steps.card(page, 1))
    expect(page.locator(".run").nth(1)).to_contain_text("The tool answered")
    expect(run.locator(".tool-answer")).to_be_hidden()


# -- what goes in ----------------------------------------------------------------------------------


def test_files_are_chosen_dropped_pasted_and_removed_by_keyboard(
    open_page: Opener, acme: people.Cast, worker: object
) -> None:
    page = opened(open_page(acme.mia), acme, "TEXT")
    attach(page, PICTURE, NOTES)
    attach(page, {**NOTES, "name": "more.md"})
    expect(attached(page)).to_have_count(3)
    expect(attached(page).first.locator("canvas")).to_be_visible()
    drop(page, "main", "dropped.txt")
    page.evaluate(
        """() => {
          const clipboardData = new DataTransfer();
          clipboardData.items.add(new File(['x'], 'image.png', { type: 'image/png' }));
          const pasted = new ClipboardEvent('paste', { bubbles: true, cancelable: true, clipboardData });
          document.querySelector('#text').dispatchEvent(pasted);
        }"""
    )
    expect(attached(page)).to_have_count(5)
    expect(attached(page).last).to_contain_text("pasted-5.png")
    page.get_by_role("button", name="Remove pasted-5.png").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Attach pictures, PDF, text or sound")).to_be_focused()
    page.get_by_role("button", name="Remove more.md").click()
    run = steps.finished(steps.ask(page, "What is the budget?", "simulated/simulated-instant"))
    expect(run.locator(".answer")).to_contain_text("The budget is twelve.")
    expect(run.locator(".given .file-chip")).to_contain_text(["notes.md", "dropped.txt"])
    expect(attached(page)).to_have_count(0)


def test_what_is_attached_survives_a_reload_reaches_a_comparison_and_is_gone_once_it_was_sent(
    open_page: Opener, acme: people.Cast, worker: object
) -> None:
    page = opened(open_page(acme.mia), acme, "TEXT")
    address = page.url
    attach(page, PICTURE, NOTES, {**NOTES, "name": "more.md"})
    page.get_by_role("button", name="Remove more.md").click()
    expect(attached(page)).to_have_count(2)
    page.reload()
    expect(attached(page)).to_contain_text(["harbour.png", "notes.md"])
    expect(attached(page).first.locator("canvas")).to_be_visible()
    other = open_page(acme.adam)
    other.goto(address)
    expect(other.locator("#text")).to_be_visible()
    assert attached(other).count() == 0, "drafts are one person's"
    page.get_by_role("link", name="Compare models").click()
    expect(attached(page)).to_contain_text(["harbour.png", "notes.md"])
    page.goto(address)
    expect(attached(page)).to_have_count(2)
    run = steps.finished(steps.ask(page, "What is the budget?", "simulated/simulated-instant"))
    expect(run.locator(".given .file-chip")).to_contain_text("notes.md")
    page.reload()
    expect(page.locator("#text")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert attached(page).count() == 0
    assert page.evaluate(KEPT) == 0


KEPT = """() => new Promise((told) => {
  indexedDB.open('attached').onsuccess = ({ target }) => {
    const base = target.result;
    if (!base.objectStoreNames.length) { base.close(); told(0); return; }
    const counting = base.transaction('drafts').objectStore('drafts').count();
    counting.onsuccess = () => { base.close(); told(counting.result); };
  };
})"""


def test_files_of_a_draft_are_bounded_go_with_the_sign_out_and_a_full_browser_says_so(
    open_page: Opener, acme: people.Cast
) -> None:
    page = open_page(acme.mia)
    for _ in range(12):
        opened(page, acme, "TEXT")
        attach(page, NOTES)
        page.wait_for_function(f"async () => (await ({KEPT})()) > 0")
    page.wait_for_function(f"async () => (await ({KEPT})()) === 10")
    page.get_by_role("button", name="Your account").click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login")
    page.wait_for_function(f"async () => (await ({KEPT})()) === 0")

    full = open_page(acme.adam, script="indexedDB.open = () => { throw new DOMException('', 'QuotaExceededError') }")
    opened(full, acme, "TEXT")
    attach(full, NOTES)
    expect(full.locator("#files-error")).to_contain_text("no room to keep these files")
    expect(attached(full)).to_have_count(1)


def test_a_refused_form_still_has_its_words_and_files(open_page: Opener, acme: people.Cast, worker: object) -> None:
    page = opened(open_page(acme.mia), acme, "IMAGE")
    attach(page, PICTURE, {**PICTURE, "name": "not-a-picture.png", "buffer": b"<svg>"})
    page.locator("#text").fill("These are my words")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator("#files-error")).to_contain_text("not-a-picture.png")
    expect(page.locator("#text")).to_have_value("These are my words")
    expect(attached(page)).to_have_count(2)
    page.get_by_role("button", name="Remove not-a-picture.png").click()
    expect(page.locator("#files-error")).to_be_hidden()
    page.get_by_role("button", name="Run", exact=True).click()
    run = steps.finished(steps.card(page))
    expect(run.locator(".given-picture")).to_have_count(1)


def test_too_many_and_too_large_files_are_refused_before_they_are_sent(
    open_page: Opener, acme: people.Cast, worker: object, tmp_path: Path
) -> None:
    page = opened(open_page(acme.mia), acme, "TEXT")
    attach(page, *({**NOTES, "name": f"{n}.md"} for n in range(12)))
    expect(attached(page)).to_have_count(10)
    expect(page.locator("#files-error")).to_contain_text("at most 10 files")
    opened(page, acme, "TEXT")
    large = tmp_path / "notes.md"
    large.write_bytes(bytes(21 * 1024 * 1024))
    attach(page, large)
    expect(attached(page)).to_have_count(0)
    expect(page.locator("#files-error")).to_contain_text("20 MB")
    attach(page, {**NOTES, "buffer": b""})
    expect(page.locator("#files-error")).to_contain_text("empty")


def test_a_session_of_a_type_is_opened_from_its_project_and_a_starter_put_into_it(
    open_page: Opener, acme: people.Cast
) -> None:
    page = open_page(acme.mia)
    page.goto(f"{acme.home}/projects/{acme.project.id}")
    page.get_by_role("button", name="New session").first.click()
    page.locator(".type-choice", has_text="Video").first.click()
    page.get_by_role("button", name="Open session").click()
    expect(page.locator(".session-title .tag")).to_have_text("Video")
    page.get_by_role("link", name="Nature").click()
    expect(page.locator("#text")).to_have_value(
        "A paper boat drifts down a rain gutter, the camera follows close behind, evening light"
    )
    expect(page.locator("#text")).to_be_focused()


# -- how it looks ----------------------------------------------------------------------------------


@pytest.mark.sweep
def test_every_type_empty_running_done_and_failed(
    look: Callable[..., Page],
    acme: people.Cast,
    worker: object,
) -> None:
    page = look(acme.mia)
    page.goto(f"{acme.home}/projects/{acme.project.id}")
    page.get_by_role("button", name="New session").first.click()
    assert_fine(page, "the choice of a type")
    page.get_by_role("button", name="Cancel").click()
    waiting = "!simulate seconds=60 total_ms=60000\n"
    for name, file in (("IMAGE", PICTURE), ("VOICE", None), ("VIDEO", PICTURE)):
        opened(page, acme, name)
        assert_fine(page, f"{name}, empty")
        page.get_by_label("More settings").check(force=True)
        done = steps.finished(steps.ask(page, "!simulate seconds=0.2\nA paper boat"))
        steps.finished(steps.ask(page, "!simulate fail=unauthorized seconds=0.2\nNo"))
        running = steps.ask(page, f"{waiting}A paper boat")
        running.locator("progress").wait_for()
        if file:
            attach(page, file)
        page.add_style_tag(content=".composer-dock { position: static !important }")
        assert_fine(page, f"{name}, in every state")
        running.get_by_role("button", name="Stop").click()
        steps.finished(running)
        if name == "IMAGE":
            done.locator(".shot-open").click()
            assert_fine(page, "a picture, large")
        if name == "VOICE":
            page.get_by_label("More settings").uncheck(force=True)
            attach(page, SOUND)
            page.get_by_role("button", name="Run", exact=True).click()
            steps.finished(steps.card(page, 3))
            attach(page, SOUND)
            assert_fine(page, "a transcript")
