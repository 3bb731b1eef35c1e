"""What providers say of their models: names always, limits and abilities where they say them."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from dataelan_web.router.providers import LISTERS, adapter, lister
from dataelan_web.router.types import Failure, ListedModel, Task

from .recordings import BASE_URLS, LISTS, answer, expectations, needs_recordings

KNOWN = {
    "groq.models-list.models.cb4d7d4699": ListedModel("groq/compound-mini", "Compound Mini", 131072, 8192, None, ()),
    "mistral.models-list.models.96bb23d315": ListedModel(
        "mistral-medium-2505",
        "mistral-medium-2505",
        131072,
        None,
        "2026-08-31T12:00:00Z",
        ("chat", "tools", "vision"),
        "mistral-medium-3-5",
    ),
    "openrouter.models-list.models.bc4b4ef354": ListedModel(
        "openai/gpt-5-nano",
        "OpenAI: GPT-5 Nano",
        400000,
        128000,
        None,
        ("json_schema", "reasoning", "tools", "vision"),
        refuses=("temperature", "top_p", "stop"),  # they are not among the parameters that it says it supports
    ),
    "copilot.models-list.models.1788d7fcd6": ListedModel(
        "claude-opus-4.7",
        "Claude Opus 4.7",
        264000,
        64000,
        None,
        ("json_schema", "reasoning", "tools", "vision"),
    ),
    "venice.models-list.models.b962309c79": ListedModel(
        "gemini-3-6-flash",
        "Gemini 3.6 Flash",
        1000000,
        65536,
        None,
        ("audio", "json_schema", "reasoning", "tools", "vision"),
    ),
    "deepseek.models-list.models.592a045895": ListedModel("deepseek-v4-flash"),
}


@needs_recordings
@pytest.mark.parametrize("id", LISTS)
def test_a_model_list_has_every_model(id: str) -> None:
    expected = expectations()[id]["models"]
    models = adapter("openai", BASE_URLS["openai"]).listed(answer(id)[1])
    assert len(models) == expected["count"]
    assert [model.name for model in models[:3]] == expected["first"][:3]


@needs_recordings
@pytest.mark.parametrize("id", KNOWN)
def test_a_model_list_keeps_what_the_provider_says_of_a_model(id: str) -> None:
    assert KNOWN[id] in adapter("openai", BASE_URLS["openai"]).listed(answer(id)[1])


def test_mistral_says_what_speaks_and_writes_down_and_its_readers_of_scans_are_no_chat() -> None:
    said = {
        "chat": {"completion_chat": True, "function_calling": True},
        "tts": {"completion_chat": False, "function_calling": True, "audio_speech": True},
        "ear": {"completion_chat": False, "function_calling": False, "audio_transcription": True},
        "ocr": {"completion_chat": False, "function_calling": True, "vision": True},
    }
    body = {"data": [{"id": name, "capabilities": flags} for name, flags in said.items()]}
    found = adapter("openai", BASE_URLS["openai"]).listed(json.dumps(body).encode())
    assert [(model.name, model.task, model.capabilities) for model in found] == [
        ("chat", None, ("chat", "tools")),
        ("tts", Task.SPEECH, ()),
        ("ear", Task.TRANSCRIPTION, ()),
        ("ocr", None, ("vision",)),
    ]


@pytest.mark.parametrize(
    ("said", "ends", "instead"),
    [
        (
            {"deprecation": "2026-01-31T12:00:00Z", "deprecation_replacement_model": "ministral-8b-latest"},  # Mistral
            "2026-01-31T12:00:00Z",
            "ministral-8b-latest",
        ),
        # Azure (learn.microsoft.com/rest/api/azureopenai/models/list)
        ({"deprecation": {"fine_tune": 1677662127, "inference": 1796083200}}, "2026-12-01T00:00:00+00:00", ""),
        ({"expiration_date": 10**30}, None, ""),
        ({"deprecation": None, "deprecation_replacement_model": None}, None, ""),
    ],
)
def test_when_a_model_ends_and_what_its_provider_says_to_use_instead(
    said: dict[str, Any], ends: str | None, instead: str
) -> None:
    (found,) = adapter("openai", BASE_URLS["openai"]).listed(json.dumps({"data": [{"id": "m", **said}]}).encode())
    assert (found.shutdown_at, found.replacement) == (ends, instead)


def test_anthropic_says_limits_and_capabilities_of_newer_models_only() -> None:
    body = {
        "data": [
            {
                "id": "claude-new",
                "display_name": "Claude New",
                "max_input_tokens": 1000000,
                "max_tokens": 64000,
                "capabilities": {"image_input": {"supported": True}, "thinking": {"supported": False}},
            },
            {"id": "claude-old", "display_name": "Claude Old"},
        ],
        "has_more": False,
    }
    assert adapter("anthropic", BASE_URLS["anthropic"]).listed(json.dumps(body).encode()) == [
        ListedModel("claude-new", "Claude New", 1000000, 64000, None, ("chat", "tools", "vision")),
        ListedModel("claude-old", "Claude Old"),
    ]


def test_gemini_names_lose_their_collection() -> None:
    body = {
        "models": [
            {
                "name": "models/gemini-x",
                "displayName": "Gemini X",
                "inputTokenLimit": 1048576,
                "outputTokenLimit": 65536,
                "supportedGenerationMethods": ["generateContent", "countTokens"],
                "thinking": True,
            }
        ]
    }
    assert adapter("google", BASE_URLS["google"]).listed(json.dumps(body).encode()) == [
        ListedModel("gemini-x", "Gemini X", 1048576, 65536, None, ("chat", "reasoning"))
    ]


@pytest.mark.parametrize("kind", sorted(LISTERS))
@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[3", b"", b'{"error":{"message":"no","code":401}}', b'"x"'])
def test_something_else_than_a_list_is_a_failure(kind: str, body: bytes) -> None:
    reads = lister(kind, BASE_URLS.get(kind, "https://provider.example/v1"))
    assert reads is not None
    with pytest.raises(Failure):
        reads.listed(body)


def test_what_openrouter_says_that_a_model_draws_is_for_pictures_whatever_it_is_called() -> None:
    made = {"dream-4.5": ["image"], "writes-too": ["image", "text"], "writes": ["text"], "silent": None}
    rows = [{"id": name, "architecture": {"output_modalities": outputs}} for name, outputs in made.items()]
    listed = adapter("openai", "https://openrouter.ai/api/v1").listed(json.dumps({"data": rows}).encode())
    assert [model.task for model in listed] == [Task.IMAGE, Task.IMAGE, None, None]


def test_openrouter_is_asked_for_all_that_can_be_asked_of_it_and_says_what_each_is_for() -> None:
    """Its list is of what writes text, where nothing is said."""
    reads = adapter("openai", "https://openrouter.ai/api/v1")
    asked = dict(parse_qsl(urlsplit(reads.list_call("k").url).query))
    wanted = {
        "text": None,
        "image": Task.IMAGE,
        "audio": None,
        "speech": Task.SPEECH,
        "transcription": Task.TRANSCRIPTION,
        "embeddings": Task.EMBEDDING,
        "rerank": Task.RERANK,
    }
    assert set(asked["output_modalities"].split(",")) == set(wanted)
    rows = [{"id": name, "architecture": {"output_modalities": [name]}} for name in wanted]
    assert [model.task for model in reads.listed(json.dumps({"data": rows}).encode())] == [*wanted.values()]
    assert (
        adapter("openai", "https://models.example.com/v1").list_call("k").url == "https://models.example.com/v1/models"
    )
