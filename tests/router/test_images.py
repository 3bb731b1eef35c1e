"""Pictures: OpenAI's form and those who speak it a little differently, Gemini's, and Imagen's."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from dataelan_web.router.providers import adapter
from dataelan_web.router.types import (
    Asset,
    AssetAt,
    Done,
    Failure,
    Finish,
    ImagePart,
    Kind,
    Prompt,
    Refusal,
    Task,
    Unsupported,
    Upload,
    Usage,
    assistant,
    user,
)

from .drawing import PICTURE, PNG, PNG64, drawing, failure_of, read
from .recordings import decoded

OPENAI = adapter("openai", "https://api.openai.com/v1", Task.IMAGE)
XAI = adapter("openai", "https://api.x.ai/v1", Task.IMAGE)
TOGETHER = adapter("openai", "https://api.together.xyz/v1", Task.IMAGE)
OPENROUTER = adapter("openai", "https://openrouter.ai/api/v1", Task.IMAGE)
GEMINI = adapter("google", "https://generativelanguage.googleapis.com/v1beta", Task.IMAGE)
IMAGEN = adapter("google-predict", "https://generativelanguage.googleapis.com/v1beta", Task.IMAGE)
EVERY_OPTION = {
    "count": 2,
    "size": "1024x1536",
    "quality": "high",
    "background": "transparent",
    "format": "webp",
}


# -- OpenAI: what is sent ------------------------------------------------------------------------


def test_openai_is_told_the_options_that_were_chosen() -> None:
    call = OPENAI.call(drawing(**EVERY_OPTION), "gpt-image", "sk-1")
    assert call.url == "https://api.openai.com/v1/images/generations"
    assert call.headers == {"Authorization": "Bearer sk-1"}
    assert call.body == {
        "model": "gpt-image",
        "prompt": "A fox",
        "n": 2,
        "size": "1024x1536",
        "quality": "high",
        "background": "transparent",
        "output_format": "webp",
    }


def test_openai_is_told_nothing_that_was_not_chosen() -> None:
    call = OPENAI.call(drawing(size="auto", quality="", aspect_ratio=None), "dall-e", "")
    assert call.body == {"model": "dall-e", "prompt": "A fox"}
    assert call.headers == {}


@pytest.mark.parametrize(
    ("ratio", "size"), [("1:1", "1024x1024"), ("16:9", "1536x1024"), ("3:2", "1536x1024"), ("9:16", "1024x1536")]
)
def test_openai_draws_an_aspect_ratio_in_the_size_of_that_direction(ratio: str, size: str) -> None:
    assert (OPENAI.call(drawing(aspect_ratio=ratio), "m", "").body or {})["size"] == size


@pytest.mark.parametrize("bad", [{"aspect_ratio": "wide"}, {"aspect_ratio": "0:1"}, {"count": "many"}, {"count": 0}])
def test_an_option_that_makes_no_sense_is_refused_in_words(bad: dict[str, Any]) -> None:
    with pytest.raises(Unsupported, match="must be"):
        OPENAI.call(drawing(**bad), "m", "")


def test_a_picture_to_work_from_goes_as_a_file_of_a_form() -> None:
    call = OPENAI.call(drawing("Make it blue", PICTURE, count=2), "gpt-image", "sk-1")
    assert call.url.endswith("/images/edits")
    assert call.body is None
    assert call.form == {"model": "gpt-image", "prompt": "Make it blue", "n": "2"}
    assert call.uploads == (Upload("image", "picture-1.png", "image/png", PNG),)


def test_several_pictures_go_under_the_name_of_a_list() -> None:
    jpeg = ImagePart("image/jpeg", data=PNG64)
    uploads = OPENAI.call(drawing("Both", PICTURE, jpeg), "m", "").uploads
    assert [(upload.name, upload.filename) for upload in uploads] == [
        ("image[]", "picture-1.png"),
        ("image[]", "picture-2.jpeg"),
    ]


def test_a_picture_that_is_an_address_goes_as_json() -> None:
    call = OPENAI.call(drawing("Both", ImagePart(url="https://x.example/a.png"), PICTURE), "m", "")
    assert call.uploads == ()
    assert (call.body or {})["images"] == [
        {"image_url": "https://x.example/a.png"},
        {"image_url": f"data:image/png;base64,{PNG64}"},
    ]


def test_a_picture_that_is_no_base64_is_refused_in_words() -> None:
    with pytest.raises(Unsupported, match="cannot be read"):
        OPENAI.call(drawing("Change it", ImagePart("image/png", data="@@@@")), "m", "")


def test_xai_is_told_a_ratio_and_gets_pictures_as_json() -> None:
    body = XAI.call(drawing("Change it", PICTURE, size="1792x1024"), "grok-imagine", "k").body or {}
    assert body["aspect_ratio"] == "16:9"
    assert "size" not in body
    assert body["image"] == {"type": "image_url", "url": f"data:image/png;base64,{PNG64}"}
    assert XAI.call(drawing(size="2K"), "m", "").body == {"model": "m", "prompt": "A fox", "resolution": "2k"}


def test_together_is_told_pixels_and_has_no_path_for_edits() -> None:
    call = TOGETHER.call(drawing("Change it", PICTURE, size="640x480"), "flux", "k")
    assert call.url == "https://api.together.xyz/v1/images/generations"
    body = call.body or {}
    assert (body["width"], body["height"]) == (640, 480)
    assert body["image_url"].startswith("data:image/png;base64,")


def test_openrouter_has_one_path_for_pictures_and_is_told_what_was_said_and_no_more() -> None:
    call = OPENROUTER.call(drawing("Change it", PICTURE, aspect_ratio="16:9", size="2k"), "google/gemini-image", "k")
    assert call.url == "https://openrouter.ai/api/v1/images"
    address = f"data:image/png;base64,{PNG64}"
    assert call.body == {
        "model": "google/gemini-image",
        "prompt": "Change it",
        "aspect_ratio": "16:9",
        "resolution": "2K",
        "input_references": [{"type": "image_url", "image_url": {"url": address}}],
    }
    plain = OPENROUTER.call(drawing(size="1024x1024", count=2), "m", "")
    assert (plain.url, plain.body) == (call.url, {"model": "m", "prompt": "A fox", "size": "1024x1024", "n": 2})


def test_openrouters_pictures_say_their_type_and_what_they_came_to() -> None:
    used = {"prompt_tokens": 12, "completion_tokens": 1290, "total_tokens": 1302, "cost": 0.04}
    events = read(OPENROUTER, {"created": 1, "data": [{"b64_json": PNG64, "media_type": "image/png"}], "usage": used})
    usage = next(event for event in events if isinstance(event, Usage))
    assert (usage.input, usage.output, usage.output_image, usage.images) == (12, 1290, 1290, 1)
    assert usage.billed_usd == Decimal("0.04")


# -- OpenAI: what comes back -----------------------------------------------------------------------


def test_pictures_come_as_bytes_or_as_addresses_with_what_was_made_of_the_prompt() -> None:
    pictures = [{"b64_json": PNG64, "revised_prompt": "A red fox"}, {"url": "https://cdn.example/b.png"}]
    assert read(OPENAI, {"created": 1, "data": pictures}) == [
        Asset("image/png", PNG, "A red fox"),
        AssetAt("https://cdn.example/b.png"),
        Usage(images=2),
        Done(Finish.STOP),
    ]


def test_tokens_of_pictures_are_told_apart_from_those_of_words() -> None:
    usage = {
        "input_tokens": 50,
        "output_tokens": 4160,
        "total_tokens": 4210,
        "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
    }
    events = read(OPENAI, {"data": [{"b64_json": PNG64}], "output_format": "webp", "usage": usage})
    assert events[1] == Usage(input=50, output=4160, input_image=40, output_image=4160, images=1)


def test_a_bill_in_ticks_and_a_data_address_are_read() -> None:
    picture = {"b64_json": f"data:image/jpeg;base64,{PNG64}", "revised_prompt": ""}
    events = read(XAI, {"data": [picture], "usage": {"cost_in_usd_ticks": 200_000_000}})
    assert events[:2] == [Asset("image/jpeg", PNG), Usage(images=1, billed_usd=Decimal("0.02"))]


def test_a_block_without_a_picture_is_a_refusal() -> None:
    assert read(XAI, {"data": [], "block_reason": "It shows violence."}) == [
        Refusal("It shows violence."),
        Usage(images=0),
        Done(Finish.CONTENT_FILTER),
    ]


def test_a_stream_of_drafts_ends_with_the_picture() -> None:
    draft = {"type": "image_generation.partial_image", "b64_json": "AAAA", "partial_image_index": 0}
    last = {"type": "image_generation.completed", "b64_json": PNG64, "output_format": "png", "usage": {}}
    body = "".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in (draft, last)).encode()
    events, failure = decoded(OPENAI.decoder(), body, 7)
    assert failure is None
    assert events == [Asset("image/png", PNG), Usage(images=1), Done(Finish.STOP)]
    events, failure = decoded(OPENAI.decoder(), body[: body.index(b"event: image_generation.completed")], 7)
    assert events == []
    assert failure is not None
    assert failure.code == "cut_off"


@pytest.mark.parametrize("document", [{"data": []}, {"data": [{}]}, {"data": "x"}, {"object": "list"}, {}])
def test_an_answer_without_pictures_is_a_failure(document: dict[str, Any]) -> None:
    failure = failure_of(OPENAI, document)
    assert (failure.kind, failure.status) == (Kind.TRANSIENT, None)


def test_a_webp_picture_is_not_taken_for_sound() -> None:
    webp = "UklGRgAAAABXRUJQVlA4IA=="
    (picture, *_) = read(OPENAI, {"data": [{"b64_json": webp}]})
    assert isinstance(picture, Asset)
    assert picture.media_type == "image/webp"


def test_what_the_safety_system_stops_is_a_matter_of_content() -> None:
    refused: Failure = OPENAI.failure(
        400,
        json.dumps(
            {
                "error": {
                    "message": "Your request was rejected by the safety system.",
                    "type": "image_generation_user_error",
                    "code": "moderation_blocked",
                }
            }
        ).encode(),
    )
    assert refused.kind is Kind.CONTENT_POLICY


# -- Gemini ----------------------------------------------------------------------------------------


def test_gemini_is_asked_for_pictures_in_a_shape() -> None:
    body = GEMINI.call(drawing(aspect_ratio="16:9", size="2k"), "gemini-image", "k").body or {}
    assert body["generationConfig"] == {
        "responseModalities": ["TEXT", "IMAGE"],
        "imageConfig": {"aspectRatio": "16:9", "imageSize": "2K"},
    }
    plain = GEMINI.call(drawing(), "gemini-image", "k").body or {}
    assert plain["generationConfig"] == {"responseModalities": ["TEXT", "IMAGE"]}


def test_gemini_changes_a_picture_turn_by_turn() -> None:
    prompt = Prompt((*drawing("Look", PICTURE).messages, assistant("Nice."), user("Bluer")), task=Task.IMAGE)
    call = GEMINI.call(prompt, "gemini-image", "k")
    assert call.url.endswith(":streamGenerateContent?alt=sse")
    contents = (call.body or {})["contents"]
    assert [turn["role"] for turn in contents] == ["user", "model", "user"]
    assert contents[0]["parts"][1] == {"inlineData": {"mimeType": "image/png", "data": PNG64}}


@pytest.mark.parametrize("wish", [{"count": 3}, {"background": "transparent"}])
def test_gemini_says_what_it_cannot_do(wish: dict[str, Any]) -> None:
    with pytest.raises(Unsupported):
        GEMINI.call(drawing(**wish), "m", "")


# -- Imagen ----------------------------------------------------------------------------------------


def test_imagen_is_told_how_many_pictures_to_draw() -> None:
    call = IMAGEN.call(drawing(count=3, size="1024x768", format="jpeg"), "imagen-4", "k")
    assert call.url.endswith("/models/imagen-4:predict")
    assert call.headers == {"x-goog-api-key": "k"}
    assert call.body == {
        "instances": [{"prompt": "A fox"}],
        "parameters": {
            "sampleCount": 3,
            "includeRaiReason": True,
            "aspectRatio": "4:3",
            "outputOptions": {"mimeType": "image/jpeg"},
        },
    }
    asked = {"sampleCount": 1, "includeRaiReason": True}
    assert (IMAGEN.call(drawing(), "imagen-4", "k").body or {})["parameters"] == asked


def test_imagen_draws_from_words_only() -> None:
    with pytest.raises(Unsupported):
        IMAGEN.call(drawing("Change it", PICTURE), "imagen-4", "k")


def test_what_imagen_filtered_out_is_said_and_not_counted() -> None:
    predictions = [{"bytesBase64Encoded": PNG64, "mimeType": "image/png"}, {"raiFilteredReason": "One was unsafe."}]
    assert read(IMAGEN, {"predictions": predictions}) == [
        Asset("image/png", PNG),
        Refusal("One was unsafe."),
        Usage(images=1),
        Done(Finish.CONTENT_FILTER),
    ]
