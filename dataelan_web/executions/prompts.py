"""A Prompt as JSON and back, for keeping it with its execution."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ..router.types import ImagePart, Message, Part, Prompt, TextPart, Tool, ToolResult, ToolUse

PARTS: dict[str, type[Part]] = {"text": TextPart, "image": ImagePart, "use": ToolUse, "result": ToolResult}
_NAMES = {part: name for name, part in PARTS.items()}
_PLAIN = ("max_tokens", "temperature", "top_p", "seed", "tool_choice", "schema", "reasoning_effort", "stream")


def to_json(prompt: Prompt) -> dict[str, Any]:
    return {
        "messages": [
            {"role": message.role, "parts": [{"type": _NAMES[type(part)], **asdict(part)} for part in message.parts]}
            for message in prompt.messages
        ],
        "stop": list(prompt.stop),
        "tools": [asdict(tool) for tool in prompt.tools],
        **{name: value for name in _PLAIN if (value := getattr(prompt, name)) is not None},
    }


def from_json(data: dict[str, Any]) -> Prompt:
    return Prompt(
        messages=tuple(
            Message(message["role"], tuple(_part(part) for part in message["parts"])) for message in data["messages"]
        ),
        stop=tuple(data.get("stop", ())),
        tools=tuple(Tool(**tool) for tool in data.get("tools", ())),
        **{name: data[name] for name in _PLAIN if name in data},
    )


def _part(data: dict[str, Any]) -> Part:
    fields = dict(data)
    return PARTS[fields.pop("type")](**fields)
