"""The generateContent format."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from dataelan_web.router.providers import adapter
from dataelan_web.router.types import (
    Asset,
    Call,
    Done,
    Event,
    Failure,
    Finish,
    ImagePart,
    Kind,
    Message,
    Reasoning,
    Text,
    TextPart,
    ToolCall,
    ToolResult,
    ToolUse,
    Usage,
)

from .prompts import PARAMETERS, PLAIN, RICH, SCHEMA
from .recordings import decoded

BASE = "https://generativelanguage.googleapis.com/v1beta"
GEMINI = adapter("google", BASE)


def test_a_plain_prompt_is_a_small_request_with_the_key_in_a_header() -> None:
    assert GEMINI.call(PLAIN, "gemini-x", "k") == Call(
        f"{BASE}/models/gemini-x:generateContent",
        {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
        {"x-goog-api-key": "k"},
    )


def test_a_rich_prompt_says_everything() -> None:
    call = GEMINI.call(RICH, "models/gemini-x", "k")
    assert call.url == f"{BASE}/models/gemini-x:streamGenerateContent?alt=sse"
    assert call.body == {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {
                "role": "user",
                "parts": [
                    {"text": "What is here?"},
                    {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
                ],
            },
            {"role": "model", "parts": [{"text": "A map."}]},
            {"role": "user", "parts": [{"text": "And the weather in Oslo and Rome?"}]},
            {
                "role": "model",
                "parts": [
                    {
                        "functionCall": {"name": "weather", "args": {"city": "Oslo"}},
                        "thoughtSignature": "skip_thought_signature_validator",
                    },
                    {"functionCall": {"name": "weather", "args": {"city": "Rome"}}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"name": "weather", "response": {"result": "rain"}}},
                    {"functionResponse": {"name": "weather", "response": {"sky": "clear"}}},
                ],
            },
        ],
        "generationConfig": {
            "maxOutputTokens": 100,
            "temperature": 0.5,
            "topP": 0.9,
            "stopSequences": ["END"],
            "seed": 7,
            "responseMimeType": "application/json",
            "responseJsonSchema": SCHEMA,
            "thinkingConfig": {"thinkingBudget": 1024, "includeThoughts": True},
        },
        "tools": [
            {
                "functionDeclarations": [
                    {"name": "weather", "description": "Tells the weather", "parametersJsonSchema": PARAMETERS}
                ]
            }
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
    }


def test_results_go_in_the_order_of_their_calls_whichever_came_first() -> None:
    """They name a function and no call, so that two of one function are told apart by their order alone."""
    calls = [ToolUse("a", "weather", '{"city":"Oslo"}'), ToolUse("b", "weather", '{"city":"Rome"}')]
    results = (
        ToolResult("b", "sun", shown=1),
        ImagePart("image/png", "eA=="),
        TextPart("So?"),
        ToolResult("a", "rain"),
    )
    prompt = replace(PLAIN, messages=(*PLAIN.messages, Message("assistant", tuple(calls)), Message("tool", results)))
    *_, answered = (GEMINI.call(prompt, "m", "k").body or {})["contents"]
    said = [part.get("functionResponse", part) for part in answered["parts"]]
    assert [one.get("response") for one in said] == [{"result": "rain"}, None, {"result": "sun"}]
    assert "parts" in said[2]


@pytest.mark.parametrize("said", ['{"code":5}', '{"error":"no such place"}', "no such place", "[5]"])
def test_what_failed_says_so_whatever_it_says(said: str) -> None:
    result = Message("tool", (ToolResult("a", said, "weather", is_error=True),))
    (answered,) = (GEMINI.call(replace(PLAIN, messages=(result,)), "m", "k").body or {})["contents"]
    told = answered["parts"][0]["functionResponse"]["response"]
    assert told == ({"error": "no such place"} if "place" in said else {"error": said})


def test_a_tool_can_be_demanded_by_name() -> None:
    body = GEMINI.call(replace(RICH, tool_choice="weather"), "m", "k").body or {}
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather"]}}


def test_a_model_name_cannot_leave_its_place_in_the_url() -> None:
    assert GEMINI.call(PLAIN, "x?key=1#", "k").url == f"{BASE}/models/x%3Fkey%3D1%23:generateContent"


def stream(*documents: Any) -> tuple[list[Event], Failure | None]:
    body = "".join(f"data: {json.dumps(document)}\r\n\r\n" for document in documents)
    return decoded(GEMINI.decoder(), body.encode(), 11)


def candidate(*parts: Any, **more: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": list(parts)}, **more}]}


def test_thoughts_images_and_calls_are_told_apart() -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(b"picture").decode()}}
    call = {"functionCall": {"name": "f", "args": {"x": 1}}}
    events, _ = stream(candidate({"text": "hm", "thought": True}, {"text": "Hi"}, image, call, finishReason="STOP"))
    assert events == [
        Reasoning("hm"),
        Text("Hi"),
        Asset("image/png", b"picture"),
        ToolCall(0, "", "f", '{"x":1}'),
        Usage(images=1),
        Done(Finish.TOOL_CALLS, "STOP"),
    ]


def calling(name: str = "", *pieces: Any, goes_on: bool = False) -> dict[str, Any]:
    said = {"name": name, "willContinue": goes_on, "partialArgs": [*pieces]}
    return candidate({"functionCall": {key: value for key, value in said.items() if value}})


def at(place: str, **value: Any) -> dict[str, Any]:
    return {"jsonPath": place, **value}


def test_a_call_that_comes_in_pieces_is_one_call() -> None:
    """As models stream the arguments of functions: vercel/ai, google-stream-tool-call-arguments.chunks.txt."""
    events, failure = stream(
        calling("now"),
        calling("plan", goes_on=True),
        calling("", at("$.stops[0].city", stringValue="Os", willContinue=True), goes_on=True),
        calling("", at("$.stops[0].city", stringValue="lo"), goes_on=True),
        calling("", at("$.stops[0].nights", numberValue=2), at("$.stops[1].city", stringValue="Rome"), goes_on=True),
        calling("", at("$['by train']", boolValue=True), at("$.note", nullValue=None), goes_on=True),
        candidate({"functionCall": {}}),
        calling("weather", goes_on=True),
        calling("", at("$.city", stringValue="Rome", willContinue=True), goes_on=True),
        calling("", at("$.city"), {"willContinue": True}, at("", stringValue="lost"), goes_on=True),
        candidate({"functionCall": {}}),
        calling("cut", at("$.far[999].a", stringValue="x"), goes_on=True),
        candidate({"text": ""}, finishReason="STOP"),
    )
    assert failure is None
    stops = '{"stops":[{"city":"Oslo","nights":2},{"city":"Rome"}],"by train":true,"note":null}'
    assert events == [
        ToolCall(0, "", "now", "{}"),
        ToolCall(1, "", "plan", stops),
        ToolCall(2, "", "weather", '{"city":"Rome"}'),
        ToolCall(3, "", "cut", '{"far":[{"a":"x"}]}'),
        Done(Finish.TOOL_CALLS, "STOP"),
    ]


def test_tokens_of_pictures_and_sound_are_told_apart() -> None:
    usage = {
        "promptTokenCount": 300,
        "candidatesTokenCount": 1300,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 42}, {"modality": "IMAGE", "tokenCount": 258}],
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}],
    }
    events, _ = stream(candidate(finishReason="STOP") | {"usageMetadata": usage})
    assert events[-2] == Usage(input=300, output=1300, input_image=258, output_image=1290)


def test_usage_of_several_documents_is_put_together() -> None:
    first = {"promptTokenCount": 10, "cachedContentTokenCount": 4, "toolUsePromptTokenCount": 2}
    events, _ = stream(
        {"usageMetadata": first},
        candidate(finishReason="STOP") | {"usageMetadata": {"candidatesTokenCount": 3, "thoughtsTokenCount": 7}},
    )
    assert events[-2] == Usage(input=8, cache_read=4, output=3, reasoning=7)


@pytest.mark.parametrize("body", [candidate({"text": "Hi"}), {"usageMetadata": {}}])
def test_a_stream_without_a_finish_reason_was_cut_off(body: dict[str, Any]) -> None:
    _, failure = stream(body)
    assert failure is not None
    assert (failure.kind, failure.code) == (Kind.TRANSIENT, "cut_off")


def test_a_blocked_prompt_is_an_answer_that_was_filtered() -> None:
    events, failure = stream({"promptFeedback": {"blockReason": "SAFETY"}})
    assert failure is None
    assert events == [Done(Finish.CONTENT_FILTER, "SAFETY", is_blocked=True)]


def test_an_error_inside_a_list_is_found_too() -> None:
    error = {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}
    for events, failure in (stream(error), decoded(GEMINI.decoder(), json.dumps([error]).encode(), 5)):
        assert events == []
        assert failure is not None
        assert (failure.kind, failure.status) == (Kind.TRANSIENT, 503)
