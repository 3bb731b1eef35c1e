"""Anthropic's Messages, also spoken by Vertex AI, Ollama, DeepSeek and others for its clients.

Source: anthropics/anthropic-sdk-python (009b0353) and recorded traffic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from dataelan_web.router.providers import json_mode
from dataelan_web.router.providers.anthropic_messages_answer import MessagesAnswer
from dataelan_web.router.providers.closed_schema import closed
from dataelan_web.router.providers.conversation import PLAIN_ID, fitting, turns, with_shown
from dataelan_web.router.providers.failures import failure_in_answer, is_error
from dataelan_web.router.providers.format import Format
from dataelan_web.router.providers.framing import decoder
from dataelan_web.router.providers.json_values import (
    broken,
    counted,
    first_count,
    mapping,
    mappings,
    parse,
    parse_or_none,
    string,
)
from dataelan_web.router.providers.media import decode_base64
from dataelan_web.router.types import (
    Call,
    Decoder,
    FilePart,
    ImagePart,
    ListedModel,
    Part,
    Prompt,
    TextPart,
    ThoughtPart,
    ToolResult,
    ToolUse,
    Unsupported,
)

VERSION = "2023-06-01"
OWN_HOST = "api.anthropic.com"
"""There, models that tell nothing of what they thought do so where it is asked for; others may refuse the word."""

# The format demands a limit. This one is accepted by every model since Claude 3; say more where more is wanted.
DEFAULT_MAX_TOKENS = 4096
LEAST_THINKING = 1024
"""Tokens; the API refuses a smaller budget."""


class AnthropicMessages(Format):
    options = frozenset({"top_k", "parallel_tool_calls", "user_id", "service_tier"})
    has_no = frozenset({"seed"})

    @property
    def _host(self) -> str | None:
        return urlsplit(self.base_url).hostname

    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        body = {"model": model, "max_tokens": _most(prompt)} | _context(prompt) | _options(prompt)
        thinking = mapping(body.get("thinking"))
        if prompt.summary and thinking.get("type", "disabled") != "disabled" and self._host == OWN_HOST:
            body["thinking"] = thinking | {"display": "summarized"}
        return Call(f"{self.base_url}/messages", body, _headers(key))

    def count_call(self, prompt: Prompt, model: str, key: str) -> Call:
        return Call(f"{self.base_url}/messages/count_tokens", {"model": model} | _context(prompt), _headers(key))

    def counted(self, body: bytes) -> int:
        return counted(body, "input_tokens")

    def decoder(self) -> Decoder:
        return decoder(MessagesAnswer())

    def list_call(self, key: str) -> Call:
        return Call(f"{self.base_url}/models?limit=1000", headers=_headers(key), method="GET")  # 1000 is the most

    def listed(self, body: bytes) -> list[ListedModel]:
        document = mapping(parse(body.decode("utf-8", "replace")))
        if is_error(document):
            raise failure_in_answer(document)
        if not isinstance(document.get("data"), list):
            raise broken("The provider's answer is JSON, but not a list of models. Check the base URL.")
        return [_listed_model(model) for model in mappings(document["data"]) if string(model.get("id"))]


def _headers(key: str) -> dict[str, str]:
    return {"anthropic-version": VERSION} | ({"x-api-key": key} if key else {})


# -- the request ---------------------------------------------------------------------------------


def _context(prompt: Prompt) -> dict[str, Any]:
    """All that is read, and so counted."""
    prompt = json_mode.in_words(prompt)
    keeps = {id(message.parts[-1]): message.keep for message in prompt.messages if message.keep and message.parts}
    messages = [
        {
            "role": "assistant" if by_assistant else "user",
            "content": [
                _block(part, shown) | _kept(keeps.get(id(shown[-1] if shown else part), ""))
                for part, shown in with_shown(parts)
            ],
        }
        for by_assistant, parts in turns(prompt.messages)
    ]
    system = {"system": _system(prompt)} if prompt.system else {}
    return {"messages": messages} | system | _tools(prompt) | _output(prompt)


def _system(prompt: Prompt) -> str | list[dict[str, Any]]:
    told = [message for message in prompt.messages if message.role == "system"]
    if not any(message.keep for message in told):
        return prompt.system
    return [{"type": "text", "text": message.text} | _kept(message.keep) for message in told if message.text]


def _kept(keep: str) -> dict[str, Any]:
    """Five minutes are meant where nothing is said."""
    if not keep:
        return {}
    return {"cache_control": {"type": "ephemeral"} | ({} if keep == "5m" else {"ttl": keep})}


def _options(prompt: Prompt) -> dict[str, Any]:
    options = {
        "temperature": prompt.temperature,
        "top_p": prompt.top_p,
        "top_k": prompt.options.get("top_k"),
        "metadata": {"user_id": prompt.options["user_id"]} if "user_id" in prompt.options else None,
        "service_tier": "standard_only" if "service_tier" in prompt.options else None,
        "stop_sequences": list(prompt.stop) or None,
        "stream": prompt.stream or None,
    }
    return {name: value for name, value in options.items() if value is not None}


def _tools(prompt: Prompt) -> dict[str, Any]:
    if not prompt.tools:
        return {}
    tools: dict[str, Any] = {
        "tools": [
            {"name": tool.name, "input_schema": dict(tool.parameters) or {"type": "object", "properties": {}}}
            | ({"description": tool.description} if tool.description else {})
            | ({"strict": tool.is_strict} if tool.is_strict else {})
            | _kept(tool.keep)
            for tool in prompt.tools
        ]
    }
    parallel = prompt.options.get("parallel_tool_calls")
    if prompt.tool_choice or parallel is not None:
        words = {"auto": "auto", "none": "none", "required": "any"}
        choice = prompt.tool_choice or "auto"
        tools["tool_choice"] = {"type": words[choice]} if choice in words else {"type": "tool", "name": choice}
        if parallel is not None and choice != "none":
            tools["tool_choice"]["disable_parallel_tool_use"] = not parallel
    return tools


def _output(prompt: Prompt) -> dict[str, Any]:
    """Effort with adaptive thinking is the form of Claude 4.6 and later; the older token budget is refused there."""
    body: dict[str, Any] = {}
    config: dict[str, Any] = {}
    if prompt.schema is not None:
        config["format"] = {"type": "json_schema", "schema": closed(prompt.schema)}
    if prompt.reasoning_effort == "none":
        body["thinking"] = {"type": "disabled"}
    elif prompt.thinking_budget:
        body["thinking"] = _thinking(prompt.thinking_budget, _most(prompt))
    elif prompt.reasoning_effort or prompt.summary:
        body["thinking"] = {"type": "adaptive"}
        effort = "low" if prompt.reasoning_effort == "minimal" else prompt.reasoning_effort
        config |= {"effort": effort} if effort else {}
    return body | ({"output_config": config} if config else {})


def _most(prompt: Prompt) -> int:
    return prompt.max_tokens if prompt.max_tokens is not None else DEFAULT_MAX_TOKENS


def _thinking(budget: int, most: int) -> dict[str, Any]:
    """It has to be less than all that may be written, and limits may have left less than was asked for: then half of
    that is for thinking, or nothing where it is too little."""
    if budget >= most and most // 2 < LEAST_THINKING:
        return {"type": "disabled"}
    return {"type": "enabled", "budget_tokens": budget if budget < most else most // 2}


def _block(part: Part, shown: Sequence[Part] = ()) -> dict[str, Any]:
    match part:
        case TextPart(text):
            return {"type": "text", "text": text}
        case ImagePart(url=url) if url:
            return {"type": "image", "source": {"type": "url", "url": url}}
        case ImagePart(media_type, data):
            source = {"type": "base64", "media_type": media_type or "image/png", "data": data}
            return {"type": "image", "source": source}
        case FilePart():
            return _document(part)
        case ToolUse(id, name, arguments):
            input = mapping(parse_or_none(arguments))
            return {"type": "tool_use", "id": fitting(id, PLAIN_ID), "name": name, "input": input}
        case ToolResult(id, text):
            failed = {"is_error": True} if part.is_error else {}
            said = [TextPart(text)] if text else []
            content = [_block(one) for one in (*said, *shown)] if shown else text
            return {"type": "tool_result", "tool_use_id": fitting(id, PLAIN_ID), "content": content} | failed
        case ThoughtPart(text, seal):
            if part.is_hidden:
                return {"type": "redacted_thinking", "data": seal}
            return {"type": "thinking", "thinking": text, "signature": seal}


def _document(part: FilePart) -> dict[str, Any]:
    """PDF and plain text are all that Messages reads (docs.anthropic.com, “PDF support”)."""
    if part.url:
        return {"type": "document", "source": {"type": "url", "url": part.url}}
    if part.media_type == "application/pdf":
        source = {"type": "base64", "media_type": part.media_type, "data": part.data}
    elif part.media_type.startswith("text/"):
        source = {
            "type": "text",
            "media_type": "text/plain",
            "data": decode_base64(part.data).decode("utf-8", "replace"),
        }
    else:
        raise Unsupported(f"It reads PDF and text documents, not {part.media_type or 'this file'}.")
    return {"type": "document", "source": source} | ({"title": part.name} if part.name else {})


# -- the model list ---------------------------------------------------------------------------------

_ABILITIES = {
    "image_input": "vision",
    "structured_outputs": "json_schema",
    "thinking": "reasoning",
}


def _listed_model(model: Mapping[str, Any]) -> ListedModel:
    """Limits and capabilities are newer fields; older answers say only the names."""
    said = mapping(model.get("capabilities"))
    able = {ours for theirs, ours in _ABILITIES.items() if mapping(said.get(theirs)).get("supported") is True}
    return ListedModel(
        string(model.get("id")),
        string(model.get("display_name")),
        first_count(model.get("max_input_tokens")),
        first_count(model.get("max_tokens")),
        capabilities=tuple(sorted(able | {"chat", "tools"})) if said else None,
    )
