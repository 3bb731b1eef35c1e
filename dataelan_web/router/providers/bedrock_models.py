"""Bedrock's list of models, GET /foundation-models, which lies beside the models at another host of the same region.

A Bedrock API key is not sent there: keys go to the address they were entered for and no other. A request signed with
an access key gives nothing away. Source: docs.aws.amazon.com/bedrock, ListFoundationModels and “Supported Regions and
models for inference profiles”.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from dataelan_web.router.providers.aws_signature import AccessKey, region_of, signed
from dataelan_web.router.providers.bedrock_converse import SERVICE
from dataelan_web.router.providers.failures import failure_in_answer
from dataelan_web.router.providers.format import Format
from dataelan_web.router.providers.json_values import broken, mapping, mappings, parse, sequence, string
from dataelan_web.router.types import Call, ListedModel, Task, Unsupported

RUNTIME = re.compile(r"https://bedrock-runtime(-fips)?\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?")
# Many newer models answer only through a profile that spreads calls over the regions of one part of the world.
PROFILES = {"us": "us", "eu": "eu", "ap": "apac"}


class BedrockModels(Format):
    def __init__(self, base_url: str) -> None:
        super().__init__(base_url)
        self._region = ""

    def list_call(self, key: str) -> Call:
        pair, home = AccessKey.read(key), RUNTIME.fullmatch(self.base_url)
        if pair is None or home is None:
            raise Unsupported("Bedrock lists its models to access keys (ID:SECRET) only.")
        self._region = region_of(self.base_url, pair)
        url = f"{self.base_url.replace('bedrock-runtime', 'bedrock', 1)}/foundation-models"
        return signed(Call(url, method="GET"), pair, self._region, SERVICE)

    def listed(self, body: bytes) -> list[ListedModel]:
        document = mapping(parse(body.decode("utf-8", "replace")))
        if not isinstance(document.get("modelSummaries"), list):
            if "message" in document or "Message" in document:
                raise failure_in_answer(document)
            raise broken("The provider's answer is JSON, but not Bedrock's list of models. Check the base URL.")
        return [found for model in mappings(document["modelSummaries"]) for found in self._models(model)]

    def _models(self, model: Mapping[str, Any]) -> Iterator[ListedModel]:
        """None of what only provisioned throughput serves, and of what nothing here can ask."""
        name, life = self._name(model), mapping(model.get("modelLifecycle"))
        task = _task(string(model.get("modelId")), set(map(string, sequence(model.get("outputModalities")))))
        if name and task:
            shown = " ".join(filter(None, (string(model.get("providerName")), string(model.get("modelName")))))
            yield ListedModel(name, shown, shutdown_at=string(life.get("endOfLifeTime")) or None, task=task)

    def _name(self, model: Mapping[str, Any]) -> str:
        id, ways = string(model.get("modelId")), set(map(string, sequence(model.get("inferenceTypesSupported"))))
        if not id or "ON_DEMAND" in ways:
            return id
        part = PROFILES.get(self._region[:2])
        return f"{part}.{id}" if part and "INFERENCE_PROFILE" in ways else ""


def _task(id: str, made: set[str]) -> Task | None:
    if "rerank" in id:
        return Task.RERANK
    return Task.CHAT if "TEXT" in made else Task.EMBEDDING if "EMBEDDING" in made else None
