"""What was asked and answered, as the conventions' JSON schemas have it (gen-ai-input-messages.json and
gen-ai-output-messages.json); files by their type, never their bytes."""

from __future__ import annotations

import json
from typing import Any

from ..router.types import Message, Part, Prompt, TextPart, ThoughtPart, ToolResult, ToolUse


def asked(prompt: Prompt) -> str:
    return _json([{"role": message.role, "parts": _parts(message)} for message in prompt.messages])


def answered(text: str, finish: str) -> str:
    parts = [{"type": "text", "content": text}]
    return _json([{"role": "assistant", "parts": parts, "finish_reason": finish}])


def _parts(message: Message) -> list[dict[str, Any]]:
    return [_part(part) for part in message.parts]


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "content": part.text}
    if isinstance(part, ToolUse):
        return {"type": "tool_call", "id": part.id, "name": part.name, "arguments": part.arguments}
    if isinstance(part, ToolResult):
        return {"type": "tool_call_response", "id": part.id, "response": part.text}
    if isinstance(part, ThoughtPart):
        return {"type": "reasoning", "content": part.text}
    return {"type": "file", "mime_type": part.media_type}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
