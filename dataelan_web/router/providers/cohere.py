"""Cohere's chat, POST /v2/chat. Base URL https://api.cohere.com; one that ends in a version is understood as well.

Source: cohere-ai/cohere-python (bc495da), v2/raw_client.py, and recorded traffic.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataelan_web.router.providers import json_mode
from dataelan_web.router.providers.cohere_answer import CohereAnswer
from dataelan_web.router.providers.conversation import text_of
from dataelan_web.router.providers.format import Format
from dataelan_web.router.providers.framing import decoder
from dataelan_web.router.providers.media import decode_base64
from dataelan_web.router.types import (
    Call,
    Decoder,
    FilePart,
    ImagePart,
    Message,
    Prompt,
    TextPart,
    Tool,
    ToolResult,
    ToolUse,
    Unsupported,
)

# Tokens a model may think. Its makers know no levels, only this limit, and none is the highest of them.
_THINKING_BUDGETS: Mapping[str, int] = {"minimal": 1024, "low": 1024, "medium": 8192}

_VERSIONS = ("/v1", "/v2")


class Cohere(Format):
    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        messages = [said for message in prompt.messages for said in _messages(message)]
        body: dict[str, Any] = {"model": model, "messages": messages} | options(prompt) | _tools(prompt)
        if found := documents(prompt):
            body["documents"] = [{"id": f"document-{number}", "data": data} for number, data in enumerate(found)]
        if prompt.schema is not None:
            schema = {} if json_mode.is_asked(prompt) else {"json_schema": dict(prompt.schema)}
            body["response_format"] = {"type": "json_object"} | schema
        if prompt.reasoning_effort:
            body["thinking"] = _thinking(prompt.reasoning_effort)
        return Call(api_url(self.base_url, "v2/chat"), body, key_headers(key))

    def decoder(self) -> Decoder:
        return decoder(CohereAnswer())


def api_url(base_url: str, path: str) -> str:
    """An address of Cohere's API; its parts are of two versions, so the version is not of the base URL."""
    base = base_url.rstrip("/")
    return f"{base[:-3] if base.endswith(_VERSIONS) else base}/{path}"


def key_headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def options(prompt: Prompt) -> dict[str, Any]:
    """What both versions call the same."""
    said = {
        "max_tokens": prompt.max_tokens,
        "temperature": prompt.temperature,
        "p": prompt.top_p,
        "stop_sequences": list(prompt.stop) or None,
        "seed": prompt.seed,
        "stream": prompt.stream or None,
    }
    return {name: value for name, value in said.items() if value is not None}


def documents(prompt: Prompt) -> list[dict[str, str]]:
    """Texts sent along go beside the conversation, as documents that the model may cite."""
    return [_document(file) for file in prompt.files]


def _document(file: FilePart) -> dict[str, str]:
    if file.url or not file.media_type.startswith("text/"):
        raise Unsupported(f"Cohere reads texts that are sent along, not {file.media_type or 'this file'}.")
    title = {"title": file.name} if file.name else {}
    return {**title, "text": decode_base64(file.data).decode("utf-8", "replace")}


def _messages(message: Message) -> list[dict[str, Any]]:
    """One message, or one for each tool result. What the model said before it called tools is its plan for them."""
    said: list[dict[str, Any]] = [
        {"role": "tool", "tool_call_id": part.id, "content": text_of(part)}
        for part in message.parts
        if isinstance(part, ToolResult)
    ]
    uses = [part for part in message.parts if isinstance(part, ToolUse)]
    if uses:
        plan = {"tool_plan": message.text} if message.text else {}
        said.append({"role": "assistant", **plan, "tool_calls": [_tool_call(use) for use in uses]})
    elif (content := _content(message)) or not said:
        said.append({"role": "user" if message.role == "tool" else message.role, "content": content})
    return said


def _content(message: Message) -> str | list[dict[str, Any]]:
    parts = [part for part in message.parts if isinstance(part, TextPart | ImagePart)]
    if not any(isinstance(part, ImagePart) for part in parts):
        return message.text
    return [_content_part(part) for part in parts]


def _content_part(part: TextPart | ImagePart) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    url = part.url or f"data:{part.media_type or 'image/png'};base64,{part.data}"
    return {"type": "image_url", "image_url": {"url": url}}


def _tool_call(use: ToolUse) -> dict[str, Any]:
    return {"id": use.id, "type": "function", "function": {"name": use.name, "arguments": use.arguments or "{}"}}


def _tools(prompt: Prompt) -> dict[str, Any]:
    """No tool can be demanded by its name, so that one alone is offered."""
    choice = prompt.tool_choice
    named = [tool for tool in prompt.tools if tool.name == choice]
    if not prompt.tools:
        return {}
    tools: dict[str, Any] = {"tools": [_tool(tool) for tool in named or prompt.tools]}
    if choice and choice != "auto":
        tools["tool_choice"] = "NONE" if choice == "none" else "REQUIRED"
    return tools


def _tool(tool: Tool) -> dict[str, Any]:
    parameters = dict(tool.parameters) or {"type": "object", "properties": {}}
    description = {"description": tool.description} if tool.description else {}
    return {"type": "function", "function": {"name": tool.name, **description, "parameters": parameters}}


def _thinking(effort: str) -> dict[str, Any]:
    if effort == "none":
        return {"type": "disabled"}
    budget = _THINKING_BUDGETS.get(effort)
    return {"type": "enabled"} | ({"token_budget": budget} if budget else {})
