"""Google's Interactions, which follow generateContent: a conversation in typed steps, of models and of agents.

Nothing is kept at the provider (`store: false`) but an agent's work in the background, which is asked for until it is
done (such as Deep Research, which takes minutes).

Source: googleapis/python-genai (6680718), ai.google.dev/gemini-api/docs/interactions, and recorded traffic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dataelan_web.router.names import is_google_agent
from dataelan_web.router.providers import gemini, json_mode
from dataelan_web.router.providers.conversation import text_of, tool_names, turns
from dataelan_web.router.providers.format import Format
from dataelan_web.router.providers.framing import decoder
from dataelan_web.router.providers.gemini_interactions_answer import InteractionAnswer
from dataelan_web.router.providers.json_values import mapping, parse_or_none
from dataelan_web.router.types import (
    Call,
    Decoder,
    FilePart,
    ImagePart,
    Part,
    Prompt,
    TextPart,
    Tool,
    ToolResult,
    ToolUse,
    Unsupported,
)

# The format as of this day: steps instead of a flat list of outputs.
REVISION = "2026-05-20"

_LEVELS: Mapping[str, str] = {"none": "minimal", "minimal": "minimal", "low": "low", "medium": "medium", "high": "high"}


class GeminiInteractions(Format):
    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        names = tool_names(prompt.messages)
        steps = [
            step
            for by_assistant, parts in turns(prompt.messages)
            for step in _steps("model_output" if by_assistant else "user_input", parts, names)
        ]
        body: dict[str, Any] = {"input": steps} | _options(prompt)
        if is_google_agent(model):  # no model, and so named in another field
            body |= {"agent": model, "background": True, "store": True}
        else:
            body |= {"model": model, "store": False} | ({"stream": True} if prompt.stream else {})
            if config := _generation_config(prompt):
                body["generation_config"] = config
        headers = gemini.key_headers(key) | {"Api-Revision": REVISION}
        return Call(f"{self.base_url}/interactions", body, headers)

    def decoder(self) -> Decoder:
        return decoder(InteractionAnswer(self.base_url), gemini.EVENT_LIMIT)


def _options(prompt: Prompt) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if prompt.system:
        options["system_instruction"] = prompt.system
    if prompt.tools:
        options["tools"] = [_tool(tool) for tool in prompt.tools]
    if prompt.schema is not None:
        schema = {} if json_mode.is_asked(prompt) else {"schema": dict(prompt.schema)}
        options["response_format"] = {"type": "text", "mime_type": "application/json"} | schema
    return options


def _tool(tool: Tool) -> dict[str, Any]:
    described = {"type": "function", "name": tool.name, "description": tool.description}
    return described | ({"parameters": dict(tool.parameters)} if tool.parameters else {})


def _generation_config(prompt: Prompt) -> dict[str, Any]:
    effort = prompt.reasoning_effort
    options = {
        "max_output_tokens": prompt.max_tokens,
        "temperature": prompt.temperature,
        "top_p": prompt.top_p,
        "stop_sequences": list(prompt.stop) or None,
        "seed": prompt.seed,
        "thinking_level": _LEVELS.get(effort, "high") if effort else None,
        "thinking_summaries": "auto" if effort and effort != "none" else None,
        "tool_choice": _tool_choice(prompt.tool_choice) if prompt.tools and prompt.tool_choice else None,
    }
    return {name: value for name, value in options.items() if value is not None}


def _tool_choice(choice: str) -> str | dict[str, Any]:
    words = {"auto": "auto", "none": "none", "required": "any"}
    return words.get(choice) or {"allowed_tools": {"mode": "any", "tools": [choice]}}


# -- the conversation --------------------------------------------------------------------------


def _steps(type: str, parts: list[Part], names: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """What is said in one turn is one step; calls of tools and their results are steps of their own, in order."""
    content: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, TextPart | ImagePart | FilePart):
            content.append(_content(part))
        if not isinstance(part, ToolUse | ToolResult):
            continue
        if content:
            yield {"type": type, "content": content}
            content = []
        yield _tool_step(part, names)
    if content:
        yield {"type": type, "content": content}


def _tool_step(part: ToolUse | ToolResult, names: Mapping[str, str]) -> dict[str, Any]:
    if isinstance(part, ToolUse):
        arguments = mapping(parse_or_none(part.arguments))
        return {"type": "function_call", "id": part.id, "name": part.name, "arguments": arguments}
    name = part.name or names.get(part.id, part.id)
    return {"type": "function_result", "call_id": part.id, "name": name, "result": text_of(part)}


def _content(part: TextPart | ImagePart | FilePart) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    kind = "image" if isinstance(part, ImagePart) else part.media_type.partition("/")[0]
    if isinstance(part, ImagePart) or kind in ("audio", "video", "image"):
        return {"type": kind} | _source(part, "image/png" if kind == "image" else "")
    if part.media_type.startswith(("application/pdf", "text/")) or part.url:
        return {"type": "document"} | _source(part, "application/pdf")
    raise Unsupported(f"It reads pictures, sound, film, PDF and text, not {part.media_type or 'this file'}.")


def _source(part: ImagePart | FilePart, otherwise: str) -> dict[str, str]:
    media_type = part.media_type or ("" if part.url else otherwise)
    place = {"uri": part.url} if part.url else {"data": part.data}
    return place | ({"mime_type": media_type} if media_type else {})
