"""The call of the gateway that asks once more what a run asked: the body of `POST /v1/chat/completions`."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from ..executions.prompts import from_json, with_files
from ..extensions import db
from ..models import Asset, Execution
from ..router.types import FilePart, ImagePart, Message, Part, Prompt, Task, TextPart, ToolResult, ToolUse
from ..storage import storage

LARGEST_FILES = 1_000_000
"""Bytes of pictures and texts that a call may hold; more makes no sense in a program's text."""


@dataclass
class Call:
    body: dict[str, Any]
    left_out: list[str] = field(default_factory=list)
    """Names of files that the gateway takes no such of, or that are too large."""


def repeats(run: Execution) -> Call | None:
    """None for what the gateway has no call for: pictures, voice, films. Raises storage.Unavailable."""
    prompt = from_json(run.body.request)
    if prompt.task is not Task.CHAT:
        return None
    call = Call({"model": f"{run.provider.slug}/{run.model.name}" if run.model and run.provider else run.requested})
    prompt = with_files(prompt, _reader(run))
    call.body["messages"] = [said for message in prompt.messages for said in _message(message, call.left_out)]
    call.body |= _parameters(prompt)
    return call


def _reader(run: Execution) -> Callable[[str], bytes]:
    """Of the organization's own files; nothing for what is gone, too large, or no text and no picture."""
    left = [LARGEST_FILES]

    def read(id: str) -> bytes:
        asset = db.session.scalars(
            select(Asset).where(
                Asset.id == uuid.UUID(id), Asset.organization_id == run.organization_id, Asset.deleted_at.is_(None)
            )
        ).first()
        if asset is None or asset.size > left[0] or not asset.media_type.startswith(("text/", "image/")):
            return b""
        left[0] -= asset.size
        return storage().get(asset.storage_key)

    return read


def _parameters(prompt: Prompt) -> dict[str, Any]:
    plain = ("max_tokens", "temperature", "top_p", "seed", "reasoning_effort")
    found: dict[str, Any] = {name: value for name in plain if (value := getattr(prompt, name)) is not None}
    if prompt.stop:
        found["stop"] = list(prompt.stop)
    if prompt.tools:
        found["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)},
            }
            for tool in prompt.tools
        ]
    if choice := prompt.tool_choice:
        is_word = choice in ("auto", "none", "required")
        found["tool_choice"] = choice if is_word else {"type": "function", "function": {"name": choice}}
    if prompt.schema is not None:
        schema = {"name": "answer", "schema": dict(prompt.schema)}
        found["response_format"] = {"type": "json_schema", "json_schema": schema}
    return found


def _message(message: Message, left_out: list[str]) -> list[dict[str, Any]]:
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    if results:
        return [{"role": "tool", "tool_call_id": part.id, "content": part.text} for part in results]
    content = [said for part in message.parts if (said := _part(part, left_out))]
    made: dict[str, Any] = {"role": message.role}
    if all(said["type"] == "text" for said in content):
        made["content"] = "".join(said["text"] for said in content) or None
    else:
        made["content"] = content
    calls = [part for part in message.parts if isinstance(part, ToolUse)]
    if calls:
        made["tool_calls"] = [
            {"id": use.id, "type": "function", "function": {"name": use.name, "arguments": use.arguments}}
            for use in calls
        ]
    return [made] if content or calls else []


def _part(part: Part, left_out: list[str]) -> dict[str, Any] | None:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    if isinstance(part, ImagePart) and (part.data or part.url):
        url = part.url or f"data:{part.media_type};base64,{part.data}"
        return {"type": "image_url", "image_url": {"url": url}}
    if isinstance(part, ImagePart | FilePart):
        left_out.append(getattr(part, "name", "") or "a picture")
    return None
