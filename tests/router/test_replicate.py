"""Replicate: how a prediction is started, and what each of its states means."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from dataelan_web.router.providers import adapter
from dataelan_web.router.types import (
    Again,
    Asset,
    AssetAt,
    Call,
    Done,
    Failure,
    Finish,
    Kind,
    Progress,
    Prompt,
    Task,
    Text,
    Usage,
    user,
)

from .drawing import PICTURE, PNG, PNG64, drawing, failure_of, filming, read

BASE = "https://api.replicate.com/v1"
PICTURES = adapter("replicate", BASE, Task.IMAGE)
FILMS = adapter("replicate", BASE, Task.VIDEO)
SPEECH = adapter("replicate", BASE, Task.SPEECH)


def prediction(status: str, **more: Any) -> dict[str, Any]:
    return {"id": "abc", "model": "ada/paint", "status": status, "input": {}, "logs": "", "error": None} | more


# -- what is sent ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "path", "version"),
    [
        ("ada/paint", "models/ada/paint/predictions", None),
        ("ada/paint:5c7d", "predictions", "5c7d"),
        ("5c7d5dc6", "predictions", "5c7d5dc6"),
        ("deployments/ada/paint", "deployments/ada/paint/predictions", None),
    ],
)
def test_a_model_is_named_in_the_path_or_by_its_version(model: str, path: str, version: str | None) -> None:
    call = PICTURES.call(drawing(), model, "r8_x")
    assert call.url == f"{BASE}/{path}"
    assert call.headers == {"Authorization": "Bearer r8_x"}
    assert (call.body or {}).get("version") == version


def test_the_options_of_a_picture_are_inputs() -> None:
    prompt = drawing("A fox", PICTURE, count=2, size="1024x768", format="png")
    url = f"data:image/png;base64,{PNG64}"
    assert (PICTURES.call(prompt, "a/b", "").body or {})["input"] == {
        "prompt": "A fox",
        "num_outputs": 2,
        "width": 1024,
        "height": 768,
        "output_format": "png",
        "image": url,
        "input_image": url,
        "image_input": [url],
    }


def test_the_options_of_a_film_are_inputs() -> None:
    prompt = filming(seconds=5, aspect_ratio="16:9", resolution="720p", negative_prompt="rain")
    assert (FILMS.call(prompt, "a/b", "").body or {})["input"] == {
        "prompt": "A fox runs",
        "duration": 5,
        "aspect_ratio": "16:9",
        "resolution": "720p",
        "negative_prompt": "rain",
    }


def test_words_to_be_spoken_are_a_text() -> None:
    prompt = Prompt((user("Hello"),), task=Task.SPEECH, media={"voice": "af_sky", "speed": 1.2})
    assert (SPEECH.call(prompt, "a/b", "").body or {})["input"] == {"text": "Hello", "voice": "af_sky", "speed": 1.2}


# -- what comes back -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["starting", "processing"])
def test_a_job_in_flight_is_asked_after_and_can_be_cancelled(status: str) -> None:
    logs = " 10%|#    | 5/50 [00:00<00:02]\n 42%|####      | 21/50 [00:01<00:01]\n"
    progress, again = read(PICTURES, prediction(status, logs=logs))
    assert progress == Progress(0.42, status)
    assert isinstance(again, Again)
    assert again.call == Call(f"{BASE}/predictions/abc", method="GET")
    assert again.cancel == Call(f"{BASE}/predictions/abc/cancel")


def test_addresses_in_an_answer_are_not_followed_elsewhere() -> None:
    urls = {"get": "https://evil.example/x", "cancel": "https://evil.example/y"}
    _, again = read(PICTURES, prediction("starting", id="../../evil?", urls=urls))
    assert isinstance(again, Again)
    assert again.call.url == f"{BASE}/predictions/..%2F..%2Fevil%3F"


def test_one_decoder_reads_the_request_and_its_polls() -> None:
    decode = PICTURES.decoder()
    for status in ("starting", "processing"):
        events = [*decode(json.dumps(prediction(status)).encode(), False), *decode(b"", True)]
        assert isinstance(events[-1], Again)
    done = prediction("succeeded", output="https://replicate.delivery/x/out.webp")
    events = [*decode(json.dumps(done).encode(), False), *decode(b"", True)]
    assert events == [
        AssetAt("https://replicate.delivery/x/out.webp", "image/webp"),
        Usage(images=1),
        Done(Finish.STOP, "", "ada/paint", "abc"),
    ]


@pytest.mark.parametrize(
    ("output", "events"),
    [
        (["https://d.example/0.png", "https://d.example/1"], [("https://d.example/0.png", "image/png"),
                                                             ("https://d.example/1", "")]),
        ({"video": "https://d.example/a.mp4?sig=1"}, [("https://d.example/a.mp4?sig=1", "video/mp4")]),
    ],
)  # fmt: skip
def test_files_are_found_in_any_shape_of_output(output: Any, events: list[tuple[str, str]]) -> None:
    found = read(PICTURES, prediction("succeeded", output=output))
    assert found[:-2] == [AssetAt(url, media_type) for url, media_type in events]
    assert found[-2] == Usage(images=len(events))


def test_a_file_may_lie_inside_the_answer() -> None:
    found = read(PICTURES, prediction("succeeded", output=f"data:image/png;base64,{PNG64}"))
    assert found[0] == Asset("image/png", PNG)


def test_pieces_of_text_are_text() -> None:
    events = read(PICTURES, prediction("succeeded", output=["A fox", " runs."]))
    assert events[:2] == [Text("A fox runs."), Usage(images=0)]


def test_a_film_is_as_long_as_was_asked_for() -> None:
    done = prediction("succeeded", output="https://d.example/a.mp4", input={"duration": 5})
    assert read(FILMS, done)[1] == Usage(seconds=Decimal(5))
    done = prediction("succeeded", output="https://d.example/a.mp4")
    assert read(FILMS, done)[1] == Usage()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("CUDA out of memory", Kind.TRANSIENT),
        ("NSFW content detected. Try running it again, or try a different prompt.", Kind.CONTENT_POLICY),
        ("The input or output was flagged as sensitive. (E005)", Kind.CONTENT_POLICY),
        (None, Kind.TRANSIENT),
    ],
)
def test_a_failed_job_says_why_and_is_not_asked_after_again(error: str | None, kind: Kind) -> None:
    failure = failure_of(PICTURES, prediction("failed", error=error))
    assert (failure.kind, failure.code, failure.status) == (kind, "job_failed", None)
    assert failure.message == (error or "The job failed at the provider, which did not say why.")


def test_a_cancelled_job_is_aborted() -> None:
    failure = failure_of(PICTURES, prediction("canceled"))
    assert (failure.kind, failure.code) == (Kind.ABORTED, "job_failed")


@pytest.mark.parametrize("document", [{}, [], {"status": "starting"}, prediction("odd"), prediction("succeeded")])
def test_an_answer_that_is_no_prediction_is_a_failure(document: Any) -> None:
    assert failure_of(PICTURES, document).kind is Kind.TRANSIENT


def test_a_refusal_is_read_from_a_problem_document() -> None:
    body = b'{"title":"Input validation failed","detail":"- input: prompt is required\\n","status":422}'
    failure: Failure = PICTURES.failure(422, body)
    assert (failure.kind, failure.message) == (Kind.BAD_REQUEST, "- input: prompt is required")
