"""Requests in the format of Google's Interactions, and what its answers mean beyond what was recorded."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from dataelan_web.router.providers import adapter
from dataelan_web.router.types import (
    Again,
    Asset,
    AssetAt,
    Call,
    Done,
    Event,
    Failure,
    FilePart,
    Finish,
    Kind,
    Message,
    Progress,
    Prompt,
    Reasoning,
    Text,
    ToolCall,
    Unsupported,
    Usage,
)

from .prompts import PARAMETERS, PLAIN, RICH, SCHEMA
from .recordings import decoded

BASE = "https://generativelanguage.googleapis.com/v1beta"
GOOGLE = adapter("google-interactions", BASE)


def test_a_plain_prompt_is_a_small_request_that_is_not_kept() -> None:
    assert GOOGLE.call(PLAIN, "gemini", "secret") == Call(
        f"{BASE}/interactions",
        {
            "model": "gemini",
            "input": [{"type": "user_input", "content": [{"type": "text", "text": "Hi"}]}],
            "store": False,
        },
        {"x-goog-api-key": "secret", "Api-Revision": "2026-05-20"},
    )


def test_a_rich_prompt_says_everything() -> None:
    assert GOOGLE.call(RICH, "gemini", "k").body == {
        "model": "gemini",
        "store": False,
        "stream": True,
        "system_instruction": "Be brief.",
        "input": [
            {
                "type": "user_input",
                "content": [
                    {"type": "text", "text": "What is here?"},
                    {"type": "image", "data": "iVBORw0KGgo=", "mime_type": "image/png"},
                ],
            },
            {"type": "model_output", "content": [{"type": "text", "text": "A map."}]},
            {"type": "user_input", "content": [{"type": "text", "text": "And the weather in Oslo and Rome?"}]},
            {"type": "function_call", "id": "c1", "name": "weather", "arguments": {"city": "Oslo"}},
            {"type": "function_call", "id": "c2", "name": "weather", "arguments": {"city": "Rome"}},
            {"type": "function_result", "call_id": "c1", "name": "weather", "result": "rain"},
            {"type": "function_result", "call_id": "c2", "name": "weather", "result": '{"sky":"clear"}'},
        ],
        "generation_config": {
            "max_output_tokens": 100,
            "temperature": 0.5,
            "top_p": 0.9,
            "stop_sequences": ["END"],
            "seed": 7,
            "thinking_level": "low",
            "thinking_summaries": "auto",
            "tool_choice": "any",
        },
        "tools": [
            {"type": "function", "name": "weather", "description": "Tells the weather", "parameters": PARAMETERS}
        ],
        "response_format": {"type": "text", "mime_type": "application/json", "schema": SCHEMA},
    }


def test_a_tool_can_be_demanded_by_name() -> None:
    body = GOOGLE.call(replace(RICH, tool_choice="weather"), "m", "k").body or {}
    assert body["generation_config"]["tool_choice"] == {"allowed_tools": {"mode": "any", "tools": ["weather"]}}


def test_an_agent_works_in_the_background() -> None:
    body = GOOGLE.call(replace(PLAIN, stream=True), "deep-research-preview-04-2026", "k").body or {}
    assert body["agent"] == "deep-research-preview-04-2026"
    assert body["background"] is True
    assert not {"model", "stream", "generation_config"} & body.keys()


@pytest.mark.parametrize(
    ("part", "wire"),
    [
        (FilePart("application/pdf", data="JVBERg=="),
         {"type": "document", "data": "JVBERg==", "mime_type": "application/pdf"}),
        (FilePart("audio/wav", data="UklGRg=="), {"type": "audio", "data": "UklGRg==", "mime_type": "audio/wav"}),
        (FilePart("video/mp4", url="https://x.test/a.mp4"),
         {"type": "video", "uri": "https://x.test/a.mp4", "mime_type": "video/mp4"}),
    ],
)  # fmt: skip
def test_files_have_a_form_by_their_kind(part: FilePart, wire: dict[str, Any]) -> None:
    body = GOOGLE.call(Prompt((Message("user", (part,)),)), "m", "k").body or {}
    assert body["input"] == [{"type": "user_input", "content": [wire]}]


def test_a_file_of_no_known_kind_is_refused() -> None:
    with pytest.raises(Unsupported, match="application/zip"):
        GOOGLE.call(Prompt((Message("user", (FilePart("application/zip", data="UEs="),)),)), "m", "k")


# -- answers ---------------------------------------------------------------------------------------


def stream(*events: dict[str, Any]) -> tuple[list[Event], Failure | None]:
    return decoded(GOOGLE.decoder(), "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode(), 11)


def whole(**interaction: Any) -> tuple[list[Event], Failure | None]:
    return decoded(GOOGLE.decoder(), json.dumps(interaction).encode(), 11)


def start(index: int = 0, **step: Any) -> dict[str, Any]:
    return {"event_type": "step.start", "index": index, "step": step}


def delta(index: int = 0, **said: Any) -> dict[str, Any]:
    return {"event_type": "step.delta", "index": index, "delta": said}


def stop(index: int = 0) -> dict[str, Any]:
    return {"event_type": "step.stop", "index": index}


def completed(status: str = "completed", **more: Any) -> dict[str, Any]:
    return {"event_type": "interaction.completed", "interaction": {"id": "i1", "status": status, **more}}


DONE = Done(Finish.STOP, "completed", "", "i1")


def test_arguments_come_with_the_start_of_a_call_or_in_pieces() -> None:
    events, failure = stream(
        start(0, type="function_call", id="a", name="f", arguments={"x": 1}),
        stop(0),
        start(1, type="function_call", id="b", name="g", arguments={}),
        delta(1, type="arguments_delta", arguments='{"y":'),
        delta(1, type="arguments_delta", arguments="2}"),
        stop(1),
        completed("requires_action"),
    )
    assert failure is None
    assert events == [
        ToolCall(0, "a", "f", '{"x":1}'),
        ToolCall(1, "b", "g", '{"y":2}'),
        Done(Finish.TOOL_CALLS, "requires_action", "", "i1"),
    ]


def test_slices_of_sound_are_one_recording_with_its_rate() -> None:
    slices = [base64.b64encode(sound).decode() for sound in (b"\1\2", b"\3\4")]
    events, _ = stream(
        start(type="model_output"),
        *(delta(type="audio", mime_type="audio/l16", sample_rate=24000, data=data) for data in slices),
        stop(),
        completed(),
    )
    assert events == [Asset("audio/l16;rate=24000", b"\1\2\3\4"), DONE]


def test_pictures_come_as_bytes_or_as_an_address() -> None:
    data = base64.b64encode(b"picture").decode()
    events, _ = whole(
        id="i1",
        status="completed",
        steps=[
            {"type": "thought", "summary": [{"type": "text", "text": "Hm."}, {"type": "image", "data": data}]},
            {"type": "model_output", "content": [{"type": "image", "mime_type": "image/png", "data": data},
                                                 {"type": "video", "uri": "https://x.test/a.mp4"}]},
        ],
    )  # fmt: skip
    assert events == [
        Reasoning("Hm."),
        Asset("image/png", b"picture"),
        AssetAt("https://x.test/a.mp4"),
        Usage(images=1),
        DONE,
    ]


def test_usage_is_disjoint() -> None:
    reported = {
        "total_input_tokens": 100,
        "input_tokens_by_modality": [{"modality": "image", "tokens": 70}],
        "total_cached_tokens": 40,
        "cached_tokens_by_modality": [{"modality": "image", "tokens": 30}],
        "total_tool_use_tokens": 10,
        "total_output_tokens": 5,
        "total_thought_tokens": 7,
    }
    events, _ = whole(id="i1", status="completed", steps=[], usage=reported)
    assert events == [Usage(70, 40, None, 5, 7, input_image=40), DONE]


def test_the_older_flat_form_is_read_as_well() -> None:
    outputs = [{"type": "text", "text": "Hi"}, {"type": "function_call", "id": "a", "name": "f", "arguments": {}}]
    events, _ = whole(id="i1", status="completed", outputs=outputs)
    assert events[:2] == [Text("Hi"), ToolCall(0, "a", "f", "{}")]
    events, _ = stream(
        {"event_type": "interaction.start", "interaction": {"id": "i1", "status": "in_progress"}},
        {"event_type": "content.start", "index": 0, "content": {"type": "text"}},
        {"event_type": "content.delta", "index": 0, "delta": {"type": "text", "text": "Hi"}},
        {"event_type": "content.stop", "index": 0},
        {"event_type": "interaction.complete", "interaction": {"id": "i1", "status": "completed"}},
    )
    assert events == [Text("Hi"), DONE]


def test_a_status_that_is_final_is_an_end_and_another_is_not() -> None:
    said = [start(type="model_output"), delta(type="text", text="Hi")]
    status = {"event_type": "interaction.status_update", "interaction_id": "i1", "status": "completed"}
    events, failure = stream(*said, status)
    assert failure is None
    assert events == [Text("Hi"), Done(Finish.STOP, "completed")]
    events, failure = stream(*said, {**status, "status": "in_progress"})
    assert events == [Text("Hi")]
    assert failure is not None
    assert failure.code == "cut_off"


@pytest.mark.parametrize(
    "event",
    [
        {"event_type": "error", "error": {"code": "resource_exhausted", "message": "Slow down"}},
        completed("failed", errors=[{"code": "resource_exhausted", "message": "Slow down"}]),
        completed("failed", steps=[{"type": "model_output", "error": {"message": "Slow down", "code": 429}}]),
    ],
)
def test_a_failure_in_mid_stream_is_a_failure(event: dict[str, Any]) -> None:
    events, failure = stream(delta(type="text", text="Hi"), event)
    assert events == [Text("Hi")]
    assert failure is not None
    assert (failure.kind, failure.message) == (Kind.RATE_LIMIT, "Slow down")


def test_work_in_the_background_is_asked_for_until_it_is_done() -> None:
    decode, events = GOOGLE.decoder(), list[Event]()
    for interaction in (
        {"id": "i1", "status": "in_progress"},
        {"id": "i1", "status": "completed", "steps": [{"type": "model_output", "content": [{"type": "text",
                                                                                           "text": "Hi"}]}]},
    ):  # fmt: skip
        said, failure = decoded(decode, json.dumps(interaction).encode(), 7)
        assert failure is None
        events += said
    again = Again(Call(f"{BASE}/interactions/i1", method="GET"), 5.0, cancel=Call(f"{BASE}/interactions/i1/cancel"))
    assert events == [Progress(note="in_progress"), again, Text("Hi"), DONE]


def test_work_that_came_to_nothing_is_not_asked_for_again() -> None:
    decode = GOOGLE.decoder()
    decoded(decode, b'{"id":"i1","status":"queued"}', 7)
    _, failure = decoded(decode, b'{"id":"i1","status":"failed","errors":[{"message":"No"}]}', 7)
    assert failure is not None
    assert (failure.message, failure.code) == ("No", "job_failed")
