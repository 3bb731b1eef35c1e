"""Veo: how a film is asked for, and what its operation says."""

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
    Finish,
    ImagePart,
    Kind,
    Progress,
    Refusal,
    Task,
    Unsupported,
    Usage,
)

from .drawing import PICTURE, PNG64, failure_of, filming, read

BASE = "https://generativelanguage.googleapis.com/v1beta"
NAME = "models/veo-3.1/operations/x1y2"
FILM = f"{BASE}/files/f1:download?alt=media"
VEO = adapter("google", BASE, Task.VIDEO)


def operation(**response: Any) -> dict[str, Any]:
    return {"name": NAME, "done": True, "response": {"generateVideoResponse": response}}


def sample(uri: str = FILM) -> dict[str, Any]:
    return {"video": {"uri": uri}}


def test_a_film_is_asked_for_with_its_options() -> None:
    prompt = filming("A fox", PICTURE, seconds=6, aspect_ratio="9:16", resolution="1080p", negative_prompt="rain")
    call = VEO.call(prompt, "veo-3.1", "k")
    assert call.url == f"{BASE}/models/veo-3.1:predictLongRunning"
    assert call.headers == {"x-goog-api-key": "k"}
    assert call.body == {
        "instances": [{"prompt": "A fox", "image": {"bytesBase64Encoded": PNG64, "mimeType": "image/png"}}],
        "parameters": {
            "durationSeconds": 6,
            "aspectRatio": "9:16",
            "resolution": "1080p",
            "negativePrompt": "rain",
        },
    }


def test_the_length_is_always_said_because_it_is_the_price() -> None:
    assert (VEO.call(filming(), "veo", "k").body or {})["parameters"] == {"durationSeconds": 8}


@pytest.mark.parametrize("images", [(PICTURE, PICTURE), (ImagePart(url="https://x.example/a.png"),)])
def test_it_films_from_one_picture_that_is_there(images: tuple[ImagePart, ...]) -> None:
    with pytest.raises(Unsupported):
        VEO.call(filming("A fox", *images), "veo", "k")


def test_an_operation_is_asked_after_until_it_is_done() -> None:
    progress, again = read(VEO, {"name": NAME})
    assert progress == Progress(None, "running")
    assert isinstance(again, Again)
    assert again.call == Call(f"{BASE}/{NAME}", method="GET")
    assert again.cancel is None


def test_a_film_lies_at_an_address_and_is_as_long_as_was_asked_for() -> None:
    veo = adapter("google", BASE, Task.VIDEO)
    veo.call(filming(seconds=6), "veo", "k")
    assert read(veo, operation(generatedSamples=[sample(), sample()])) == [
        AssetAt(FILM, "video/mp4"),
        AssetAt(FILM, "video/mp4"),
        Usage(seconds=Decimal(12)),
        Done(Finish.STOP),
    ]


def test_films_that_were_held_back_are_told_beside_those_that_were_not() -> None:
    reasons = ["One film was held back for its sound."]
    events = read(VEO, operation(generatedSamples=[sample()], raiMediaFilteredReasons=reasons))
    assert events[1] == Refusal(reasons[0])
    assert events[-1] == Done(Finish.CONTENT_FILTER)


def test_a_film_that_was_held_back_is_a_matter_of_content() -> None:
    reasons = ["Veo could not generate videos because the prompt shows a celebrity."]
    failure = failure_of(VEO, operation(raiMediaFilteredCount=1, raiMediaFilteredReasons=reasons))
    assert (failure.kind, failure.code, failure.message) == (Kind.CONTENT_POLICY, "job_failed", reasons[0])


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (13, "Internal error.", Kind.TRANSIENT),
        (8, "Quota exceeded.", Kind.RATE_LIMIT),
        (3, "Unsupported resolution.", Kind.BAD_REQUEST),
        (3, "The prompt violates our usage guidelines.", Kind.CONTENT_POLICY),
    ],
)
def test_an_operation_that_failed_says_why(code: int, message: str, kind: Kind) -> None:
    failure = failure_of(VEO, {"name": NAME, "done": True, "error": {"code": code, "message": message}})
    assert (failure.kind, failure.code, failure.message) == (kind, "job_failed", message)
    assert failure.status is None


@pytest.mark.parametrize("document", [{}, [], {"done": True}, operation(), operation(generatedSamples=[{"video": 1}])])
def test_an_answer_without_a_film_is_a_failure(document: Any) -> None:
    assert failure_of(VEO, document).kind is Kind.TRANSIENT
