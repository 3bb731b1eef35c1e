"""Gemini's generateContent request → a Prompt. Source: googleapis/python-genai, types.GenerateContentConfig.

Both spellings are read, as Google's own servers do: `systemInstruction` and `system_instruction`.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel, to_snake

from ...router.providers.conversation import with_shown
from ...router.providers.gemini_answer import KIND
from ...router.types import FilePart, ImagePart, Message, Part, Prompt, TextPart, ThoughtPart, Tool, ToolResult, ToolUse
from .. import hints
from ..errors import Refused
from ..hints import MOST_LOGPROBS
from ..json_body import MOST_TOKENS, checked, unsupported
from .schema import json_schema

MOST_SETTINGS = 50
CHOICES = {"AUTO": "auto", "NONE": "none", "ANY": "required"}
NAMING = {"ANY", "VALIDATED"}
"""In these modes only what is named may be called, as far as something is; in others names say nothing."""
UNBLOCKED = {"OFF", "BLOCK_NONE", "HARM_BLOCK_THRESHOLD_UNSPECIFIED"}
"""As Gemini's models do by themselves (ai.google.dev/gemini-api/docs/safety-settings)."""
UNSAID = {None, "MEDIA_RESOLUTION_UNSPECIFIED"}
ONLY_GOOGLES = ("imageConfig", "audioTranscriptionConfig", "continuationToken", "enableEnhancedCivicAnswers")
SEEN_SO = ("mediaResolution", "videoMetadata", "mediaProcessing", "audioMetadata", "documentMetadata",
           "spreadsheetMetadata")  # fmt: skip
HOW_IT_IS_SEEN = "how finely a file is looked at is not passed on here."
EFFORTS = ((0, "none"), (1_024, "low"), (8_192, "medium"))
"""Up to how many tokens of thinking an effort is meant (ai.google.dev/gemini-api/docs/openai#thinking)."""


class Camel(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, alias_generator=to_camel, populate_by_name=True)


class Blob(Camel):
    mime_type: str
    data: str


class FileData(Camel):
    mime_type: str = ""
    file_uri: str


class FunctionCall(Camel):
    id: str | None = None
    name: str
    args: dict[str, Any] | None = None


class SafetySetting(Camel):
    category: str = Field(default="", max_length=100)
    threshold: str = Field(default="", max_length=100)
    method: str | None = Field(default=None, max_length=100)

    @property
    def told(self) -> dict[str, str]:
        """As Gemini is told it; `method` is Vertex AI's."""
        return self.model_dump(exclude_none=True)


class ResponsePart(Camel):
    inline_data: Blob | None = None
    file_data: FileData | None = None


class FunctionResponse(Camel):
    id: str | None = None
    name: str
    response: Any = None
    parts: list[ResponsePart] = Field(default_factory=list)


class PartIn(Camel):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    media_resolution: dict[str, Any] | str | None = None
    video_metadata: dict[str, Any] | None = None
    media_processing: Any = None
    audio_metadata: Any = None
    document_metadata: Any = None
    spreadsheet_metadata: Any = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None


class Content(Camel):
    role: str | None = None
    parts: list[PartIn] = Field(default_factory=list)


class Declaration(Camel):
    name: str = Field(min_length=1, max_length=128)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    parameters_json_schema: dict[str, Any] | None = None


class FunctionCalling(Camel):
    mode: Literal["AUTO", "ANY", "NONE", "VALIDATED", "MODE_UNSPECIFIED"] = "AUTO"
    allowed_function_names: list[str] | None = None


class ToolConfig(Camel):
    function_calling_config: FunctionCalling | None = None


class ThinkingConfig(Camel):
    thinking_budget: int | None = Field(default=None, le=MOST_TOKENS)
    thinking_level: str | None = Field(default=None, max_length=50)
    include_thoughts: bool | None = None


class GenerationConfig(Camel):
    max_output_tokens: int | None = Field(default=None, ge=1, le=MOST_TOKENS)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: float | None = Field(default=None, ge=0, le=1_000_000)
    candidate_count: Literal[1] | None = None
    stop_sequences: list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    response_mime_type: str | None = None
    response_schema: dict[str, Any] | None = None
    response_json_schema: dict[str, Any] | None = None
    response_modalities: list[str] | None = None
    response_logprobs: bool | None = None
    logprobs: int | None = Field(default=None, ge=0, le=MOST_LOGPROBS)
    speech_config: dict[str, Any] | None = None
    media_resolution: str | None = None
    thinking_config: ThinkingConfig | None = None
    image_config: Any = None
    audio_transcription_config: Any = None
    continuation_token: Any = None
    enable_enhanced_civic_answers: bool | None = None


class GenerateRequest(Camel):
    contents: list[Content] = Field(default_factory=list)
    system_instruction: Content | str | None = None
    tools: list[dict[str, Any]] | None = None
    tool_config: ToolConfig | None = None
    generation_config: GenerationConfig = Field(default_factory=GenerationConfig)
    cached_content: str | None = None
    safety_settings: list[SafetySetting] | None = Field(default=None, max_length=MOST_SETTINGS)
    service_tier: str | None = Field(default=None, max_length=50)

    def refuse_what_cannot_be_sent(self) -> None:
        """Raises Refused. Left out, it would change the answer without a word."""
        config = self.generation_config
        if not self.contents:
            raise Refused(400, "contents: at least one is needed.", "invalid_value", "contents")
        if self.cached_content:
            raise unsupported("cachedContent", "what one provider keeps cannot be named here.")
        hints.refuse_other_prices("serviceTier", self.service_tier)
        if config.media_resolution not in UNSAID:
            raise unsupported("generationConfig.mediaResolution", HOW_IT_IS_SEEN)
        for name in ONLY_GOOGLES:
            if getattr(config, to_snake(name)):
                raise unsupported(f"generationConfig.{name}", "only one provider knows this parameter.")
        if config.speech_config or [m for m in config.response_modalities or () if m.upper() != "TEXT"]:
            field = "generationConfig.responseModalities"
            raise unsupported(
                field, "it is answered in text; /v1/images/generations and /v1/audio/speech are for others."
            )


# -- what is said ------------------------------------------------------------------------------------


def messages_of(asked: GenerateRequest) -> tuple[Message, ...]:
    told = asked.system_instruction
    if isinstance(told, str):
        told = Content(parts=[PartIn(text=told)])
    for n, part in enumerate(told.parts if told else ()):
        if part.text is None:
            raise unsupported(f"systemInstruction.parts.{n}", "it can hold text only.")
    words = "".join(part.text or "" for part in told.parts) if told else ""
    ids = _Ids()
    said = (
        Message("assistant" if one.role == "model" else "user", tuple(_parts(f"contents.{n}.parts", one, ids)))
        for n, one in enumerate(asked.contents)
    )
    return (*((Message("system", (TextPart(words),)),) if words else ()), *map(_with_results_apart, said))


def _with_results_apart(message: Message) -> Message:
    """Results of tools are a turn of their own in other formats."""
    is_result = message.parts and all(isinstance(part, ToolResult) for part, _ in with_shown(message.parts))
    return Message("tool", message.parts) if is_result else message


class _Ids:
    """Gemini's calls have ids lately, and may have none; a result belongs to the first call of its name without one."""

    def __init__(self) -> None:
        self._open: list[tuple[str, str]] = []
        self._count = 0

    def of_call(self, call: FunctionCall) -> str:
        self._count += 1
        id = call.id or f"call_{self._count}"
        self._open.append((call.name, id))
        return id

    def of_result(self, result: FunctionResponse) -> str:
        found = result.id or next((id for name, id in self._open if name == result.name), result.name)
        self._open = [(name, id) for name, id in self._open if id != found]
        return found


def _parts(field: str, content: Content, ids: _Ids) -> list[Part]:
    """What it thought is told for people; it takes back nothing of it but seals."""
    found: list[Part] = []
    for n, part in enumerate(content.parts):
        if part.thought:
            continue
        for name in SEEN_SO:
            if getattr(part, to_snake(name)):
                raise unsupported(f"{field}.{n}.{name}", HOW_IT_IS_SEEN)
        if part.thought_signature:
            found.append(ThoughtPart("", part.thought_signature, KIND))
        found.append(_part(f"{field}.{n}", part, ids))
        if part.function_response:
            shown = enumerate(part.function_response.parts)
            found += [_file(f"{field}.{n}.functionResponse.parts.{k}", one) for k, one in shown]
    return found


def _file(field: str, part: PartIn | ResponsePart) -> Part:
    if blob := part.inline_data:
        is_picture = blob.mime_type.startswith("image/")
        return (ImagePart if is_picture else FilePart)(blob.mime_type, blob.data)
    if file := part.file_data:
        is_picture = file.mime_type.startswith("image/")
        return (ImagePart if is_picture else FilePart)(file.mime_type, url=file.file_uri)
    raise unsupported(field, "a part of this kind cannot be sent through here.")


def _part(field: str, part: PartIn, ids: _Ids) -> Part:
    if part.text is not None:
        return TextPart(part.text)
    if call := part.function_call:
        return ToolUse(ids.of_call(call), call.name, _json(call.args or {}))
    if result := part.function_response:
        answer = result.response
        words = answer if isinstance(answer, str) else _json(answer)
        has_failed = isinstance(answer, dict) and list(answer) == ["error"]
        return ToolResult(ids.of_result(result), words, result.name, is_error=has_failed, shown=len(result.parts))
    return _file(field, part)


def tools_of(asked: GenerateRequest) -> tuple[Tool, ...]:
    found: list[Tool] = []
    for n, tool in enumerate(asked.tools or ()):
        for name, value in tool.items():
            if name not in ("functionDeclarations", "function_declarations"):
                raise unsupported(f"tools.{n}.{name}", "tools that a provider runs itself are not passed on here.")
            declared = value if isinstance(value, list) else [value]
            found += [_declared(checked(one, Declaration, f"tools.{n}.{name}.{k}")) for k, one in enumerate(declared)]
    return tuple(found)


def _declared(one: Declaration) -> Tool:
    return Tool(one.name, one.description or "", one.parameters_json_schema or json_schema(one.parameters) or {})


def offered(asked: GenerateRequest) -> tuple[tuple[Tool, ...], str | None]:
    """(tools, which is to be called): where only some may be called, only these are offered."""
    tools = tools_of(asked)
    calling = asked.tool_config.function_calling_config if asked.tool_config else None
    if calling is None:
        return tools, None
    choice, names = CHOICES.get(calling.mode, "auto"), calling.allowed_function_names or []
    if not names or calling.mode not in NAMING:
        return tools, choice
    if tools and set(names) - {tool.name for tool in tools}:  # else they are a saved prompt's
        field = "toolConfig.functionCallingConfig.allowedFunctionNames"
        raise Refused(400, f"{field}: it names what is not declared.", "invalid_value", field)
    if choice == "required" and len(names) == 1:
        return tools, names[0]
    return tuple(tool for tool in tools if tool.name in names), choice


def schema_of(config: GenerationConfig) -> dict[str, Any] | None:
    if config.response_json_schema or config.response_schema:
        return config.response_json_schema or json_schema(config.response_schema)
    return {"type": "object"} if config.response_mime_type == "application/json" else None


def thinking_of(config: GenerationConfig) -> tuple[str | None, int | None]:
    """(effort, tokens to think for): a format knows one or the other."""
    thinking = config.thinking_config
    if thinking is None:
        return None, None
    if thinking.thinking_level:
        return thinking.thinking_level.lower(), None
    budget = thinking.thinking_budget
    if budget is None or budget < 0:  # −1: as much as the model likes
        return ("high", None) if budget else (None, None)
    return next((word for most, word in EFFORTS if budget <= most), "high"), budget


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _safety(asked: GenerateRequest) -> dict[str, list[dict[str, str]]]:
    """Others block nothing of this kind either, so that only what blocks has to come to a model of Gemini's."""
    settings = asked.safety_settings or []
    blocks = any(one.threshold not in UNBLOCKED for one in settings)
    return {"safetySettings" if blocks else "unblocked": [one.told for one in settings]} if settings else {}


def prompt_of(asked: GenerateRequest, *, streams: bool) -> Prompt:
    config = asked.generation_config
    effort, budget = thinking_of(config)
    tools, choice = offered(asked)
    is_told = config.thinking_config and config.thinking_config.include_thoughts
    options = {
        "top_k": int(config.top_k) if config.top_k is not None else None,
        "frequency_penalty": config.frequency_penalty or None,
        "presence_penalty": config.presence_penalty or None,
        "logprobs": (config.logprobs or 0) if config.response_logprobs else None,
        **_safety(asked),
        **hints.known(tier=asked.service_tier),
    }
    return Prompt(
        messages=messages_of(asked),
        max_tokens=config.max_output_tokens,
        temperature=config.temperature,
        top_p=config.top_p,
        stop=tuple(config.stop_sequences or ()),
        seed=config.seed,
        tools=tools,
        tool_choice=choice,
        schema=schema_of(config),
        reasoning_effort=effort,
        thinking_budget=budget,
        summary="auto" if is_told else None,
        options={name: value for name, value in options.items() if value is not None},
        stream=streams,
    )
