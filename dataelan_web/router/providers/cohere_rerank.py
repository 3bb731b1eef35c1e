"""Cohere's rerank, POST /v2/rerank. Source: cohere-ai/cohere-python (bc495da), v2/raw_client.py; recorded traffic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataelan_web.router.providers import ranking
from dataelan_web.router.providers.cohere import api_url, key_headers
from dataelan_web.router.providers.format import Format
from dataelan_web.router.types import Call, Decoder, Prompt, Usage


class CohereRerank(Format):
    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        body = {"model": model} | ranking.body(prompt)
        return Call(api_url(self.base_url, "v2/rerank"), body, key_headers(key))

    def decoder(self) -> Decoder:
        return ranking.reader(_usage)


def _usage(document: Mapping[str, Any]) -> Usage:
    return Usage(requests=ranking.billed_searches(document))
