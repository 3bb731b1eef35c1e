"""A prompt is kept with its run as it was asked: who announces a run and runs it does not read it back."""

from __future__ import annotations

import json

import pytest

from dataelan_web.executions.prompts import from_json, to_json
from dataelan_web.models.base import storable_json
from dataelan_web.router.types import (
    FilePart,
    ImagePart,
    Message,
    Prompt,
    Task,
    TextPart,
    ThoughtPart,
    Tool,
    ToolResult,
    ToolUse,
    user,
)

PARTS = (
    TextPart("Hi “there” \\ \n 😀"),
    TextPart(""),
    ImagePart("image/png", data="aGk="),
    ImagePart(url="https://example.com/a.png", detail="low"),
    FilePart("application/pdf", data="aGk=", name="a.pdf"),
    ToolUse("c1", "look", '{"a": 1}'),
    ToolResult("c1", "Seen", "look", is_error=True, shown=1),
    ToolResult("c1", ""),
    ThoughtPart("I see", seal="c2VhbA==", kind="gemini"),
    ThoughtPart("", seal="c2VhbA==", kind="openai-responses", is_hidden=True),
)
TOOLS = [Tool("look", "", {"type": "object"}, is_strict=is_strict, keep=keep)
         for is_strict in (None, False, True) for keep in ("", "5m")]  # fmt: skip
PROMPTS = (
    *(Prompt((Message("user", (part,)),)) for part in PARTS),
    Prompt((Message("system", PARTS, keep="1h"), user("Hi"))),
    *(Prompt((user("Hi"),), tools=(tool,), tool_choice="look") for tool in TOOLS),
    Prompt((user("Hi"),), max_tokens=0, temperature=0.0, top_p=1.0, seed=0, stop=("END", ""), stream=False),
    Prompt((user("Hi"),), schema={}, schema_told={"name": "a", "strict": False}, reasoning_effort="", summary="auto"),
    Prompt((user("Hi"),), thinking_budget=0, seals=False, options={"top_k": 0, "logit_bias": {"1": -100.0}}),
    Prompt((user("A film"),), Task.VIDEO, {"seconds": 5, "resolution": "720p"}),
)


@pytest.mark.parametrize("prompt", PROMPTS, ids=lambda prompt: type(prompt.messages[0].parts[0]).__name__)
def test_what_is_kept_of_a_prompt_is_what_was_asked(prompt: Prompt) -> None:
    assert from_json(json.loads(storable_json(to_json(prompt)))) == prompt
