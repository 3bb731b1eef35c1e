"""OpenAI's chat completion request → a Prompt. What it may hold is said once, as types; pydantic does the checking.

Fields that would steer a request elsewhere (`api_base`, `api_key`, `extra_headers` …) are not in here, and what
is not in here goes nowhere. Source: openai/openai-openapi, CreateChatCompletionRequest.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..router.types import ImagePart, Message, Part, Prompt, TextPart, Tool, ToolResult, ToolUse
from .errors import Refused

DEEPEST = 100
MOST_TOKENS = 1_000_000_000  # so that no price makes more of it than a column holds
DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,(.*)", re.S)


class Strict(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class ImageUrl(Strict):
    url: str


class ContentPart(Strict):
    type: str
    text: str | None = None
    image_url: ImageUrl | None = None
    refusal: str | None = None


class Function(Strict):
    name: str
    arguments: str = ""


class ToolCallIn(Strict):
    id: str
    function: Function


class MessageIn(Strict):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[ContentPart] | None = None
    name: str | None = None
    tool_calls: list[ToolCallIn] | None = None
    tool_call_id: str | None = None


class FunctionDefinition(Strict):
    name: str = Field(min_length=1, max_length=64)
    description: str | None = None
    parameters: dict[str, Any] | None = None


class ToolIn(Strict):
    type: Literal["function"]
    function: FunctionDefinition


class NamedFunction(Strict):
    name: str


class NamedTool(Strict):
    type: Literal["function"]
    function: NamedFunction


class JsonSchema(Strict):
    name: str = "answer"
    json_schema: dict[str, Any] = Field(alias="schema", default_factory=dict)


class ResponseFormat(Strict):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(Strict):
    include_usage: bool = False


class ChatRequest(Strict):
    model: str = Field(min_length=1, max_length=200)
    messages: list[MessageIn] = Field(min_length=1)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1, le=MOST_TOKENS)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=MOST_TOKENS)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    n: Literal[1] | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    tools: list[ToolIn] | None = None
    tool_choice: Literal["auto", "none", "required"] | NamedTool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None

    @property
    def includes_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    def prompt(self) -> Prompt:
        choice = self.tool_choice
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        return Prompt(
            messages=tuple(_message(message) for message in self.messages),
            max_tokens=self.max_completion_tokens or self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            stop=stop,
            seed=self.seed,
            tools=tuple(
                Tool(tool.function.name, tool.function.description or "", tool.function.parameters or {})
                for tool in self.tools or ()
            ),
            tool_choice=choice.function.name if isinstance(choice, NamedTool) else choice,
            schema=_schema(self.response_format),
            reasoning_effort=self.reasoning_effort,
            stream=bool(self.stream),
        )


Asked = TypeVar("Asked", bound=ChatRequest)


def body_of(data: bytes) -> dict[str, Any]:
    """Raises Refused (400) for what is no JSON object."""
    try:
        body = _storable(json.loads(data), DEEPEST)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise Refused(400, "The body must be a JSON object with `model` and `messages`.", "invalid_json")
    return body


def checked(body: dict[str, Any], form: type[Asked]) -> Asked:
    """Raises Refused (400) naming the first field that is wrong."""
    try:
        return form.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(step) for step in first["loc"] if isinstance(step, int) or _is_name(step))
        raise Refused(400, f"{field}: {first['msg']}", "invalid_value", field) from error


def _is_name(step: str) -> bool:
    """pydantic also says which alternative it tried: `str`, `list[ContentPart]` …"""
    return bool(re.fullmatch(r"[a-z_]+", step)) and step != "str"


def _storable(value: Any, left: int) -> Any:
    """Without what the database cannot hold: NUL, halves of surrogate pairs, numbers without end, endless depth."""
    if isinstance(value, str):
        return value.replace("\0", "�").encode(errors="replace").decode()
    if not left or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError("too deep, or not a number of JSON")
    if isinstance(value, dict):
        return {_storable(name, left): _storable(held, left - 1) for name, held in value.items()}
    return [_storable(held, left - 1) for held in value] if isinstance(value, list) else value


def _message(message: MessageIn) -> Message:
    role = "system" if message.role == "developer" else message.role
    if role == "tool":
        text = "".join(part.text for part in _parts(message.content) if isinstance(part, TextPart))
        return Message("tool", (ToolResult(message.tool_call_id or "", text, message.name or ""),))
    calls = tuple(ToolUse(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ())
    return Message(role, (*_parts(message.content), *calls))


def _parts(content: str | list[ContentPart] | None) -> tuple[Part, ...]:
    if content is None:
        return ()
    if isinstance(content, str):
        return (TextPart(content),)
    return tuple(_part(part) for part in content)


def _part(part: ContentPart) -> Part:
    if part.type == "image_url" and part.image_url:
        url = part.image_url.url
        if inline := DATA_URL.fullmatch(url):
            return ImagePart(inline[1], inline[2])
        return ImagePart(url=url)
    if part.type in ("text", "refusal") and (part.text or part.refusal) is not None:
        return TextPart(part.text or part.refusal or "")
    message = f"messages.content: parts of type “{part.type}” cannot be sent through here."
    raise Refused(400, message, "unsupported", "messages")


def _schema(format: ResponseFormat | None) -> dict[str, Any] | None:
    if format is None or format.type == "text":
        return None
    if format.type == "json_object" or format.json_schema is None:
        return {"type": "object"}
    return format.json_schema.json_schema or {"type": "object"}
