"""Embeddings of Bedrock, which are InvokeModel in each maker's own format: Titan, Nova, Cohere.

Sources: docs.aws.amazon.com/bedrock, “Amazon Titan Embeddings Text”, “Amazon Titan Multimodal Embeddings G1” and
“Cohere Embed”; docs.aws.amazon.com/nova, “Complete embeddings request and response schema”; recorded traffic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dataelan_web.router import names
from dataelan_web.router.providers import vectors
from dataelan_web.router.providers.bedrock_converse import model_url, used_by_headers, with_key
from dataelan_web.router.providers.format import Format
from dataelan_web.router.providers.json_values import count, mappings, sequence
from dataelan_web.router.types import Call, Decoder, Prompt, Unsupported, Usage

_PURPOSES: Mapping[str, str] = {"query": "search_query", "document": "search_document"}
_NOVA_PURPOSES: Mapping[str, str] = {
    "query": "TEXT_RETRIEVAL",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}


class BedrockEmbeddings(Format):
    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        write = _BODIES.get(names.bedrock_body(model), _titan)
        return with_key(Call(model_url(self.base_url, model, "invoke"), write(prompt)), key)

    def told(self, headers: Mapping[str, str]) -> Usage:
        return used_by_headers(headers)

    def decoder(self) -> Decoder:
        return vectors.reader(_found, _usage)


def _cohere(prompt: Prompt) -> dict[str, Any]:
    """Its models demand to know what the vectors are for; unless said, they are documents to be found."""
    purpose = vectors.purpose(prompt) or "document"
    body: dict[str, Any] = {"texts": vectors.texts(prompt), "input_type": _PURPOSES.get(purpose, purpose)}
    if size := vectors.dimensions(prompt):
        body["output_dimension"] = size
    return body


def _titan(prompt: Prompt) -> dict[str, Any]:
    body: dict[str, Any] = {"inputText": _one_text(prompt)}
    if size := vectors.dimensions(prompt):
        body["dimensions"] = size
    return body


def _multimodal(prompt: Prompt) -> dict[str, Any]:
    """Of the Titan that embeds pictures too."""
    body: dict[str, Any] = {"inputText": _one_text(prompt)}
    if size := vectors.dimensions(prompt):
        body["embeddingConfig"] = {"outputEmbeddingLength": size}
    return body


def _nova(prompt: Prompt) -> dict[str, Any]:
    text = {"truncationMode": "NONE", "value": _one_text(prompt)}
    purpose = _NOVA_PURPOSES.get(vectors.purpose(prompt), "GENERIC_INDEX")
    asked: dict[str, Any] = {"embeddingPurpose": purpose, "text": text}
    if size := vectors.dimensions(prompt):
        asked["embeddingDimension"] = size
    return {"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": asked}


def _one_text(prompt: Prompt) -> str:
    texts = vectors.texts(prompt)
    if len(texts) > 1:
        raise Unsupported("This model embeds one text a call.")
    return texts[0]


# A body, as names.yaml calls it -> who writes it. What is not here takes Titan's.
_BODIES: Mapping[str, Callable[[Prompt], dict[str, Any]]] = {
    "cohere": _cohere,
    "nova": _nova,
    "multimodal": _multimodal,
}


def _found(document: Mapping[str, Any]) -> Iterator[tuple[int, Any]]:
    """Titan: `embedding`. Cohere: a list of vectors, or lists by type. Nova: a list of `{"embedding"}`."""
    found = document.get("embeddings")
    if "embedding" in document:
        yield 0, document["embedding"]
    elif isinstance(found, dict):
        yield from enumerate(sequence(found.get("float")))
    elif named := mappings(found):
        yield from enumerate(item.get("embedding") for item in named)
    else:
        yield from enumerate(sequence(found))


def _usage(document: Mapping[str, Any]) -> Usage:
    """Titan counts in its answer; of the others Bedrock tells the count in a header only."""
    return Usage(input=count(document.get("inputTextTokenCount")))
