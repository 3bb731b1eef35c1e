"""OpenAI's Responses, also spoken by Azure, xAI, DeepSeek, OpenRouter, Bedrock's OpenAI endpoint and others.

Nothing is kept at the provider (`store: false`): the whole conversation goes along each time, as in every other format.

Source: openai/openai-openapi (f85dbe2) and recorded traffic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

from dataelan_web.router.providers.conversation import fitting, spoken, with_shown
from dataelan_web.router.providers.format import Format
from dataelan_web.router.providers.framing import MEBIBYTE, decoder
from dataelan_web.router.providers.json_values import counted
from dataelan_web.router.providers.openai_chat import dialect_of, hinted, key_headers, schema_of
from dataelan_web.router.providers.openai_responses_answer import ResponsesAnswer, opened_at
from dataelan_web.router.types import (
    Call,
    Decoder,
    FilePart,
    ImagePart,
    Message,
    Part,
    Prompt,
    TextPart,
    ThoughtPart,
    Tool,
    ToolResult,
    ToolUse,
    Unsupported,
)

# A picture is one event of a stream, and the last event repeats them all.
EVENT_LIMIT = 32 * MEBIBYTE
SEALED = "reasoning.encrypted_content"
"""What to ask for, to be told thoughts as they can be taken back; models that do not think refuse it."""

LIKELY = "message.output_text.logprobs"
"""… and to be told how likely each token was."""


class OpenAIResponses(Format):
    options = frozenset({"parallel_tool_calls", "verbosity", "logprobs"})
    has_no = frozenset({"seed", "stop"})

    def __init__(self, base_url: str) -> None:
        super().__init__(base_url)
        self.options = self.options | dialect_of(self.base_url).hints.keys()

    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        """A seed is a wish, which is passed over; a stop sequence a promise to keep."""
        if prompt.stop:
            raise Unsupported("The Responses format has no stop sequences.")
        body = {"model": model, "store": False} | _context(prompt, self.base_url) | _options(prompt)
        body |= hinted(self.base_url, prompt)
        return Call(f"{self.base_url}/responses", body, key_headers(self.base_url, key))

    def count_call(self, prompt: Prompt, model: str, key: str) -> Call:
        body = {"model": model} | _context(prompt, self.base_url)
        return Call(f"{self.base_url}/responses/input_tokens", body, key_headers(self.base_url, key))

    def counted(self, body: bytes) -> int:
        return counted(body, "input_tokens")

    def decoder(self) -> Decoder:
        return decoder(ResponsesAnswer(self.base_url), EVENT_LIMIT)


def _context(prompt: Prompt, base_url: str) -> dict[str, Any]:
    """All that is read, and so counted."""
    stretches = (some for message in spoken(prompt.messages) for some in _stretches(message))
    options = {
        "input": [item for some in stretches for item in _items(some, base_url)],
        "instructions": prompt.system or None,
        "reasoning": _reasoning(prompt.reasoning_effort, prompt.summary) or None,
        "text": _text(prompt) or None,
    }
    return {name: value for name, value in options.items() if value is not None} | _tools(prompt)


def _options(prompt: Prompt) -> dict[str, Any]:
    likely = prompt.options.get("logprobs")
    included = ([SEALED] if prompt.seals else []) + ([LIKELY] if likely is not None else [])
    options = {
        "max_output_tokens": prompt.max_tokens,
        "temperature": prompt.temperature,
        "top_p": prompt.top_p,
        "parallel_tool_calls": prompt.options.get("parallel_tool_calls"),
        "stream": prompt.stream or None,
        "include": included or None,
        "top_logprobs": likely or None,
    }
    return {name: value for name, value in options.items() if value is not None}


def _reasoning(effort: str | None, summary: str | None) -> dict[str, str]:
    """What the model thought is told only when asked for."""
    said = {"effort": effort} if effort else {}
    thinks = effort and effort != "none"
    return said | ({"summary": summary or "auto"} if summary or thinks else {})


def _text(prompt: Prompt) -> dict[str, Any]:
    wordy = {"verbosity": prompt.options["verbosity"]} if "verbosity" in prompt.options else {}
    return wordy | ({"format": {"type": "json_schema", **schema_of(prompt)}} if prompt.schema is not None else {})


def _tools(prompt: Prompt) -> dict[str, Any]:
    if not prompt.tools:
        return {}
    tools: dict[str, Any] = {"tools": [_tool(tool) for tool in prompt.tools]}
    if prompt.tool_choice in ("auto", "none", "required"):
        tools["tool_choice"] = prompt.tool_choice
    elif prompt.tool_choice:
        tools["tool_choice"] = {"type": "function", "name": prompt.tool_choice}
    return tools


def _tool(tool: Tool) -> dict[str, Any]:
    """`strict` is on here unless switched off, and would refuse optional parameters."""
    parameters = dict(tool.parameters) or {"type": "object", "properties": {}}
    description = {"description": tool.description} if tool.description else {}
    return {
        "type": "function",
        "name": tool.name,
        **description,
        "parameters": parameters,
        "strict": bool(tool.is_strict),
    }


# -- the conversation --------------------------------------------------------------------------


def _stretches(message: Message) -> Iterator[Message]:
    """A turn in which the model stopped to think, cut where it did: a thought is refused without what came of it."""
    cuts = [n for n, part in enumerate(message.parts) if n and isinstance(part, ThoughtPart)]
    for start, end in pairwise((0, *cuts, len(message.parts))):
        yield replace(message, parts=message.parts[start:end])


def _items(message: Message, base_url: str) -> Iterator[dict[str, Any]]:
    """What was thought; results, as they answer the turn before; then what is said; then the calls the turn ends in."""
    parts, ids = [*with_shown(message.parts)], dialect_of(base_url).call_ids
    for part, _ in parts:
        if isinstance(part, ThoughtPart):
            yield from _thought(part, base_url)
    for part, shown in parts:
        if isinstance(part, ToolResult):
            yield {"type": "function_call_output", "call_id": fitting(part.id, ids), "output": _output(part, shown)}
    yield from _said(replace(message, parts=tuple(part for part, _ in parts)))
    for part in message.parts:
        if isinstance(part, ToolUse):
            said = {"name": part.name, "arguments": part.arguments or "{}"}
            yield {"type": "function_call", "call_id": fitting(part.id, ids), **said}


def _thought(thought: ThoughtPart, base_url: str) -> Iterator[dict[str, Any]]:
    """Nobody but who sealed it can open it, and its id is sealed with it."""
    if opened := opened_at(base_url, thought.seal):
        id, content = opened
        summary = [{"type": "summary_text", "text": thought.text}] if thought.text else []
        yield {"type": "reasoning", "id": id, "summary": summary, "encrypted_content": content}


def _output(result: ToolResult, shown: list[Part]) -> str | list[dict[str, Any]]:
    if not shown:
        return result.text
    said = [TextPart(result.text)] if result.text else []
    return [_content(part) for part in (*said, *shown) if isinstance(part, TextPart | ImagePart | FilePart)]


def _said(message: Message) -> Iterator[dict[str, Any]]:
    """Only a user may show pictures and files, so those that the assistant made are shown to it by the user."""
    is_ours = message.role != "assistant"
    shown = [part for part in message.parts if isinstance(part, ImagePart | FilePart)]
    together = [part for part in message.parts if isinstance(part, TextPart | ImagePart | FilePart)]
    if message.text and not (shown and is_ours):
        yield {"role": "user" if is_ours else "assistant", "content": message.text}
    if shown:
        yield {"role": "user", "content": [_content(part) for part in (together if is_ours else shown)]}


def _content(part: TextPart | ImagePart | FilePart) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "input_text", "text": part.text}
    if isinstance(part, FilePart):
        return _file(part)
    return {
        "type": "input_image",
        "image_url": part.url or f"data:{part.media_type or 'image/png'};base64,{part.data}",
    } | ({"detail": part.detail} if part.detail else {})


def _file(part: FilePart) -> dict[str, Any]:
    """Sound has a form of its own, named by its container; there is none for film."""
    kind, _, subtype = part.media_type.partition("/")
    if kind == "video" or (kind == "audio" and not part.data):
        raise Unsupported(f"The Responses format cannot carry {part.media_type} as it was given.")
    if kind == "audio":
        container = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav"}.get(subtype, subtype)
        return {"type": "input_audio", "input_audio": {"data": part.data, "format": container}}
    if part.url:
        return {"type": "input_file", "file_url": part.url}
    data = f"data:{part.media_type or 'application/octet-stream'};base64,{part.data}"
    return {"type": "input_file", "filename": part.name or "file", "file_data": data}
