"""Cohere's embeddings: POST /embed of its second API (base URL https://api.cohere.com/v2).

Source: cohere-ai/cohere-python (bc495da), v2/client.py `embed`; recorded traffic, of the first API too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dataelan_web.router.providers import vectors
from dataelan_web.router.providers.cohere import api_url, key_headers
from dataelan_web.router.providers.format import Format
from dataelan_web.router.providers.json_values import count, mapping, sequence
from dataelan_web.router.types import Call, Decoder, Prompt, Usage

_PURPOSES: Mapping[str, str] = {"query": "search_query", "document": "search_document"}
# An answer may hold the same vectors in several forms; the exact one is taken.
_FORMS = ("float", "base64", "int8", "uint8", "binary", "ubinary")


class CohereEmbeddings(Format):
    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        """Its models demand to know what the vectors are for; unless said, they are documents to be found."""
        purpose = vectors.purpose(prompt) or "document"
        body: dict[str, Any] = {
            "model": model,
            "texts": vectors.texts(prompt),
            "input_type": _PURPOSES.get(purpose, purpose),
            "embedding_types": ["float"],
        }
        if size := vectors.dimensions(prompt):
            body["output_dimension"] = size
        return Call(api_url(self.base_url, "v2/embed"), body, key_headers(key))

    def decoder(self) -> Decoder:
        return vectors.reader(_found, _usage)


def _found(document: Mapping[str, Any]) -> Iterator[tuple[int, Any]]:
    """The first API's plain list is of floats."""
    found = document.get("embeddings")
    forms = [found] if isinstance(found, list) else [mapping(found).get(form) for form in _FORMS]
    yield from enumerate(next((form for form in map(sequence, forms) if form), []))


def _usage(document: Mapping[str, Any]) -> Usage:
    billed = mapping(mapping(document.get("meta")).get("billed_units"))
    text, image = count(billed.get("input_tokens")), count(billed.get("image_tokens"))
    input = None if text is None and image is None else (text or 0) + (image or 0)
    return Usage(input=input, input_image=image)
