"""The Messages format."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from dataelan_web.router.providers import adapter
from dataelan_web.router.providers.anthropic_messages import DEFAULT_MAX_TOKENS
from dataelan_web.router.run import limited
from dataelan_web.router.types import Call, Done, Event, Failure, Finish, Kind, Text, ToolCall, Usage

from .prompts import PARAMETERS, PLAIN, RICH, SCHEMA
from .recordings import decoded

ANTHROPIC = adapter("anthropic", "https://api.anthropic.com/v1")


def test_a_plain_prompt_is_a_small_request_with_the_limit_that_the_format_demands() -> None:
    assert ANTHROPIC.call(PLAIN, "claude", "k") == Call(
        "https://api.anthropic.com/v1/messages",
        {
            "model": "claude",
            "max_tokens": DEFAULT_MAX_TOKENS,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        },
        {"anthropic-version": "2023-06-01", "x-api-key": "k"},
    )


@pytest.mark.parametrize(
    ("how", "asked"),
    [
        ({"reasoning_effort": "low"}, {"type": "adaptive"}),
        ({"thinking_budget": 2048, "max_tokens": 4000}, {"type": "enabled", "budget_tokens": 2048}),
        ({}, {"type": "adaptive"}),
        ({"reasoning_effort": "none"}, {"type": "disabled"}),
    ],
)
def test_that_thoughts_are_to_be_told_is_said_to_anthropic_itself(how: dict[str, Any], asked: dict[str, Any]) -> None:
    prompt = replace(PLAIN, summary="auto", **how)
    told = {"display": "summarized"} if asked["type"] != "disabled" else {}
    assert (ANTHROPIC.call(prompt, "claude", "k").body or {})["thinking"] == asked | told
    elsewhere = adapter("anthropic", "https://anthropic.example/v1").call(prompt, "claude", "k")
    assert (elsewhere.body or {})["thinking"] == asked


WORDS = {"type": "string"}
SHUT = {"additionalProperties": False}


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ({"type": "object", "properties": {"a": WORDS}}, {"type": "object", "properties": {"a": WORDS}, **SHUT}),
        (
            {"type": "array", "items": {"properties": {"properties": {"properties": {"b": WORDS}}}}},
            {
                "type": "array",
                "items": {"properties": {"properties": {"properties": {"b": WORDS}, **SHUT}}, **SHUT},
            },
        ),
        (
            {"$ref": "#/$defs/x", "$defs": {"x": {"anyOf": [{"properties": {"a": WORDS}}, WORDS]}}},
            {"$ref": "#/$defs/x", "$defs": {"x": {"anyOf": [{"properties": {"a": WORDS}, **SHUT}, WORDS]}}},
        ),
        ({"properties": {"a": WORDS}, "additionalProperties": True},) * 2,
        ({"properties": {"a": WORDS}, "allOf": [{"required": ["b"]}]},) * 2,
        ({"allOf": [{"properties": {"a": WORDS}}, {"properties": {"b": WORDS}}]},) * 2,
        ({"enum": [{"properties": {"a": 1}}]},) * 2,
    ],
)
def test_objects_are_closed_as_it_demands_where_they_mean_the_same(said: dict[str, Any], asked: dict[str, Any]) -> None:
    body = ANTHROPIC.call(replace(PLAIN, schema=said), "claude", "k").body or {}
    assert body["output_config"]["format"]["schema"] == asked


def test_a_rich_prompt_says_everything_but_the_seed() -> None:
    assert ANTHROPIC.call(RICH, "claude", "k").body == {
        "model": "claude",
        "max_tokens": 100,
        "system": "Be brief.",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is here?"},
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
                    },
                ],
            },
            {"role": "assistant", "content": [{"type": "text", "text": "A map."}]},
            {"role": "user", "content": [{"type": "text", "text": "And the weather in Oslo and Rome?"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Oslo"}},
                    {"type": "tool_use", "id": "c2", "name": "weather", "input": {"city": "Rome"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": "rain"},
                    {"type": "tool_result", "tool_use_id": "c2", "content": '{"sky":"clear"}'},
                ],
            },
        ],
        "temperature": 0.5,
        "top_p": 0.9,
        "stop_sequences": ["END"],
        "stream": True,
        "tools": [{"name": "weather", "input_schema": PARAMETERS, "description": "Tells the weather"}],
        "tool_choice": {"type": "any"},
        "thinking": {"type": "adaptive"},
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}, "effort": "low"},
    }


@pytest.mark.parametrize(
    ("choice", "wire"),
    [("auto", {"type": "auto"}), ("none", {"type": "none"}), ("weather", {"type": "tool", "name": "weather"})],
)
def test_tool_choices(choice: str, wire: dict[str, str]) -> None:
    assert (ANTHROPIC.call(replace(RICH, tool_choice=choice), "m", "k").body or {})["tool_choice"] == wire


@pytest.mark.parametrize(
    ("budget", "most", "thinking"),
    [
        (1_500, 2_000, {"type": "enabled", "budget_tokens": 1_500}),
        (8_000, 3_000, {"type": "enabled", "budget_tokens": 1_500}),
        (8_000, 2_000, {"type": "disabled"}),
    ],
)
def test_thinking_is_lowered_with_the_answer(budget: int, most: int, thinking: dict[str, Any]) -> None:
    """As limits lower it: a budget of all that may be written, or more, is refused by the API."""
    prompt = limited(replace(PLAIN, max_tokens=16_000, thinking_budget=budget), most)
    assert (ANTHROPIC.call(prompt, "m", "k").body or {})["thinking"] == thinking


def test_no_effort_turns_thinking_off() -> None:
    body = ANTHROPIC.call(replace(PLAIN, reasoning_effort="none"), "m", "k").body or {}
    assert body["thinking"] == {"type": "disabled"}
    assert "output_config" not in body


def stream(*documents: dict[str, Any]) -> tuple[list[Event], Failure | None]:
    body = "".join(f"event: {document['type']}\ndata: {json.dumps(document)}\n\n" for document in documents)
    return decoded(ANTHROPIC.decoder(), body.encode(), 11)


START = {"type": "message_start", "message": {"id": "m1", "model": "c", "usage": {"input_tokens": 3}}}
HI = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}}
STOP = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}


def test_cumulative_usage_replaces_what_the_start_said() -> None:
    start = {**START, "message": {"usage": {"input_tokens": 3, "output_tokens": 1, "cache_read_input_tokens": 40}}}
    last = {**STOP, "usage": {"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 5}}}
    events, _ = stream(start, last)
    assert events[-2] == Usage(input=3, cache_read=40, output=4, reasoning=5)


def test_a_stop_reason_is_an_end_and_nothing_before_it_is() -> None:
    assert stream(START, HI, STOP)[0][-1] == Done(Finish.STOP, "end_turn", "c", "m1")
    events, failure = stream(START, HI)
    assert events[-1] == Text("Hi")
    assert failure is not None
    assert (failure.kind, failure.code) == (Kind.TRANSIENT, "cut_off")


def test_an_error_event_is_a_failure_of_its_own_kind() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    events, failure = stream(START, HI, error)
    assert events[-1] == Text("Hi")
    assert failure is not None
    assert (failure.kind, failure.message) == (Kind.TRANSIENT, "Overloaded")


def test_a_call_without_arguments_has_an_empty_object() -> None:
    block = {"type": "tool_use", "id": "t", "name": "now", "input": {}}
    events, _ = stream(
        START,
        {"type": "content_block_start", "index": 4, "content_block": block},
        {"type": "content_block_stop", "index": 4},
        STOP,
    )
    assert ToolCall(0, "t", "now", "{}") in events
