"""Bedrock's InvokeModel, in each maker's own format, and its embeddings: what is asked, and what is answered."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from dataelan_web.router.providers import adapter
from dataelan_web.router.types import (
    Call,
    Done,
    Embedding,
    Event,
    Failure,
    FilePart,
    Finish,
    Kind,
    Message,
    Prompt,
    Task,
    Text,
    TextPart,
    ToolUse,
    Unsupported,
    Usage,
    assistant,
    system,
    user,
)

from .aws_messages import chunk, event
from .prompts import PLAIN, RICH, SCHEMA
from .recordings import decoded

BASE = "https://bedrock-runtime.us-east-1.amazonaws.com"
CONVERSE, INVOKE = adapter("bedrock", BASE), adapter("bedrock-invoke", BASE)
EMBEDDINGS = adapter("bedrock", BASE, Task.EMBEDDING)
NOVA, CLAUDE, LLAMA = "us.amazon.nova-2-lite-v1:0", "us.anthropic.claude-sonnet-4-6", "meta.llama3-8b-instruct-v1:0"

TALK = Prompt((system("Be brief."), user("Hi"), assistant("Hello."), user("Bye")), max_tokens=9, stream=False)


def invoked(prompt: Prompt, model: str) -> dict[str, Any]:
    return dict(INVOKE.call(prompt, model, "k").body or {})


# -- the request ---------------------------------------------------------------------


def test_claude_is_asked_in_messages() -> None:
    call = INVOKE.call(TALK, CLAUDE, "k")
    assert call == Call(
        f"{BASE}/model/us.anthropic.claude-sonnet-4-6/invoke",
        {
            "anthropic_version": "bedrock-2023-05-31",
            "max_tokens": 9,
            "system": "Be brief.",
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
                {"role": "assistant", "content": [{"type": "text", "text": "Hello."}]},
                {"role": "user", "content": [{"type": "text", "text": "Bye"}]},
            ],
        },
        {"Authorization": "Bearer k"},
    )
    streamed = INVOKE.call(replace(TALK, stream=True), CLAUDE, "k")
    assert streamed.url.endswith("/invoke-with-response-stream")
    assert streamed.body == call.body


def test_nova_is_asked_as_in_converse() -> None:
    prompt = replace(TALK, reasoning_effort="low")
    assert invoked(prompt, NOVA) == {
        "schemaVersion": "messages-v1",
        **(CONVERSE.call(TALK, NOVA, "k").body or {}),
        "inferenceConfig": {"maxTokens": 9, "reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}},
    }
    with pytest.raises(Unsupported, match="Converse can"):
        invoked(replace(TALK, schema=SCHEMA), NOVA)
    with pytest.raises(Unsupported, match="documents"):
        invoked(Prompt((Message("user", (FilePart("application/pdf", data="AAAA"),)),)), NOVA)


def test_llama_mistral_and_titan_are_asked_in_one_text() -> None:
    assert invoked(TALK, LLAMA) == {
        "prompt": "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nHello.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "max_gen_len": 9,
    }
    assert invoked(PLAIN, "us.meta.llama4-scout-17b-instruct-v1:0") == {
        "prompt": "<|begin_of_text|><|header_start|>user<|header_end|>\n\nHi<|eot|>"
        "<|header_start|>assistant<|header_end|>\n\n"
    }
    assert invoked(TALK, "mistral.mistral-7b-instruct-v0:2") == {
        "prompt": "<s>[INST] Be brief.\n\nHi [/INST] Hello.</s>[INST] Bye [/INST]",
        "max_tokens": 9,
    }
    assert invoked(TALK, "amazon.titan-text-express-v1") == {
        "inputText": "Be brief.\n\nUser: Hi\nBot: Hello.\nUser: Bye\nBot:",
        "textGenerationConfig": {"maxTokenCount": 9},
    }
    assert invoked(PLAIN, "amazon.titan-text-express-v1") == {"inputText": "Hi"}


@pytest.mark.parametrize("model", [LLAMA, "mistral.mixtral-8x7b-instruct-v0:1", "amazon.titan-text-lite-v1"])
def test_one_text_has_no_room_for_tools_or_schemas(model: str) -> None:
    with pytest.raises(Unsupported, match="no pictures, files or tools"):
        invoked(RICH, model)
    with pytest.raises(Unsupported, match="JSON schema"):
        invoked(replace(PLAIN, schema=SCHEMA), model)


def test_cohere_is_asked_in_its_older_formats() -> None:
    assert invoked(replace(TALK, stream=True), "cohere.command-r-v1:0") == {
        "message": "Bye",
        "preamble": "Be brief.",
        "chat_history": [{"role": "USER", "message": "Hi"}, {"role": "CHATBOT", "message": "Hello."}],
        "max_tokens": 9,
    }
    assert invoked(replace(PLAIN, stream=True), "cohere.command-text-v14") == {"prompt": "Hi", "stream": True}


def test_other_makers_are_asked_in_chat_completions() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Bye"},
    ]
    assert invoked(TALK, "us.mistral.pixtral-large-2502-v1:0") == {"messages": messages, "max_tokens": 9}
    assert invoked(TALK, "openai.gpt-oss-20b-1:0") == {"messages": messages, "max_completion_tokens": 9}


# -- the answer ----------------------------------------------------------------------

METRICS = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 4, "outputTokenCount": 2}}
COUNTED = Usage(input=4, output=2)


def invoke(*documents: Any) -> tuple[list[Event], Failure | None]:
    return decoded(INVOKE.decoder(), b"".join(map(chunk, documents)), 7)


@pytest.mark.parametrize(
    ("documents", "events"),
    [
        (
            [{"generation": "H", "prompt_token_count": 4}, {"generation": "i", "stop_reason": "stop", **METRICS}],
            [Text("H"), Usage(input=4), Text("i"), Done(Finish.STOP, "stop")],
        ),
        (
            [{"outputs": [{"text": "Hi", "stop_reason": "length"}]}, METRICS],
            [Text("Hi"), COUNTED, Done(Finish.LENGTH, "length")],
        ),
        (
            [{"completion": "Hi", "stop_reason": None}, {"completion": "", "stop_reason": "stop_sequence", **METRICS}],
            [Text("Hi"), COUNTED, Done(Finish.STOP, "stop_sequence")],
        ),
        (
            [
                {"choices": [{"index": 0, "message": {"content": "H"}, "stop_reason": None}]},
                {"choices": [{"index": 0, "message": {"content": "i"}, "stop_reason": "stop"}], **METRICS},
            ],
            [Text("Hi"), COUNTED, Done(Finish.STOP, "stop")],
        ),
        (
            [
                {"event_type": "text-generation", "text": "Hi", "is_finished": False},
                {"event_type": "stream-end", "finish_reason": "COMPLETE", "is_finished": True, **METRICS},
            ],
            [Text("Hi"), COUNTED, Done(Finish.STOP, "COMPLETE")],
        ),
        (
            [{"is_finished": False, "text": "Hi"}, {"is_finished": True, "finish_reason": "MAX_TOKENS", **METRICS}],
            [Text("Hi"), COUNTED, Done(Finish.LENGTH, "MAX_TOKENS")],
        ),
    ],
)
def test_each_makers_stream_is_told_by_its_form(documents: list[Any], events: list[Event]) -> None:
    assert invoke(*documents) == (events, None)


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (
            {
                "inputTextTokenCount": 4,
                "results": [{"tokenCount": 2, "outputText": "Hi", "completionReason": "FINISH"}],
            },
            [Text("Hi"), COUNTED, Done(Finish.STOP, "FINISH")],
        ),
        ({"outputs": [{"text": "Hi", "stop_reason": "stop"}]}, [Text("Hi"), Done(Finish.STOP, "stop")]),
        ({"choices": [{"text": "Hi", "stop_reason": "length"}]}, [Text("Hi"), Done(Finish.LENGTH, "length")]),
        ({"choices": [{"message": {"content": "Hi"}, "stop_reason": "stop"}]}, [Text("Hi"), Done(Finish.STOP, "stop")]),
        ({"completion": "Hi", "stop_reason": "max_tokens"}, [Text("Hi"), Done(Finish.LENGTH, "max_tokens")]),
        ({"generations": [{"text": "Hi", "finish_reason": "COMPLETE"}]}, [Text("Hi"), Done(Finish.STOP, "COMPLETE")]),
        (
            {"text": "Hi", "generation_id": "g", "finish_reason": "COMPLETE"},
            [Text("Hi"), Done(Finish.STOP, "COMPLETE", "", "g")],
        ),
    ],
)
def test_each_makers_whole_answer_is_told_by_its_form(body: dict[str, Any], events: list[Event]) -> None:
    assert decoded(INVOKE.decoder(), json.dumps(body).encode(), 7) == (events, None)


def test_a_guardrail_that_stepped_in_filtered_the_answer() -> None:
    blocked = {"amazon-bedrock-guardrailAction": "INTERVENED"}
    assert invoke({"outputText": "No.", **blocked}) == ([Text("No."), Done(Finish.CONTENT_FILTER)], None)
    assert invoke({"generation": "No.", "stop_reason": "stop", **blocked}) == (
        [Text("No."), Done(Finish.CONTENT_FILTER, "stop")],
        None,
    )


@pytest.mark.parametrize(
    "documents",
    [[], [{}], [{"generation": "Hi"}], [{"messageStart": {}}], [{"type": "message_start", "message": {}}]],
)
def test_an_invoked_stream_without_its_end_was_cut_off(documents: list[Any]) -> None:
    _, failure = decoded(INVOKE.decoder(), event("initial-response", {}) + b"".join(map(chunk, documents)), 100)
    assert failure is not None
    assert (failure.kind, failure.code) == (Kind.TRANSIENT, "cut_off")


def test_a_tool_call_of_the_history_is_no_obstacle_to_claude() -> None:
    prompt = Prompt((user("Hi"), Message("assistant", (TextPart("I look."), ToolUse("c", "f", "{}")))), stream=False)
    assert invoked(prompt, CLAUDE)["messages"][1]["content"][1]["type"] == "tool_use"


@pytest.mark.parametrize("reader", [CONVERSE, INVOKE, EMBEDDINGS])
def test_an_error_with_status_200_is_a_failure(reader: Any) -> None:
    _, failure = decoded(reader.decoder(), b'{"message":"The model is gone."}', 5)
    assert failure is not None
    assert failure.message == "The model is gone."


@pytest.mark.parametrize("reader", [CONVERSE, INVOKE, EMBEDDINGS])
def test_json_of_something_else_is_a_failure(reader: Any) -> None:
    _, failure = decoded(reader.decoder(), b'{"hello":1}', 5)
    assert failure is not None
    assert failure.kind is Kind.TRANSIENT


# -- embeddings -----------------------------------------------------------------------------------


def to_embed(*texts: str, **media: Any) -> Prompt:
    return Prompt(tuple(map(user, texts)), Task.EMBEDDING, media)


def test_each_maker_is_asked_for_vectors_in_its_own_format() -> None:
    call = EMBEDDINGS.call(to_embed("Hi", dimensions=256), "amazon.titan-embed-text-v2:0", "k")
    assert call == Call(
        f"{BASE}/model/amazon.titan-embed-text-v2%3A0/invoke",
        {"inputText": "Hi", "dimensions": 256},
        {"Authorization": "Bearer k"},
    )
    assert EMBEDDINGS.call(to_embed("a", "b", input_type="query"), "cohere.embed-v4:0", "").body == {
        "texts": ["a", "b"],
        "input_type": "search_query",
    }
    assert EMBEDDINGS.call(to_embed("Hi", dimensions=384), "amazon.nova-2-multimodal-embeddings-v1:0", "").body == {
        "taskType": "SINGLE_EMBEDDING",
        "singleEmbeddingParams": {
            "embeddingPurpose": "GENERIC_INDEX",
            "text": {"truncationMode": "NONE", "value": "Hi"},
            "embeddingDimension": 384,
        },
    }


def test_the_titan_that_embeds_pictures_has_another_word_for_how_long_a_vector_is() -> None:
    call = EMBEDDINGS.call(to_embed("Hi", dimensions=256), "amazon.titan-embed-image-v1", "k")
    assert call.body == {"inputText": "Hi", "embeddingConfig": {"outputEmbeddingLength": 256}}
    assert EMBEDDINGS.call(to_embed("Hi"), "amazon.titan-embed-image-v1", "k").body == {"inputText": "Hi"}


def test_titan_embeds_one_text_a_call() -> None:
    with pytest.raises(Unsupported, match="one text"):
        EMBEDDINGS.call(to_embed("a", "b"), "amazon.titan-embed-text-v2:0", "")


@pytest.mark.parametrize(
    "body",
    [
        {"embeddings": [[1, 2.5], [0, -1]]},
        {"embeddings": {"float": [[1, 2.5], [0, -1]], "int8": [[1, 2], [0, -1]]}},
        {"embeddings": [{"embeddingType": "TEXT", "embedding": [1, 2.5]}, {"embedding": [0, -1]}]},
    ],
)
def test_vectors_are_found_in_each_of_their_places(body: dict[str, Any]) -> None:
    events, failure = decoded(EMBEDDINGS.decoder(), json.dumps(body).encode(), 7)
    assert failure is None
    assert events == [Embedding(0, (1.0, 2.5)), Embedding(1, (0.0, -1.0)), Done(Finish.STOP)]
