"""Ollama's own embeddings: POST /embed (base URL http://localhost:11434/api).

Source: ollama/ollama, docs/api.md, "Generate Embeddings"; recorded traffic, of the older /embeddings too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dataelan_web.router.providers import vectors
from dataelan_web.router.providers.format import Format
from dataelan_web.router.providers.json_values import count, sequence
from dataelan_web.router.providers.ollama import api_url, key_headers
from dataelan_web.router.types import Call, Decoder, Prompt, Usage


class OllamaEmbeddings(Format):
    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        body: dict[str, Any] = {"model": model, "input": vectors.texts(prompt)}
        if size := vectors.dimensions(prompt):
            body["dimensions"] = size
        return Call(api_url(self.base_url, "embed"), body, key_headers(key))

    def decoder(self) -> Decoder:
        return vectors.reader(_found, _usage)


def _found(document: Mapping[str, Any]) -> Iterator[tuple[int, Any]]:
    """The older endpoint takes one text and answers with one vector."""
    single = [document["embedding"]] if "embedding" in document else []
    yield from enumerate(sequence(document.get("embeddings")) or single)


def _usage(document: Mapping[str, Any]) -> Usage:
    return Usage(input=count(document.get("prompt_eval_count")))
