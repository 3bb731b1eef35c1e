"""A Prompt as JSON and back, for keeping it with its execution. Files are kept by reference, not in the JSON."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from html import escape
from operator import attrgetter
from typing import Any

from ..router.types import (
    FilePart,
    ImagePart,
    Message,
    Part,
    Prompt,
    Task,
    TextPart,
    ThoughtPart,
    Tool,
    ToolResult,
    ToolUse,
)

PARTS: dict[str, type[Part]] = {
    "text": TextPart,
    "image": ImagePart,
    "file": FilePart,
    "use": ToolUse,
    "result": ToolResult,
    "thought": ThoughtPart,
}
_FILES = (ImagePart, FilePart)
_NAMES = {part: name for name, part in PARTS.items()}
_PLAIN = (
    "max_tokens", "temperature", "top_p", "seed", "tool_choice", "schema", "schema_told", "reasoning_effort",
    "thinking_budget", "summary", "seals", "stream",
)  # fmt: skip
_plain_of = attrgetter(*_PLAIN)


def to_json(prompt: Prompt) -> dict[str, Any]:
    media = {"task": prompt.task.value, "media": dict(prompt.media)} if prompt.task is not Task.CHAT else {}
    return {
        "messages": [
            {
                "role": message.role,
                "parts": [{"type": _NAMES[type(part)], **_said(part)} for part in message.parts],
                **({"keep": message.keep} if message.keep else {}),
            }
            for message in prompt.messages
        ],
        "stop": list(prompt.stop),
        "tools": [_said(tool) for tool in prompt.tools],
        **media,
        **({"options": dict(prompt.options)} if prompt.options else {}),
        **{name: value for name, value in zip(_PLAIN, _plain_of(prompt), strict=True) if value is not None},
    }


def from_json(data: dict[str, Any]) -> Prompt:
    return Prompt(
        messages=tuple(
            Message(message["role"], tuple(_part(part) for part in message["parts"]), message.get("keep", ""))
            for message in data["messages"]
        ),
        task=Task(data.get("task", Task.CHAT)),
        media=data.get("media", {}),
        stop=tuple(data.get("stop", ())),
        tools=tuple(Tool(**tool) for tool in data.get("tools", ())),
        options=data.get("options", {}),
        **{name: data[name] for name in _PLAIN if name in data},
    )


def with_files(prompt: Prompt, read: Callable[[str], bytes]) -> Prompt:
    """The prompt with the bytes of the files it refers to. `read`: asset id → its content."""
    if not any(isinstance(part, _FILES) and part.asset for message in prompt.messages for part in message.parts):
        return prompt
    return replace(
        prompt,
        messages=tuple(
            replace(message, parts=tuple(_filled(part, read) for part in message.parts)) for message in prompt.messages
        ),
    )


def _filled(part: Part, read: Callable[[str], bytes]) -> Part:
    """A file of text becomes text of the prompt, with its name: that every model can read, a file only some."""
    if isinstance(part, FilePart) and part.asset and part.media_type.startswith("text/"):
        content = read(part.asset).decode(errors="replace")
        return TextPart(f'<file name="{escape(part.name)}">\n{content.strip()}\n</file>\n\n')
    if isinstance(part, _FILES) and part.asset:
        return replace(part, data=b64encode(read(part.asset)).decode())
    return part


_NEWER = frozenset({"keep", "is_strict", "is_error", "shown", "detail"})


def _said(one: Part | Tool) -> dict[str, Any]:
    """Its fields; of those that most prompts do without, only what is said, which may be no."""
    unsaid = type(one)
    return {name: value for name, value in vars(one).items() if name not in _NEWER or value != getattr(unsaid, name)}


def _part(data: dict[str, Any]) -> Part:
    fields = dict(data)
    return PARTS[fields.pop("type")](**fields)
