"""Rerank on Bedrock, which is InvokeModel in Cohere's format and Amazon's, that differ in one word.

Source: docs.aws.amazon.com/bedrock, “Use a reranker model”; recorded traffic.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataelan_web.router import names
from dataelan_web.router.providers import ranking
from dataelan_web.router.providers.bedrock_converse import model_url, used_by_headers, with_key
from dataelan_web.router.providers.format import Format
from dataelan_web.router.types import Call, Decoder, Prompt, Usage


class BedrockRerank(Format):
    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        version = {"api_version": 2} if names.bedrock_body(model) == "cohere" else {}
        body = ranking.body(prompt) | version
        return with_key(Call(model_url(self.base_url, model, "invoke"), body), key)

    def told(self, headers: Mapping[str, str]) -> Usage:
        return used_by_headers(headers)

    def decoder(self) -> Decoder:
        return ranking.reader(_usage)


def _usage(document: Mapping[str, Any]) -> Usage:
    """The answer says nothing of it: one request, which is what is paid for."""
    return Usage(requests=1)
