"""OpenAI's chat completions, the format most servers speak: OpenAI, Azure, Ollama (/v1), vLLM, LM Studio, llama.cpp,
Groq, DeepSeek, Mistral, Together, OpenRouter, xAI, Fireworks, Cerebras, Perplexity and more.

Source: openai/openai-openapi (f85dbe2), and what each of those servers really sends (recorded traffic).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from dataelan_web.router.prompt import HINTS
from dataelan_web.router.providers import AZURE, json_mode
from dataelan_web.router.providers.conversation import fitting, text_of
from dataelan_web.router.providers.format import Format
from dataelan_web.router.providers.framing import decoder
from dataelan_web.router.providers.openai_chat_answer import ChatAnswer
from dataelan_web.router.providers.openai_models import listed
from dataelan_web.router.types import (
    Call,
    Decoder,
    FilePart,
    ImagePart,
    ListedModel,
    Message,
    Part,
    Prompt,
    TextPart,
    Tool,
    ToolResult,
    ToolUse,
)


@dataclass(frozen=True)
class Dialect:
    """Where a server's request differs from what nearly all of them understand."""

    max_tokens: str = "max_tokens"
    seed: str = "seed"
    stream_options: bool = True
    key_header: str = "Authorization"
    list_query: str = ""
    """What its list of models is asked with."""
    hints: Mapping[str, str] = field(default_factory=dict)
    """Of prompt.HINTS, those that it is known to take, and what it calls them."""
    call_ids: re.Pattern[str] | None = None
    """Ids of calls that it takes; None: whatever it is told."""


# By end of host name. OpenAI's own newer models refuse `max_tokens` (400, unsupported_parameter), while many
# compatible servers have never heard of `max_completion_tokens` and would ignore the limit in silence. Mistral
# answers 422 to fields it does not know; it calls the seed `random_seed` and reports usage without being asked.
# OpenRouter lists what writes text, and anything else only to who asks for it (openrouter.ai/docs/api_reference/models,
# “Modality filtering guide”): so for all that can be asked of it here, which is no film.
# Ids of calls, which another provider may have made, are refused at Mistral unless they have nine letters or digits
# (anomalyco/opencode#1680), and at OpenAI where they have more than 40 characters (vercel/ai#5171).
# Azure has models of others beside OpenAI's, which refuse `prompt_cache_key` (vectorize-io/hindsight#3518).
SHORT = re.compile(r"(?s).{1,40}")
DIALECTS: Mapping[str, Dialect] = {
    "api.openai.com": Dialect(
        max_tokens="max_completion_tokens",
        call_ids=SHORT,
        hints={
            "prompt_cache_key": "prompt_cache_key",
            "prompt_cache_retention": "prompt_cache_retention",
            "user_id": "safety_identifier",
            "service_tier": "service_tier",
        },
    ),
    **dict.fromkeys(AZURE, Dialect(max_tokens="max_completion_tokens", key_header="api-key", call_ids=SHORT)),
    "api.mistral.ai": Dialect(seed="random_seed", stream_options=False, call_ids=re.compile(r"[a-zA-Z0-9]{9}")),
    "openrouter.ai": Dialect(
        list_query="?output_modalities=text,image,audio,speech,transcription,embeddings,rerank",
    ),
}


@lru_cache(maxsize=1024)
def dialect_of(base_url: str) -> Dialect:
    host = urlsplit(base_url).hostname or ""
    return next((known for end, known in DIALECTS.items() if host.endswith(end)), Dialect())


def key_headers(base_url: str, key: str) -> dict[str, str]:
    """How every API of an OpenAI-compatible server is told the key; a local server needs none."""
    if not key:
        return {}
    header = dialect_of(base_url).key_header
    return {header: f"Bearer {key}" if header == "Authorization" else key}


LONGEST_USER = 128
"""Characters, at OpenAI; Anthropic takes 256, and its own clients send more than half of these."""


def hinted(base_url: str, prompt: Prompt) -> dict[str, Any]:
    """What this server is told of these hints, in its words. An id that is too long is as good by its hash."""
    said = dict(prompt.options)
    if len(user := str(said.get("user_id", ""))) > LONGEST_USER:
        said["user_id"] = sha256(user.encode()).hexdigest()
    if "service_tier" in said:
        said["service_tier"] = "default"
    return {theirs: said[ours] for ours, theirs in dialect_of(base_url).hints.items() if ours in said}


class OpenAIChat(Format):
    options = frozenset(
        {"frequency_penalty", "presence_penalty", "parallel_tool_calls", "verbosity", "logit_bias", "logprobs"}
    )

    def __init__(self, base_url: str) -> None:
        super().__init__(base_url)
        self._dialect = dialect_of(self.base_url)
        self.options = self.options | self._dialect.hints.keys()

    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        prompt = json_mode.named(prompt)
        messages = [said for message in prompt.messages for said in _messages(message, self._dialect.call_ids)]
        body: dict[str, Any] = {"model": model, "messages": messages}
        body |= self._options(prompt)
        if prompt.tools:
            body |= _tools(prompt)
        if prompt.schema is not None:
            body["response_format"] = _response_format(prompt)
        if prompt.stream:
            body["stream"] = True
            if self._dialect.stream_options:  # without it, a stream does not say what it cost
                body["stream_options"] = {"include_usage": True}
        return Call(f"{self.base_url}/chat/completions", body, key_headers(self.base_url, key))

    def _options(self, prompt: Prompt) -> dict[str, Any]:
        options = {
            self._dialect.max_tokens: prompt.max_tokens,
            "temperature": prompt.temperature,
            "top_p": prompt.top_p,
            "stop": list(prompt.stop) or None,
            self._dialect.seed: prompt.seed,
            "reasoning_effort": prompt.reasoning_effort,
        }
        if prompt.options:
            options |= {name: value for name, value in prompt.options.items() if name not in HINTS}
            options |= self._likely(prompt.options.get("logprobs")) | hinted(self.base_url, prompt)
        return {name: value for name, value in options.items() if value is not None}

    @staticmethod
    def _likely(others: int | None) -> dict[str, Any]:
        return {} if others is None else {"logprobs": True, "top_logprobs": others or None}

    def decoder(self) -> Decoder:
        return decoder(ChatAnswer())

    def list_call(self, key: str) -> Call:
        address = f"{self.base_url}/models{self._dialect.list_query}"
        return Call(address, headers=key_headers(self.base_url, key), method="GET")

    def listed(self, body: bytes) -> list[ListedModel]:
        return listed(body)


def _messages(message: Message, ids: re.Pattern[str] | None) -> Iterator[dict[str, Any]]:
    """One message, or one for each tool result: the format wants every result in a message of its own."""
    said, uses, has_results = list[TextPart | ImagePart | FilePart](), list[ToolUse](), False
    for part in message.parts:
        if isinstance(part, (TextPart, ImagePart, FilePart)):
            said.append(part)
        elif isinstance(part, ToolUse):
            uses.append(part)
        elif isinstance(part, ToolResult):
            has_results = True
            yield {"role": "tool", "tool_call_id": fitting(part.id, ids), "content": text_of(part)}
    content = _content(said)
    if uses:
        calls = [_tool_call(use, fitting(use.id, ids)) for use in uses]
        yield {"role": "assistant", "content": content or None, "tool_calls": calls}
    elif content or not has_results:
        yield {"role": "user" if message.role == "tool" else message.role, "content": content}


def _content(parts: list[TextPart | ImagePart | FilePart]) -> str | list[dict[str, Any]]:
    """Plain text where there is only text: every server understands that, and not every one a list."""
    texts = [part.text for part in parts if isinstance(part, TextPart)]
    if len(texts) == len(parts):
        return "".join(texts)
    return [_content_part(part) for part in parts]


def _content_part(part: Part) -> dict[str, Any]:
    if isinstance(part, ImagePart):
        url = part.url or f"data:{part.media_type or 'image/png'};base64,{part.data}"
        return {"type": "image_url", "image_url": {"url": url} | ({"detail": part.detail} if part.detail else {})}
    if isinstance(part, FilePart):
        return _file(part)
    return {"type": "text", "text": part.text if isinstance(part, TextPart) else ""}


def _file(part: FilePart) -> dict[str, Any]:
    """Sound has a form of its own, and is named by its container: wav, mp3."""
    kind, _, subtype = part.media_type.partition("/")
    if kind == "audio" and part.data:
        form = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav"}.get(subtype, subtype)
        return {"type": "input_audio", "input_audio": {"data": part.data, "format": form}}
    data = part.url or f"data:{part.media_type or 'application/octet-stream'};base64,{part.data}"
    if kind == "video":
        return {"type": "video_url", "video_url": {"url": data}}
    return {"type": "file", "file": {"filename": part.name or "file", "file_data": data}}


def _tool_call(use: ToolUse, id: str) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": use.name, "arguments": use.arguments or "{}"}}


def _tools(prompt: Prompt) -> dict[str, Any]:
    tools: dict[str, Any] = {"tools": [_tool(tool) for tool in prompt.tools]}
    if prompt.tool_choice in ("auto", "none", "required"):
        tools["tool_choice"] = prompt.tool_choice
    elif prompt.tool_choice:
        tools["tool_choice"] = {"type": "function", "function": {"name": prompt.tool_choice}}
    return tools


def _tool(tool: Tool) -> dict[str, Any]:
    parameters = dict(tool.parameters) or {"type": "object", "properties": {}}
    description = {"description": tool.description} if tool.description else {}
    return {
        "type": "function",
        "function": {"name": tool.name, **description, "parameters": parameters, **_strict(tool)},
    }


def _strict(tool: Tool) -> dict[str, bool]:
    return {} if tool.is_strict is None else {"strict": tool.is_strict}


def _response_format(prompt: Prompt) -> dict[str, Any]:
    is_any = json_mode.is_asked(prompt)
    return {"type": "json_object"} if is_any else {"type": "json_schema", "json_schema": schema_of(prompt)}


def schema_of(prompt: Prompt) -> dict[str, Any]:
    """Where nobody said otherwise, strict if the schema allows it: OpenAI refuses `strict` for schemas with optional or
    open properties."""
    schema = dict(prompt.schema or {})
    return {"name": "answer", "schema": schema, "strict": is_closed(schema), **(prompt.schema_told or {})}


def is_closed(schema: Any) -> bool:
    """No property is optional and none may be added, which is what OpenAI means by a strict schema."""
    if isinstance(schema, list):
        return all(map(is_closed, schema))
    if not isinstance(schema, Mapping):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        required = set(schema.get("required") or ())
        if schema.get("additionalProperties") is not False or set(schema.get("properties") or ()) - required:
            return False
    return all(is_closed(value) for value in schema.values())
