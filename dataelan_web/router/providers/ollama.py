"""Ollama's own formats, POST /api/chat and /api/generate, and its list of models, GET /api/tags. Base URL
http://localhost:11434, or https://ollama.com with a key; one that ends in /api is understood as well.

Source: ollama/ollama (fb307609), docs/openapi.yaml, api/types.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dataelan_web.router.providers import failures
from dataelan_web.router.providers.conversation import text_of, tool_names
from dataelan_web.router.providers.format import Format
from dataelan_web.router.providers.json_values import (
    broken,
    first_count,
    mapping,
    mappings,
    parse,
    parse_or_none,
    sequence,
    string,
)
from dataelan_web.router.providers.ndjson import decoder
from dataelan_web.router.providers.ollama_answer import OllamaAnswer
from dataelan_web.router.providers.plain_text import refuse_more_than_text
from dataelan_web.router.types import (
    Call,
    Decoder,
    FilePart,
    ImagePart,
    ListedModel,
    Message,
    Prompt,
    Task,
    TextPart,
    Tool,
    ToolResult,
    ToolUse,
    Unsupported,
)

# How hard to think: ours -> Ollama's. Others are called the same.
_EFFORTS: Mapping[str, str | bool] = {"none": False, "minimal": "low", "xhigh": "max"}
# Its word for an ability -> ours.
_ABILITIES = {
    "completion": "chat",
    "tools": "tools",
    "vision": "vision",
    "thinking": "reasoning",
    "audio": "audio",
    "embedding": "embeddings",
}


class Ollama(Format):
    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        names = tool_names(prompt.messages)
        messages = [said for message in prompt.messages for said in _messages(message, names)]
        body = {"model": model, "messages": messages} | _options(prompt) | _tools(prompt)
        return Call(api_url(self.base_url, "chat"), body, key_headers(key))

    def decoder(self) -> Decoder:
        return decoder(OllamaAnswer())

    def list_call(self, key: str) -> Call:
        return Call(api_url(self.base_url, "tags"), headers=key_headers(key), method="GET")

    def listed(self, body: bytes) -> list[ListedModel]:
        document = mapping(parse(body.decode("utf-8", "replace")))
        if failures.is_error(document):
            raise failures.failure_in_answer(document)
        if not isinstance(document.get("models"), list):
            raise broken("The provider's answer is JSON, but not a list of models. Check the base URL.")
        return [model for entry in mappings(document["models"]) if (model := _listed_model(entry)).name]


class OllamaGenerate(Format):
    """Continues one text, in the form the model's template gives it."""

    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        refuse_more_than_text(prompt, but_images=True)
        body: dict[str, Any] = {"model": model, "prompt": prompt.words}
        if prompt.system:
            body["system"] = prompt.system
        if prompt.images:
            body["images"] = [_image(image) for image in prompt.images]
        return Call(api_url(self.base_url, "generate"), body | _options(prompt), key_headers(key))

    def decoder(self) -> Decoder:
        return decoder(OllamaAnswer())


def api_url(base_url: str, path: str) -> str:
    return f"{base_url.rstrip('/').removesuffix('/api')}/api/{path}"


def key_headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def _options(prompt: Prompt) -> dict[str, Any]:
    """It streams unless told not to."""
    said = {
        "num_predict": prompt.max_tokens,
        "temperature": prompt.temperature,
        "top_p": prompt.top_p,
        "stop": list(prompt.stop) or None,
        "seed": prompt.seed,
    }
    body: dict[str, Any] = {"stream": prompt.stream}
    if options := {name: value for name, value in said.items() if value is not None}:
        body["options"] = options
    if prompt.schema is not None:
        body["format"] = dict(prompt.schema)
    if prompt.reasoning_effort:
        body["think"] = _EFFORTS.get(prompt.reasoning_effort, prompt.reasoning_effort)
    return body


def _messages(message: Message, names: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """One message, or one for each tool result."""
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    for result in results:
        name = result.name or names.get(result.id, "")
        yield {"role": "tool", "content": text_of(result), "tool_name": name, "tool_call_id": result.id}
    said: dict[str, Any] = {"role": "user" if message.role == "tool" else message.role, "content": message.text}
    if images := [_image(part) for part in message.parts if isinstance(part, ImagePart)]:
        said["images"] = images
    if calls := [_tool_call(part) for part in message.parts if isinstance(part, ToolUse)]:
        said["tool_calls"] = calls
    if any(isinstance(part, FilePart) for part in message.parts):
        raise Unsupported("Ollama reads text and pictures, no other files.")
    if not results or any(isinstance(part, TextPart | ImagePart) for part in message.parts):
        yield said


def _image(part: ImagePart) -> str:
    if part.url:
        raise Unsupported("Ollama does not fetch pictures; send this one along instead.")
    return part.data


def _tool_call(use: ToolUse) -> dict[str, Any]:
    return {"id": use.id, "function": {"name": use.name, "arguments": mapping(parse_or_none(use.arguments))}}


def _tools(prompt: Prompt) -> dict[str, Any]:
    if not prompt.tools or prompt.tool_choice == "none":
        return {}
    if prompt.tool_choice not in (None, "auto"):
        raise Unsupported("Ollama cannot demand that a tool is called.")
    return {"tools": [_tool(tool) for tool in prompt.tools]}


def _tool(tool: Tool) -> dict[str, Any]:
    parameters = dict(tool.parameters) or {"type": "object", "properties": {}}
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": parameters},
    }


def _listed_model(model: Mapping[str, Any]) -> ListedModel:
    """Newer versions say what a model can do and how much it reads; older ones say only the names."""
    said = model.get("capabilities")
    able = {_ABILITIES[word] for word in map(string, sequence(said)) if word in _ABILITIES}
    task = Task.CHAT if "chat" in able else Task.EMBEDDING if "embeddings" in able else None
    return ListedModel(
        string(model.get("model")) or string(model.get("name")),
        context_window=first_count(mapping(model.get("details")).get("context_length")) or None,
        capabilities=tuple(sorted(able)) if isinstance(said, list) else None,
        task=task,
    )
