"""Cohere's older chat, POST /v1/chat, and its first format, POST /v1/generate, which continues a text.

Source: cohere-ai/cohere-python (bc495da), raw_base_client.py, and recorded traffic.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dataelan_web.router.providers import json_mode
from dataelan_web.router.providers.cohere import api_url, documents, key_headers, options
from dataelan_web.router.providers.cohere_v1_answer import CohereV1Answer
from dataelan_web.router.providers.conversation import text_of, turns
from dataelan_web.router.providers.format import Format
from dataelan_web.router.providers.json_values import mapping, parse_or_none, sequence, string
from dataelan_web.router.providers.ndjson import decoder
from dataelan_web.router.providers.plain_text import refuse_more_than_text
from dataelan_web.router.types import (
    Call,
    Decoder,
    Part,
    Prompt,
    TextPart,
    Tool,
    ToolResult,
    ToolUse,
    Unsupported,
)

# JSON Schema's names of types -> Python's, which this format wants.
_TYPES: Mapping[str, str] = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "array": "list",
    "object": "dict",
}


class CohereV1(Format):
    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        body = {"model": model} | chat_body(prompt) | options(prompt)
        return Call(api_url(self.base_url, "v1/chat"), body, key_headers(key))

    def decoder(self) -> Decoder:
        return decoder(CohereV1Answer())


class CohereGenerate(Format):
    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        body = {"model": model} | generate_body(prompt) | options(prompt)
        return Call(api_url(self.base_url, "v1/generate"), body, key_headers(key))

    def decoder(self) -> Decoder:
        return decoder(CohereV1Answer())


def generate_body(prompt: Prompt) -> dict[str, Any]:
    """All that was said, a blank line between turns: the model goes on where it ends."""
    refuse_more_than_text(prompt)
    if prompt.schema is not None:
        raise Unsupported("This format only continues texts; it knows no JSON schemas.")
    return {"prompt": "\n\n".join(message.text for message in prompt.messages if message.text)}


def chat_body(prompt: Prompt) -> dict[str, Any]:
    """The last turn is the message, or the results of tools; what came before is history."""
    if prompt.images:
        raise Unsupported("This format takes text; it knows no pictures.")
    uses = {part.id: part for message in prompt.messages for part in message.parts if isinstance(part, ToolUse)}
    *history, (_, last) = [*turns(prompt.messages)] or [(False, [])]
    body: dict[str, Any] = {"message": _text(last)}
    if results := _results(last, uses):
        body["tool_results"] = results
    if prompt.system:
        body["preamble"] = prompt.system
    if said := [turn for by_assistant, parts in history for turn in _history(by_assistant, parts, uses)]:
        body["chat_history"] = said
    if found := documents(prompt):
        body["documents"] = found
    if prompt.schema is not None:
        schema = {} if json_mode.is_asked(prompt) else {"schema": dict(prompt.schema)}
        body["response_format"] = {"type": "json_object"} | schema
    return body | _tools(prompt)


def _text(parts: Iterable[Part]) -> str:
    return "".join(part.text for part in parts if isinstance(part, TextPart))


def _history(by_assistant: bool, parts: list[Part], uses: Mapping[str, ToolUse]) -> Iterator[dict[str, Any]]:
    if results := _results(parts, uses):
        yield {"role": "TOOL", "tool_results": results}
    calls = [_call(part) for part in parts if isinstance(part, ToolUse)]
    text = _text(parts)
    if text or calls:
        said = {"role": "CHATBOT" if by_assistant else "USER", "message": text}
        yield said | ({"tool_calls": calls} if calls else {})


def _results(parts: Iterable[Part], uses: Mapping[str, ToolUse]) -> list[dict[str, Any]]:
    """A result repeats the call it answers, since calls have no ids here."""
    return [
        {
            "call": _call(uses.get(part.id) or ToolUse(part.id, part.name, "")),
            "outputs": [{"output": text_of(part)}],
        }
        for part in parts
        if isinstance(part, ToolResult)
    ]


def _call(use: ToolUse) -> dict[str, Any]:
    return {"name": use.name, "parameters": mapping(parse_or_none(use.arguments))}


def _tools(prompt: Prompt) -> dict[str, Any]:
    if not prompt.tools or prompt.tool_choice == "none":
        return {}
    if prompt.tool_choice not in (None, "auto"):
        raise Unsupported("This format cannot demand that a tool is called.")
    return {"tools": [_tool(tool) for tool in prompt.tools]}


def _tool(tool: Tool) -> dict[str, Any]:
    required = [*map(string, sequence(tool.parameters.get("required")))]
    parameters = mapping(tool.parameters.get("properties")).items()
    return {
        "name": tool.name,
        "description": tool.description,
        "parameter_definitions": {
            name: {
                "description": string(mapping(schema).get("description")),
                "type": _TYPES.get(string(mapping(schema).get("type")), "str"),
                "required": name in required,
            }
            for name, schema in parameters
        },
    }
