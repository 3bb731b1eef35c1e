"""Google's embeddings: batchEmbedContents of the Gemini API, and :predict of Vertex AI.

Source: googleapis/python-genai (6680718), models.py; cloud.google.com/vertex-ai, text embeddings API; recorded traffic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dataelan_web.router.providers import vectors
from dataelan_web.router.providers.format import Format
from dataelan_web.router.providers.gemini import key_headers, model_path, wire_parts
from dataelan_web.router.providers.json_values import count, mapping, mappings
from dataelan_web.router.providers.measures import part_of
from dataelan_web.router.types import Call, Decoder, Prompt, Unsupported, Usage

_TASKS: Mapping[str, str] = {
    "query": "RETRIEVAL_QUERY",
    "document": "RETRIEVAL_DOCUMENT",
    "similarity": "SEMANTIC_SIMILARITY",
}


def task_type(prompt: Prompt) -> str:
    purpose = vectors.purpose(prompt)
    return _TASKS.get(purpose, purpose.upper())


class GeminiEmbeddings(Format):
    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        """Newer models embed pictures and sound as well, so a message goes there with all its parts."""
        if not any(message.parts for message in prompt.messages):
            raise Unsupported("There is nothing to embed: the prompt is empty.")
        path = model_path(model)
        options: dict[str, Any] = {"taskType": task_type(prompt), "outputDimensionality": vectors.dimensions(prompt)}
        said = {name: value for name, value in options.items() if value}
        requests = [
            {"model": path, "content": {"parts": wire_parts(list(message.parts), {})}} | said
            for message in prompt.messages
        ]
        return Call(f"{self.base_url}/{path}:batchEmbedContents", {"requests": requests}, key_headers(key))

    def decoder(self) -> Decoder:
        return vectors.reader(_found, _usage)


def _found(document: Mapping[str, Any]) -> Iterator[tuple[int, Any]]:
    found = mappings(document.get("embeddings")) or mappings([document.get("embedding")])
    for place, item in enumerate(found):
        yield place, item.get("values")


def _usage(document: Mapping[str, Any]) -> Usage:
    """Only gemini-embedding-2 and later tell it, with details under a name of their own."""
    reported = mapping(document.get("usageMetadata"))
    input = count(reported.get("promptTokenCount"))
    details = mappings(reported.get("promptTokenDetails")) or mappings(reported.get("promptTokensDetails"))
    return Usage(input=input, input_image=_of(details, "IMAGE", input), input_audio=_of(details, "AUDIO", input))


def _of(details: list[dict[str, Any]], modality: str, most: int | None) -> int | None:
    found = [tokens for item in details if item.get("modality") == modality
             if (tokens := count(item.get("tokenCount"))) is not None]  # fmt: skip
    return part_of(most, sum(found)) if found else None


class VertexEmbeddings(Format):
    """`base_url` ends in …/publishers/google, as `:predict` addresses its models from there."""

    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        task = {"task_type": kind} if (kind := task_type(prompt)) else {}
        body: dict[str, Any] = {"instances": [{"content": text} | task for text in vectors.texts(prompt)]}
        if size := vectors.dimensions(prompt):
            body["parameters"] = {"outputDimensionality": size}
        return Call(f"{self.base_url}/{model_path(model)}:predict", body, key_headers(key))

    def decoder(self) -> Decoder:
        return vectors.reader(_predicted, _predicted_usage)


def _predicted(document: Mapping[str, Any]) -> Iterator[tuple[int, Any]]:
    """`textEmbedding` is multimodalembedding's name."""
    for place, item in enumerate(mappings(document.get("predictions"))):
        found = mapping(item.get("embeddings")).get("values", item.get("textEmbedding"))
        if found is not None:
            yield place, found


def _predicted_usage(document: Mapping[str, Any]) -> Usage:
    """Tokens are told text by text; older models are priced by characters."""
    texts = [
        mapping(mapping(item.get("embeddings")).get("statistics")) for item in mappings(document.get("predictions"))
    ]
    tokens = [tokens for text in texts if (tokens := count(text.get("token_count"))) is not None]
    characters = count(mapping(document.get("metadata")).get("billableCharacterCount"))
    return Usage(input=sum(tokens) if tokens else None, characters=characters)
