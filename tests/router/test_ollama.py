"""Ollama's own formats: what is asked, what is answered, and its list of models."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from dataelan_web.router.providers import adapter, lister
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
    ListedModel,
    Message,
    Prompt,
    Reasoning,
    Task,
    Text,
    TextPart,
    ToolCall,
    Unsupported,
    Usage,
    assistant,
    system,
    user,
)

from .prompts import PARAMETERS, PLAIN, RICH, SCHEMA
from .recordings import decoded

BASE = "http://localhost:11434"
OLLAMA = adapter("ollama", BASE)
GENERATE = adapter("ollama-generate", BASE)


def test_a_plain_prompt_is_a_small_request_that_says_not_to_stream() -> None:
    assert OLLAMA.call(PLAIN, "llama3.2", "") == Call(
        f"{BASE}/api/chat",
        {"model": "llama3.2", "messages": [{"role": "user", "content": "Hi"}], "stream": False},
    )


def test_a_rich_prompt_says_everything_but_that_a_tool_must_be_called() -> None:
    call = OLLAMA.call(replace(RICH, tool_choice="auto"), "llama3.2", "secret")
    assert call.headers == {"Authorization": "Bearer secret"}
    assert call.body == {
        "model": "llama3.2",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is here?", "images": ["iVBORw0KGgo="]},
            {"role": "assistant", "content": "A map."},
            {"role": "user", "content": "And the weather in Oslo and Rome?"},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    {"id": "c1", "function": {"name": "weather", "arguments": {"city": "Oslo"}}},
                    {"id": "c2", "function": {"name": "weather", "arguments": {"city": "Rome"}}},
                ],
            },
            {"role": "tool", "content": "rain", "tool_name": "weather", "tool_call_id": "c1"},
            {"role": "tool", "content": '{"sky":"clear"}', "tool_name": "weather", "tool_call_id": "c2"},
        ],
        "stream": True,
        "options": {"num_predict": 100, "temperature": 0.5, "top_p": 0.9, "stop": ["END"], "seed": 7},
        "format": SCHEMA,
        "think": "low",
        "tools": [
            {
                "type": "function",
                "function": {"name": "weather", "description": "Tells the weather", "parameters": PARAMETERS},
            }
        ],
    }


@pytest.mark.parametrize(
    ("effort", "think"), [("none", False), ("minimal", "low"), ("medium", "medium"), ("xhigh", "max")]
)
def test_effort_is_said_in_its_own_words(effort: str, think: str | bool) -> None:
    assert (OLLAMA.call(replace(PLAIN, reasoning_effort=effort), "m", "").body or {})["think"] == think


def test_tools_that_must_not_be_called_are_left_out() -> None:
    assert "tools" not in (OLLAMA.call(replace(RICH, tool_choice="none"), "m", "").body or {})


@pytest.mark.parametrize("choice", ["required", "weather"])
def test_a_tool_cannot_be_demanded(choice: str) -> None:
    with pytest.raises(Unsupported, match="cannot demand"):
        OLLAMA.call(replace(RICH, tool_choice=choice), "m", "")


@pytest.mark.parametrize(
    ("part", "says"),
    [
        (FilePart("application/pdf", data="JVBERi0="), "no other files"),
        (FilePart("audio/wav", data="UklGRg=="), "no other files"),
        (ImagePart(url="https://example.org/a.png"), "does not fetch"),
    ],
)
def test_what_it_cannot_read_is_refused_in_words(part: FilePart | ImagePart, says: str) -> None:
    with pytest.raises(Unsupported, match=says):
        OLLAMA.call(Prompt((Message("user", (part,)),)), "m", "")


@pytest.mark.parametrize("base", [BASE, f"{BASE}/", f"{BASE}/api", f"{BASE}/api/"])
def test_the_base_url_may_name_the_api(base: str) -> None:
    assert adapter("ollama", base).call(PLAIN, "m", "").url == f"{BASE}/api/chat"


def test_generate_continues_what_was_said() -> None:
    picture = Message("user", (TextPart("Once"), ImagePart("image/png", data="AAAA")))
    prompt = Prompt((system("Be brief."), picture, assistant("upon")), max_tokens=5, stream=False)
    assert GENERATE.call(prompt, "m", "") == Call(
        f"{BASE}/api/generate",
        {
            "model": "m",
            "prompt": "Once\n\nupon",
            "system": "Be brief.",
            "images": ["AAAA"],
            "stream": False,
            "options": {"num_predict": 5},
        },
    )


def test_generate_takes_no_tools() -> None:
    with pytest.raises(Unsupported, match="no files or tools"):
        GENERATE.call(RICH, "m", "")


# -- the answer -----------------------------------------------------------------------------------


def stream(*documents: Any) -> tuple[list[Event], Failure | None]:
    return decoded(OLLAMA.decoder(), "".join(f"{json.dumps(document)}\n" for document in documents).encode(), 7)


def said(**message: Any) -> dict[str, Any]:
    return {"model": "m", "message": {"role": "assistant", **message}, "done": False}


END = {"model": "m", "message": {"content": ""}, "done": True, "done_reason": "stop", "eval_count": 3}


def test_thoughts_words_pictures_and_calls_are_told_apart() -> None:
    picture = base64.b64encode(b"\xff\xd8\xffpicture").decode()
    events, failure = stream(
        said(content="", thinking="hm"),
        said(content="Hi", images=[picture]),
        said(content="", tool_calls=[{"function": {"name": "f", "arguments": {"x": 1}}}]),
        said(content="", tool_calls=[{"id": "c2", "function": {"name": "g", "arguments": {}}}]),
        END,
    )
    assert failure is None
    assert events == [
        Reasoning("hm"),
        Text("Hi"),
        Asset("image/jpeg", b"\xff\xd8\xffpicture"),
        ToolCall(0, "", "f", '{"x":1}'),
        ToolCall(1, "c2", "g", "{}"),
        Usage(output=3),
        Done(Finish.TOOL_CALLS, "stop", "m"),
    ]


def test_an_error_in_mid_stream_is_a_failure() -> None:
    events, failure = stream(said(content="Yes"), {"error": "the model runner has stopped"})
    assert events == [Text("Yes")]
    assert failure is not None
    assert (failure.kind, failure.message) == (Kind.TRANSIENT, "the model runner has stopped")


def test_a_stream_without_its_last_document_was_cut_off() -> None:
    events, failure = stream(said(content="Yes"))
    assert events == [Text("Yes")]
    assert failure is not None
    assert (failure.kind, failure.code) == (Kind.TRANSIENT, "cut_off")


def test_an_answer_of_another_server_is_told_from_an_empty_one() -> None:
    _, failure = stream({"choices": []})
    assert failure is not None
    assert "not Ollama's" in failure.message


# -- the model list ---------------------------------------------------------------------------------


def test_newer_versions_say_what_a_model_can_do() -> None:
    ollama = lister("ollama", BASE)
    assert ollama is not None
    assert ollama.list_call("") == Call(f"{BASE}/api/tags", method="GET")
    body = {
        "models": [
            {
                "name": "qwen3:4b",
                "model": "qwen3:4b",
                "details": {"family": "qwen3", "context_length": 40960},
                "capabilities": ["completion", "tools", "thinking", "insert"],
            },
            {"name": "nomic-embed-text:latest", "capabilities": ["embedding"]},
            {"name": "llama3:latest", "model": "llama3:latest", "details": {"family": "llama"}},
            {"size": 7},
        ]
    }
    assert ollama.listed(json.dumps(body).encode()) == [
        ListedModel("qwen3:4b", "", 40960, capabilities=("chat", "reasoning", "tools"), task=Task.CHAT),
        ListedModel("nomic-embed-text:latest", capabilities=("embeddings",), task=Task.EMBEDDING),
        ListedModel("llama3:latest"),
    ]


def test_texts_of_one_message_are_joined() -> None:
    call = OLLAMA.call(Prompt((user("a"), Message("user", (TextPart("b"), TextPart("c"))))), "m", "")
    assert (call.body or {})["messages"] == [{"role": "user", "content": "a"}, {"role": "user", "content": "bc"}]
