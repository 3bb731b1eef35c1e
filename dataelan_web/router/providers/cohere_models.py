"""Cohere's list of models, GET /v1/models.

Source: cohere-ai/cohere-python (bc495da), types/get_model_response.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataelan_web.router.providers import failures
from dataelan_web.router.providers.cohere import api_url, key_headers
from dataelan_web.router.providers.format import Format
from dataelan_web.router.providers.json_values import broken, count, mapping, mappings, parse, sequence, string
from dataelan_web.router.types import Call, ListedModel, Task

# Features that have the same name here.
_ABILITIES = {"tools", "json_schema", "vision", "reasoning"}


# What a model is asked at; the first that is there counts.
_TASKS = {"chat": Task.CHAT, "embed": Task.EMBEDDING, "rerank": Task.RERANK}


class CohereModels(Format):
    def list_call(self, key: str) -> Call:
        url = api_url(self.base_url, "v1/models?page_size=1000")  # 1000 is the most
        return Call(url, headers=key_headers(key), method="GET")

    def listed(self, body: bytes) -> list[ListedModel]:
        document = mapping(parse(body.decode("utf-8", "replace")))
        if not isinstance(document.get("models"), list):
            if "message" in document or failures.is_error(document):
                raise failures.failure_in_answer(document)
            raise broken("The provider's answer is JSON, but not a list of models. Check the base URL.")
        return [_listed_model(model) for model in mappings(document["models"]) if string(model.get("name"))]


def _listed_model(model: Mapping[str, Any]) -> ListedModel:
    endpoints, features = _words(model.get("endpoints")), _words(model.get("features"))
    able = features & _ABILITIES | endpoints & {"chat"}
    if model.get("supports_vision") is True:
        able.add("vision")
    return ListedModel(
        string(model.get("name")),
        context_window=count(model.get("context_length")) or None,
        capabilities=tuple(sorted(able)) if endpoints or features else None,
        task=next((task for endpoint, task in _TASKS.items() if endpoint in endpoints), None),
    )


def _words(value: Any) -> set[str]:
    return {string(word) for word in sequence(value)}
