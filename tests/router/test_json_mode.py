"""JSON without a schema: each format's own way of asking for it, and words where it has none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dataelan_web.router.providers import json_mode
from dataelan_web.router.providers.anthropic_messages import AnthropicMessages
from dataelan_web.router.providers.bedrock_converse import BedrockConverse
from dataelan_web.router.providers.cohere import Cohere
from dataelan_web.router.providers.cohere_v1 import CohereV1
from dataelan_web.router.providers.gemini import Gemini
from dataelan_web.router.providers.openai_chat import OpenAIChat
from dataelan_web.router.types import Message, Prompt, TextPart

PROMPT = Prompt(
    (Message("system", (TextPart("Be brief."),)), Message("user", (TextPart("Name a city, as JSON."),))),
    schema={"type": "object"},
)
UNNAMED = replace(PROMPT, messages=(Message("user", (TextPart("Name a city."),)),))


def body(format: Any, prompt: Prompt) -> dict[str, Any]:
    made: dict[str, Any] = format.call(prompt, "some-model", "access:secret").body
    return made


def test_openais_own_way_is_kept_and_json_is_spoken_of_as_it_demands() -> None:
    chat = OpenAIChat("https://api.deepseek.com/v1")
    asked = body(chat, PROMPT)
    assert asked["response_format"] == {"type": "json_object"}
    assert len(asked["messages"]) == 2
    *_, last = body(chat, UNNAMED)["messages"]
    assert last == {"role": "system", "content": json_mode.SAID}


def test_a_schema_that_was_named_stays_one() -> None:
    named = replace(PROMPT, schema_told={"name": "city", "strict": False})
    asked = body(OpenAIChat("https://api.openai.com/v1"), named)
    assert asked["response_format"]["json_schema"] == {"name": "city", "schema": {"type": "object"}, "strict": False}


def test_anthropic_and_bedrock_are_told_in_words() -> None:
    asked = body(AnthropicMessages("https://api.anthropic.com/v1"), PROMPT)
    assert "output_config" not in asked
    assert asked["system"] == f"Be brief.\n\n{json_mode.SAID}"
    converse = body(BedrockConverse("https://bedrock-runtime.eu-west-1.amazonaws.com"), PROMPT)
    assert "outputConfig" not in converse
    assert json_mode.SAID in converse["system"][0]["text"]


@pytest.mark.parametrize(
    ("format", "asked"),
    [
        (Cohere("https://api.cohere.com"), {"response_format": {"type": "json_object"}}),
        (CohereV1("https://api.cohere.com"), {"response_format": {"type": "json_object"}}),
        (Gemini("https://generativelanguage.googleapis.com/v1beta"), {"responseMimeType": "application/json"}),
    ],
)
def test_others_are_asked_for_json_without_a_schema(format: Any, asked: dict[str, Any]) -> None:
    made = body(format, PROMPT)
    said = made.get("generationConfig", made)
    assert {name: said.get(name) for name in asked} == asked
    assert "responseJsonSchema" not in said
