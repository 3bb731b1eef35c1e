"""fal: how a request is put in line, and what the line's answers mean."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from dataelan_web.router.providers import adapter
from dataelan_web.router.types import (
    Again,
    AssetAt,
    Call,
    Done,
    Failure,
    Finish,
    Kind,
    Progress,
    Task,
    Text,
    Usage,
)

from .drawing import PICTURE, PNG64, drawing, failure_of, filming, read

BASE = "https://queue.fal.run"
LINE = f"{BASE}/fal-ai/flux/requests/r1"
PICTURES = adapter("fal", BASE, Task.IMAGE)
FILMS = adapter("fal", BASE, Task.VIDEO)


def waiting(status: str, **more: Any) -> dict[str, Any]:
    urls = {"status_url": f"{LINE}/status", "response_url": LINE, "cancel_url": f"{LINE}/cancel"}
    return {"status": status, "request_id": "r1"} | urls | more


def test_an_app_is_the_path_and_its_options_are_inputs() -> None:
    call = PICTURES.call(drawing("A fox", PICTURE, count=2, size="640x480"), "fal-ai/flux/dev", "id:secret")
    assert call.url == f"{BASE}/fal-ai/flux/dev"
    assert call.headers == {"Authorization": "Key id:secret"}
    url = f"data:image/png;base64,{PNG64}"
    assert call.body == {
        "prompt": "A fox",
        "num_images": 2,
        "image_size": {"width": 640, "height": 480},
        "image_url": url,
        "image_urls": [url],
    }


def test_a_films_length_is_sent_as_text() -> None:
    call = FILMS.call(filming(seconds=5, resolution="720p"), "fal-ai/kling", "k")
    assert call.body == {"prompt": "A fox runs", "duration": "5", "resolution": "720p"}


@pytest.mark.parametrize(
    ("document", "progress"),
    [
        (waiting("IN_QUEUE", queue_position=3), Progress(None, "in queue, 3 ahead")),
        (waiting("IN_QUEUE", queue_position=0), Progress(None, "in queue")),
        (waiting("IN_PROGRESS", logs=[{"message": " 50%|#####"}]), Progress(0.5, "in progress")),
        (waiting(""), Progress(None, "in queue")),
    ],
)
def test_a_place_in_the_line_is_progress(document: dict[str, Any], progress: Progress) -> None:
    told, again = read(PICTURES, document)
    assert told == progress
    assert isinstance(again, Again)
    assert again.call == Call(f"{LINE}/status?logs=1", method="GET")
    assert again.cancel == Call(f"{LINE}/cancel", method="PUT")


def test_a_place_in_the_line_is_asked_for_where_the_answer_will_be() -> None:
    """Only what is said when a request is put in line has all addresses for sure."""
    (_, again) = read(PICTURES, {"status": "IN_PROGRESS", "response_url": LINE})
    assert again == Again(
        Call(f"{LINE}/status?logs=1", method="GET"), again.delay, Call(f"{LINE}/cancel", method="PUT")
    )


def test_a_complete_request_is_fetched_at_once() -> None:
    assert read(PICTURES, waiting("COMPLETED")) == [Again(Call(LINE, method="GET"))]


@pytest.mark.parametrize("place", ["https://evil.example/x", "http://queue.fal.run/x", "//x", "https://[bad", ""])
def test_an_address_that_is_not_fals_own_is_not_followed(place: str) -> None:
    assert "not followed" in failure_of(PICTURES, waiting("COMPLETED", response_url=place)).message
    assert "not followed" in failure_of(PICTURES, waiting("IN_QUEUE", status_url=place)).message
    (_, again) = read(PICTURES, waiting("IN_QUEUE", cancel_url=place))
    assert isinstance(again, Again)
    assert again.cancel is None


def test_pictures_are_found_where_apps_put_them() -> None:
    many = {"images": [{"url": "https://v3.fal.media/a.png", "content_type": "image/png"}], "description": "Here."}
    assert read(PICTURES, many) == [
        Text("Here."),
        AssetAt("https://v3.fal.media/a.png", "image/png"),
        Usage(images=1),
        Done(Finish.STOP),
    ]
    assert read(PICTURES, {"image": {"url": "https://v3.fal.media/a.jpg"}})[0] == AssetAt(
        "https://v3.fal.media/a.jpg", "image/jpeg"
    )


def test_pictures_that_were_blackened_were_filtered() -> None:
    answer = {"images": [{"url": "https://v3.fal.media/a.png"}], "has_nsfw_concepts": [True]}
    assert read(PICTURES, answer)[-1] == Done(Finish.CONTENT_FILTER)


def test_a_film_is_as_long_as_was_asked_for() -> None:
    films = adapter("fal", BASE, Task.VIDEO)
    films.call(filming(seconds=5), "fal-ai/kling", "k")
    answer = {"video": {"url": "https://v3.fal.media/a.mp4", "content_type": "video/mp4"}}
    assert read(films, answer)[:2] == [
        AssetAt("https://v3.fal.media/a.mp4", "video/mp4"),
        Usage(seconds=Decimal(5)),
    ]
    answer["video"]["duration"] = 4.5  # type: ignore[assignment]
    assert read(films, answer)[1] == Usage(seconds=Decimal("4.5"))


def test_words_to_be_spoken_are_counted() -> None:
    speech = adapter("fal", BASE, Task.SPEECH)
    call = speech.call(drawing("Hello", task=Task.SPEECH, voice="af_sky"), "fal-ai/kokoro", "k")
    assert call.body == {"prompt": "Hello", "text": "Hello", "voice": "af_sky"}
    answer = {"audio": {"url": "https://v3.fal.media/a.mp3", "content_type": "audio/mpeg"}}
    assert read(speech, answer)[:2] == [AssetAt("https://v3.fal.media/a.mp3", "audio/mpeg"), Usage(characters=5)]


def test_a_request_that_failed_says_why() -> None:
    failure = failure_of(PICTURES, waiting("COMPLETED", error="Runner disconnected", error_type="runner_disconnected"))
    assert (failure.kind, failure.code, failure.message) == (Kind.TRANSIENT, "job_failed", "Runner disconnected")


def test_a_checker_that_flags_the_prompt_is_a_matter_of_content() -> None:
    body = (
        b'{"detail":[{"loc":["body","prompt"],"msg":"The content was flagged by a content checker.",'
        b'"type":"content_policy_violation"}]}'
    )
    failure: Failure = PICTURES.failure(422, body)
    assert failure.kind is Kind.CONTENT_POLICY


@pytest.mark.parametrize("document", [{}, [], {"seed": 1}, {"images": []}, {"video": {"url": 7}}])
def test_an_answer_without_files_is_a_failure(document: Any) -> None:
    assert failure_of(PICTURES, document).kind is Kind.TRANSIENT
