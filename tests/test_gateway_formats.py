"""The gateway's other formats: what each asks comes to its provider without loss, and each is answered in its own."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from dataelan_web.api_errors import GEMINI_VERBS
from dataelan_web.executions.answer import Answer
from dataelan_web.gateway import answering
from dataelan_web.gateway.anthropic import messages_answer
from dataelan_web.gateway.gemini import generate_answer
from dataelan_web.gateway.gemini.schema import json_schema
from dataelan_web.gateway.inbound import Pieces, Whole
from dataelan_web.gateway.openai import chat_answer, responses_answer
from dataelan_web.models import Execution, new_id, now
from dataelan_web.router.providers import adapter
from dataelan_web.router.types import Done, Event, Failure, Finish, Reasoning, Text, ToolCall, Usage

from . import people
from .upstream import RECORDINGS, Upstream, upstream

USED = Usage(input=10, cache_read=5, output=7, reasoning=3)
SAID: list[Event] = [
    Reasoning("Let me "),
    Reasoning("see."),
    Text("It is "),
    Text("warm."),
    ToolCall(0, "c1", "weather"),
    ToolCall(0, arguments='{"city":'),
    ToolCall(0, arguments='"Rome"}'),
    ToolCall(1, "c2", "weather", '{"city":"Oslo"}'),
]
DONE = Done(Finish.TOOL_CALLS, "tool_calls", "theirs")


PICTURE = "data:image/png;base64,cGljdHVyZQ=="
DOCUMENT = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Dear Ada"}}
BRIEF: dict[str, Any] = {"max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
BLOCKING = {"model": "m", "policy": {"input": {"mode": "block"}}}
CHAT = "/v1/chat/completions"
GENERATE = "/v1beta/models/auto:generateContent"
HI = [{"parts": [{"text": "Hi"}]}]


def brief(*content: dict[str, Any]) -> dict[str, Any]:
    return {**BRIEF, "messages": [{"role": "user", "content": list(content)}]}


class Program:
    """A program with a token, which speaks to the gateway in this process."""

    def __init__(self, app: Flask, token: str):
        self.http: FlaskClient = app.test_client()
        self.token = token

    def post(self, path: str, body: Any, header: str = "Authorization", **more: str) -> Any:
        secret = f"Bearer {self.token}" if header == "Authorization" else self.token
        return self.http.post(path, json=body, headers={header: secret, **more}, buffered=True)


@pytest.fixture
def program(app: Flask, simulated: str, acme: people.Cast) -> Program:
    return Program(app, acme.token())


@pytest.fixture
def provider() -> Iterator[Upstream]:
    with upstream() as provider:
        yield provider


def run() -> Execution:
    return Execution(id=new_id(), created_at=now())


WRITERS = {
    "openai": (lambda one: chat_answer.Chunks(one, "theirs", True), chat_answer.completion),
    "openai-responses": (
        lambda one: responses_answer.Events(one, "theirs", {}),
        lambda whole: responses_answer.response({}, whole),
    ),
    "anthropic": (lambda one: messages_answer.Events(one, "theirs"), messages_answer.message),
    "google": (lambda one: generate_answer.Documents(one, "theirs", is_sse=True), generate_answer.document),
}


def joined(events: list[Event]) -> tuple[Any, ...]:
    """What an answer comes to, however it was cut."""
    answer, usage, done = Answer(), Usage(), None
    for event in events:
        answer.add(event)
        usage = usage.updated(event) if isinstance(event, Usage) else usage
        done = event if isinstance(event, Done) else done
    calls = [(call["name"], json.loads(call["arguments"])) for call in answer.tool_calls.values()]
    return "".join(answer.text), "".join(answer.reasoning), calls, usage, done and done.finish


@pytest.mark.parametrize("format", WRITERS)
def test_words_that_came_at_once_are_told_in_as_many_messages(format: str) -> None:
    execution = run()
    apart, at_once = WRITERS[format][0](execution), WRITERS[format][0](execution)
    said = [apart.of(Text(one)) for one in ("Hello", " you", " there")]
    assert all(said)
    events = iter([Text("Hello you there", pieces=("Hello", " you", " there"))])
    assert next(answering._pieces(execution, at_once, events, 0.0)) == b"".join(said)


@pytest.mark.parametrize("format", WRITERS)
def test_what_we_write_in_a_format_is_what_our_reader_of_it_reads(format: str) -> None:
    """Our readers are held against recorded traffic, so what they read is what the format says."""
    pieces, whole = WRITERS[format]
    writer: Pieces = pieces(run())
    told = b"".join([*map(writer.of, SAID), *writer.last(DONE, USED, {})])
    document = Whole(run(), usage=USED, done=DONE, model="theirs")
    for event in SAID:
        document.add(event)
    read = []
    for body in (told, json.dumps(whole(document)).encode()):
        decode = adapter(format, "http://x/v1").decoder()
        read.append(joined(list(decode(body, True))))
    assert read[0] == read[1]
    text, thought, calls, usage, finish = read[0]
    assert (text, thought, finish) == ("It is warm.", "Let me see.", Finish.TOOL_CALLS)
    assert calls == [("weather", {"city": "Rome"}), ("weather", {"city": "Oslo"})]
    assert (usage.input_total, usage.cache_read, usage.output_total) == (15, 5, 10)
    assert usage.reasoning == (None if format == "anthropic" else 3)  # which counts it within the output


@pytest.mark.parametrize("format", WRITERS)
@pytest.mark.parametrize(
    "pieces",
    [
        [(0, '{"x"'), (1, '{"y"'), (0, ":1}"), (2, "{"), (1, ":2}"), (2, "}")],
        [(0, '{"x":1}'), (1, '{"y"'), (1, ":2}"), (2, "{}")],
        [(0, '{"x":1'), (1, '{"y":2}'), (2, "{}"), (0, "}")],
    ],
)
def test_calls_that_come_a_piece_of_one_and_a_piece_of_another_are_told_as_they_are(
    format: str, pieces: list[tuple[int, str]]
) -> None:
    writer: Pieces = WRITERS[format][0](run())
    told, begun = b"", set[int]()
    for index, arguments in pieces:
        new = {"id": f"c{index}", "name": f"f{index}"} if index not in begun else {}
        begun.add(index)
        told += writer.of(ToolCall(index, arguments=arguments, **new))
    told += b"".join(writer.last(DONE, USED, {}))
    _, _, calls, _, _ = joined(list(adapter(format, "http://x/v1").decoder()(told, True)))
    assert calls == [("f0", {"x": 1}), ("f1", {"y": 2}), ("f2", {})]


def test_what_is_asked_in_anthropics_form_comes_to_anthropic_as_it_was_asked(
    program: Program, acme: people.Cast, provider: Upstream
) -> None:
    people.own_model(acme, people.own_provider(acme, provider.url, "anthropic"), "claude")
    content = [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2VhbA=="},
        {"type": "redacted_thinking", "data": "aGlkZGVu"},
        {"type": "text", "text": "Warm."},
    ]
    used = {"input_tokens": 4, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 20, "output_tokens": 9}
    provider.answers(
        {
            "type": "message",
            "model": "claude-dated",
            "content": content,
            "stop_reason": "stop_sequence",
            "stop_sequence": "END",
            "usage": used,
        }
    )
    kept = {"cache_control": {"type": "ephemeral"}}
    asked = {
        "model": "claude",
        "max_tokens": 2000,
        "system": [{"type": "text", "text": "Be brief.", **kept}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Weather?", **kept}]},
            {
                "role": "assistant",
                "content": [*content[:2], {"type": "tool_use", "id": "t1", "name": "weather", "input": {"a": 1}}],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "none", "is_error": True}],
            },
        ],
        "tools": [{"name": "weather", "input_schema": {"type": "object", "properties": {}}, **kept}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "stop_sequences": ["END"],
        "top_k": 5,
    }
    answer = program.post("/v1/messages", asked, "x-api-key")
    assert answer.status_code == 200, answer.text
    sent = {name: value for name, value in provider.requests[-1]["body"].items() if name != "output_config"}
    assert sent == asked
    told = answer.json
    assert told["content"][:2] == content[:2]
    assert (told["stop_reason"], told["stop_sequence"]) == ("stop_sequence", "END")
    assert {name: told["usage"][name] for name in used} == used
    assert answer.headers["x-dataelan-model"] == "claude"


def test_what_is_asked_in_one_form_is_sent_in_the_providers_own(
    program: Program, acme: people.Cast, provider: Upstream
) -> None:
    key = people.own_provider(acme, provider.url, "google")
    people.own_model(acme, key, "gemini")
    provider.answers({"candidates": [{"content": {"parts": [{"text": "18"}]}, "finishReason": "RECITATION"}]})
    picture = f"data:image/png;base64,{base64.b64encode(b'png').decode()}"
    asked = {
        "model": "gemini",
        "instructions": "Be brief.",
        "input": [
            {"role": "user", "content": [{"type": "input_image", "image_url": picture}]},
            {"type": "function_call", "call_id": "c", "name": "weather", "arguments": '{"city":"Rome"}'},
            {"type": "function_call_output", "call_id": "c", "output": "18 degrees"},
        ],
        "tools": [{"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}],
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "integer"}}},
    }
    answer = program.post("/v1/responses", asked).json
    assert answer["incomplete_details"] == {"reason": "content_filter"}
    sent = provider.requests[-1]["body"]
    assert sent["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert sent["contents"][0]["parts"][0]["inlineData"] == {"mimeType": "image/png", "data": picture[22:]}
    assert sent["contents"][1]["parts"][0]["functionCall"] == {"name": "weather", "args": {"city": "Rome"}}
    assert sent["contents"][2]["parts"][0]["functionResponse"]["name"] == "weather"
    assert sent["generationConfig"]["responseJsonSchema"] == {"type": "integer"}


def test_anthropics_word_for_telling_thoughts_is_openais_too(
    program: Program, acme: people.Cast, provider: Upstream
) -> None:
    people.own_model(acme, people.own_provider(acme, provider.url, "openai-responses"), "theirs")
    program.post("/v1/messages", {**BRIEF, "model": "theirs", "thinking": {"type": "adaptive"}})
    assert provider.requests[-1]["body"]["reasoning"]["effort"] == "high"
    thinking = {"type": "adaptive", "display": "summarized"}
    asked = {**BRIEF, "model": "theirs", "thinking": thinking, "output_config": {"effort": "none"}}
    program.post("/v1/messages", asked)
    assert provider.requests[-1]["body"]["reasoning"] == {"effort": "none", "summary": "auto"}


@pytest.mark.parametrize(
    ("mode", "names", "offered", "choice"),
    [
        ("ANY", ["a"], "abc", {"type": "function", "function": {"name": "a"}}),
        ("ANY", ["a", "c"], "ac", "required"),
        ("ANY", ["a", "b", "c"], "abc", "required"),
        ("ANY", [], "abc", "required"),
        ("VALIDATED", ["a"], "a", "auto"),
        ("VALIDATED", [], "abc", "auto"),
        ("AUTO", ["a"], "abc", "auto"),
        ("NONE", ["a"], "abc", "none"),
    ],
)
def test_which_of_geminis_functions_may_be_called_is_kept_to(
    program: Program, acme: people.Cast, provider: Upstream, mode: str, names: list[str], offered: str, choice: Any
) -> None:
    """LangChain names all of them where any is to be called."""
    people.own_model(acme, people.own_provider(acme, provider.url, "openai"), "theirs")
    calling = {"mode": mode, "allowedFunctionNames": names}
    declared = [{"functionDeclarations": [{"name": name} for name in "abc"]}]
    asked = {"contents": HI, "tools": declared, "toolConfig": {"functionCallingConfig": calling}}
    program.post("/v1beta/models/theirs:generateContent", asked)
    body = provider.requests[-1]["body"]
    assert [tool["function"]["name"] for tool in body["tools"]] == [*offered]
    assert body["tool_choice"] == choice


WORD = {"type": "STRING"}


@pytest.mark.parametrize(
    ("theirs", "plain"),
    [
        ({"type": "STRING", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": "STRING", "enum": ["red"], "nullable": True}, {"type": ["string", "null"], "enum": ["red", None]}),
        ({"anyOf": [WORD, {"type": "INTEGER"}], "nullable": True},
         {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]}),
        ({"type": "OBJECT", "properties": {"min_items": WORD}, "propertyOrdering": ["min_items"]},
         {"type": "object", "properties": {"min_items": {"type": "string"}}}),
        ({"min_items": "1", "maxLength": "2", "minProperties": "3", "max_properties": 4},
         {"minItems": 1, "maxLength": 2, "minProperties": 3, "maxProperties": 4}),
        ({"ref": "#/defs/any_pet", "defs": {"any_pet": WORD}},
         {"$ref": "#/$defs/any_pet", "$defs": {"any_pet": {"type": "string"}}}),
    ],
)  # fmt: skip
def test_geminis_own_schema_says_the_same_as_json_schema(theirs: dict[str, Any], plain: dict[str, Any]) -> None:
    """The first three are as Google's client says `str | None`, `Literal["red"] | None` and `str | int | None`."""
    assert json_schema(theirs) == plain


KINDS = {
    "openai-chat": "openai",
    "openai-responses": "openai-responses",
    "anthropic-messages": "anthropic",
    "gemini-generate": "google",
}


@pytest.mark.sweep
@pytest.mark.skipif(not RECORDINGS.is_dir(), reason=f"no recorded traffic at {RECORDINGS}")
@pytest.mark.parametrize("api", KINDS)
def test_every_recorded_answer_is_one_message_in_anthropics_events(api: str) -> None:
    """It begins once, has one block open at a time, and ends once."""
    tried = 0
    for row in json.loads((RECORDINGS / "index.json").read_text()):
        if row["api"] != api or row["status"] != 200:
            continue
        answer = json.loads((RECORDINGS / "corpus" / f"{row['id']}.json").read_text())["response"]
        decode, writer = adapter(KINDS[api], "http://x/v1").decoder(), messages_answer.Events(run(), "theirs")
        try:
            told = b"".join(map(writer.of, decode(answer["body"].encode(), True)))
        except Failure:  # some were cut while recording
            continue
        told += b"".join(writer.last(DONE, USED, {}))
        events = [json.loads(line[6:]) for line in told.decode().splitlines() if line.startswith("data: ")]
        begun, *blocks, ended, over = events
        assert [begun["type"], ended["type"], over["type"]] == ["message_start", "message_delta", "message_stop"]
        place, is_open = -1, False
        for event in blocks:
            what = event["type"].removeprefix("content_block_")
            place += what == "start"
            assert (event["index"], is_open) == (place, what != "start"), row["id"]
            is_open = what != "stop"
        assert not is_open
        tried += 1
    assert tried >= 80


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "top_logprobs": 2}, "top_logprobs"),
        ("/v1/responses", {"input": "Hi", "background": True}, "background"),
        ("/v1/responses", {"input": "Hi", "tools": [{"type": "web_search"}]}, "tools.0.type"),
        ("/v1/responses", {"input": [{"type": "item_reference", "id": "x"}]}, "input.0"),
        ("/v1/responses", {"input": [{"id": "msg_x"}]}, "input.0"),
        ("/v1/messages", {"max_tokens": 5, "messages": []}, "messages"),
        ("/v1/messages", {"messages": [{"role": "user", "content": "Hi"}]}, "max_tokens"),
        ("/v1/messages", {"max_tokens": 5, "messages": [{"role": "user", "content": [{"type": "x"}]}]},
         "messages.0.content.0"),
        ("/v1beta/models/auto:generateContent", {"contents": [{"parts": [{}]}]}, "contents.0.parts.0"),
        ("/v1/messages", {"max_tokens": 5, "messages": [{"role": "user", "content": []}]}, "messages.0.content"),
        ("/v1/messages",
         {"max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}], "tool_choice": {"type": "tool"}},
         "tool_choice.name"),
        ("/v1beta/models/auto:generateContent", {"contents": [{"parts": []}], "cachedContent": "x"}, "cachedContent"),
        (f"/v1beta/models/{'x' * 201}:generateContent", {"contents": [{"parts": [{"text": "Hi"}]}]}, "model"),
        ("/v1beta/models/auto:generateContent",
         {"contents": [{"parts": [{"text": "Hi"}]}],
          "systemInstruction": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "eA=="}}]}},
         "systemInstruction.parts.0"),
        ("/v1beta/models/auto:generateContent",
         {"contents": [{"parts": [{"text": "Hi"}]}], "tools": [{"functionDeclarations": {}}]},
         "tools.0.functionDeclarations.0"),
        (GENERATE,
         {"contents": HI, "tools": [{"functionDeclarations": [{"name": "g"}]}],
          "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}}},
         "toolConfig.functionCallingConfig.allowedFunctionNames"),
        ("/v1/embeddings", {"input": [1, 2]}, "input"),
        ("/v1/images/generations", {"prompt": "x", "response_format": "url"}, "response_format"),
        ("/v1/audio/speech", {"input": "x", "speed": 9}, "speed"),
        ("/v1/audio/transcriptions", {}, "file"),
        ("/v1/messages", {**BRIEF, "inference_geo": "us"}, "inference_geo"),
        ("/v1/messages", {**BRIEF, "tools": [{"name": "t", "input_schema": {}, "input_examples": [{}]}]},
         "tools.0.input_examples"),
        ("/v1/messages", {**BRIEF, "tools": [{"name": "t", "input_schema": {}, "defer_loading": True}]},
         "tools.0.defer_loading"),
        ("/v1/messages", brief(DOCUMENT | {"citations": {"enabled": True}}), "messages.0.content.0.citations"),
        ("/v1/messages", brief(DOCUMENT | {"context": "A letter"}), "messages.0.content.0.context"),
        (GENERATE, {"contents": HI, "generationConfig": {"mediaResolution": "MEDIA_RESOLUTION_LOW"}},
         "generationConfig.mediaResolution"),
        (GENERATE, {"contents": [{"parts": [{"text": "Hi", "videoMetadata": {"fps": 1}}]}]},
         "contents.0.parts.0.videoMetadata"),
        ("/v1/responses", {"input": "Hi", "context_management": [{"type": "compaction"}]}, "context_management"),
        ("/v1/images/generations", {"prompt": "x", "style": "vivid"}, "style"),
        ("/v1/images/generations", {"prompt": "x", "complexity": "high"}, "complexity"),
        ("/v1/images/generations", {"prompt": "x", "frame_count": 4}, "frame_count"),
        (CHAT, {"messages": BRIEF["messages"], "moderation": BLOCKING}, "moderation"),
        ("/v1/responses", {"input": "Hi", "moderation": BLOCKING}, "moderation"),
        ("/v1/responses", {"input": "Hi", "access_programs": {"cyber": "daybreak_blue"}}, "access_programs"),
        ("/v1/responses", {"input": "Hi", "image": {"context_compression": "enabled"}}, "image"),
        ("/v1/responses", {"input": "Hi", "reasoning": {"mode": "pro"}}, "reasoning.mode"),
        ("/v1/responses", {"input": "Hi", "reasoning": {"context": "all_turns"}}, "reasoning.context"),
        ("/v1/responses", {"input": "Hi", "tools": [{"type": "function", "name": "f", "async": True}]},
         "tools.0.async"),
        ("/v1/responses", {"input": "Hi", "tools": [{"type": "function", "name": "f", "defer_loading": True}]},
         "tools.0.defer_loading"),
        ("/v1/responses",
         {"input": [{"content": [{"type": "input_file", "file_url": "https://x/y.pdf", "detail": "low"}]}]},
         "input.0.content.0.detail"),
        ("/v1/messages", {**BRIEF, "thread": {"type": "continue", "previous_message_id": "msg_1"}}, "thread"),
        ("/v1/messages", {**BRIEF, "compaction": {"type": "enabled"}}, "compaction"),
        ("/v1/messages", {**BRIEF, "fallbacks": "default"}, "fallbacks"),
        ("/v1/messages",
         brief({"type": "image", "source": {"type": "url", "url": "https://x/y.png"},
                "transformations": {"oversized_image": "error"}}),
         "messages.0.content.0.transformations"),
        (GENERATE, {"contents": HI, "generationConfig": {"imageConfig": {"aspectRatio": "1:1"}}},
         "generationConfig.imageConfig"),
        (GENERATE, {"contents": HI, "generationConfig": {"continuationToken": "eA=="}},
         "generationConfig.continuationToken"),
        (GENERATE, {"contents": [{"parts": [{"text": "Hi", "mediaProcessing": {"mode": "x"}}]}]},
         "contents.0.parts.0.mediaProcessing"),
        (CHAT, {"messages": [*BRIEF["messages"], {"role": "assistant", "audio": {"id": "a"}}]}, "messages.1.audio"),
        (CHAT, {"messages": [{"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}]},
         "messages.0.function_call"),
    ],
)  # fmt: skip
def test_what_cannot_be_carried_is_400_and_named(program: Program, path: str, body: Any, field: str) -> None:
    answer = program.post(path, {"model": "auto", **body})
    assert answer.status_code == 400
    assert field in answer.text
    assert field in answer.json["error"]["message"]


def test_what_only_openai_does_with_a_recording_is_400_and_named(program: Program) -> None:
    for name, value in (("chunking_strategy", '{"type":"server_vad"}'), ("known_speaker_names[]", "Ada")):
        form = {"model": "simulated-ear", name: value, "file": (io.BytesIO(b"RIFF\0\0\0\0WAVEfmt "), "a.wav")}
        headers = {"Authorization": f"Bearer {program.token}"}
        answer = program.http.post("/v1/audio/transcriptions", data=form, headers=headers)
        assert (answer.status_code, answer.json["error"]["param"]) == (400, name.removesuffix("[]"))


def test_what_a_whole_request_of_anthropics_is_to_keep_is_kept_to_its_end(
    program: Program, acme: people.Cast, provider: Upstream
) -> None:
    people.own_model(acme, people.own_provider(acme, provider.url, "anthropic"), "theirs")
    program.post("/v1/messages", {**BRIEF, "model": "theirs", "cache_control": {"type": "ephemeral", "ttl": "1h"}})
    (block,) = provider.requests[-1]["body"]["messages"][0]["content"]
    assert block["cache_control"] == {"type": "ephemeral", "ttl": "1h"}


def test_what_is_to_be_kept_to_the_end_of_a_result_is_said_of_the_result(
    program: Program, acme: people.Cast, provider: Upstream
) -> None:
    people.own_model(acme, people.own_provider(acme, provider.url, "anthropic"), "theirs")
    kept = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    said = [{"type": "text", "text": "Rain"}, {"type": "text", "text": "in Rome", **kept}]
    result = {"type": "tool_result", "tool_use_id": "t1", "content": said}
    program.post("/v1/messages", {**brief(result, {"type": "text", "text": "So?"}), "model": "theirs"})
    told, asked = provider.requests[-1]["body"]["messages"][0]["content"]
    assert (told["content"], told["cache_control"]) == ("Rainin Rome", kept["cache_control"])
    assert asked == {"type": "text", "text": "So?"}


def test_odd_bodies_are_answered_as_any_other(program: Program) -> None:
    said = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "a"},
        {"role": "assistant", "content": []},
    ]
    asked = {"model": "simulated-instant", "input": [*said, said[0]]}
    assert program.post("/v1/responses", asked).status_code in (200, 400)
    schema = {"type": "ARRAY", "items": {"type": "STRING"}, "maxItems": "9" * 5000}
    body = {"contents": [{"parts": [{"text": "Hi"}]}], "generationConfig": {"responseSchema": schema}}
    assert program.post("/v1beta/models/simulated-instant:generateContent", body).status_code in (200, 400)
    empty = [{"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "Hi"}]}]
    assert program.post("/v1/chat/completions", {"model": "simulated-instant", "messages": empty}).status_code == 200


def test_what_a_client_leaves_open_by_null_is_not_said(program: Program) -> None:
    """As OpenAI's own types have it of each of these."""
    shown = [
        {"type": "input_image", "image_url": PICTURE, "file_id": None, "detail": None},
        {"type": "input_file", "file_data": PICTURE, "file_url": None, "filename": None},
    ]
    result = {"type": "function_call_output", "id": None, "call_id": None, "name": None, "status": None}
    said = [{**result, "output": "18 degrees"}, {"role": "user", "content": shown}]
    asked = {"model": "simulated-instant", "input": said}
    answer = program.post("/v1/responses", asked)
    assert answer.status_code == 200, answer.text
    assert program.post("/v1/images/generations", {"prompt": "A house", "model": None}).status_code == 200


def test_what_another_provider_thought_is_not_told_to_anthropic(
    program: Program, acme: people.Cast, provider: Upstream
) -> None:
    people.own_model(acme, people.own_provider(acme, provider.url, "anthropic"), "claude")
    thought = {"type": "thinking", "thinking": "Hm.", "signature": ""}
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [thought, {"type": "text", "text": "Hello"}]},
        {"role": "user", "content": "And?"},
    ]
    program.post("/v1/messages", {"model": "claude", "max_tokens": 5, "messages": turns})
    assert "Hm." not in json.dumps(provider.requests[-1]["body"])


def test_a_parameter_that_its_models_have_not_is_400_and_named(
    program: Program, acme: people.Cast, provider: Upstream
) -> None:
    people.own_model(acme, people.own_provider(acme, provider.url, "anthropic"), "claude")
    asked = {"model": "claude", "messages": [{"role": "user", "content": "Hi"}], "frequency_penalty": 1.5}
    answer = program.post("/v1/chat/completions", asked)
    assert answer.status_code == 400
    assert "frequency_penalty" in answer.json["error"]["message"]
    assert provider.requests == []


def test_each_api_gets_errors_and_lists_in_its_own_form(program: Program) -> None:
    said = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5, "model": "none"}
    anthropic = program.post("/v1/messages", said, "x-api-key")
    assert anthropic.status_code == 404
    assert (anthropic.json["type"], anthropic.json["error"]["type"]) == ("error", "not_found_error")
    gemini = program.post("/v1beta/models/none:generateContent", {"contents": [{"parts": [{"text": "Hi"}]}]})
    assert gemini.json["error"]["status"] == "NOT_FOUND"
    assert gemini.json["error"]["code"] == gemini.status_code == 404
    assert program.http.get("/v1beta/nothing").json["error"]["status"] == "NOT_FOUND"
    program.http.environ_base["HTTP_X_API_KEY"] = program.token
    listed = program.http.get("/v1/models", headers={"anthropic-version": "2023-06-01"}).json
    assert listed["data"][0]["type"] == "model"
    auto = program.http.get("/v1beta/models").json["models"][0]
    methods = auto["supportedGenerationMethods"]
    assert (auto["name"], sorted(methods)) == ("models/auto", sorted(verb.removeprefix(":") for verb in GEMINI_VERBS))
    assert program.http.get("/v1/models/simulated-instant").json["object"] == "model"
    assert program.http.get("/v1/models/simulated/simulated-instant").json["object"] == "model"
    assert program.http.get("/v1/models/simulated/none").status_code == 404


def test_a_token_in_the_address_is_refused_with_how_it_is_done(program: Program) -> None:
    answer = program.http.post(f"/v1beta/models/auto:generateContent?key={program.token}", json={})
    assert answer.status_code == 401
    assert "x-goog-api-key" in answer.json["error"]["message"]
    assert program.token not in answer.text


def test_a_failure_in_mid_stream_is_told_in_the_streams_own_form(program: Program) -> None:
    text = "!simulate fail=error_in_stream after=2\nHi"
    said = {"messages": [{"role": "user", "content": text}], "max_tokens": 50, "model": "simulated-instant"}
    anthropic = program.post("/v1/messages", {**said, "stream": True}).text
    assert "event: error" in anthropic
    responses = program.post("/v1/responses", {"model": said["model"], "input": text, "stream": True}).text
    assert "event: response.failed" in responses
    path = f"/v1beta/models/{said['model']}:streamGenerateContent"
    documents = json.loads(program.post(path, {"contents": [{"parts": [{"text": text}]}]}).text)
    assert documents[0]["candidates"][0]["content"]["parts"][0]["text"]
    assert documents[-1]["error"]["status"] == "UNAVAILABLE"


def test_a_response_goes_on_from_an_earlier_one_of_its_own_project(
    program: Program, app: Flask, rival: people.Cast
) -> None:
    first = program.post("/v1/responses", {"model": "simulated-instant", "input": "What is a token?"}).json
    then = {"model": "simulated-instant", "input": "And?", "previous_response_id": first["id"]}
    second = program.post("/v1/responses", then)
    assert second.json["usage"]["input_tokens"] > first["usage"]["input_tokens"] + 50
    theirs = Program(app, rival.token()).post("/v1/responses", then)
    unknown = program.post("/v1/responses", {**then, "previous_response_id": "resp_0"})
    assert theirs.status_code == unknown.status_code == 404


def test_items_of_an_earlier_answer_can_be_named_in_place_of_saying_them_again(
    program: Program, acme: people.Cast, provider: Upstream, app: Flask, rival: people.Cast
) -> None:
    """As the Vercel AI SDK sends a conversation, unless it is told otherwise."""
    people.own_model(acme, people.own_provider(acme, provider.url, "openai"), "theirs")
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}
    said = {"role": "assistant", "content": "Let me look.", "reasoning_content": "Hm.", "tool_calls": [call]}
    provider.answers({"model": "theirs", "choices": [{"message": said, "finish_reason": "tool_calls"}]})
    asked = {"role": "user", "content": "What is the weather in Rome?"}
    output = program.post("/v1/responses", {"model": "theirs", "input": [asked]}).json["output"]
    assert [item["type"] for item in output] == ["reasoning", "message", "function_call"]
    named: list[dict[str, Any]] = [{"type": "item_reference", "id": item["id"]} for item in output]
    twice = {"type": "item_reference", "id": f"{output[1]['id']}_2"}  # where words stood in two items
    result = {"type": "function_call_output", "call_id": "c1", "output": "18 degrees"}
    named[0].pop("type")  # which OpenAI's own client may leave out
    named[1]["type"] = None
    then = {"model": "theirs", "input": [asked, *named[:2], twice, named[2], result]}
    assert program.post("/v1/responses", then).status_code == 200
    sent = provider.requests[-1]["body"]["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool"]
    assert (sent[1]["content"], sent[1]["tool_calls"], sent[2]["tool_call_id"]) == ("Let me look.", [call], "c1")

    theirs = Program(app, rival.token()).post("/v1/responses", {**then, "model": "auto"})
    gone = program.post("/v1/responses", {**then, "input": [asked, {**named[2], "id": f"{output[2]['id'][:-2]}_7"}]})
    for refused in (theirs, gone):
        assert (refused.status_code, refused.json["error"]["code"]) == (404, "item_not_found")
        assert refused.json["error"]["param"] == "input.1"
    many = program.post("/v1/responses", {**then, "input": [asked, *named[:1] * 1_001]})
    assert (many.status_code, many.json["error"]["param"]) == (400, "input")


def test_tokens_are_counted_without_a_run(program: Program, acme: people.Cast, provider: Upstream) -> None:
    said = {"model": "simulated-instant", "messages": [{"role": "user", "content": "Hello you"}]}
    guessed = program.post("/v1/messages/count_tokens", said)
    assert guessed.json["input_tokens"] > 0
    assert guessed.headers["x-dataelan-estimated"] == "true"
    people.own_model(acme, people.own_provider(acme, provider.url, "anthropic"), "claude")
    provider.answers({"input_tokens": 321})
    counted = program.post("/v1/messages/count_tokens", {**said, "model": "claude"})
    assert counted.json == {"input_tokens": 321}
    assert "x-dataelan-estimated" not in counted.headers


def test_pictures_voices_transcripts_and_vectors_are_made_and_replayed(program: Program) -> None:
    asked = {"model": "simulated-image", "prompt": "A red house"}
    once, twice = (program.post("/v1/images/generations", asked, **{"Idempotency-Key": "1"}) for _ in range(2))
    assert base64.b64decode(once.json["data"][0]["b64_json"]).startswith(b"\x89PNG")
    assert twice.json["data"] == once.json["data"]
    assert twice.headers["x-dataelan-replayed"] == "true"
    assert once.headers["x-dataelan-cost-usd"] == "0"
    spoken = {"model": "simulated-voice", "voice": "alloy", "input": "Hello", "response_format": "wav"}
    sound = program.post("/v1/audio/speech", spoken)
    assert sound.mimetype == "audio/wav"
    form = {"model": "simulated-ear", "response_format": "json", "file": (io.BytesIO(sound.data), "hello.wav")}
    heard = program.http.post(
        "/v1/audio/transcriptions", data=form, headers={"Authorization": f"Bearer {program.token}"}
    )
    assert heard.json["text"]
    assert heard.json["usage"]["type"] in ("duration", "tokens")
    floats, packed = (
        program.post("/v1/embeddings", {"model": "simulated-vectors", "input": "one", "encoding_format": form})
        for form in ("float", "base64")
    )
    assert len(base64.b64decode(packed.json["data"][0]["embedding"])) == 4 * len(floats.json["data"][0]["embedding"])


def test_the_largest_numbers_are_the_same_when_they_are_sent_again(program: Program) -> None:
    """PostgreSQL keeps their digits, which are whole numbers of hundreds of digits to Python."""
    ends = {"type": "number", "minimum": -1.7976931348623157e308, "maximum": 1e23, "multipleOf": 5e-324}
    tool = {"name": "f", "parameters": {"type": "object", "properties": {"x": ends}}}
    asked = {
        "model": "simulated-instant",
        **BRIEF,
        "temperature": 1.0,
        "tools": [{"type": "function", "function": tool}],
    }
    once, twice = (program.post(CHAT, asked, **{"Idempotency-Key": "1"}) for _ in range(2))
    assert (twice.status_code, twice.headers.get("x-dataelan-replayed")) == (200, "true"), twice.text
    assert once.json["choices"] == twice.json["choices"]
    ends["maximum"] = 1.0000000000000001e23
    assert program.post(CHAT, asked, **{"Idempotency-Key": "1"}).status_code == 422


def test_a_field_without_a_name_is_passed_over(program: Program) -> None:
    """As Schemathesis found: such a part of a form has none at all."""
    body = b"--x\r\nContent-Disposition: form-data\r\n\r\nhi\r\n--x--\r\n"
    headers = {"Authorization": f"Bearer {program.token}", "Content-Type": "multipart/form-data; boundary=x"}
    answer = program.http.post("/v1/audio/transcriptions", data=body, headers=headers)
    assert (answer.status_code, answer.json["error"]["param"]) == (400, "file")
