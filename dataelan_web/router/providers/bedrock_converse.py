"""Bedrock's Converse and ConverseStream: one format for all its text models, with a Bedrock API key.

Source: boto/botocore (0e6e2404), bedrock-runtime 2023-09-30; docs.aws.amazon.com/bedrock, “Converse”; recorded traffic.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any
from urllib.parse import quote

from dataelan_web.router import names
from dataelan_web.router.providers import json_mode
from dataelan_web.router.providers.aws_event_stream import decoder
from dataelan_web.router.providers.aws_signature import AccessKey, region_of, signed
from dataelan_web.router.providers.bedrock_converse_answer import ConverseAnswer
from dataelan_web.router.providers.closed_schema import closed
from dataelan_web.router.providers.conversation import PLAIN_ID, fitting, turns, with_shown
from dataelan_web.router.providers.format import Format
from dataelan_web.router.providers.json_values import compact, counted, mapping, parse_or_none, written_count
from dataelan_web.router.types import (
    Call,
    Decoder,
    FilePart,
    ImagePart,
    Part,
    Prompt,
    TextPart,
    ThoughtPart,
    Tool,
    ToolResult,
    ToolUse,
    Unsupported,
    Usage,
)

_IMAGES = {"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
_SOUNDS = {
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/aac": "aac",
    "audio/flac": "flac",
    "audio/x-flac": "flac",
    "audio/ogg": "ogg",
    "audio/opus": "opus",
    "audio/mp4": "m4a",
    "audio/x-m4a": "m4a",
    "audio/webm": "webm",
}
_FILMS = {
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "video/webm": "webm",
    "video/x-matroska": "mkv",
    "video/x-flv": "flv",
    "video/mpeg": "mpeg",
    "video/x-ms-wmv": "wmv",
    "video/3gpp": "three_gp",
}
_DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "md",
    "text/plain": "txt",
    "application/json": "txt",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}


SERVICE = "bedrock"


class BedrockConverse(Format):
    has_no = frozenset({"seed"})

    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        prompt = json_mode.in_words(prompt)
        body = converse_body(prompt) | _output(prompt, model)
        verb = "converse-stream" if prompt.stream else "converse"
        return with_key(Call(model_url(self.base_url, model, verb), body), key)

    def decoder(self) -> Decoder:
        return decoder(ConverseAnswer())

    def count_call(self, prompt: Prompt, model: str, key: str) -> Call:
        told = converse_body(json_mode.in_words(prompt))
        said = {name: value for name, value in told.items() if name != "inferenceConfig"}
        return with_key(Call(model_url(self.base_url, model, "count-tokens"), {"input": {"converse": said}}), key)

    def counted(self, body: bytes) -> int:
        return counted(body, "inputTokens")


def model_url(base_url: str, model: str, verb: str) -> str:
    """A model is named by its id, such as us.amazon.nova-lite-v1:0, or by an ARN, which has slashes."""
    return f"{base_url}/model/{quote(model, safe='')}/{verb}"


def used_by_headers(headers: Mapping[str, str]) -> Usage:
    """InvokeModel counts for every maker, and tells it here."""

    def said(name: str) -> int | None:
        return written_count(headers.get(f"x-amzn-bedrock-{name}-token-count"))

    return Usage(said("input"), said("cache-read-input"), said("cache-write-input"), said("output"))


def with_key(call: Call, key: str) -> Call:
    """With a Bedrock API key (docs.aws.amazon.com/bedrock, “Use an API key”), or signed with an access key."""
    if pair := AccessKey.read(key):
        return signed(call, pair, region_of(call.url, pair), SERVICE)
    return replace(call, headers={"Authorization": f"Bearer {key}"}) if key else call


def converse_body(prompt: Prompt) -> dict[str, Any]:
    content = _Content()
    body: dict[str, Any] = {
        "messages": [
            {
                "role": "assistant" if by_assistant else "user",
                "content": [content.block(part, shown) for part, shown in with_shown(parts)],
            }
            for by_assistant, parts in turns(prompt.messages)
        ]
    }
    if prompt.system:
        body["system"] = [{"text": prompt.system}]
    options = {
        "maxTokens": prompt.max_tokens,
        "temperature": prompt.temperature,
        "topP": prompt.top_p,
        "stopSequences": list(prompt.stop) or None,
    }
    if config := {name: value for name, value in options.items() if value is not None}:
        body["inferenceConfig"] = config
    return body | _tools(prompt)


def _tools(prompt: Prompt) -> dict[str, Any]:
    """There is no word that forbids tools, so they are left out; but where tools were used before, the format
    demands that they are named."""
    if not prompt.tools:
        return {}
    config: dict[str, Any] = {"tools": [_tool(tool) for tool in prompt.tools]}
    match prompt.tool_choice:
        case "none":
            if any(isinstance(part, ToolUse | ToolResult) for message in prompt.messages for part in message.parts):
                raise Unsupported("Bedrock cannot forbid its tools in a conversation that has used them.")
            return {}
        case "auto":
            config["toolChoice"] = {"auto": {}}
        case "required":
            config["toolChoice"] = {"any": {}}
        case str(name):
            config["toolChoice"] = {"tool": {"name": name}}
    return {"toolConfig": config}


def _tool(tool: Tool) -> dict[str, Any]:
    schema = dict(tool.parameters) or {"type": "object", "properties": {}}
    description = {"description": tool.description} if tool.description else {}
    return {"toolSpec": {"name": tool.name, **description, "inputSchema": {"json": schema}}}


def _output(prompt: Prompt, model: str) -> dict[str, Any]:
    """The schema goes as text. Effort is the format's own word, but makers have others for thinking itself."""
    body: dict[str, Any] = {}
    config: dict[str, Any] = {}
    if prompt.schema is not None:
        schema = {"name": "answer", "schema": compact(closed(prompt.schema))}
        config["textFormat"] = {"type": "json_schema", "structure": {"jsonSchema": schema}}
    effort, body_of = prompt.reasoning_effort, names.bedrock_body(model)
    if effort and body_of == "nova":
        body["additionalModelRequestFields"] = {"reasoningConfig": nova_reasoning(effort)}
    elif effort and body_of == "openai":
        body["additionalModelRequestFields"] = {"reasoning_effort": effort}
    elif effort:
        if body_of == "messages":
            thinking = "disabled" if effort == "none" else "adaptive"
            body["additionalModelRequestFields"] = {"thinking": {"type": thinking}}
        if effort != "none":
            config["effort"] = "low" if effort == "minimal" else effort
    return body | ({"outputConfig": config} if config else {})


def nova_reasoning(effort: str) -> dict[str, str]:
    """docs.aws.amazon.com/nova/latest/nova2-userguide, “Extended thinking”: low, medium and high are all there is."""
    if effort == "none":
        return {"type": "disabled"}
    known = {"minimal": "low", "low": "low", "medium": "medium"}
    return {"type": "enabled", "maxReasoningEffort": known.get(effort, "high")}


class _Content:
    """The blocks of one request. Documents need names, each its own."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def block(self, part: Part, shown: Sequence[Part] = ()) -> dict[str, Any]:
        match part:
            case TextPart(text):
                return {"text": text}
            case ImagePart():
                return {"image": {"format": _format(part, _IMAGES), "source": _source(part)}}
            case FilePart(media_type) if media_type.startswith("audio/"):
                return {"audio": {"format": _format(part, _SOUNDS), "source": _source(part)}}
            case FilePart(media_type) if media_type.startswith("video/"):
                return {"video": {"format": _format(part, _FILMS), "source": _source(part)}}
            case FilePart(name=name):
                format = _format(part, _DOCUMENTS, "txt" if part.media_type.startswith("text/") else "")
                return {"document": {"format": format, "name": self._name(name), "source": _source(part)}}
            case ToolUse(id, name, arguments):
                id = fitting(id, PLAIN_ID)
                return {"toolUse": {"toolUseId": id, "name": name, "input": mapping(parse_or_none(arguments))}}
            case ToolResult(id, text):
                failed = {"status": "error"} if part.is_error else {}
                said = [{"text": text}] if text or not shown else []
                content = [*said, *map(self.block, shown)]
                return {"toolResult": {"toolUseId": fitting(id, PLAIN_ID), "content": content} | failed}
            case ThoughtPart():
                raise Unsupported("What a model of another provider thought cannot be taken back.")

    def _name(self, said: str) -> str:
        """Letters, digits, single blanks, hyphens and brackets are all that a name may have; a name that comes twice
        is refused as well."""
        plain = " ".join(re.sub(r"[^A-Za-z0-9\s()\[\]-]", " ", said.rpartition(".")[0] or said).split())[:180]
        name = plain or "document"
        names = (name if number == 1 else f"{name} {number}" for number in count(1))
        unique = next(candidate for candidate in names if candidate not in self._names)
        self._names.add(unique)
        return unique


def _format(part: ImagePart | FilePart, formats: Mapping[str, str], otherwise: str = "") -> str:
    media_type = part.media_type.partition(";")[0].strip().lower()
    if isinstance(part, ImagePart) and not media_type:
        return "png"
    found = formats.get(media_type, otherwise)
    if not found:
        raise Unsupported(f"Bedrock does not read {media_type or 'files of an unknown type'}.")
    return found


def _source(part: ImagePart | FilePart) -> dict[str, Any]:
    if not part.url:
        return {"bytes": part.data}
    if part.url.startswith("s3://"):
        return {"s3Location": {"uri": part.url}}
    raise Unsupported("Bedrock does not fetch files from the web; send this one along instead.")
