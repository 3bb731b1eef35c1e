"""Rerank as the servers offer it that otherwise speak OpenAI's formats: POST /rerank of Voyage, Jina, Together, vLLM,
llama.cpp and more. OpenAI itself has none.

Source: docs.voyageai.com, “Rerankers”; jina.ai/reranker; docs.vllm.ai, “Re-rank API”; recorded traffic.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from dataelan_web.router.providers import ranking
from dataelan_web.router.providers.format import Format
from dataelan_web.router.providers.openai_chat import key_headers
from dataelan_web.router.providers.openai_embeddings import usage_of
from dataelan_web.router.types import Call, Decoder, Prompt, Usage

# Who has another word for how many of the best are wanted, by end of host name.
LIMITS: Mapping[str, str] = {"api.voyageai.com": "top_k"}


class OpenAIRerank(Format):
    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        host = urlsplit(self.base_url).hostname or ""
        limit = next((word for end, word in LIMITS.items() if host.endswith(end)), "top_n")
        body = {"model": model} | ranking.body(prompt, limit)
        return Call(f"{self.base_url}/rerank", body, key_headers(self.base_url, key))

    def decoder(self) -> Decoder:
        return ranking.reader(_usage)


def _usage(document: Mapping[str, Any]) -> Usage:
    """By tokens, as an embedding, or by searches where Cohere is behind it."""
    return usage_of(document).updated(Usage(requests=ranking.billed_searches(document)))
