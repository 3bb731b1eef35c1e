"""The chat completions format: what is asked, and what its many servers answer."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from dataelan_web.router.providers import adapter, openai_chat_answer
from dataelan_web.router.providers.framing import Frames
from dataelan_web.router.providers.openai_chat_answer import usage_of
from dataelan_web.router.types import (
    Asset,
    Call,
    Done,
    Event,
    Failure,
    Finish,
    Kind,
    Text,
    Tool,
    ToolCall,
    Usage,
)

from .prompts import PARAMETERS, PLAIN, RICH, SCHEMA
from .recordings import decoded

OPENAI = adapter("openai", "https://api.openai.com/v1")
OLLAMA = adapter("openai", "http://localhost:11434/v1/")
MISTRAL = adapter("openai", "https://api.mistral.ai/v1")


def test_a_plain_prompt_is_a_small_request() -> None:
    assert OLLAMA.call(PLAIN, "llama", "") == Call(
        "http://localhost:11434/v1/chat/completions",
        {"model": "llama", "messages": [{"role": "user", "content": "Hi"}]},
    )


def test_a_rich_prompt_says_everything() -> None:
    call = OPENAI.call(RICH, "gpt", "sk-secret")
    assert call.headers == {"Authorization": "Bearer sk-secret"}
    assert call.body == {
        "model": "gpt",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is here?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                ],
            },
            {"role": "assistant", "content": "A map."},
            {"role": "user", "content": "And the weather in Oslo and Rome?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}},
                    {"id": "c2", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}},
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "rain"},
            {"role": "tool", "tool_call_id": "c2", "content": '{"sky":"clear"}'},
        ],
        "max_completion_tokens": 100,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["END"],
        "seed": 7,
        "reasoning_effort": "low",
        "tools": [
            {
                "type": "function",
                "function": {"name": "weather", "description": "Tells the weather", "parameters": PARAMETERS},
            }
        ],
        "tool_choice": "required",
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True},
        },
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_only_openai_itself_is_asked_with_the_newer_name_of_the_limit() -> None:
    for host in ("openai", "services.ai", "cognitiveservices"):
        call = adapter("openai", f"https://mine.{host}.azure.com/openai/v1").call(RICH, "m", "k")
        assert "max_completion_tokens" in (call.body or {})
        assert call.headers == {"api-key": "k"}
    assert "max_tokens" in (OLLAMA.call(RICH, "m", "k").body or {})


def test_mistral_is_not_sent_fields_it_refuses() -> None:
    body = MISTRAL.call(RICH, "m", "k").body or {}
    assert body["random_seed"] == 7
    assert not {"seed", "stream_options"} & body.keys()


def test_a_tool_can_be_demanded_by_name() -> None:
    body = OPENAI.call(replace(RICH, tool_choice="weather"), "m", "k").body or {}
    assert body["tool_choice"] == {"type": "function", "function": {"name": "weather"}}


def test_a_tool_without_parameters_takes_an_empty_object() -> None:
    body = OPENAI.call(replace(PLAIN, tools=(Tool("now"),)), "m", "k").body or {}
    assert body["tools"][0]["function"] == {"name": "now", "parameters": {"type": "object", "properties": {}}}


@pytest.mark.parametrize("open_schema", [{"type": "object", "properties": {}}, {**SCHEMA, "required": []}])
def test_strict_is_not_asked_of_an_open_schema(open_schema: dict[str, Any]) -> None:
    body = OPENAI.call(replace(PLAIN, schema=open_schema), "m", "k").body or {}
    assert body["response_format"]["json_schema"]["strict"] is False


# -- answers ---------------------------------------------------------------------------------------


def stream(*documents: Any, done: bool = True) -> tuple[list[Event], Failure | None]:
    body = "".join(f"data: {json.dumps(document)}\n\n" for document in documents) + "data: [DONE]\n\n" * done
    return decoded(OPENAI.decoder(), body.encode(), 11)


def delta(**said: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": said}]}


FINISH = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


@pytest.mark.parametrize("done", [True, False])
def test_a_finish_reason_or_done_is_an_end(done: bool) -> None:
    events, failure = stream(delta(content="Hi"), FINISH, done=done)
    assert failure is None
    assert events == [Text("Hi"), Done(Finish.STOP, "stop")]


def test_without_either_the_answer_was_cut_off_and_its_text_was_said_all_the_same() -> None:
    events, failure = stream(delta(content="Hi"), done=False)
    assert events == [Text("Hi")]
    assert failure is not None
    assert (failure.kind, failure.code) == (Kind.TRANSIENT, "cut_off")


def test_an_error_in_mid_stream_is_a_failure_of_its_own_kind() -> None:
    events, failure = stream(delta(content="Hi"), {"error": {"message": "slow down", "code": 429}})
    assert events == [Text("Hi")]
    assert failure is not None
    assert failure.kind is Kind.RATE_LIMIT


@pytest.mark.parametrize("finish", ["error", "insufficient_system_resource"])
def test_a_server_that_gave_up_is_transient(finish: str) -> None:
    _, failure = stream({"choices": [{"delta": {"content": "Hi"}, "finish_reason": finish}]})
    assert failure is not None
    assert failure.kind is Kind.TRANSIENT


def test_calls_without_numbers_or_with_the_same_number_stay_apart() -> None:
    def call(id: str, **more: Any) -> dict[str, Any]:
        return {"id": id, "function": {"name": "f", "arguments": {"x": id}}, **more}

    for numbered in ({}, {"index": 0}):
        events, _ = stream(delta(tool_calls=[call("a", **numbered), call("b", **numbered)]), FINISH)
        assert events[:2] == [ToolCall(0, "a", "f", '{"x":"a"}'), ToolCall(1, "b", "f", '{"x":"b"}')]
        assert events[2] == Done(Finish.TOOL_CALLS, "stop")


def test_an_image_in_the_answer_is_an_asset() -> None:
    url = "data:image/png;base64," + base64.b64encode(b"picture").decode()
    events, _ = stream(delta(images=[{"type": "image_url", "image_url": {"url": url}}]), FINISH)
    assert events[0] == Asset("image/png", b"picture")


def test_another_json_than_a_chat_completion_is_named() -> None:
    _, failure = decoded(OPENAI.decoder(), b'{"status":"ok"}', 3)
    assert failure is not None
    assert "not a chat completion" in failure.message


@pytest.mark.parametrize(
    ("reported", "usage"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 5}, Usage(10, None, None, 5, None)),
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}},
            Usage(6, 4, None, 5, None),
        ),
        ({"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_hit_tokens": 8}, Usage(2, 8, None, 5, None)),
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 9}},
            Usage(10, None, None, 0, 5),
        ),
        (  # xAI: the total shows that reasoning comes on top
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 35,
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            Usage(10, None, None, 5, 20),
        ),
        (
            {"prompt_tokens": 7, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 163}},
            Usage(0, 7, None, 1, None),
        ),
        ({"prompt_tokens": -1, "completion_tokens": "5", "total_tokens": 1e999}, Usage()),
        ({}, Usage()),
    ],
)
def test_usage_is_five_disjoint_counters(reported: dict[str, Any], usage: Usage) -> None:
    assert usage_of(reported) == usage


WORDS: dict[str, Any] = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": None, "logprobs": None}
PIECE: dict[str, Any] = {"id": "c1", "object": "chat.completion.chunk", "model": "m", "choices": [WORDS], "usage": None}


@pytest.mark.parametrize(
    "piece",
    [
        PIECE,
        PIECE | {"object": "error"},
        PIECE | {"error": {"message": "late"}},
        PIECE | {"type": "error", "message": "late"},
        PIECE | {"usage": {"prompt_tokens": 1, "completion_tokens": 1}},
        PIECE | {"x_groq": {"usage": {"prompt_tokens": 1, "completion_tokens": 1}}},
        PIECE | {"choices": []},
        PIECE | {"choices": [WORDS | {"index": 1}]},
        PIECE | {"choices": [WORDS | {"index": 1}, WORDS]},
        PIECE | {"choices": [WORDS | {"error": {"message": "late"}}]},
        PIECE | {"choices": [WORDS | {"finish_reason": "stop"}]},
        PIECE | {"choices": [WORDS | {"finish_reason": "error"}]},
        PIECE | {"choices": [WORDS | {"message": {"content": "Hi again"}}]},
        PIECE | {"choices": [WORDS | {"logprobs": {"content": [{"token": "Hi", "logprob": -1, "top_logprobs": []}]}}]},
        PIECE | {"choices": [WORDS | {"delta": {"content": "a\x00\ud83d", "role": "assistant"}}]},
        PIECE | {"choices": [WORDS | {"delta": {"content": ["Hi"]}}]},
        PIECE | {"choices": [WORDS | {"delta": {"content": "Hi", "reasoning": "Hm"}}]},
        PIECE | {"choices": [WORDS | {"delta": None}]},
        PIECE | {"choices": ["Hi"]},
        PIECE | {"choices": "Hi"},
        [PIECE],
        "Hi",
    ],
)
def test_a_plain_piece_is_read_as_any_other(piece: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = PIECE | {"choices": [WORDS | {"delta": {"role": "assistant", "content": ""}}]}
    body = b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in (first, piece, piece))

    def read() -> Any:
        answer = openai_chat_answer.ChatAnswer()
        try:
            return [event for frame in Frames().feed(body, False) for event in answer.read(frame)]
        except Failure as failure:
            return failure.kind, failure.message, failure.code

    found = read()
    monkeypatch.setattr(openai_chat_answer, "_plain_words", lambda document: "")
    assert found == read()
