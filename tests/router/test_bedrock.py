"""Bedrock's Converse: what is asked, and what is answered."""

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
    FilePart,
    Finish,
    ImagePart,
    Kind,
    Message,
    Prompt,
    Reasoning,
    Text,
    ToolCall,
    Unsupported,
    Usage,
)

from .aws_messages import event, exception
from .prompts import PARAMETERS, PLAIN, RICH, SCHEMA
from .recordings import decoded

BASE = "https://bedrock-runtime.us-east-1.amazonaws.com"
CONVERSE = adapter("bedrock", BASE)
NOVA, CLAUDE = "us.amazon.nova-2-lite-v1:0", "us.anthropic.claude-sonnet-4-6"


def asked(prompt: Prompt, model: str = CLAUDE) -> dict[str, Any]:
    return dict(CONVERSE.call(prompt, model, "k").body or {})


# -- the request ----------------------------------------------------------------------------------


def test_a_plain_prompt_is_a_small_request() -> None:
    assert CONVERSE.call(PLAIN, NOVA, "k") == Call(
        f"{BASE}/model/us.amazon.nova-2-lite-v1%3A0/converse",
        {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]},
        {"Authorization": "Bearer k"},
    )


def test_a_rich_prompt_says_everything_but_the_seed() -> None:
    call = CONVERSE.call(RICH, CLAUDE, "k")
    assert call.url == f"{BASE}/model/us.anthropic.claude-sonnet-4-6/converse-stream"
    assert json.loads((call.body or {})["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["schema"]) == SCHEMA
    assert call.body == {
        "system": [{"text": "Be brief."}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"text": "What is here?"},
                    {"image": {"format": "png", "source": {"bytes": "iVBORw0KGgo="}}},
                ],
            },
            {"role": "assistant", "content": [{"text": "A map."}]},
            {"role": "user", "content": [{"text": "And the weather in Oslo and Rome?"}]},
            {
                "role": "assistant",
                "content": [
                    {"toolUse": {"toolUseId": "c1", "name": "weather", "input": {"city": "Oslo"}}},
                    {"toolUse": {"toolUseId": "c2", "name": "weather", "input": {"city": "Rome"}}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"toolResult": {"toolUseId": "c1", "content": [{"text": "rain"}]}},
                    {"toolResult": {"toolUseId": "c2", "content": [{"text": '{"sky":"clear"}'}]}},
                ],
            },
        ],
        "inferenceConfig": {"maxTokens": 100, "temperature": 0.5, "topP": 0.9, "stopSequences": ["END"]},
        "toolConfig": {
            "tools": [
                {
                    "toolSpec": {
                        "name": "weather",
                        "description": "Tells the weather",
                        "inputSchema": {"json": PARAMETERS},
                    }
                }
            ],
            "toolChoice": {"any": {}},
        },
        "outputConfig": {
            "textFormat": {
                "type": "json_schema",
                "structure": {"jsonSchema": {"name": "answer", "schema": json.dumps(SCHEMA, separators=(",", ":"))}},
            },
            "effort": "low",
        },
        "additionalModelRequestFields": {"thinking": {"type": "adaptive"}},
    }


@pytest.mark.parametrize(
    ("model", "effort", "said"),
    [
        (NOVA, "xhigh", {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}),
        (NOVA, "none", {"reasoningConfig": {"type": "disabled"}}),
        ("openai.gpt-oss-120b-1:0", "low", {"reasoning_effort": "low"}),
        (CLAUDE, "none", {"thinking": {"type": "disabled"}}),
    ],
)
def test_some_makers_have_their_own_word_for_thinking(model: str, effort: str, said: dict[str, Any]) -> None:
    body = asked(replace(PLAIN, reasoning_effort=effort), model)
    assert body == asked(PLAIN, model) | {"additionalModelRequestFields": said}


def test_the_others_are_told_of_effort_in_the_formats_word() -> None:
    plain = asked(PLAIN, "qwen.qwen3-32b-v1:0")
    assert asked(replace(PLAIN, reasoning_effort="minimal"), "qwen.qwen3-32b-v1:0") == plain | {
        "outputConfig": {"effort": "low"}
    }
    assert asked(replace(PLAIN, reasoning_effort="none"), "qwen.qwen3-32b-v1:0") == plain


@pytest.mark.parametrize(("choice", "said"), [("auto", {"auto": {}}), ("weather", {"tool": {"name": "weather"}})])
def test_the_choice_of_tools_is_said_in_its_own_words(choice: str, said: dict[str, Any]) -> None:
    assert asked(replace(RICH, tool_choice=choice))["toolConfig"]["toolChoice"] == said


def test_tools_that_must_not_be_called_are_left_out_as_long_as_none_was_used() -> None:
    assert "toolConfig" not in asked(replace(PLAIN, tools=RICH.tools, tool_choice="none"))
    with pytest.raises(Unsupported, match="cannot forbid"):
        asked(replace(RICH, tool_choice="none"))


def test_documents_sound_and_films_are_named_by_their_form() -> None:
    parts = (
        FilePart("application/pdf", data="AAAA", name="Plan_(v2).pdf"),
        FilePart("application/pdf", data="AAAA", name="Plan (v2).pdf"),
        FilePart("text/x-python", data="AAAA"),
        FilePart("audio/mpeg", data="AAAA"),
        FilePart("video/quicktime", url="s3://bucket/film.mov"),
    )
    source = {"bytes": "AAAA"}
    assert asked(Prompt((Message("user", parts),)))["messages"][0]["content"] == [
        {"document": {"format": "pdf", "name": "Plan (v2)", "source": source}},
        {"document": {"format": "pdf", "name": "Plan (v2) 2", "source": source}},
        {"document": {"format": "txt", "name": "document", "source": source}},
        {"audio": {"format": "mp3", "source": source}},
        {"video": {"format": "mov", "source": {"s3Location": {"uri": "s3://bucket/film.mov"}}}},
    ]


@pytest.mark.parametrize(
    ("part", "says"),
    [
        (ImagePart("image/tiff", data="AAAA"), "does not read image/tiff"),
        (ImagePart("image/png", url="https://example.org/a.png"), "does not fetch"),
        (FilePart("application/zip", data="AAAA"), "does not read application/zip"),
    ],
)
def test_what_it_cannot_read_is_refused_in_words(part: ImagePart | FilePart, says: str) -> None:
    with pytest.raises(Unsupported, match=says):
        asked(Prompt((Message("user", (part,)),)))


def test_a_model_name_cannot_leave_its_place_in_the_url() -> None:
    arn = "arn:aws:bedrock:us-east-1:1:inference-profile/x?y#"
    assert CONVERSE.call(PLAIN, arn, "").url == (
        f"{BASE}/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fx%3Fy%23/converse"
    )


# -- the answer -----------------------------------------------------------------------------------


def converse(*messages: bytes) -> tuple[list[Event], Failure | None]:
    return decoded(CONVERSE.decoder(), b"".join(messages), 7)


def delta(index: int, **said: Any) -> bytes:
    return event("contentBlockDelta", {"contentBlockIndex": index, "delta": said})


def start(index: int, **said: Any) -> bytes:
    return event("contentBlockStart", {"contentBlockIndex": index, "start": said})


def stop(index: int) -> bytes:
    return event("contentBlockStop", {"contentBlockIndex": index})


def test_thoughts_words_pictures_and_calls_are_told_apart() -> None:
    packed = base64.b64encode(b"pic").decode()
    usage = {"inputTokens": 5, "outputTokens": 7, "cacheReadInputTokens": 3, "cacheWriteInputTokens": 2}
    events, failure = converse(
        event("messageStart", {"role": "assistant"}),
        delta(0, reasoningContent={"text": "hm"}),
        delta(0, reasoningContent={"signature": "abc"}),
        delta(1, text="Hi"),
        start(2, toolUse={"toolUseId": "t1", "name": "f"}),
        delta(2, toolUse={"input": '{"x":'}),
        delta(2, toolUse={"input": "1}"}),
        stop(2),
        start(3, toolUse={"toolUseId": "t2", "name": "theirs", "type": "server_tool_use"}),
        delta(3, toolUse={"input": "{}"}),
        stop(3),
        start(4, toolUse={"toolUseId": "t3", "name": "g"}),
        stop(4),
        start(5, image={"format": "webp"}),
        delta(5, image={"source": {"bytes": packed}}),
        delta(5, image={"source": {"bytes": packed}}),
        stop(5),
        event("messageStop", {"stopReason": "tool_use"}),
        event("metadata", {"usage": usage}),
    )
    assert failure is None
    assert events == [
        Reasoning("hm"),
        Text("Hi"),
        ToolCall(0, "t1", "f", '{"x":1}'),
        ToolCall(1, "t3", "g", "{}"),
        Asset("image/webp", b"picpic"),
        Usage(5, 3, 2, 7),
        Done(Finish.TOOL_CALLS, "tool_use"),
    ]


def test_a_whole_answer_says_the_same() -> None:
    body = {
        "output": {
            "message": {
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "abc"}}},
                    {"citationsContent": {"content": [{"text": "Cited."}], "citations": []}},
                    {"text": " Said."},
                    {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"x": 1}}},
                    {"image": {"format": "png", "source": {"bytes": "cGlj"}}},
                ]
            }
        },
        "stopReason": "end_turn",
        "usage": {"inputTokens": 5, "outputTokens": 7},
    }
    events, failure = decoded(CONVERSE.decoder(), json.dumps(body).encode(), 7)
    assert failure is None
    assert events == [
        Reasoning("hm"),
        Text("Cited. Said."),
        ToolCall(0, "t1", "f", '{"x":1}'),
        Asset("image/png", b"pic"),
        Usage(input=5, output=7),
        Done(Finish.TOOL_CALLS, "end_turn"),
    ]


@pytest.mark.parametrize(
    ("raw", "finish"),
    [
        ("stop_sequence", Finish.STOP),
        ("max_tokens", Finish.LENGTH),
        ("model_context_window_exceeded", Finish.LENGTH),
        ("guardrail_intervened", Finish.CONTENT_FILTER),
        ("content_filtered", Finish.CONTENT_FILTER),
        ("malformed_tool_use", Finish.OTHER),
    ],
)
def test_reasons_to_stop_have_one_name_for_all(raw: str, finish: Finish) -> None:
    assert converse(event("messageStop", {"stopReason": raw})) == ([Done(finish, raw)], None)


def test_a_stream_without_a_stop_reason_was_cut_off() -> None:
    for messages in ([delta(0, text="Hi")], [delta(0, text="Hi"), stop(0)], [event("messageStart", {})]):
        _, failure = converse(*messages)
        assert failure is not None
        assert (failure.kind, failure.code) == (Kind.TRANSIENT, "cut_off")


def test_an_exception_in_mid_stream_ends_it() -> None:
    events, failure = converse(delta(0, text="Hi"), exception("throttlingException", {"message": "Too many tokens"}))
    assert events == [Text("Hi")]
    assert failure is not None
    assert (failure.status, failure.code) == (429, "throttlingexception")
