"""Embeddings: OpenAI's form and its dialects, Google's two, Cohere's and Ollama's."""

from __future__ import annotations

import base64
import json
import struct
from decimal import Decimal
from typing import Any

import pytest

from dataelan_web.router.providers import adapter
from dataelan_web.router.types import (
    Adapter,
    Done,
    Embedding,
    Event,
    Finish,
    ImagePart,
    Message,
    Prompt,
    Task,
    Unsupported,
    Usage,
    user,
)

from .recordings import BASE_URLS, decoded


def format_of(kind: str, base_url: str = "") -> Adapter:
    return adapter(kind, base_url or BASE_URLS[kind], Task.EMBEDDING)


KINDS = ("openai", "google", "google-predict", "cohere", "ollama")


def texts(*words: str, **options: Any) -> Prompt:
    return Prompt(tuple(map(user, words)), Task.EMBEDDING, options)


def read(kind: str, body: Any) -> list[Event]:
    events, failure = decoded(format_of(kind).decoder(), json.dumps(body).encode(), 7)
    assert failure is None, failure
    return events


def failed(kind: str, body: Any) -> str:
    _, failure = decoded(format_of(kind).decoder(), json.dumps(body).encode(), 7)
    assert failure is not None
    return failure.message


def packed(form: str, *numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}{form}", *numbers)).decode()


# -- what is sent ----------------------------------------------------------------------------------


def test_openai_embeds_one_text_a_message() -> None:
    call = format_of("openai").call(texts("a", "b", dimensions=256, input_type="query"), "text-embedding-3", "sk-1")
    assert call.url == "https://api.openai.com/v1/embeddings"
    assert call.headers == {"Authorization": "Bearer sk-1"}
    assert call.body == {"model": "text-embedding-3", "input": ["a", "b"], "dimensions": 256}


@pytest.mark.parametrize(
    ("base_url", "options"),
    [
        ("https://api.voyageai.com/v1", {"output_dimension": 256, "input_type": "query"}),
        ("https://api.mistral.ai/v1", {"output_dimension": 256}),
        ("https://x.openai.azure.com/openai/v1", {"dimensions": 256}),
        ("https://x.cognitiveservices.azure.com/openai/v1", {"dimensions": 256}),
        ("https://integrate.api.nvidia.com/v1", {"dimensions": 256, "input_type": "query"}),
    ],
)
def test_dialects_have_their_own_words(base_url: str, options: dict[str, Any]) -> None:
    call = format_of("openai", base_url).call(texts("a", dimensions=256, input_type="search_query"), "m", "k")
    assert call.body == {"model": "m", "input": ["a"]} | options


def test_gemini_embeds_every_message_in_one_request() -> None:
    prompt = texts("a", "b", dimensions=768, input_type="search_document")
    call = format_of("google").call(prompt, "gemini-embedding", "k")
    options = {"taskType": "RETRIEVAL_DOCUMENT", "outputDimensionality": 768}
    assert call.url == f"{BASE_URLS['google']}/models/gemini-embedding:batchEmbedContents"
    assert call.headers == {"x-goog-api-key": "k"}
    assert call.body == {
        "requests": [
            {"model": "models/gemini-embedding", "content": {"parts": [{"text": text}]}, **options}
            for text in ("a", "b")
        ]
    }


def test_gemini_embeds_pictures_and_others_refuse_them() -> None:
    prompt = Prompt((Message("user", (ImagePart("image/png", "AAAA"),)),), Task.EMBEDDING)
    body = format_of("google").call(prompt, "gemini-embedding-2", "k").body
    assert body is not None
    assert body["requests"][0]["content"]["parts"] == [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]
    for kind in KINDS:
        if kind != "google":
            with pytest.raises(Unsupported, match="Only text"):
                format_of(kind).call(prompt, "m", "k")


def test_vertex_predicts() -> None:
    call = format_of("google-predict", "https://h/v1/projects/p/locations/l/publishers/google").call(
        texts("a", dimensions=768, input_type="query"), "text-embedding-005", "ya29.token"
    )
    assert call.url == "https://h/v1/projects/p/locations/l/publishers/google/models/text-embedding-005:predict"
    assert call.headers == {"Authorization": "Bearer ya29.token"}
    assert call.body == {
        "instances": [{"content": "a", "task_type": "RETRIEVAL_QUERY"}],
        "parameters": {"outputDimensionality": 768},
    }


def test_cohere_must_know_what_the_vectors_are_for() -> None:
    call = format_of("cohere").call(texts("a", dimensions=512), "embed-v4.0", "k")
    assert call.url == "https://api.cohere.com/v2/embed"
    assert call.body == {
        "model": "embed-v4.0",
        "texts": ["a"],
        "input_type": "search_document",
        "embedding_types": ["float"],
        "output_dimension": 512,
    }
    assert (format_of("cohere").call(texts("a", input_type="query"), "m", "k").body or {})["input_type"] == (
        "search_query"
    )  # fmt: skip


def test_ollama_needs_no_key() -> None:
    call = format_of("ollama").call(texts("a", "b"), "nomic", "")
    assert (call.url, call.headers) == ("http://localhost:11434/api/embed", {})
    assert call.body == {"model": "nomic", "input": ["a", "b"]}


@pytest.mark.parametrize("kind", ["openai", "google-predict", "cohere", "ollama"])
def test_nothing_to_embed_is_refused_before_it_is_sent(kind: str) -> None:
    with pytest.raises(Unsupported, match="nothing to embed"):
        format_of(kind).call(texts("", " "), "m", "k")


# -- what is read ----------------------------------------------------------------------------------


def test_vectors_come_with_their_places_and_the_price_in_tokens() -> None:
    data = [{"index": 1, "embedding": [1, 2.5]}, {"index": 0, "embedding": [0.5, -0.5]}]
    body = {"data": data, "model": "m", "id": "e1", "usage": {"prompt_tokens": 9, "total_tokens": 9, "cost": 1.4e-7}}
    assert read("openai", body) == [
        Embedding(1, (1.0, 2.5)),
        Embedding(0, (0.5, -0.5)),
        Usage(input=9, billed_usd=Decimal("1.4E-7")),
        Done(Finish.STOP, "", "m", "e1"),
    ]


def test_base64_is_of_floats_or_of_small_integers() -> None:
    floats, integers = packed("f", 0.5, -0.25), packed("b", *range(-128, 128))
    body = {"data": [{"index": 0, "embedding": floats}, {"index": 1, "embedding": integers}]}
    first, second, _ = read("openai", body)
    assert first == Embedding(0, (0.5, -0.25))
    assert second == Embedding(1, tuple(map(float, range(-128, 128))))


def test_gemini_tells_the_tokens_of_pictures_apart() -> None:
    details = [{"modality": "IMAGE", "tokenCount": 258}, {"modality": "TEXT", "tokenCount": 3}]
    body = {
        "embeddings": [{"values": [0.5]}],
        "usageMetadata": {"promptTokenCount": 261, "promptTokenDetails": details},
    }
    assert read("google", body) == [Embedding(0, (0.5,)), Usage(input=261, input_image=258), Done(Finish.STOP)]
    assert read("google", {"embedding": {"values": [0.5]}}) == [Embedding(0, (0.5,)), Done(Finish.STOP)]


def test_vertex_tells_tokens_text_by_text_and_characters_in_all() -> None:
    predictions = [{"embeddings": {"values": [0.5], "statistics": {"token_count": count}}} for count in (2, 3)]
    body = {"predictions": predictions, "metadata": {"billableCharacterCount": 20}}
    assert read("google-predict", body)[-2:] == [Usage(input=5, characters=20), Done(Finish.STOP)]


def test_coheres_exact_vectors_are_taken_where_it_sends_several_forms() -> None:
    billed = {"billed_units": {"input_tokens": 7}}
    body = {"id": "c1", "embeddings": {"int8": [[1]], "float": [[0.5]]}, "meta": billed}
    assert read("cohere", body) == [Embedding(0, (0.5,)), Usage(input=7), Done(Finish.STOP, "", "", "c1")]
    assert read("cohere", {"embeddings": [[0.5], [1]]})[:2] == [Embedding(0, (0.5,)), Embedding(1, (1.0,))]


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_without_vectors_is_a_failure(kind: str) -> None:
    assert "no embeddings" in failed(kind, {"object": "list", "data": []})
    assert failed(kind, {"message": "no such model"}) == "no such model"
    assert failed(kind, {"error": {"message": "no such model"}}) == "no such model"


@pytest.mark.parametrize("vector", [[], ["a"], [True], [None], [10**400], {}, "", 7])
def test_a_vector_that_is_none_is_a_failure(vector: Any) -> None:
    assert "embedding" in failed("openai", {"data": [{"index": 0, "embedding": vector}]})
