"""Requests in OpenAI's Responses format, and what its answers mean beyond what was recorded."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from dataelan_web.router.providers import adapter
from dataelan_web.router.types import (
    Again,
    Asset,
    Call,
    Done,
    Event,
    Failure,
    FilePart,
    Finish,
    ImagePart,
    Kind,
    Message,
    Progress,
    Prompt,
    Reasoning,
    Refusal,
    Text,
    TextPart,
    Tool,
    ToolCall,
    Unsupported,
    Usage,
)

from .prompts import PARAMETERS, PLAIN, RICH, SCHEMA
from .recordings import answer, decoded, needs_recordings

OPENAI = adapter("openai-responses", "https://api.openai.com/v1")


def test_a_plain_prompt_is_a_small_request_that_is_not_kept() -> None:
    assert OPENAI.call(PLAIN, "gpt", "sk-secret") == Call(
        "https://api.openai.com/v1/responses",
        {"model": "gpt", "input": [{"role": "user", "content": "Hi"}], "store": False},
        {"Authorization": "Bearer sk-secret"},
    )


def test_azure_is_told_the_key_in_its_own_header() -> None:
    azure = adapter("openai-responses", "https://mine.openai.azure.com/openai/v1")
    call = azure.call(PLAIN, "gpt", "secret")
    assert call.url == "https://mine.openai.azure.com/openai/v1/responses"
    assert call.headers == {"api-key": "secret"}


def test_a_rich_prompt_says_everything() -> None:
    assert OPENAI.call(replace(RICH, stop=()), "gpt", "k").body == {
        "model": "gpt",
        "store": False,
        "instructions": "Be brief.",
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is here?"},
                    {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="},
                ],
            },
            {"role": "assistant", "content": "A map."},
            {"role": "user", "content": "And the weather in Oslo and Rome?"},
            {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city":"Oslo"}'},
            {"type": "function_call", "call_id": "c2", "name": "weather", "arguments": '{"city":"Rome"}'},
            {"type": "function_call_output", "call_id": "c1", "output": "rain"},
            {"type": "function_call_output", "call_id": "c2", "output": '{"sky":"clear"}'},
        ],
        "max_output_tokens": 100,
        "temperature": 0.5,
        "top_p": 0.9,
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"format": {"type": "json_schema", "name": "answer", "schema": SCHEMA, "strict": True}},
        "stream": True,
        "tools": [
            {
                "type": "function",
                "name": "weather",
                "description": "Tells the weather",
                "parameters": PARAMETERS,
                "strict": False,
            }
        ],
        "tool_choice": "required",
    }


def test_stop_sequences_are_refused_and_not_ignored() -> None:
    with pytest.raises(Unsupported, match="stop sequences"):
        OPENAI.call(RICH, "gpt", "k")


def test_a_tool_can_be_demanded_by_name() -> None:
    body = OPENAI.call(replace(PLAIN, tools=(Tool("now"),), tool_choice="now"), "m", "k").body or {}
    assert body["tool_choice"] == {"type": "function", "name": "now"}
    assert body["tools"][0]["parameters"] == {"type": "object", "properties": {}}


def test_no_reasoning_needs_no_summary() -> None:
    assert (OPENAI.call(replace(PLAIN, reasoning_effort="none"), "m", "k").body or {})["reasoning"] == {
        "effort": "none"
    }


@pytest.mark.parametrize(
    ("part", "wire"),
    [
        (FilePart("application/pdf", data="JVBERg==", name="a.pdf"),
         {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}),
        (FilePart("application/pdf", url="https://x.test/a.pdf"),
         {"type": "input_file", "file_url": "https://x.test/a.pdf"}),
        (FilePart("audio/mpeg", data="SUQz"),
         {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}}),
        (ImagePart(url="https://x.test/a.png"), {"type": "input_image", "image_url": "https://x.test/a.png"}),
    ],
)  # fmt: skip
def test_files_have_a_form_by_their_kind(part: FilePart | ImagePart, wire: dict[str, Any]) -> None:
    body = OPENAI.call(Prompt((Message("user", (TextPart("Read"), part)),)), "m", "k").body or {}
    assert body["input"] == [{"role": "user", "content": [{"type": "input_text", "text": "Read"}, wire]}]


def test_film_is_refused() -> None:
    with pytest.raises(Unsupported, match="video/mp4"):
        OPENAI.call(Prompt((Message("user", (FilePart("video/mp4", data="AAAA"),)),)), "m", "k")


def test_a_picture_the_assistant_made_is_shown_to_it_by_the_user() -> None:
    made = Message("assistant", (TextPart("Here."), ImagePart("image/png", data="iVBORw0KGgo=")))
    body = OPENAI.call(Prompt((made,)), "m", "k").body or {}
    assert [item["role"] for item in body["input"]] == ["assistant", "user"]


# -- answers ---------------------------------------------------------------------------------------


def stream(*events: dict[str, Any]) -> tuple[list[Event], Failure | None]:
    return decoded(OPENAI.decoder(), "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode(), 11)


def whole(**response: Any) -> tuple[list[Event], Failure | None]:
    return decoded(OPENAI.decoder(), json.dumps(response).encode(), 11)


def delta(type: str, text: str, **place: int) -> dict[str, Any]:
    return {"type": f"response.{type}.delta", "output_index": 0, "content_index": 0, "delta": text, **place}


def item(type: str, at: int = 0, **said: Any) -> dict[str, Any]:
    return {"type": "response.output_item.done", "output_index": at, "item": {"type": type, **said}}


COMPLETED = {"type": "response.completed", "response": {"id": "r1", "model": "m", "status": "completed"}}
DONE = Done(Finish.STOP, "completed", "m", "r1")


def test_what_comes_in_pieces_and_whole_is_said_once() -> None:
    message = {"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}
    events, failure = stream(
        delta("output_text", "Hel"),
        delta("output_text", "lo"),
        {"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "Hello"},
        item(**message),
        {**COMPLETED, "response": {**COMPLETED["response"], "output": [message]}},  # type: ignore[dict-item]
    )
    assert failure is None
    assert events == [Text("Hello"), DONE]


def test_what_comes_only_whole_is_said_as_well() -> None:
    message = {"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}
    response = {"id": "r1", "model": "m", "status": "completed", "output": [message]}
    for events, failure in (
        stream(delta("output_text", "Hel"), item(**message), COMPLETED),
        stream(item(**message), COMPLETED),
        stream({"type": "response.completed", "response": response}),
        whole(**response),
    ):
        assert failure is None
        assert events == [Text("Hello"), DONE]


def test_a_thought_is_told_in_one_form() -> None:
    thought = {"summary": [{"type": "summary_text", "text": "Short"}], "content": [{"text": "At length"}]}
    events, _ = stream(delta("reasoning_summary_text", "Short"), delta("reasoning_text", "At length"),
                       item("reasoning", **thought), COMPLETED)  # fmt: skip
    assert events == [Reasoning("Short"), DONE]


def test_parallel_calls_are_numbered_by_their_items() -> None:
    def added(at: int, **said: Any) -> dict[str, Any]:
        return {**item("function_call", at, **said), "type": "response.output_item.added"}

    events, _ = stream(
        added(1, call_id="a", name="f", arguments=""),
        added(2, call_id="b", name="g", arguments=""),
        delta("function_call_arguments", '{"x":', output_index=2),
        delta("function_call_arguments", "{}", output_index=1),
        delta("function_call_arguments", "1}", output_index=2),
        item("function_call", 1, call_id="a", name="f", arguments="{}"),
        item("function_call", 2, call_id="b", name="g", arguments='{"x":1}'),
        COMPLETED,
    )
    calls: dict[int, str] = {}
    for event in events:
        if isinstance(event, ToolCall):
            calls[event.index] = calls.get(event.index, "") + event.id + event.name + event.arguments
    assert calls == {0: "af{}", 1: 'bg{"x":1}'}
    assert events[-1] == replace(DONE, finish=Finish.TOOL_CALLS)


def test_a_call_in_free_words_has_them_as_its_arguments() -> None:
    """What OpenAI calls a custom tool."""
    whole = item("custom_tool_call", call_id="a", name="sql", input="SELECT 1")
    in_pieces = stream(
        {**item("custom_tool_call", call_id="a", name="sql", input=""), "type": "response.output_item.added"},
        delta("custom_tool_call_input", "SELECT"),
        delta("custom_tool_call_input", " 1"),
        whole,
        COMPLETED,
    )
    for events, _ in (stream(whole, COMPLETED), in_pieces):
        calls = [event for event in events if isinstance(event, ToolCall)]
        assert ("".join(call.name for call in calls), "".join(call.arguments for call in calls)) == ("sql", "SELECT 1")
        assert events[-1] == replace(DONE, finish=Finish.TOOL_CALLS)


def test_calls_that_the_provider_answers_itself_are_not_ours() -> None:
    events, _ = stream(item("web_search_call", status="completed"), item("mcp_call", 1, name="roll"), COMPLETED)
    assert events == [DONE]


def test_a_refusal_is_text_of_its_own_kind() -> None:
    events, _ = stream(delta("refusal", "I cannot."), COMPLETED)
    assert events == [Refusal("I cannot."), DONE]


def test_a_picture_is_an_asset_with_the_prompt_it_was_made_from() -> None:
    result = base64.b64encode(b"\x89PNG").decode()
    picture = {"result": result, "output_format": "png", "revised_prompt": "A red cat"}
    events, _ = stream(item("image_generation_call", **picture), COMPLETED)
    assert events == [Asset("image/png", b"\x89PNG", "A red cat"), DONE]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("max_output_tokens", Finish.LENGTH), ("content_filter", Finish.CONTENT_FILTER), ("tired", Finish.OTHER)],
)
def test_an_incomplete_answer_says_why(reason: str, finish: Finish) -> None:
    events, _ = whole(id="r1", model="m", status="incomplete", incomplete_details={"reason": reason}, output=[])
    assert events == [Done(finish, reason, "m", "r1")]


def test_usage_is_disjoint_and_knows_the_bill() -> None:
    events, _ = whole(
        status="completed",
        output=[],
        usage={
            "input_tokens": 100,
            "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
            "output_tokens": 50,
            "output_tokens_details": {"reasoning_tokens": 20},
            "cost_in_usd_ticks": 25_000_000,
        },
    )
    assert events[0] == Usage(30, 60, 10, 30, 20, billed_usd=Decimal("0.0025"))


@pytest.mark.parametrize(
    ("event", "kind", "message"),
    [
        ({"type": "error", "code": "server_error", "message": "Oops"}, Kind.TRANSIENT, "Oops"),
        ({"type": "error", "error": {"code": "rate_limit_exceeded", "message": "Slow"}}, Kind.RATE_LIMIT, "Slow"),
        ({"type": "response.failed", "response": {"status": "failed", "error": {"code": "server_error",
          "message": "Oops"}}}, Kind.TRANSIENT, "Oops"),
        ({"type": "response.failed", "response": {"status": "failed", "error": None}}, Kind.TRANSIENT,
         "The provider broke off its answer because of an error."),
    ],
)  # fmt: skip
def test_a_failure_in_mid_stream_is_a_failure(event: dict[str, Any], kind: Kind, message: str) -> None:
    events, failure = stream(delta("output_text", "Hi"), event)
    assert events == [Text("Hi")]
    assert failure is not None
    assert (failure.kind, failure.message) == (kind, message)


def test_without_a_last_event_the_answer_was_cut_off() -> None:
    events, failure = stream(delta("output_text", "Hi"), item("message", content=[]))
    assert events == [Text("Hi")]
    assert failure is not None
    assert failure.code == "cut_off"


def test_another_json_than_a_response_is_named() -> None:
    _, failure = whole(ok=True)
    assert failure is not None
    assert "not a response" in failure.message


# -- answers made in the background ----------------------------------------------------------------


def polled(*responses: dict[str, Any]) -> tuple[list[Event], Failure | None]:
    decode, events = OPENAI.decoder(), list[Event]()
    for response in responses:
        said, failure = decoded(decode, json.dumps(response).encode(), 7)
        events += said
    return events, failure


AGAIN = Again(
    Call("https://api.openai.com/v1/responses/r%2F1", method="GET"),
    2.0,
    cancel=Call("https://api.openai.com/v1/responses/r%2F1/cancel"),
)


def test_a_queued_answer_is_asked_for_until_it_is_there() -> None:
    message = {"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}
    events, failure = polled(
        {"id": "r/1", "status": "queued", "output": []},
        {"id": "r/1", "status": "in_progress", "output": []},
        {"id": "r/1", "status": "completed", "output": [message], "usage": {"input_tokens": 1, "output_tokens": 2}},
    )
    assert failure is None
    assert events == [
        Progress(note="queued"),
        AGAIN,
        Progress(note="in_progress"),
        AGAIN,
        Text("Hello"),
        Usage(input=1, output=2),
        Done(Finish.STOP, "completed", "", "r/1"),
    ]


@needs_recordings
def test_a_recorded_job_ends_in_its_tool_call() -> None:
    decode, events = OPENAI.decoder(), list[Event]()
    for id in ("openai.openai-responses.empty-or-job.6cfc25bf93", "openai.openai-responses.tools.7cf73bb93a"):
        said, failure = decoded(decode, answer(id)[1], 9)
        assert failure is None
        events += said
    assert [type(event) for event in events] == [Progress, Again, ToolCall, Usage, Done]


@pytest.mark.parametrize(("status", "kind"), [("failed", Kind.TRANSIENT), ("cancelled", Kind.ABORTED)])
def test_a_job_that_came_to_nothing_is_not_asked_for_again(status: str, kind: Kind) -> None:
    _, failure = polled({"id": "r/1", "status": "queued"}, {"id": "r/1", "status": status, "error": None})
    assert failure is not None
    assert (failure.kind, failure.code) == (kind, "job_failed")
