"""Cohere's formats: what is asked, what is answered, and its list of models."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from dataelan_web.router.pricing import Rates, cost
from dataelan_web.router.providers import adapter, lister
from dataelan_web.router.types import (
    Call,
    Done,
    Event,
    Failure,
    FilePart,
    Finish,
    Kind,
    ListedModel,
    Message,
    Prompt,
    Reasoning,
    Task,
    Text,
    TextPart,
    Tool,
    ToolCall,
    ToolUse,
    Unsupported,
    Usage,
    assistant,
    system,
    user,
)

from .prompts import PARAMETERS, PLAIN, RICH, SCHEMA
from .recordings import decoded

BASE = "https://api.cohere.com"
COHERE, V1, GENERATE = (adapter(kind, BASE) for kind in ("cohere", "cohere-v1", "cohere-generate"))
NOTES = FilePart("text/plain", data=base64.b64encode(b"Bring a coat.").decode(), name="notes.txt")
WITH_NOTES = Prompt((Message("user", (TextPart("What to bring?"), NOTES)),))


def test_a_plain_prompt_is_a_small_request() -> None:
    assert COHERE.call(PLAIN, "command-a", "k") == Call(
        f"{BASE}/v2/chat",
        {"model": "command-a", "messages": [{"role": "user", "content": "Hi"}]},
        {"Authorization": "Bearer k"},
    )


def test_a_rich_prompt_says_everything() -> None:
    assert COHERE.call(RICH, "command-a", "k").body == {
        "model": "command-a",
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
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}},
                    {"id": "c2", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}},
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "rain"},
            {"role": "tool", "tool_call_id": "c2", "content": '{"sky":"clear"}'},
        ],
        "max_tokens": 100,
        "temperature": 0.5,
        "p": 0.9,
        "stop_sequences": ["END"],
        "seed": 7,
        "stream": True,
        "tools": [
            {
                "type": "function",
                "function": {"name": "weather", "description": "Tells the weather", "parameters": PARAMETERS},
            }
        ],
        "tool_choice": "REQUIRED",
        "response_format": {"type": "json_object", "json_schema": SCHEMA},
        "thinking": {"type": "enabled", "token_budget": 1024},
    }


def test_what_was_said_before_a_tool_call_is_its_plan() -> None:
    prompt = Prompt((user("Hi"), Message("assistant", (TextPart("I look it up."), ToolUse("c", "f", "")))))
    assert (COHERE.call(prompt, "m", "").body or {})["messages"][1] == {
        "role": "assistant",
        "tool_plan": "I look it up.",
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }


def test_a_tool_demanded_by_name_is_the_only_one_offered() -> None:
    prompt = replace(PLAIN, tools=(Tool("a"), Tool("b")), tool_choice="b")
    body = COHERE.call(prompt, "m", "").body or {}
    assert [tool["function"]["name"] for tool in body["tools"]] == ["b"]
    assert body["tool_choice"] == "REQUIRED"


@pytest.mark.parametrize(("choice", "word"), [("none", "NONE"), ("required", "REQUIRED"), ("auto", None)])
def test_the_choice_of_tools_is_said_in_its_own_words(choice: str, word: str | None) -> None:
    assert (COHERE.call(replace(RICH, tool_choice=choice), "m", "").body or {}).get("tool_choice") == word


@pytest.mark.parametrize(
    ("effort", "thinking"), [("none", {"type": "disabled"}), ("high", {"type": "enabled"})]
)  # fmt: skip
def test_effort_is_a_budget_or_none(effort: str, thinking: dict[str, Any]) -> None:
    assert (COHERE.call(replace(PLAIN, reasoning_effort=effort), "m", "").body or {})["thinking"] == thinking


def test_texts_sent_along_are_documents() -> None:
    body = COHERE.call(WITH_NOTES, "m", "").body or {}
    assert body["messages"] == [{"role": "user", "content": "What to bring?"}]
    assert body["documents"] == [{"id": "document-0", "data": {"title": "notes.txt", "text": "Bring a coat."}}]
    assert (V1.call(WITH_NOTES, "m", "").body or {})["documents"] == [{"title": "notes.txt", "text": "Bring a coat."}]


def test_other_files_are_refused_in_words() -> None:
    with pytest.raises(Unsupported, match="not application/pdf"):
        COHERE.call(Prompt((Message("user", (FilePart("application/pdf", data="JVBERi0="),)),)), "m", "")


@pytest.mark.parametrize("base", [f"{BASE}/", f"{BASE}/v1", f"{BASE}/v2", f"{BASE}/v2/"])
def test_the_base_url_may_name_a_version(base: str) -> None:
    assert adapter("cohere", base).call(PLAIN, "m", "").url == f"{BASE}/v2/chat"
    assert adapter("cohere-v1", base).call(PLAIN, "m", "").url == f"{BASE}/v1/chat"


def test_the_older_chat_takes_the_last_turn_apart_from_history() -> None:
    text = tuple(message for message in RICH.messages if not any(hasattr(part, "data") for part in message.parts))
    call = V1.call(replace(RICH, messages=text, tool_choice=None), "command-r", "k")
    called = [{"name": "weather", "parameters": {"city": city}} for city in ("Oslo", "Rome")]
    assert call == Call(
        f"{BASE}/v1/chat",
        {
            "model": "command-r",
            "message": "",
            "tool_results": [
                {"call": called[0], "outputs": [{"output": "rain"}]},
                {"call": called[1], "outputs": [{"output": '{"sky":"clear"}'}]},
            ],
            "preamble": "Be brief.",
            "chat_history": [
                {"role": "CHATBOT", "message": "A map."},
                {"role": "USER", "message": "And the weather in Oslo and Rome?"},
                {"role": "CHATBOT", "message": "", "tool_calls": called},
            ],
            "response_format": {"type": "json_object", "schema": SCHEMA},
            "tools": [
                {
                    "name": "weather",
                    "description": "Tells the weather",
                    "parameter_definitions": {"city": {"description": "", "type": "str", "required": False}},
                }
            ],
            "max_tokens": 100,
            "temperature": 0.5,
            "p": 0.9,
            "stop_sequences": ["END"],
            "seed": 7,
            "stream": True,
        },
        {"Authorization": "Bearer k"},
    )


def test_the_older_chat_says_what_it_cannot_carry() -> None:
    with pytest.raises(Unsupported, match="no pictures"):
        V1.call(RICH, "m", "")
    with pytest.raises(Unsupported, match="cannot demand"):
        V1.call(replace(PLAIN, tools=(Tool("f"),), tool_choice="required"), "m", "")


def test_generate_continues_what_was_said() -> None:
    prompt = Prompt((system("A tale."), user("Once"), assistant("upon")), max_tokens=5, stream=False)
    assert GENERATE.call(prompt, "command", "") == Call(
        f"{BASE}/v1/generate", {"model": "command", "prompt": "A tale.\n\nOnce\n\nupon", "max_tokens": 5}
    )
    with pytest.raises(Unsupported):
        GENERATE.call(RICH, "command", "")


# -- the answer -----------------------------------------------------------------------------------


def stream(*events: Any) -> tuple[list[Event], Failure | None]:
    body = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    return decoded(COHERE.decoder(), body.encode(), 7)


def older_stream(*events: Any) -> tuple[list[Event], Failure | None]:
    return decoded(V1.decoder(), "".join(f"{json.dumps(event)}\n" for event in events).encode(), 7)


def said(type: str, index: int = 0, **message: Any) -> dict[str, Any]:
    return {"type": type, "index": index, "delta": {"message": message}}


def ending(**delta: Any) -> dict[str, Any]:
    return {"type": "message-end", "delta": delta}


START = {"type": "message-start", "id": "r1", "delta": {"message": {"role": "assistant"}}}


def test_thoughts_words_and_calls_are_told_apart_and_the_plan_is_left_out() -> None:
    events, failure = stream(
        START,
        said("content-start", content={"type": "thinking", "thinking": ""}),
        said("content-delta", content={"thinking": "hm"}),
        said("content-delta", 1, content={"text": "Hi"}),
        said("tool-plan-delta", tool_plan="I call f."),
        said("tool-call-start", 0, tool_calls={"id": "c1", "type": "function", "function": {"name": "f"}}),
        said("tool-call-delta", 0, tool_calls={"function": {"arguments": '{"x":1}'}}),
        said("tool-call-end", 0),
        said("tool-call-start", 1, tool_calls={"id": "c2", "function": {"name": "g", "arguments": ""}}),
        ending(finish_reason="TOOL_CALL"),
    )
    assert failure is None
    assert events == [
        Reasoning("hm"),
        Text("Hi"),
        ToolCall(0, "c1", "f", '{"x":1}'),
        ToolCall(1, "c2", "g", "{}"),
        Done(Finish.TOOL_CALLS, "TOOL_CALL", "", "r1"),
    ]


def test_tokens_are_what_was_read_and_written_and_the_billed_ones_are_told_beside_them() -> None:
    usage = {
        "billed_units": {"input_tokens": 10, "output_tokens": 4},
        "tokens": {"input_tokens": 500.0, "output_tokens": 9, "reasoning_tokens": 5},
        "cached_tokens": 448,
    }
    events, _ = stream(START, ending(finish_reason="COMPLETE", usage=usage))
    assert events[0] == Usage(input=52, cache_read=448, output=4, reasoning=5, billed_input=10, billed_output=4)
    assert cost(events[0], Rates(1_000_000, 2_000_000)) == 10 + 2 * 4


def test_billed_units_stand_in_where_tokens_are_not_said() -> None:
    events, _ = stream(START, ending(usage={"billed_units": {"input_tokens": 10, "output_tokens": 4}}))
    assert events[0] == Usage(input=10, output=4, billed_input=10, billed_output=4)


@pytest.mark.parametrize(
    ("delta", "kind", "code"),
    [
        (
            {"finish_reason": "ERROR", "error": "bad call", "error_type": "INVALID_TOOL_GENERATION"},
            Kind.BAD_REQUEST,
            "invalid_tool_generation",
        ),
        ({"finish_reason": "ERROR", "error": "sorry"}, Kind.TRANSIENT, ""),
        ({"finish_reason": "ERROR"}, Kind.TRANSIENT, ""),
        ({"finish_reason": "TIMEOUT"}, Kind.TRANSIENT, "timeout"),
    ],
)
def test_an_answer_that_ends_in_an_error_is_a_failure(delta: dict[str, Any], kind: Kind, code: str) -> None:
    _, failure = stream(START, ending(**delta))
    assert failure is not None
    assert (failure.kind, failure.code) == (kind, code)
    assert failure.message in (delta.get("error"), "The provider broke off its answer because of an error.")


@pytest.mark.parametrize("last", [START, said("content-delta", content={"text": "Hi"})])
def test_a_stream_without_its_end_was_cut_off(last: dict[str, Any]) -> None:
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in (START, last)) + "data: [DONE]\n\n"
    _, failure = decoded(COHERE.decoder(), body.encode(), 100)
    assert failure is not None
    assert (failure.kind, failure.code) == (Kind.TRANSIENT, "cut_off")


def test_an_error_with_status_200_is_a_failure() -> None:
    for reader in (COHERE, V1, GENERATE):
        _, failure = decoded(reader.decoder(), b'{"message":"invalid api token"}', 5)
        assert failure is not None
        assert failure.message == "invalid api token"


def test_the_older_stream_gives_whole_tool_calls_once() -> None:
    calls = [{"name": "f", "parameters": {"x": 1}}]
    events, failure = older_stream(
        {"event_type": "stream-start", "generation_id": "g1", "is_finished": False},
        {"event_type": "text-generation", "text": "I call f.", "is_finished": False},
        {"event_type": "tool-calls-chunk", "tool_call_delta": {"name": "f"}, "text": "f", "is_finished": False},
        {"event_type": "tool-calls-generation", "tool_calls": calls, "is_finished": False},
        {
            "event_type": "stream-end",
            "is_finished": True,
            "finish_reason": "COMPLETE",
            "response": {
                "text": "I call f.",
                "tool_calls": calls,
                "meta": {"tokens": {"input_tokens": 9, "output_tokens": 2}},
            },
        },
    )
    assert failure is None
    assert events == [
        Text("I call f."),
        ToolCall(0, "", "f", '{"x":1}'),
        Usage(input=9, output=2),
        Done(Finish.TOOL_CALLS, "COMPLETE", "", "g1"),
    ]


def test_the_older_stream_may_end_in_an_error() -> None:
    _, failure = older_stream(
        {"event_type": "stream-error", "is_finished": True, "finish_reason": "ERROR", "err": "sorry"}
    )
    assert failure is not None
    assert failure.message == "sorry"


@pytest.mark.parametrize(
    ("raw", "finish"),
    [
        ("ERROR_TOXIC", Finish.CONTENT_FILTER),
        ("ERROR_LIMIT", Finish.LENGTH),
        ("MAX_TOKENS", Finish.LENGTH),
        ("USER_CANCEL", Finish.OTHER),
    ],
)
def test_reasons_to_stop_have_one_name_for_all(raw: str, finish: Finish) -> None:
    events, _ = older_stream({"event_type": "stream-end", "is_finished": True, "finish_reason": raw, "response": {}})
    assert events == [Done(finish, raw)]


# -- the model list ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["cohere", "cohere-v1", "cohere-generate"])
def test_models_say_what_they_are_for_and_can_do(kind: str) -> None:
    cohere = lister(kind, f"{BASE}/v2")
    assert cohere is not None
    assert cohere.list_call("k") == Call(
        f"{BASE}/v1/models?page_size=1000", headers={"Authorization": "Bearer k"}, method="GET"
    )
    body = {
        "models": [
            {
                "name": "command-a-03-2025",
                "endpoints": ["generate", "chat"],
                "context_length": 288000.0,
                "features": ["json_mode", "json_schema", "safety_modes", "strict_tools", "tools"],
            },
            {"name": "embed-v4.0", "endpoints": ["embed"], "context_length": 128000, "features": None},
            {"name": "aya-vision", "endpoints": ["chat"], "context_length": 0, "supports_vision": True},
            {"endpoints": ["chat"]},
        ],
        "next_page_token": "",
    }
    assert cohere.listed(json.dumps(body).encode()) == [
        ListedModel("command-a-03-2025", "", 288000, capabilities=("chat", "json_schema", "tools"), task=Task.CHAT),
        ListedModel("embed-v4.0", "", 128000, capabilities=(), task=Task.EMBEDDING),
        ListedModel("aya-vision", "", None, capabilities=("chat", "vision"), task=Task.CHAT),
    ]
