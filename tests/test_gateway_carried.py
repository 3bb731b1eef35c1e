"""What goes there and back through the gateway where both sides have it: sealed thoughts, and pictures of tools."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from dataelan_web.gateway.inbound import Whole
from dataelan_web.router.providers import adapter, format_for
from dataelan_web.router.types import Event, Reasoning, Task, Text, ToolCall, Usage

from . import people
from .test_gateway_formats import DONE, USED, WRITERS, Program, run
from .upstream import Upstream, upstream

PICTURE = "cGljdHVyZQ=="
DATA_URL = f"data:image/png;base64,{PICTURE}"
RESPONSES, GENERATE = "/v1/responses", "/v1beta/models/theirs:generateContent"
TOOL = {"type": "object", "properties": {}}


@pytest.fixture
def program(app: Flask, acme: people.Cast) -> Program:
    return Program(app, acme.token())


@pytest.fixture
def provider() -> Iterator[Upstream]:
    with upstream() as provider:
        yield provider


def model_of(acme: people.Cast, provider: Upstream, kind: str) -> None:
    people.own_model(acme, people.own_provider(acme, provider.url, kind), "theirs")


def sent(provider: Upstream) -> Any:
    return provider.requests[-1]["body"]


# -- pictures in the results of tools --------------------------------------------------------------

ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "openai": (
        "/v1/chat/completions",
        {
            "messages": [
                {"role": "user", "content": "Look"},
                {"role": "assistant", "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
                ]},
                {"role": "tool", "tool_call_id": "c1", "content": [
                    {"type": "text", "text": "Seen:"}, {"type": "image_url", "image_url": {"url": DATA_URL}}
                ]},
            ]
        },
    ),
    "openai-responses": (
        RESPONSES,
        {
            "input": [
                {"role": "user", "content": "Look"},
                {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c1", "output": [
                    {"type": "input_text", "text": "Seen:"}, {"type": "input_image", "image_url": DATA_URL}
                ]},
            ]
        },
    ),
    "anthropic": (
        "/v1/messages",
        {
            "max_tokens": 5,
            "messages": [
                {"role": "user", "content": "Look"},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "look", "input": {}}]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": [
                        {"type": "text", "text": "Seen:"},
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}},
                    ]},
                    {"type": "text", "text": "What is it?"},
                ]},
            ],
        },
    ),
    "google": (
        GENERATE,
        {
            "contents": [
                {"role": "user", "parts": [{"text": "Look"}]},
                {"role": "model", "parts": [{"functionCall": {"id": "c1", "name": "look", "args": {}}}]},
                {"role": "user", "parts": [{"functionResponse": {
                    "id": "c1", "name": "look", "response": {"result": "Seen:"},
                    "parts": [{"inlineData": {"mimeType": "image/png", "data": PICTURE}}],
                }}]},
            ]
        },
    ),
}  # fmt: skip


def result_in(kind: str, body: Any) -> tuple[str, list[Any]]:
    """(its words, its pictures), as they were sent in the one result there is."""
    if kind == "anthropic":
        content = body["messages"][2]["content"][0]["content"]
        return content[0]["text"], [part["source"]["data"] for part in content[1:]]
    if kind == "openai-responses":
        output = body["input"][2]["output"]
        return output[0]["text"], [part["image_url"].partition(",")[2] for part in output[1:]]
    if kind == "bedrock":
        content = body["messages"][2]["content"][0]["toolResult"]["content"]
        return content[0]["text"], [part["image"]["source"]["bytes"] for part in content[1:]]
    answer = body["contents"][2]["parts"][0]["functionResponse"]
    return answer["response"]["result"], [part["inlineData"]["data"] for part in answer["parts"]]


@pytest.mark.parametrize("kind", ["anthropic", "openai-responses", "google", "bedrock"])
@pytest.mark.parametrize("api", ASKED)
def test_a_picture_in_a_tools_result_comes_to_every_provider_that_takes_one(
    program: Program, acme: people.Cast, provider: Upstream, api: str, kind: str
) -> None:
    model_of(acme, provider, kind)
    path, asked = ASKED[api]
    program.post(path, {"model": "theirs", **asked})
    words, pictures = result_in(kind, sent(provider))
    is_elsewhere = api == "google" and kind != "google"
    assert words == ('{"result":"Seen:"}' if is_elsewhere else "Seen:"), "what Gemini is told is a document"
    assert pictures == [PICTURE]


@pytest.mark.parametrize("kind", ["openai", "ollama", "cohere", "google-interactions"])
def test_where_a_result_holds_no_picture_that_is_400_and_named(
    program: Program, acme: people.Cast, provider: Upstream, kind: str
) -> None:
    model_of(acme, provider, kind)
    path, asked = ASKED["anthropic"]
    answer = program.post(path, {"model": "theirs", **asked})
    assert answer.status_code == 400
    assert "messages: a tool’s result" in answer.json["error"]["message"]
    assert provider.requests == []


@pytest.mark.parametrize("kind", ["anthropic", "openai-responses", "google", "bedrock", "google-interactions"])
def test_where_a_system_message_holds_no_picture_that_is_400_and_named(
    program: Program, acme: people.Cast, provider: Upstream, kind: str
) -> None:
    model_of(acme, provider, kind)
    said: list[Any] = [{"type": "text", "text": "Our map:"}, {"type": "image_url", "image_url": {"url": DATA_URL}}]
    messages = [{"role": "system", "content": said}, {"role": "user", "content": "Where are we?"}]
    answer = program.post("/v1/chat/completions", {"model": "theirs", "messages": messages})
    assert answer.status_code == 400
    assert "messages: a system message" in answer.json["error"]["message"]
    assert provider.requests == []


def test_what_only_one_provider_could_show_in_a_result_is_400_and_named(program: Program) -> None:
    _, asked = ASKED["anthropic"]
    found = {"type": "tool_reference", "tool_name": "x"}
    messages = [*asked["messages"][:2], {"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": "c1", "content": [found]}
    ]}]  # fmt: skip
    answer = program.post("/v1/messages", {**asked, "model": "auto", "messages": messages})
    assert answer.status_code == 400
    assert "messages.2.content.0.content.0" in answer.json["error"]["message"]


def test_what_a_model_declined_to_say_goes_back_as_it_was_told(
    program: Program, acme: people.Cast, provider: Upstream
) -> None:
    model_of(acme, provider, "openai")
    provider.answers({"choices": [{"message": {"role": "assistant", "refusal": "I would rather not."}}]})
    asked = [{"role": "user", "content": "How?"}]
    told = program.post("/v1/chat/completions", {"model": "theirs", "messages": asked}).json["choices"][0]["message"]
    assert (told["content"], told["refusal"]) == (None, "I would rather not.")
    then = [*asked, told, {"role": "user", "content": "Why?"}]
    program.post("/v1/chat/completions", {"model": "theirs", "messages": then})
    assert sent(provider)["messages"][1] == {"role": "assistant", "content": "I would rather not."}


# -- sealed thoughts -------------------------------------------------------------------------------

THOUGHT = {
    "id": "rs_1",
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "Hm."}],
    "encrypted_content": "gAAAA-sealed",
}
CALL = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"}
CALLED = {**CALL, "id": "fc_1", "status": "completed"}
INCLUDED = {"model": "theirs", "input": "Look", "include": ["reasoning.encrypted_content"]}


def thought_and_called(provider: Upstream, *, streams: bool) -> None:
    """Answers as OpenAI does; what begins has a seal that is not the last."""
    ended = {"id": "resp_1", "status": "completed", "model": "o9", "output": [THOUGHT, CALLED]}
    if not streams:
        provider.answers(ended)
        return
    begun = {**THOUGHT, "summary": [], "encrypted_content": "gAAAA-begun"}
    provider.streams(
        {"type": "response.output_item.added", "output_index": 0, "item": begun},
        {"type": "response.output_item.done", "output_index": 0, "item": THOUGHT},
        {"type": "response.output_item.done", "output_index": 1, "item": CALLED},
        {"type": "response.completed", "response": ended},
    )


@pytest.mark.parametrize("streams", [False, True])
def test_what_openai_sealed_goes_back_to_it_as_it_was(
    program: Program, acme: people.Cast, provider: Upstream, *, streams: bool
) -> None:
    model_of(acme, provider, "openai-responses")
    thought_and_called(provider, streams=streams)
    answer = program.post(RESPONSES, {**INCLUDED, "stream": streams})
    assert sent(provider)["include"] == ["reasoning.encrypted_content"]
    if streams:
        events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
        told = events[-1]["response"]["output"]
        assert [e["item"] for e in events if e["type"] == "response.output_item.done"] == told
    else:
        told = answer.json["output"]
    assert [item["type"] for item in told] == ["reasoning", "function_call"]
    assert told[0]["summary"] == THOUGHT["summary"]
    output = {"type": "function_call_output", "call_id": "c1", "output": "18"}
    provider.answers({"id": "resp_2", "status": "completed", "output": []})
    program.post(RESPONSES, {**INCLUDED, "input": [{"role": "user", "content": "Look"}, *told, output]})
    assert sent(provider)["input"] == [{"role": "user", "content": "Look"}, THOUGHT, CALL, output]


def test_what_openai_sealed_is_told_to_no_other_provider(
    program: Program, acme: people.Cast, provider: Upstream
) -> None:
    model_of(acme, provider, "openai-responses")
    said = {"role": "assistant", "content": "Warm."}
    direct = {
        **INCLUDED,
        "input": [{"role": "user", "content": "Hi"}, THOUGHT, said, {"role": "user", "content": "So?"}],
    }
    program.post(RESPONSES, direct)
    assert sent(provider)["include"] == INCLUDED["include"]
    assert "gAAAA" not in json.dumps(sent(provider)), "what no host is named with was sealed by OpenAI itself"
    people.own_model(acme, people.own_provider(acme, provider.url, "openai"), "chat")
    program.post(RESPONSES, {**direct, "model": "chat"})
    assert [message["role"] for message in sent(provider)["messages"]] == ["user", "assistant", "user"]
    assert "gAAAA" not in json.dumps(sent(provider))


def test_who_asks_openai_for_seals_is_answered_in_the_format_that_has_them() -> None:
    assert format_for("openai", "https://api.openai.com/v1", "gpt-5", Task.CHAT, seals=True) == "openai-responses"
    assert format_for("openai", "https://api.openai.com/v1", "gpt-5", Task.CHAT) == "openai"
    assert format_for("openai", "https://api.example.com/v1", "gpt-5", Task.CHAT, seals=True) == "openai"


SIGNED = {"functionCall": {"id": "c1", "name": "look", "args": {}}, "thoughtSignature": "c2lnbmVk"}
SIGNED_WORDS = {"text": "Warm.", "thoughtSignature": "d29yZHM="}


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("parts", [[{"text": "I look."}, SIGNED], [SIGNED_WORDS], [SIGNED_WORDS, SIGNED]])
def test_what_gemini_signed_goes_back_to_it_where_it_stood(
    program: Program, acme: people.Cast, provider: Upstream, parts: list[Any], *, streams: bool
) -> None:
    model_of(acme, provider, "google")
    document = {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}]}
    asked = {"contents": [{"role": "user", "parts": [{"text": "Look"}]}]}
    if streams:
        provider.streams(document)
        answer = program.post("/v1beta/models/theirs:streamGenerateContent", asked)
        told = [part for one in json.loads(answer.text) for part in one["candidates"][0]["content"]["parts"]]
        told = [part for part in told if part != {"text": ""}]
    else:
        provider.answers(document)
        told = program.post(GENERATE, asked).json["candidates"][0]["content"]["parts"]
    assert told == parts
    program.post(GENERATE, {"contents": [*asked["contents"], {"role": "model", "parts": told}, asked["contents"][0]]})
    back = [
        {**part, "functionCall": {"name": "look", "args": {}}} if "functionCall" in part else part for part in parts
    ]
    assert sent(provider)["contents"][1]["parts"] == back


@pytest.mark.parametrize("format", WRITERS)
def test_a_seal_is_told_in_its_own_format_only(format: str) -> None:
    for kind in ("anthropic", "openai-responses", "google"):
        said: list[Event] = [
            Reasoning("Hm."),
            Reasoning("", "c2VhbA==", kind),
            Text("It is."),
            ToolCall(0, "c", "look", "{}"),
        ]
        pieces, whole = WRITERS[format]
        writer, document = pieces(run()), Whole(run(), usage=USED, model="theirs")
        told = b"".join([*map(writer.of, said), *writer.last(DONE, USED, {})]).decode()
        for event in (*said, DONE):
            document.add(event)
        for one in (told, json.dumps(whole(document))):
            assert ("c2VhbA==" in one) is (kind == format), (kind, one)


# -- what stands beside a picture or a schema --------------------------------------------------------

LOOKED_AT = {"type": "image_url", "image_url": {"url": DATA_URL, "detail": "low"}}
SCHEMA = {
    "name": "weather",
    "description": "Of a place.",
    "schema": {"type": "object", "properties": {}},
    "strict": True,
}


@pytest.mark.parametrize("kind", ["openai", "openai-responses"])
@pytest.mark.parametrize("api", ["chat", "responses"])
def test_what_openai_knows_of_a_picture_and_a_schema_comes_to_it(
    program: Program, acme: people.Cast, provider: Upstream, api: str, kind: str
) -> None:
    model_of(acme, provider, kind)
    if api == "chat":
        asked = {"model": "theirs", "messages": [{"role": "user", "content": [LOOKED_AT]}],
                 "response_format": {"type": "json_schema", "json_schema": SCHEMA}}  # fmt: skip
        program.post("/v1/chat/completions", asked)
    else:
        picture = {"type": "input_image", "image_url": DATA_URL, "detail": "low"}
        asked = {"model": "theirs", "input": [{"role": "user", "content": [picture]}],
                 "text": {"format": {"type": "json_schema", **SCHEMA}}}  # fmt: skip
        program.post(RESPONSES, asked)
    body = sent(provider)
    if kind == "openai":
        assert body["messages"][0]["content"] == [LOOKED_AT]
        assert body["response_format"] == {"type": "json_schema", "json_schema": SCHEMA}
    else:
        assert body["input"][0]["content"] == [{"type": "input_image", "image_url": DATA_URL, "detail": "low"}]
        assert body["text"]["format"] == {"type": "json_schema", **SCHEMA}


def test_a_result_that_failed_is_said_to_gemini_and_by_it(
    program: Program, acme: people.Cast, provider: Upstream
) -> None:
    model_of(acme, provider, "google")
    _, asked = ASKED["anthropic"]
    failed = {"type": "tool_result", "tool_use_id": "c1", "content": "No such place", "is_error": True}
    messages = [*asked["messages"][:2], {"role": "user", "content": [failed]}]
    program.post("/v1/messages", {**asked, "model": "theirs", "messages": messages})
    assert sent(provider)["contents"][2]["parts"][0]["functionResponse"]["response"] == {"error": "No such place"}
    people.own_model(acme, people.own_provider(acme, provider.url, "anthropic"), "claude")
    answer = {"functionResponse": {"name": "look", "response": {"error": "No such place"}}}
    contents = [*ASKED["google"][1]["contents"][:2], {"role": "user", "parts": [answer]}]
    program.post("/v1beta/models/claude:generateContent", {"contents": contents})
    assert sent(provider)["messages"][2]["content"][0]["is_error"] is True


DRAWN = [{"text": "Here:"}, {"inlineData": {"mimeType": "image/png", "data": PICTURE}}]


@pytest.mark.parametrize("streams", [False, True])
def test_a_picture_that_a_model_makes_beside_its_words_is_told_where_the_format_has_one(
    program: Program, acme: people.Cast, provider: Upstream, *, streams: bool
) -> None:
    model_of(acme, provider, "google")
    document = {"candidates": [{"content": {"role": "model", "parts": DRAWN}, "finishReason": "STOP"}]}
    (provider.streams if streams else provider.answers)(document)
    asked = {"contents": [{"role": "user", "parts": [{"text": "Draw"}]}]}
    as_openai = program.post(RESPONSES, {"model": "theirs", "input": "Draw", "stream": streams})
    if streams:
        answer = program.post("/v1beta/models/theirs:streamGenerateContent", asked)
        told = [part for one in json.loads(answer.text) for part in one["candidates"][0]["content"]["parts"]]
        events = [json.loads(line[6:]) for line in as_openai.text.splitlines() if line.startswith("data: ")]
        output = events[-1]["response"]["output"]
        assert [e["item"] for e in events if e["type"] == "response.output_item.done"] == output
    else:
        told = program.post(GENERATE, asked).json["candidates"][0]["content"]["parts"]
        output = as_openai.json["output"]
    assert [part for part in told if part != {"text": ""}] == DRAWN
    assert [item["type"] for item in output] == ["message", "image_generation_call"]
    assert (output[1]["result"], output[1]["output_format"]) == (PICTURE, "png")


@pytest.mark.parametrize("format", ["openai", "openai-responses"])
def test_what_was_written_to_a_cache_is_told_and_read(format: str) -> None:
    _, whole = WRITERS[format]
    document = Whole(run(), usage=Usage(input=10, cache_read=5, cache_write=20, output=7), done=DONE, model="theirs")
    read = list(adapter(format, "http://x/v1").decoder()(json.dumps(whole(document)).encode(), True))
    (usage,) = [event for event in read if isinstance(event, Usage)]
    assert (usage.input, usage.cache_read, usage.cache_write) == (10, 5, 20)


@pytest.mark.parametrize("effort", [{}, {"effort": "low"}])
def test_how_thoughts_are_to_be_told_is_asked_with_and_without_an_effort(
    program: Program, acme: people.Cast, provider: Upstream, effort: dict[str, str]
) -> None:
    model_of(acme, provider, "openai-responses")
    program.post(RESPONSES, {"model": "theirs", "input": "Hi", "reasoning": {**effort, "summary": "detailed"}})
    assert sent(provider)["reasoning"] == {**effort, "summary": "detailed"}
    program.post(RESPONSES, {"model": "theirs", "input": "Hi", "reasoning": {**effort, "generate_summary": "concise"}})
    assert sent(provider)["reasoning"] == {**effort, "summary": "concise"}, "as it was called before"
    people.own_model(acme, people.own_provider(acme, provider.url, "google"), "gemini")
    thinking = {"thinkingConfig": {"includeThoughts": True}}
    asked = {"contents": [{"parts": [{"text": "Hi"}]}], "generationConfig": thinking}
    program.post("/v1beta/models/gemini:generateContent", asked)
    assert sent(provider)["generationConfig"] == thinking, "as much as the model likes"
    people.own_model(acme, people.own_provider(acme, provider.url, "anthropic"), "claude")
    program.post("/v1beta/models/claude:generateContent", asked)
    assert sent(provider)["thinking"] == {"type": "adaptive"}


def test_the_field_that_a_provider_or_a_format_refuses_is_the_errors_param(
    program: Program, acme: people.Cast, provider: Upstream
) -> None:
    model_of(acme, provider, "openai")
    provider.answers({"error": {"message": "Too hot", "type": "invalid_request_error", "param": "temperature"}}, 400)
    asked = {"model": "theirs", "messages": [{"role": "user", "content": "Hi"}]}
    assert program.post("/v1/chat/completions", asked).json["error"]["param"] == "temperature"
    secret = "sk-proj-abcdefghijklmnop1234567890"
    provider.answers({"error": {"message": "No", "param": secret}}, 400)
    assert secret not in program.post("/v1/chat/completions", asked).text
    _, shown = ASKED["anthropic"]
    assert program.post("/v1/messages", {"model": "theirs", **shown}).json["error"]["param"] == "messages"


@pytest.mark.parametrize("why", ["MODEL_ARMOR", "UNEXPECTED_TOOL_CALL", "IMAGE_SAFETY", "MISSING_THOUGHT_SIGNATURE"])
def test_why_gemini_ended_is_told_to_its_clients_in_its_own_word(
    program: Program, acme: people.Cast, provider: Upstream, why: str
) -> None:
    model_of(acme, provider, "google")
    provider.answers({"candidates": [{"content": {"parts": [{"text": "Hm"}]}, "finishReason": why}]})
    told = program.post(GENERATE, {"contents": [{"parts": [{"text": "Hi"}]}]}).json
    assert told["candidates"][0]["finishReason"] == why


@pytest.mark.parametrize("streams", [False, True])
def test_a_prompt_that_google_blocked_is_told_as_it_tells_it(
    program: Program, acme: people.Cast, provider: Upstream, *, streams: bool
) -> None:
    model_of(acme, provider, "google")
    blocked = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 3}}
    (provider.streams if streams else provider.answers)(blocked)
    path = GENERATE.replace("generateContent", "streamGenerateContent") if streams else GENERATE
    told = program.post(path, {"contents": [{"parts": [{"text": "Hi"}]}]}).json
    told = told[-1] if streams else told
    assert (told["promptFeedback"], "candidates" in told) == ({"blockReason": "PROHIBITED_CONTENT"}, False)
    chat = program.post("/v1/chat/completions", {"model": "theirs", "messages": [{"role": "user", "content": "Hi"}]})
    assert streams or chat.json["choices"][0]["finish_reason"] == "content_filter"
