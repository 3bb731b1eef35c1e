"""Pictures, voice, film and files through a browser's requests: form → storage → execution → worker → page."""

from __future__ import annotations

import io
import re
import uuid
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from dataelan_web.executions import branches, conversation
from dataelan_web.executions.submit import Request, record
from dataelan_web.extensions import db
from dataelan_web.local.simulated.painting import png
from dataelan_web.local.simulated.sounds import tune
from dataelan_web.models import (
    Asset,
    AuditEvent,
    Execution,
    ExecutionBody,
    Model,
    ModelType,
    Origin,
    Prompt,
    PromptSession,
    Provider,
    State,
    new_id,
)
from dataelan_web.playground import uploads
from dataelan_web.router.prompt import Prompt as RouterPrompt
from dataelan_web.router.types import Message, ToolResult, user
from dataelan_web.storage import storage

from . import people
from .conftest import wait_until
from .test_playground import fresh, run_of

PNG = png(b"a seed" * 6, 30, 20)
WAV = tune("a few words that were said")
INSTANT = "simulated/simulated-instant"
AT_ONCE = "!simulate seconds=0\n"
"""Before a prompt of which only what comes of it matters: a picture takes half a second otherwise."""


def session(cast: people.Cast, model_type: str, **settings: Any) -> PromptSession:
    row = PromptSession(id=new_id(), project=cast.project, title="New session", model_type=ModelType(model_type))
    row.settings = settings
    db.session.add(row)
    db.session.commit()
    return row


def send(
    app: Flask,
    cast: people.Cast,
    to: PromptSession,
    text: str = "",
    files: list[tuple[str, bytes]] | None = None,
    **fields: Any,
) -> TestResponse:
    """The composer's form, as Mia sends it."""
    form = {"text": text, "model": "auto", "submission": uuid.uuid4().hex, **fields}
    form["files"] = [(io.BytesIO(content), name) for name, content in files or ()]
    url = f"{cast.home}/sessions/{to.id}/executions"
    return people.browser(app, cast.mia).submit(url, form, content_type="multipart/form-data")


def ask(app: Flask, cast: people.Cast, to: PromptSession, *args: Any, **fields: Any) -> Execution:
    """Send it and wait for its end."""
    answer = send(app, cast, to, *args, **fields)
    assert answer.status_code == 201, answer.get_data(as_text=True)
    id = run_of(answer.get_data(as_text=True))
    wait_until(lambda: not fresh(id).is_open)
    return fresh(id)


def page_of(app: Flask, cast: people.Cast, to: PromptSession) -> str:
    return people.browser(app, cast.victor).get(f"{cast.home}/sessions/{to.id}").get_data(as_text=True)


def given(execution: Execution) -> list[Asset]:
    assert execution.prompt
    return execution.prompt.assets


def runs_in(to: PromptSession) -> int:
    return db.session.scalar(select(func.count()).select_from(Execution).where(Execution.session_id == to.id)) or 0


# -- each type of session --------------------------------------------------------------------------


@pytest.mark.parametrize("model_type", list(ModelType))
def test_a_session_of_each_type_can_be_opened_and_says_what_it_is_for(
    app: Flask, simulated: str, acme: people.Cast, model_type: ModelType
) -> None:
    mia = people.browser(app, acme.mia)
    url = f"{acme.home}/projects/{acme.project.id}/sessions"
    answer = mia.post(url, data={"model_type": model_type.value, "title": "", "csrf_token": mia.csrf()})
    assert answer.status_code == 303
    page = mia.get(answer.location).get_data(as_text=True)
    assert 'class="blank"' in page
    assert page.count('class="starter"') == 2
    assert f'data-type="{model_type}"' in page
    begun = mia.get(answer.location + "?starter=0").get_data(as_text=True)
    words = re.search(r'data-starter="([^"]+)"', begun)[1]  # type: ignore[index]
    assert f">{words}</textarea>" in begun


def test_a_type_that_there_is_not_is_refused(app: Flask, acme: people.Cast) -> None:
    mia = people.browser(app, acme.mia)
    url = f"{acme.home}/projects/{acme.project.id}/sessions"
    before = db.session.scalar(select(func.count()).select_from(PromptSession))
    assert mia.post(url, data={"model_type": "SMELL", "csrf_token": mia.csrf()}).status_code == 303
    assert db.session.scalar(select(func.count()).select_from(PromptSession)) == before


def test_the_first_prompt_of_a_picture_session_is_asked_from_home_at_once(
    app: Flask, worker: object, acme: people.Cast
) -> None:
    mia = people.browser(app, acme.mia)
    url = f"{acme.home}/projects/{acme.project.id}/sessions"
    form = {"model_type": "IMAGE", "text": "A fox", "model": INSTANT, "csrf_token": mia.csrf()}
    opened = mia.post(url, data=form).location
    id = run_of(mia.get(opened).get_data(as_text=True))
    wait_until(lambda: not fresh(id).is_open)
    assert fresh(id).state is State.COMPLETED
    assert fresh(id).requested == "auto", "the text model that home offers draws nothing"


def test_pictures_are_shown_with_their_words_and_counted(app: Flask, worker: object, acme: people.Cast) -> None:
    to = session(acme, "IMAGE")
    execution = ask(app, acme, to, "A red fox", count="2", size="1:1", quality="low", format="png")
    assert execution.state is State.COMPLETED, execution.body.error
    assert execution.body.request["media"] == {"count": 2, "aspect_ratio": "1:1", "quality": "low", "format": "png"}
    page = page_of(app, acme, to)
    for number, asset in enumerate(execution.assets, 1):
        assert f'src="{acme.home}/assets/{asset.id}"' in page
        assert f'alt="Picture {number} of 2: A red fox"' in page
    assert "<dt>Pictures</dt><dd>2</dd>" in page
    assert "First token" not in page
    settings = db.session.get_one(PromptSession, to.id, populate_existing=True).settings
    assert (settings["count"], settings["size"]) == ("2", "1:1")
    composer = people.browser(app, acme.mia).get(f"{acme.home}/sessions/{to.id}").get_data(as_text=True)
    assert '<option selected value="2">' in composer, "what was set is set for the next one"


def test_how_a_model_rewrote_the_prompt_is_told_once(app: Flask, acme: people.Cast) -> None:
    to = session(acme, "IMAGE")
    tell(acme, to, user("A fox"), "", [])
    execution = db.session.scalars(select(Execution).where(Execution.session_id == to.id)).one()
    for position in range(2):
        made = people.asset(acme, PNG, position=position, note="A red fox, <b>late</b> light")
        execution.assets.append(made)
    db.session.commit()
    page = page_of(app, acme, to)
    assert page.count("A red fox, &lt;b&gt;late&lt;/b&gt; light") == 1
    assert "as the model rewrote it" in page


def test_a_file_that_cannot_be_shown_is_offered_for_download(app: Flask, acme: people.Cast) -> None:
    to = session(acme, "IMAGE")
    tell(acme, to, user("A fox"), "", [])
    execution = db.session.scalars(select(Execution).where(Execution.session_id == to.id)).one()
    made = people.asset(acme, b"<svg/>", "image/svg+xml", "fox.svg")
    execution.assets.append(made)
    db.session.commit()
    page = page_of(app, acme, to)
    assert f'href="{acme.home}/assets/{made.id}?download="' in page
    assert f'src="{acme.home}/assets/{made.id}"' not in page


def test_a_film_without_a_poster_shows_its_first_picture(app: Flask, acme: people.Cast) -> None:
    to = session(acme, "VIDEO")
    tell(acme, to, user("A paper boat"), "", [])
    execution = db.session.scalars(select(Execution).where(Execution.session_id == to.id)).one()
    film = people.asset(acme, b"\0\0\0\x18ftypisom", "video/mp4", "boat.mp4")
    execution.assets.append(film)
    db.session.commit()
    assert f'preload="metadata" src="{acme.home}/assets/{film.id}#t=0.1"' in page_of(app, acme, to)


def test_a_size_in_pixels_is_a_size(app: Flask, worker: object, acme: people.Cast) -> None:
    execution = ask(app, acme, session(acme, "IMAGE"), f"{AT_ONCE}A fox", size="512x512")
    assert execution.body.request["media"] == {"size": "512x512"}


def test_a_picture_can_be_made_from_pictures(app: Flask, worker: object, acme: people.Cast) -> None:
    to = session(acme, "IMAGE")
    execution = ask(app, acme, to, f"{AT_ONCE}The same at night", [("one.png", PNG), ("two.png", PNG + b"\0")])
    assert execution.state is State.COMPLETED, execution.body.error
    assert [(asset.name, asset.media_type, asset.position) for asset in given(execution)] == [
        ("one.png", "image/png", 0),
        ("two.png", "image/png", 1),
    ]
    parts = execution.body.request["messages"][0]["parts"]
    assert [part["type"] for part in parts] == ["image", "image", "text"]
    assert [part["asset"] for part in parts[:2]] == [str(asset.id) for asset in given(execution)]
    assert not any(part.get("data") for part in parts), "the bytes are in storage, not in the database"
    assert 'alt="Attached: one.png"' in page_of(app, acme, to)


def test_prompts_for_pictures_stand_alone(app: Flask, worker: object, acme: people.Cast) -> None:
    to = session(acme, "IMAGE")
    ask(app, acme, to, f"{AT_ONCE}A fox")
    second = ask(app, acme, to, f"{AT_ONCE}A hare")
    assert len(second.body.request["messages"]) == 1


def test_words_are_spoken_with_the_voice_that_was_asked_for(app: Flask, worker: object, acme: people.Cast) -> None:
    to = session(acme, "VOICE")
    execution = ask(app, acme, to, "Hello there", voice="coral", speed="1.25", format="wav", instructions="Calmly")
    assert execution.state is State.COMPLETED, execution.body.error
    assert execution.body.request["task"] == "speech"
    assert execution.body.request["media"] == {
        "voice": "coral", "format": "wav", "speed": 1.25, "instructions": "Calmly",
    }  # fmt: skip
    page = page_of(app, acme, to)
    assert f'<audio controls preload="metadata" src="{acme.home}/assets/{execution.assets[0].id}"' in page
    assert "<dt>Characters</dt><dd>11</dd>" in page


def test_a_recording_is_written_down_instead(app: Flask, worker: object, acme: people.Cast) -> None:
    to = session(acme, "VOICE")
    execution = ask(app, acme, to, "", [("monday.wav", WAV)], language="en", timestamps="y", voice="coral")
    assert execution.state is State.COMPLETED, execution.body.error
    assert execution.body.request["task"] == "transcription"
    assert execution.body.request["media"] == {"language": "en", "timestamps": True}
    assert "monday.wav" in execution.body.text
    page = page_of(app, acme, to)
    assert f'id="run-{execution.id}-recording"' in page
    assert 'data-seek="0.0"' in page
    assert db.session.get_one(PromptSession, to.id, populate_existing=True).title == "monday.wav"


def test_the_model_that_listens_is_another_than_the_one_that_speaks(
    app: Flask, worker: object, acme: people.Cast
) -> None:
    to = session(acme, "VOICE")
    models = {"model": "simulated/simulated-voice", "listener": "simulated/simulated-ear"}
    assert ask(app, acme, to, "Hello", **models).state is State.COMPLETED
    heard = ask(app, acme, to, "", [("a.wav", WAV)], **models)
    assert (heard.state, heard.requested) == (State.COMPLETED, "simulated/simulated-ear")


def test_the_picker_offers_what_does_the_session_s_task(app: Flask, simulated: str, acme: people.Cast) -> None:
    def offered(model_type: str) -> list[str]:
        page = people.browser(app, acme.mia).get(f"{acme.home}/sessions/{session(acme, model_type).id}")
        return re.findall(r'<option value="(simulated[^"]+)"', page.get_data(as_text=True))

    assert "simulated/simulated-fast" in offered("TEXT")
    assert "simulated/simulated-image" not in offered("TEXT")
    assert offered("IMAGE") == ["simulated/simulated-image"]
    assert offered("VOICE") == ["simulated/simulated-voice", "simulated/simulated-ear"]
    assert offered("VIDEO") == ["simulated-studio/simulated/film"]


def test_a_session_opened_to_try_a_listening_model_has_it_chosen_for_recordings(
    app: Flask, simulated: str, acme: people.Cast
) -> None:
    to = session(acme, "VOICE", model="simulated/simulated-ear")
    page = people.browser(app, acme.mia).get(f"{acme.home}/sessions/{to.id}").get_data(as_text=True)
    speaks, listens = re.findall(r'<select class="select rich".*?</select>', page, re.S)
    assert '<option value="auto" selected>' in speaks
    assert '<option value="simulated/simulated-ear" selected' in listens


def test_a_film_shows_how_far_it_is_and_survives_a_reload(app: Flask, worker: object, acme: people.Cast) -> None:
    to = session(acme, "VIDEO")
    form = {"seconds": "4", "aspect_ratio": "16:9", "negative_prompt": "People"}
    answer = send(app, acme, to, "!simulate seconds=2\nA wave", [("start.png", PNG)], **form)
    id = run_of(answer.get_data(as_text=True))
    mia = people.browser(app, acme.mia)
    stream = mia.get(f"{acme.home}/executions/{id}/events").get_data(as_text=True)
    again = mia.get(f"{acme.home}/executions/{id}/events").get_data(as_text=True)
    for events in (stream, again):
        assert f'hx-target="#run-{id}-progress"' in events
        assert "<progress" in events
    assert re.search(r'<progress max="1" value="0\.\d+"', stream)
    assert "Starting" in stream or "Processing" in stream
    execution = fresh(id)
    assert execution.state is State.COMPLETED, execution.body.error
    assert execution.body.request["media"] == {"seconds": 4, "aspect_ratio": "16:9", "negative_prompt": "People"}
    assert "<dt>Length</dt><dd>4 s</dd>" in page_of(app, acme, to)


# -- files -----------------------------------------------------------------------------------------


def test_text_files_and_pictures_are_part_of_the_question_and_of_what_follows(
    app: Flask, worker: object, acme: people.Cast
) -> None:
    to = session(acme, "TEXT")
    notes = "Das Budget beträgt 12 €".encode("cp1252")
    first = ask(app, acme, to, "How much?", [("notes & more.csv", notes), ("chart.png", PNG)], model=INSTANT)
    assert first.state is State.COMPLETED, first.body.error
    assert "Das Budget beträgt 12 €" in first.body.text
    assert "1 image" in first.body.text
    assert [asset.media_type for asset in given(first)] == ["text/plain", "image/png"]
    assert storage().get(given(first)[0].storage_key).decode() == "Das Budget beträgt 12 €"
    second = ask(app, acme, to, "And now?", model=INSTANT)
    assert second.state is State.COMPLETED, second.body.error
    assert (second.tokens_in or 0) > (first.tokens_in or 0)
    asked = second.body.request["messages"][0]["parts"]
    assert [part.get("asset") for part in asked if part["type"] != "text"] == [str(one.id) for one in given(first)]


def test_a_file_alone_is_a_question_but_not_for_a_picture(app: Flask, worker: object, acme: people.Cast) -> None:
    alone = ask(app, acme, session(acme, "TEXT"), "", [("chart.png", PNG)], model=INSTANT)
    assert alone.state is State.COMPLETED
    refused = send(app, acme, session(acme, "IMAGE"), "", [("chart.png", PNG)])
    assert refused.status_code == 422
    assert "Write a prompt first" in refused.get_data(as_text=True)


@pytest.mark.parametrize(
    ("model_type", "files", "word"),
    [
        ("TEXT", [("empty.txt", b"")], "“empty.txt” is empty."),
        ("TEXT", [("page.zip", b"PK\x03\x04\x00\x00")], "“page.zip” cannot be used here"),
        ("TEXT", [("film.png", b"\x00\x00\x00\x18ftypisom" + bytes(30))], "“film.png” cannot be used here"),
        ("TEXT", [("long.txt", b"x" * (uploads.LARGEST_TEXT + 1))], "2.0 MB of text"),
        ("IMAGE", [("drawing.svg", b"<svg/>")], "“drawing.svg” cannot be used here"),
        ("IMAGE", [("picture.png", b"<script>alert(1)</script>")], "“picture.png” cannot be used here"),
        ("IMAGE", [(f"{n}.png", PNG) for n in range(11)], "11 files"),
        ("IMAGE", [("a.png", PNG + bytes(11_000_000)), ("b.png", PNG + bytes(10_500_000))], "the most is 20 MB"),
        ("VOICE", [("a.wav", WAV), ("b.wav", WAV)], "at most one file"),
        ("VOICE", [("a.wav", PNG)], "one recording"),
        ("VIDEO", [("a.png", PNG), ("b.png", PNG)], "at most one file"),
        ("VIDEO", [("a.wav", WAV)], "one picture"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_reason_and_the_words_are_kept(
    app: Flask, simulated: str, acme: people.Cast, model_type: str, files: list[tuple[str, bytes]], word: str
) -> None:
    to = session(acme, model_type)
    answer = send(app, acme, to, "These are my words", files)
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert word in page
    assert ">These are my words</textarea>" in page
    assert runs_in(to) == 0


def test_a_request_that_is_far_too_large_is_answered_in_words(app: Flask, acme: people.Cast) -> None:
    answer = send(app, acme, session(acme, "TEXT"), "Words", [("big.bin", bytes(25 * 1024 * 1024))])
    assert answer.status_code == 413
    assert "too large" in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"plain", b"plain"),
        (b"\xef\xbb\xbfwith a mark", b"with a mark"),
        ("utf-16 é".encode("utf-16"), "utf-16 é".encode()),
        ("windows “é”".encode("cp1252"), "windows “é”".encode()),
        (b"\x00\x01\x02", None),
        (b"PK\x03\x04", None),
        (b"\xff\xfe\x00", None),
        (b"\x81\x8d", None),
    ],
)
def test_text_is_known_in_the_encodings_people_have(content: bytes, kind: bytes | None) -> None:
    assert uploads.as_text(content) == kind


def test_the_same_form_twice_keeps_one_run_and_one_set_of_files(app: Flask, worker: object, acme: people.Cast) -> None:
    to, submission = session(acme, "IMAGE"), uuid.uuid4().hex
    first = ask(app, acme, to, f"{AT_ONCE}A fox", [("a.png", PNG)], submission=submission)
    second = ask(app, acme, to, f"{AT_ONCE}A fox", [("a.png", PNG)], submission=submission)
    assert first.id == second.id
    assert runs_in(to) == 1
    rows = select(func.count()).select_from(Asset).join(Prompt).where(Prompt.session_id == to.id)
    assert db.session.scalar(rows) == 1


def test_a_retry_uses_the_same_files(app: Flask, worker: object, acme: people.Cast) -> None:
    to = session(acme, "IMAGE")
    failed = ask(app, acme, to, "!simulate fail=server_error\nA fox", [("a.png", PNG)])
    assert failed.state is State.FAILED
    mia = people.browser(app, acme.mia)
    again = run_of(mia.submit(f"{acme.home}/executions/{failed.id}/retry").get_data(as_text=True))
    wait_until(lambda: not fresh(again).is_open)
    assert given(fresh(again)) == given(fresh(failed.id))
    assert fresh(again).body.request["messages"] == fresh(failed.id).body.request["messages"]


def test_a_picture_that_was_made_can_be_the_start_of_the_next(app: Flask, worker: object, acme: people.Cast) -> None:
    to = session(acme, "IMAGE")
    (made,) = ask(app, acme, to, f"{AT_ONCE}A fox").assets
    assert f'data-reference="{made.id}"' in people.browser(app, acme.mia).get(f"{acme.home}/sessions/{to.id}").get_data(
        as_text=True
    )
    second = ask(app, acme, to, f"{AT_ONCE}The same in winter", references=[str(made.id)])
    assert second.state is State.COMPLETED, second.body.error
    (reference,) = given(second)
    assert (reference.storage_key, reference.name) == (made.storage_key, made.name)
    assert reference.id != made.id, "each prompt has rows of its own"


def test_variations_of_a_picture_are_asked_for_with_its_own_prompt_and_settings(
    app: Flask, worker: object, acme: people.Cast
) -> None:
    to = session(acme, "IMAGE")
    first = ask(app, acme, to, "A red fox", count="2", size="1:1", quality="low")
    picture = first.assets[1]
    url, mia = f"{acme.home}/assets/{picture.id}/variations", people.browser(app, acme.mia)
    assert mia.get(f"{acme.home}/sessions/{to.id}").get_data(as_text=True).count(f'action="{url}"') == 2
    answers = [mia.submit(url, {"submission": "once"}).get_data(as_text=True) for _ in range(2)]
    ids = {run_of(answer) for answer in answers}
    assert len(ids) == 1, "a double click is one run"
    assert f'id="vary-{picture.id}"' in answers[0], "the button is ready for the next"
    (id,) = ids
    wait_until(lambda: not fresh(id).is_open)
    second = fresh(id)
    assert second.state is State.COMPLETED, second.body.error
    assert second.prompt
    assert (second.prompt.text, second.requested) == ("A red fox", first.requested)
    assert second.body.request["media"] == first.body.request["media"]
    assert [asset.storage_key for asset in given(second)] == [picture.storage_key]
    assert mia.submit(f"{acme.home}/assets/{given(second)[0].id}/variations", {}).status_code == 422


def test_a_file_that_is_kept_outlives_its_run_and_is_at_hand_in_every_session_of_its_project(
    app: Flask, worker: object, acme: people.Cast
) -> None:
    to = session(acme, "IMAGE")
    run = ask(app, acme, to, "A red fox")
    (made,) = run.assets
    mia, shelf = people.browser(app, acme.mia), f"{acme.home}/projects/{acme.project.id}/files"
    assert "No file is kept" in mia.get(shelf).get_data(as_text=True)
    for _ in range(2):
        assert mia.submit(f"{acme.home}/assets/{made.id}/keeping", {}).status_code == 200
    ours = Asset.organization_id == acme.organization.id
    (kept,) = db.session.scalars(select(Asset).where(Asset.is_kept, ours)).all()
    assert kept.name == "A red fox.png", "not one more image-1.png"
    assert (kept.storage_key, kept.project_id, kept.execution_id) == (made.storage_key, acme.project.id, None)
    noted = select(AuditEvent.subject_id).where(AuditEvent.organization_id == acme.organization.id)
    assert db.session.scalars(noted.where(AuditEvent.action == "file.kept")).all() == [kept.id]
    mia.submit(f"{acme.home}/executions/{run.id}/deletion", {})
    assert mia.get(f"{acme.home}/assets/{kept.id}").status_code == 200

    other = session(acme, "TEXT")
    page = mia.get(f"{acme.home}/sessions/{other.id}").get_data(as_text=True)
    assert f"{acme.home}/sessions/{other.id}/files" in page
    assert f'data-reference="{kept.id}"' in mia.get(f"{acme.home}/sessions/{other.id}/files").get_data(as_text=True)
    asked = ask(app, acme, other, "What is it?", model=INSTANT, references=[str(kept.id)])
    assert asked.state is State.COMPLETED, asked.body.error
    assert [asset.is_kept for asset in given(asked)] == [False], "each prompt has rows of its own"

    undo = f"{acme.home}/trash/file/{kept.id}/restoration"
    gone = mia.submit(f"{acme.home}/assets/{kept.id}/deletion", {}).get_data(as_text=True)
    assert undo in gone
    assert "No file is kept" in mia.get(shelf).get_data(as_text=True)
    assert mia.submit(undo, {}).status_code < 400
    assert f"assets/{kept.id}" in mia.get(shelf).get_data(as_text=True)


def test_files_are_added_to_a_project_from_a_disk(app: Flask, worker: object, acme: people.Cast) -> None:
    mia, shelf = people.browser(app, acme.mia), f"{acme.home}/projects/{acme.project.id}/files"

    def add(*files: tuple[bytes, str]) -> Any:
        form = {"csrf_token": mia.csrf(), "files": [(io.BytesIO(content), name) for content, name in files]}
        return mia.post(shelf, data=form)

    notes = "Grüße aus Köln".encode("cp1252")
    for _ in range(2):  # the second time they are there
        assert add((notes, "Notizen.txt"), (PNG, "map.png")).status_code == 303
    ours = Asset.is_kept, Asset.project_id == acme.project.id
    found = db.session.scalars(select(Asset).where(*ours).order_by(Asset.id)).all()
    assert [(one.name, one.media_type) for one in found] == [("Notizen.txt", "text/plain"), ("map.png", "image/png")]
    assert {one.user_id for one in found} == {acme.mia.id}
    assert mia.get(f"{acme.home}/assets/{found[0].id}?download").data.decode() == "Grüße aus Köln"
    to = session(acme, "TEXT")
    assert f'data-reference="{found[1].id}"' in mia.get(f"{acme.home}/sessions/{to.id}/files").get_data(as_text=True)
    asked = ask(app, acme, to, "What is it?", model=INSTANT, references=[str(found[0].id)])
    assert asked.state is State.COMPLETED, asked.body.error
    for files, words in (
        ((), "Choose the files"),
        (((b"\x00\x01", "a.bin"),), "cannot be used here"),
        (((b"x", "a.txt"),) * 11, "11 files"),
    ):
        refused = add(*files)
        assert refused.status_code == 422
        assert words in refused.get_data(as_text=True)
    assert len(db.session.scalars(select(Asset).where(*ours)).all()) == 2


def test_a_refused_form_still_has_its_references(app: Flask, worker: object, acme: people.Cast) -> None:
    to = session(acme, "IMAGE")
    (made,) = ask(app, acme, to, f"{AT_ONCE}A fox").assets
    page = send(app, acme, to, "", references=[str(made.id)]).get_data(as_text=True)
    assert f'name="references" value="{made.id}"' in page


def test_another_project_s_files_are_no_references(app: Flask, acme: people.Cast, rival: people.Cast) -> None:
    to = session(acme, "IMAGE")
    theirs = people.asset(rival, PNG)
    db.session.add(theirs)
    db.session.commit()
    for id in (theirs.id, uuid.uuid4(), "no id"):
        answer = send(app, acme, to, "A fox", references=[str(id)])
        assert answer.status_code == 422
        assert "no longer there" in answer.get_data(as_text=True)
    assert runs_in(to) == 0


def test_nothing_is_recorded_when_the_storage_is_away(
    app: Flask, acme: people.Cast, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    from dataelan_web.storage import Storage

    folder = tmp_path / "assets"
    away = Storage(folder.as_uri())
    folder.rmdir()
    folder.write_text("now a file stands where the folder was")
    to = session(acme, "IMAGE")
    monkeypatch.setitem(app.extensions, "dataelan_storage", away)
    answer = send(app, acme, to, "A fox", [("a.png", PNG)])
    assert answer.status_code == 503
    assert "could not be kept" in answer.get_data(as_text=True)
    assert runs_in(to) == 0


@pytest.mark.parametrize(
    ("model_type", "fields", "word"),
    [
        ("IMAGE", {"count": "9"}, "Not a valid choice"),
        ("VOICE", {"speed": "9"}, "from 0.25 to 4"),
        ("VOICE", {"speed": "NaN"}, "from 0.25 to 4"),
        ("VOICE", {"language": "<script>"}, "such as en or de"),
        ("VIDEO", {"seconds": "0"}, "from 1 to 60"),
        ("VIDEO", {"seconds": "9" * 400}, "from 1 to 60"),
    ],
)
def test_settings_out_of_bounds_are_refused_with_a_word(
    app: Flask, simulated: str, acme: people.Cast, model_type: str, fields: dict[str, str], word: str
) -> None:
    answer = send(app, acme, session(acme, model_type), "My words", **fields)
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert word in page
    assert ">My words</textarea>" in page


# -- a schema, and tools ---------------------------------------------------------------------------

SCHEMA = '{"type": "object", "properties": {"rivers": {"type": "array", "items": {"type": "string"}}}}'
TOOLS = '[{"name": "get_weather", "description": "Now", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}]'  # noqa: E501


def test_a_schema_gives_json(app: Flask, worker: object, acme: people.Cast) -> None:
    to = session(acme, "CODE")
    execution = ask(app, acme, to, "Name rivers", model=INSTANT, schema=SCHEMA)
    assert execution.state is State.COMPLETED, execution.body.error
    assert execution.body.request["schema"]["properties"].keys() == {"rivers"}
    assert [action.kind for action in execution.actions] == ["json"]
    assert "rivers" in db.session.get_one(PromptSession, to.id, populate_existing=True).settings["schema"]


@pytest.mark.parametrize(
    ("field", "text", "word"),
    [
        ("schema", "{", "line 1"),
        ("schema", "[]", "must be a JSON object"),
        ("schema", '{"type": "nonsense"}', "no JSON Schema"),
        ("schema", '{"properties": {"a": {"type": 1}}}', "properties.a.type"),
        ("schema", "[" * 100_000, "This is not JSON"),
        ("schema", '{"a": NaN}', "NaN"),
        ("tools", "{}", "list of tools"),
        ("tools", '[{"description": "?"}]', "Tool 1 has no name"),
        ("tools", '[{"name": "no spaces"}]', "letters, digits"),
        ("tools", '[{"name": "a"}, {"name": "a"}]', "Two tools"),
        ("tools", '[{"name": "a", "parameters": {"type": "nonsense"}}]', "What “a” takes"),
        ("tools", "[1]", "Tool 1"),
    ],
)
def test_a_wrong_schema_or_tool_is_explained(
    app: Flask, simulated: str, acme: people.Cast, field: str, text: str, word: str
) -> None:
    answer = send(app, acme, session(acme, "TEXT"), "Hello", model=INSTANT, **{field: text})
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert word in page
    assert 'aria-label="More settings" checked' in page, "the wrong field is in sight"


def test_a_person_answers_for_the_tool_and_the_model_goes_on(app: Flask, worker: object, acme: people.Cast) -> None:
    to = session(acme, "TEXT")
    called = ask(app, acme, to, "What is the weather in Paris?", model=INSTANT, tools=TOOLS)
    (call,) = called.body.tool_calls
    assert call["name"] == "get_weather"
    mia = people.browser(app, acme.mia)
    url = f"{acme.home}/executions/{called.id}/tool-results"
    assert url in mia.get(f"{acme.home}/sessions/{to.id}").get_data(as_text=True)
    assert mia.submit(url, {"result": "  "}).status_code == 422
    assert mia.submit(url, {"result": ["one", "two"]}).status_code == 422
    answer = mia.submit(url, {"result": "18 °C"})
    assert answer.status_code == 201
    assert "<strong>get_weather</strong> answered" in answer.get_data(as_text=True)
    id = run_of(answer.get_data(as_text=True))
    assert run_of(mia.submit(url, {"result": "18 °C"}).get_data(as_text=True)) == id, "a double click"
    wait_until(lambda: not fresh(id).is_open)
    assert "18 °C" in fresh(id).body.text
    later = ask(app, acme, to, "Thank you", model=INSTANT)
    assert later.state is State.COMPLETED
    roles = [message["role"] for message in later.body.request["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]


def test_a_tool_call_that_nobody_answered_is_left_out_of_what_follows(
    app: Flask, worker: object, acme: people.Cast
) -> None:
    to = session(acme, "TEXT")
    ask(app, acme, to, "What is the weather in Paris?", model=INSTANT, tools=TOOLS)
    later = ask(app, acme, to, "Never mind", model=INSTANT)
    assert [message["role"] for message in later.body.request["messages"]] == ["user"]


def test_only_calls_with_results_and_results_with_calls_go_along(acme: people.Cast) -> None:
    to = session(acme, "TEXT")
    tell(acme, to, user("One"), "First", [call("a"), call("b")])
    tell(acme, to, Message("tool", (ToolResult("a", "A", "t"), ToolResult("x", "X", "t"))), "Second", [])
    tell(acme, to, user("Two"), "", [call("c")])
    tell(acme, to, Message("tool", (ToolResult("c", "C", "t"),)), "", [])
    tell(acme, to, user("Three"), "Third", [])
    told = [
        (message.role, [getattr(part, "id", "") for part in message.parts])
        for message in conversation.so_far(to, branches.newest(to))
    ]
    assert told == [
        ("user", [""]),
        ("assistant", ["", "a"]),
        ("tool", ["a"]),
        ("assistant", [""]),
        ("user", [""]),
        ("assistant", [""]),
    ]


def call(id: str) -> dict[str, str]:
    return {"id": id, "name": "t", "arguments": "{}"}


def tell(cast: people.Cast, to: PromptSession, asked: Message, text: str, calls: list[dict[str, str]]) -> None:
    """A turn that is over."""
    prompt = RouterPrompt((user("what came before"), asked))
    execution = record(
        Request(
            project=cast.project, prompt=prompt, origin=Origin.PLAYGROUND, requested="auto", user_id=cast.mia.id,
            session=to, asked=Prompt(session_id=to.id, author_id=cast.mia.id, text=asked.text),
            continues_id=branches.newest(to),
        )
    )  # fmt: skip
    execution.state = State.COMPLETED
    body = db.session.get_one(ExecutionBody, execution.id)
    body.text, body.tool_calls = text, calls
    db.session.commit()


# -- parameters that the chosen model takes ----------------------------------------------------------


def test_what_the_chosen_model_does_not_take_is_refused_left_out_or_kept_for_another(
    app: Flask, worker: object, acme: people.Cast
) -> None:
    simulated = db.session.scalars(select(Provider).where(Provider.slug == "simulated")).one()
    thinker = Model(id=new_id(), provider=simulated, name="o3-of-ours", display_name="O3")
    thinker.organization_id = acme.organization.id  # nobody else's: the simulation knows no such model
    thinker.capabilities, thinker.max_output_tokens = ["reasoning"], 500
    db.session.add(thinker)
    to = session(acme, "CODE", temperature=0.5, schema=SCHEMA)
    name = "simulated/o3-of-ours"
    for fields, word in (
        ({"tools": TOOLS}, "o3-of-ours takes no tools"),
        ({"schema": SCHEMA}, "o3-of-ours takes no JSON schema"),
        ({"max_tokens": "501"}, "writes at most 500 tokens"),
    ):
        answer = send(app, acme, to, "My words", model=name, **fields)
        assert answer.status_code == 422
        assert word in answer.get_data(as_text=True)
    page = people.browser(app, acme.mia).get(f"{acme.home}/sessions/{to.id}").get_data(as_text=True)
    assert 'data-omits="schema stop temperature tools top_p" data-most="500"' in page

    sampling = {"temperature": "0.2", "top_p": "0.5", "seed": "7", "stop": "END\n\\n"}
    execution = ask(app, acme, to, "My words", model=name, **sampling, reasoning_effort="low", max_tokens="9")
    asked = execution.body.request
    assert (asked["reasoning_effort"], asked["top_p"], asked["seed"], asked["stop"]) == ("low", 0.5, 7, ["END", "\n"])
    assert execution.body.notice == "Temperature, top p and stop sequences left out: o3-of-ours takes none."
    page = people.browser(app, acme.mia).get(f"{acme.home}/executions/{execution.id}").get_data(as_text=True)
    for said in ("Temperature 0.2", "Top P 0.5", "Seed 7", "Stops at END", "Stops at \\n", "At most 9", "Thinking low"):
        assert f">{said}</span>" in page, "the receipt says what was asked for"
    ask(app, acme, to, "My words", model=name)
    settings = db.session.get_one(PromptSession, to.id, populate_existing=True).settings
    assert (settings["temperature"], settings["top_p"], settings["schema"]) == (0.2, 0.5, SCHEMA), "hidden, so kept"
    assert settings["max_tokens"] is None
