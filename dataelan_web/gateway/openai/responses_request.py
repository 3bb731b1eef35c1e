"""OpenAI's Responses request → a Prompt. Source: openai/openai-openapi, CreateResponse."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ...router.providers.openai_responses import LIKELY, SEALED
from ...router.providers.openai_responses_answer import KIND, NAMED_BY_US, sealed_at
from ...router.types import FilePart, ImagePart, Message, Part, Prompt, TextPart, ThoughtPart, Tool, ToolResult, ToolUse
from .. import hints
from ..continued import kind_of
from ..errors import Refused
from ..hints import LONGEST_HINT, MOST_LOGPROBS
from ..json_body import DATA_URL, MOST_TOKENS, Strict, checked, unsupported
from ..tool_calls import split
from .chat_request import UNMODERATED, SchemaTold

OPENAI = "https://api.openai.com"
KEPT_ELSEWHERE = "it names what one provider keeps; send the items themselves."


class Piece(Strict):
    """A part of a message's or a result's content."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    detail: str | None = Field(default=None, max_length=20)
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None


class Item(Strict):
    type: str | None = None
    role: Literal["user", "assistant", "system", "developer"] = "user"
    content: str | list[Any] | None = None
    id: str | None = None
    summary: list[Piece] = Field(default_factory=list)
    encrypted_content: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str = ""
    output: str | list[Any] = ""


class ToolIn(Strict):
    type: str
    name: str = Field(default="", max_length=128)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    defer_loading: bool | None = None
    is_async: bool | None = Field(default=None, alias="async")


class NamedTool(Strict):
    type: Literal["function"]
    name: str


class TextFormat(SchemaTold):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: dict[str, Any] = Field(alias="schema", default_factory=dict)


class TextConfig(Strict):
    format: TextFormat | None = None
    verbosity: str | None = Field(default=None, max_length=50)


class ReasoningConfig(Strict):
    effort: str | None = Field(default=None, max_length=50)
    summary: str | None = Field(default=None, max_length=50)
    generate_summary: str | None = Field(default=None, max_length=50)
    """What `summary` was called before."""
    mode: str | None = Field(default=None, max_length=50)
    context: str | None = Field(default=None, max_length=50)

    @property
    def told(self) -> str | None:
        return self.summary or self.generate_summary

    def refuse_what_cannot_be_sent(self) -> None:
        """Raises Refused."""
        if self.mode not in (None, "standard"):
            raise unsupported("reasoning.mode", "only one provider knows another than the standard one.")
        if self.context not in (None, "auto"):
            raise unsupported("reasoning.context", "a conversation is sent as it is, or not at all.")


class ResponsesRequest(Strict):
    model: str = Field(min_length=1, max_length=200)
    input: str | list[dict[str, Any]] | None = None
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: int | None = Field(default=None, ge=1, le=MOST_TOKENS)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    tools: list[ToolIn] | None = None
    tool_choice: Literal["auto", "none", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    text: TextConfig | None = None
    reasoning: ReasoningConfig | None = None
    previous_response_id: str | None = Field(default=None, max_length=100)
    conversation: Any = None
    background: bool | None = None
    truncation: str | None = None
    context_management: Any = None
    moderation: Any = None
    access_programs: Any = None
    image: Any = None
    top_logprobs: int | None = Field(default=None, ge=0, le=MOST_LOGPROBS)
    prompt_cache_key: str | None = Field(default=None, max_length=LONGEST_HINT)
    prompt_cache_retention: str | None = Field(default=None, max_length=50)
    safety_identifier: str | None = Field(default=None, max_length=LONGEST_HINT)
    user: str | None = Field(default=None, max_length=LONGEST_HINT)
    service_tier: str | None = Field(default=None, max_length=50)
    metadata: dict[str, str] | None = None
    include: list[str] | None = None

    def refuse_what_cannot_be_sent(self) -> None:
        """Raises Refused. Left out, it would change the answer without a word."""
        if not self.input and not self.previous_response_id:
            raise Refused(400, "input: it is needed.", "invalid_value", "input")
        if self.conversation:
            raise unsupported("conversation", KEPT_ELSEWHERE)
        if self.background:
            raise unsupported("background", "an answer is waited for here; stream it if that takes long.")
        if self.truncation not in (None, "disabled"):
            raise unsupported("truncation", "a conversation is sent as it is, or not at all.")
        if self.context_management:
            raise unsupported("context_management", "a conversation is sent as it is, or not at all.")
        if self.moderation:
            raise unsupported("moderation", UNMODERATED)
        for name in ("access_programs", "image"):
            if getattr(self, name):
                raise unsupported(name, "only one provider knows this parameter.")
        if self.reasoning:
            self.reasoning.refuse_what_cannot_be_sent()
        hints.refuse_other_prices("service_tier", self.service_tier)

    def prompt(self) -> Prompt:
        choice, effort = self.tool_choice, self.reasoning.effort if self.reasoning else None
        format = self.text.format if self.text else None
        options = hints.of_openai(self)
        if self.parallel_tool_calls is not None and self.tools:
            options["parallel_tool_calls"] = self.parallel_tool_calls
        if self.text and self.text.verbosity:
            options["verbosity"] = self.text.verbosity
        if LIKELY in (self.include or ()) or self.top_logprobs:
            options["logprobs"] = self.top_logprobs or 0
        return Prompt(
            messages=self._messages(),
            max_tokens=self.max_output_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            tools=tuple(_tool(number, tool) for number, tool in enumerate(self.tools or ())),
            tool_choice=choice.name if isinstance(choice, NamedTool) else choice,
            schema=_schema(format),
            schema_told=format.told if format and format.type == "json_schema" else None,
            reasoning_effort=effort,
            summary=self.reasoning.told if self.reasoning else None,
            options=options,
            seals=SEALED in (self.include or ()) or None,
            stream=bool(self.stream),
        )

    def _messages(self) -> tuple[Message, ...]:
        told = (Message("system", (TextPart(self.instructions),)),) if self.instructions else ()
        if isinstance(self.input, str):
            return (*told, Message("user", (TextPart(self.input),)))
        return (*told, *_joined(found for n, item in enumerate(self.input or ()) if (found := _message(n, item))))


def _joined(messages: Any) -> list[Message]:
    """Calls that follow what the assistant said are of one turn, as other formats have it; and what it thought before
    either is."""
    found: list[Message] = []
    for message in messages:
        if found and found[-1].role == "assistant" == message.role and _is_one_turn(found[-1], message):
            found[-1] = Message("assistant", (*found[-1].parts, *message.parts))
        else:
            found.append(message)
    return found


def _is_one_turn(before: Message, then: Message) -> bool:
    """Of two that the assistant said."""
    last, first = before.parts[-1:], then.parts[:1]
    is_led_to = any(isinstance(part, ThoughtPart) for part in last)
    has_called = any(isinstance(part, ToolUse) for part in last)
    return is_led_to or any(
        isinstance(part, ToolUse) or (has_called and isinstance(part, ThoughtPart)) for part in first
    )


def _message(number: int, raw: dict[str, Any]) -> Message | None:
    field = f"input.{number}"
    item = checked(raw, Item, field)
    match kind_of(raw):
        case "message":
            role = "system" if item.role == "developer" else item.role
            return Message(role, _parts(f"{field}.content", item.content))
        case "function_call":
            return Message("assistant", (ToolUse(item.call_id or "", item.name or "", item.arguments),))
        case "function_call_output":
            text, shown = split(_parts(f"{field}.output", item.output))
            return Message("tool", (ToolResult(item.call_id or "", text, shown=len(shown)), *shown))
        case "reasoning":
            return _thought(item)
        case "item_reference":
            raise unsupported(field, KEPT_ELSEWHERE)
    raise unsupported(f"{field}.type", f"items of type “{item.type}” cannot be sent through here.")


def _thought(item: Item) -> Message | None:
    """A model thinks anew where it gets no seal; what was sealed without us is OpenAI's own."""
    seal = item.encrypted_content
    if not seal:
        return None
    text = "".join(piece.text or "" for piece in item.summary)
    sealed = seal if seal.startswith(NAMED_BY_US) else sealed_at(OPENAI, item.id or "", seal)
    return Message("assistant", (ThoughtPart(text, sealed, KIND),))


def _parts(field: str, content: str | list[Any] | None) -> tuple[Part, ...]:
    if not isinstance(content, list):
        return (TextPart(content or ""),)
    return tuple(_part(f"{field}.{n}", checked(piece, Piece, f"{field}.{n}")) for n, piece in enumerate(content))


def _part(field: str, piece: Piece) -> Part:
    if piece.type in ("input_text", "output_text", "text", "refusal"):
        return TextPart(piece.text or piece.refusal or "")
    if piece.type == "input_image" and piece.image_url:
        inline = DATA_URL.fullmatch(piece.image_url)
        told = {"detail": piece.detail or ""}
        return ImagePart(inline[1], inline[2], **told) if inline else ImagePart(url=piece.image_url, **told)
    if piece.type == "input_file" and piece.detail not in (None, "", "auto"):
        raise unsupported(f"{field}.detail", "how finely a file is looked at is not passed on here.")
    if piece.type == "input_file" and piece.file_url:
        return FilePart("application/pdf", url=piece.file_url, name=piece.filename or "")
    if piece.type == "input_file" and (inline := DATA_URL.fullmatch(piece.file_data or "")):
        return FilePart(inline[1], inline[2], name=piece.filename or "")
    why = KEPT_ELSEWHERE if piece.type in ("input_image", "input_file") else "parts of this type cannot be sent."
    raise unsupported(field, f"{piece.type}: {why}")


def _tool(number: int, tool: ToolIn) -> Tool:
    if tool.type != "function" or not tool.name:
        raise unsupported(f"tools.{number}.type", f"“{tool.type}” is no function, but run by a provider itself.")
    for name, value in (("async", tool.is_async), ("defer_loading", tool.defer_loading)):
        if value:
            raise unsupported(f"tools.{number}.{name}", "only one provider knows such tools.")
    return Tool(tool.name, tool.description or "", tool.parameters or {}, tool.strict)


def _schema(format: TextFormat | None) -> dict[str, Any] | None:
    if format is None or format.type == "text":
        return None
    return format.json_schema or {"type": "object"}
