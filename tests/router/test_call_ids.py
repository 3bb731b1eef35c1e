"""Ids of calls, which one provider made and another has to take: the conversation is the same, whoever answers next."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from dataelan_web.router.providers import adapter
from dataelan_web.router.types import Message, ToolResult, ToolUse

from .prompts import PLAIN

MADE = ("call_0fypS1hVX", "toolu_01A09q90qw90lq917835lq9", "functions.weather:0", "x" * 116, "a|b", "AbCdEf123")
"""By OpenAI, Anthropic, Kimi, Gemini through others, and Mistral."""
TAKEN = [  # format, base URL, what its provider takes (where that is written: DIALECTS, conversation.PLAIN_ID)
    ("openai", "https://api.mistral.ai/v1", r"[a-zA-Z0-9]{9}"),
    ("openai", "https://api.openai.com/v1", r".{1,40}"),
    ("openai", "https://x.openai.azure.com/openai/v1", r".{1,40}"),
    ("openai-responses", "https://api.openai.com/v1", r".{1,40}"),
    ("anthropic", "https://api.anthropic.com/v1", r"[a-zA-Z0-9_-]{1,64}"),
    ("bedrock", "https://bedrock-runtime.us-east-1.amazonaws.com", r"[a-zA-Z0-9_-]{1,64}"),
    ("openai", "https://api.moonshot.ai/v1", r".*"),
]
ID = re.compile(r'"(?:tool_call_id|call_id|tool_use_id|toolUseId|id)": "([^"]*)"')


@pytest.mark.parametrize(("kind", "url", "taken"), TAKEN)
@pytest.mark.parametrize("made", MADE)
def test_a_call_is_told_by_an_id_that_its_next_provider_takes(kind: str, url: str, taken: str, made: str) -> None:
    use, result = ToolUse(made, "weather", "{}"), ToolResult(made, "rain")
    asked = (*PLAIN.messages, Message("assistant", (use,)), Message("tool", (result,)))
    body = adapter(kind, url).call(replace(PLAIN, messages=asked), "m", "k").body
    called, answered = ID.findall(json.dumps(body))
    assert called == answered
    assert re.fullmatch(taken, called)
    assert called == made or not re.fullmatch(taken, made), "what fits is left"
