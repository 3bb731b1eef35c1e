"""OpenAI's chat completion request → a Prompt. What it may hold is said once, as types; pydantic does the checking.

Fields that would steer a request elsewhere (`api_base`, `api_key`, `extra_headers` …) are not in here, and what
is not in here goes nowhere. Source: openai/openai-openapi, CreateChatCompletionRequest.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from ...router.types import FilePart, ImagePart, Message, Part, Prompt, TextPart, Tool, ToolResult, ToolUse
from .. import hints
from ..errors import Refused
from ..hints import LONGEST_HINT, MOST_LOGPROBS
from ..json_body import DATA_URL, MOST_TOKENS, Strict, unsupported
from ..tool_calls import split

Bias = Annotated[int, Field(ge=-100, le=100)]
MOST_BIASES = 10_000
UNMODERATED = "what is asked and said is not judged here; ask a model for that before and after."
AUDIO = {"mp3": "audio/mpeg", "wav": "audio/wav"}


class ImageUrl(Strict):
    url: str
    detail: str = Field(default="", max_length=20)


class InputAudio(Strict):
    data: str
    format: Literal["wav", "mp3"]


class FileIn(Strict):
    file_data: str | None = None
    filename: str = ""


class ContentPart(Strict):
    type: str
    text: str | None = None
    image_url: ImageUrl | None = None
    input_audio: InputAudio | None = None
    file: FileIn | None = None
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
    refusal: str | None = None
    """Of the assistant, in place of its content."""
    tool_calls: list[ToolCallIn] | None = None
    tool_call_id: str | None = None
    function_call: Any = None
    audio: Any = None

    def refuse_what_cannot_be_sent(self, field: str) -> None:
        """Raises Refused."""
        if self.function_call:
            raise unsupported(f"{field}.function_call", "it was replaced by `tool_calls`; send those.")
        if self.audio:
            raise unsupported(f"{field}.audio", "it names what one provider keeps; send its words.")


class FunctionDefinition(Strict):
    name: str = Field(min_length=1, max_length=64)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolIn(Strict):
    type: Literal["function"]
    function: FunctionDefinition


class NamedFunction(Strict):
    name: str


class NamedTool(Strict):
    type: Literal["function"]
    function: NamedFunction


class SchemaTold(Strict):
    """What is said of a schema beside it."""

    name: str | None = Field(default=None, max_length=64)
    description: str | None = None
    strict: bool | None = None

    @property
    def told(self) -> dict[str, Any] | None:
        said = {"name": self.name, "description": self.description, "strict": self.strict}
        return {name: value for name, value in said.items() if value is not None} or None


class JsonSchema(SchemaTold):
    json_schema: dict[str, Any] = Field(alias="schema", default_factory=dict)


class ResponseFormat(Strict):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(Strict):
    include_usage: bool = False


class ChatRequest(Strict):
    model: str = Field(min_length=1, max_length=200)
    messages: list[MessageIn]
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
    reasoning_effort: str | None = Field(default=None, max_length=50)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    parallel_tool_calls: bool | None = None
    verbosity: str | None = Field(default=None, max_length=50)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=MOST_LOGPROBS)
    logit_bias: dict[str, Bias] | None = Field(default=None, max_length=MOST_BIASES)
    prompt_cache_key: str | None = Field(default=None, max_length=LONGEST_HINT)
    prompt_cache_retention: str | None = Field(default=None, max_length=50)
    safety_identifier: str | None = Field(default=None, max_length=LONGEST_HINT)
    user: str | None = Field(default=None, max_length=LONGEST_HINT)
    service_tier: str | None = Field(default=None, max_length=50)
    modalities: list[str] | None = None
    functions: list[Any] | None = None
    web_search_options: dict[str, Any] | None = None
    moderation: Any = None

    @property
    def includes_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    def prompt(self) -> Prompt:
        choice = self.tool_choice
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        return Prompt(
            messages=tuple([_message(message) for message in self.messages]),
            max_tokens=self.max_completion_tokens or self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            stop=stop,
            seed=self.seed,
            tools=tuple(
                Tool(
                    tool.function.name,
                    tool.function.description or "",
                    tool.function.parameters or {},
                    tool.function.strict,
                )
                for tool in self.tools or ()
            ),
            tool_choice=choice.function.name if isinstance(choice, NamedTool) else choice,
            schema=_schema(self.response_format),
            schema_told=_told(self.response_format),
            reasoning_effort=self.reasoning_effort,
            options=self._options(),
            stream=bool(self.stream),
        )

    def _options(self) -> dict[str, Any]:
        """A penalty of 0 is none, which every model has."""
        names = ("frequency_penalty", "presence_penalty", "verbosity", "logit_bias")
        said = {name: value for name in names if (value := getattr(self, name))} | hints.of_openai(self)
        if self.logprobs:
            said["logprobs"] = self.top_logprobs or 0
        parallel = self.parallel_tool_calls if self.tools else None  # without tools it says nothing
        return said if parallel is None else said | {"parallel_tool_calls": parallel}

    def refuse_what_cannot_be_sent(self) -> None:
        """Raises Refused. Left out, it would change the answer without a word."""
        if not self.messages:
            raise Refused(400, "messages: at least one is needed.", "invalid_value", "messages")
        for number, message in enumerate(self.messages):
            message.refuse_what_cannot_be_sent(f"messages.{number}")
        if self.top_logprobs and not self.logprobs:
            raise Refused(400, "top_logprobs: it needs `logprobs`.", "invalid_value", "top_logprobs")
        hints.refuse_other_prices("service_tier", self.service_tier)
        if self.modalities and self.modalities != ["text"]:
            raise unsupported("modalities", "a chat is answered in text here; ask /v1/audio/speech for a voice.")
        if self.functions:
            raise unsupported("functions", "it was replaced by `tools`; send those.")
        if self.web_search_options:
            raise unsupported("web_search_options", "tools that a provider runs itself are not passed on here.")
        if self.moderation:
            raise unsupported("moderation", UNMODERATED)


def _message(message: MessageIn) -> Message:
    role = "system" if message.role == "developer" else message.role
    if role == "tool":
        text, shown = split(_parts(message.content))
        result = ToolResult(message.tool_call_id or "", text, message.name or "", shown=len(shown))
        return Message("tool", (result, *shown))
    calls = tuple(ToolUse(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ())
    declined = (TextPart(message.refusal),) if message.refusal else ()
    return Message(role, (*_parts(message.content), *declined, *calls))


def _parts(content: str | list[ContentPart] | None) -> tuple[Part, ...]:
    if content is None:
        return ()
    if isinstance(content, str):
        return (TextPart(content),)
    return tuple(_part(part) for part in content)


def _part(part: ContentPart) -> Part:
    if part.type == "image_url" and part.image_url:
        url = part.image_url.url
        inline = DATA_URL.fullmatch(url)
        detail = part.image_url.detail
        return ImagePart(inline[1], inline[2], detail=detail) if inline else ImagePart(url=url, detail=detail)
    if part.type == "input_audio" and part.input_audio:
        return FilePart(AUDIO[part.input_audio.format], part.input_audio.data)
    if part.type == "file" and part.file and (inline := DATA_URL.fullmatch(part.file.file_data or "")):
        return FilePart(inline[1], inline[2], name=part.file.filename)
    if part.type in ("text", "refusal") and (part.text is not None or part.refusal is not None):
        return TextPart(part.text or part.refusal or "")
    message = f"messages.content: parts of type “{part.type}” cannot be sent through here."
    raise Refused(400, message, "unsupported", "messages")


def _told(format: ResponseFormat | None) -> dict[str, Any] | None:
    is_schema = format is not None and format.type == "json_schema"
    return format.json_schema.told if format and format.json_schema and is_schema else None


def _schema(format: ResponseFormat | None) -> dict[str, Any] | None:
    if format is None or format.type == "text":
        return None
    if format.type == "json_object" or format.json_schema is None:
        return {"type": "object"}
    return format.json_schema.json_schema or {"type": "object"}
