"""Rerank on Bedrock, which is InvokeModel in Cohere's format and Amazon's, that differ in one word.

Source: docs.aws.amazon.com/bedrock, “Use a reranker model”; aws.amazon.com/bedrock/pricing; recorded traffic.
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
    def __init__(self, base_url: str) -> None:
        super().__init__(base_url)
        self._searches = 1

    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        self._searches = ranking.searches(prompt)
        version = {"api_version": 2} if names.bedrock_body(model) == "cohere" else {}
        body = ranking.body(prompt) | version
        return with_key(Call(model_url(self.base_url, model, "invoke"), body), key)

    def told(self, headers: Mapping[str, str]) -> Usage:
        return used_by_headers(headers)

    def decoder(self) -> Decoder:
        return ranking.reader(self._usage)

    def _usage(self, document: Mapping[str, Any]) -> Usage:
        """The answer says nothing of what is paid for, which is a query for each hundred texts."""
        return Usage(requests=self._searches)
