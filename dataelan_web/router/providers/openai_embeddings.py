"""OpenAI's embeddings: POST /embeddings, also spoken by Azure, Voyage, Mistral, Perplexity, OpenRouter, Venice, Ollama,
llama.cpp, vLLM and more.

Source: openai/openai-openapi (f85dbe2); docs.voyageai.com and docs.mistral.ai for their own words; recorded traffic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from dataelan_web.router.providers import AZURE, vectors
from dataelan_web.router.providers.format import Format
from dataelan_web.router.providers.json_values import count, first_count, mapping, mappings
from dataelan_web.router.providers.measures import billed_usd
from dataelan_web.router.providers.openai_chat import key_headers
from dataelan_web.router.types import Call, Decoder, Prompt, Usage


@dataclass(frozen=True)
class Dialect:
    """`knows_purpose`: it takes an `input_type`. Those that do not, refuse the field; it is only a hint."""

    dimensions: str = "dimensions"
    knows_purpose: bool = True


# By end of host name.
DIALECTS: Mapping[str, Dialect] = {
    "api.openai.com": Dialect(knows_purpose=False),
    **dict.fromkeys(AZURE, Dialect(knows_purpose=False)),
    "api.mistral.ai": Dialect("output_dimension", knows_purpose=False),
    "api.perplexity.ai": Dialect(knows_purpose=False),
    "api.voyageai.com": Dialect("output_dimension"),
}


class OpenAIEmbeddings(Format):
    def __init__(self, base_url: str) -> None:
        super().__init__(base_url)
        host = urlsplit(self.base_url).hostname or ""
        self._dialect = next((known for end, known in DIALECTS.items() if host.endswith(end)), Dialect())

    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        body: dict[str, Any] = {"model": model, "input": vectors.texts(prompt)}
        if size := vectors.dimensions(prompt):
            body[self._dialect.dimensions] = size
        if self._dialect.knows_purpose and (purpose := vectors.purpose(prompt)):
            body["input_type"] = purpose
        return Call(f"{self.base_url}/embeddings", body, key_headers(self.base_url, key))

    def decoder(self) -> Decoder:
        return vectors.reader(_found, usage_of)


def _found(document: Mapping[str, Any]) -> Iterator[tuple[int, Any]]:
    for place, item in enumerate(mappings(document.get("data"))):
        if "embedding" in item:
            index = count(item.get("index"))
            yield place if index is None else index, item["embedding"]


def usage_of(document: Mapping[str, Any]) -> Usage:
    """Everything an embedding costs is input; Voyage tells it as the total only."""
    reported = mapping(document.get("usage"))
    input = first_count(reported.get("prompt_tokens"), reported.get("input_tokens"), reported.get("total_tokens"))
    output = count(reported.get("completion_tokens"))
    return Usage(input=input, output=output, billed_usd=billed_usd(reported))
