"""Anthropic's Messages request → a Prompt. Source: anthropics/anthropic-sdk-python, types/message_create_params."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field

from ...router.providers.anthropic_messages_answer import KIND
from ...router.types import (
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
)
from .. import hints
from ..errors import Refused
from ..hints import LONGEST_HINT
from ..json_body import MOST_TOKENS, Strict, unsupported
from ..text_files import text_file
from ..tool_calls import split

CHOICES = {"auto": "auto", "none": "none", "any": "required"}
EFFORTS = ((2_048, "low"), (12_000, "medium"))
"""Up to how many tokens of thinking an effort is meant, for formats that know no such number."""


class CacheControl(Strict):
    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] = "5m"


class Source(Strict):
    type: str
    media_type: str = ""
    data: str = ""
    url: str = ""


class Transformations(Strict):
    oversized_image: str | None = None


class Citations(Strict):
    enabled: bool | None = None


class Block(Strict):
    type: str
    text: str = ""
    source: Source | None = None
    transformations: Transformations | None = None
    title: str | None = None
    context: str | None = None
    citations: Citations | list[Any] | None = None
    """Wanted of a document; of words that were said, where they were from."""
    id: str = ""
    name: str = ""
    input: Any = None
    tool_use_id: str = ""
    content: str | list[Block] | None = None
    is_error: bool | None = None
    thinking: str = ""
    signature: str = ""
    data: str = ""
    cache_control: CacheControl | None = None

    @property
    def keep(self) -> str:
        """What is wished at the end of a result is wished of the result, which ends there."""
        *_, last = self.content if isinstance(self.content, list) and self.content else (None,)
        return self.cache_control.ttl if self.cache_control else last.keep if last else ""


class MessageIn(Strict):
    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class ToolIn(Strict):
    type: str | None = None
    name: str = Field(min_length=1, max_length=128)
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    strict: bool | None = None
    input_examples: list[Any] | None = None
    defer_loading: bool | None = None
    cache_control: CacheControl | None = None


class ToolChoice(Strict):
    type: Literal["auto", "any", "tool", "none"]
    name: str = ""
    disable_parallel_tool_use: bool | None = None


class Thinking(Strict):
    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: int | None = Field(default=None, ge=1, le=MOST_TOKENS)
    display: Literal["summarized", "omitted"] | None = None
    """That it is not to be told need not be kept to: a model may not be asked for less."""


class Format(Strict):
    type: Literal["json_schema"]
    json_schema: dict[str, Any] = Field(alias="schema")


class OutputConfig(Strict):
    effort: str | None = Field(default=None, max_length=50)
    format: Format | None = None


class Metadata(Strict):
    user_id: str | None = Field(default=None, max_length=LONGEST_HINT)


class CountRequest(Strict):
    """What is read, and so counted."""

    model: str = Field(min_length=1, max_length=200)
    messages: list[MessageIn] = Field(default_factory=list)
    system: str | list[Block] | None = None
    tools: list[ToolIn] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None

    def prompt(self) -> Prompt:
        effort, budget = self._effort()
        is_told = self.thinking and self.thinking.display == "summarized"
        schema = self.output_config.format.json_schema if self.output_config and self.output_config.format else None
        return Prompt(
            messages=(*self._system(), *(said for number, m in enumerate(self.messages) for said in _said(number, m))),
            tools=tuple(_tool(number, tool) for number, tool in enumerate(self.tools or ())),
            tool_choice=self._choice(),
            schema=schema,
            reasoning_effort=effort,
            thinking_budget=budget,
            summary="auto" if is_told else None,
            options=self._parallel(),
            stream=False,
        )

    def _system(self) -> tuple[Message, ...]:
        if isinstance(self.system, str):
            return (Message("system", (TextPart(self.system),)),) if self.system else ()
        blocks = enumerate(self.system or ())
        return tuple(Message("system", (_part(f"system.{n}", block),), block.keep) for n, block in blocks)

    def _effort(self) -> tuple[str | None, int | None]:
        """(effort, tokens to think for): a format knows one or the other."""
        said = self.output_config.effort if self.output_config else None
        if self.thinking is None or self.thinking.type == "adaptive":
            return said or ("high" if self.thinking else None), None
        if self.thinking.type == "disabled":
            return "none", None
        budget = self.thinking.budget_tokens
        if budget is None:
            raise Refused(400, "thinking.budget_tokens: it is needed.", "invalid_value", "thinking.budget_tokens")
        return said or next((word for most, word in EFFORTS if budget <= most), "high"), budget

    def _choice(self) -> str | None:
        if self.tool_choice is None:
            return None
        name = CHOICES.get(self.tool_choice.type) or self.tool_choice.name
        if not name:
            raise Refused(400, "tool_choice.name: say which tool.", "invalid_value", "tool_choice.name")
        return name

    def _parallel(self) -> dict[str, Any]:
        choice = self.tool_choice
        if choice is None or choice.disable_parallel_tool_use is None:
            return {}
        return {"parallel_tool_calls": not choice.disable_parallel_tool_use}


class MessagesRequest(CountRequest):
    max_tokens: int = Field(ge=1, le=MOST_TOKENS)
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = Field(default=None, ge=0, le=1)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=0, le=1_000_000)
    cache_control: CacheControl | None = None
    """Of all that is said: as if it stood at the end of the last message."""
    metadata: Metadata | None = None
    service_tier: str | None = Field(default=None, max_length=50)
    speed: str | None = Field(default=None, max_length=50)
    inference_geo: str | None = Field(default=None, max_length=50)
    container: Any = None
    mcp_servers: list[Any] | None = None
    context_management: dict[str, Any] | None = None
    compaction: Any = None
    thread: Any = None
    fallbacks: Any = None

    def refuse_what_cannot_be_sent(self) -> None:
        """Raises Refused. Left out, it would change the answer without a word."""
        if not self.messages:
            raise Refused(400, "messages: at least one is needed.", "invalid_value", "messages")
        for field in ("container", "mcp_servers", "context_management", "compaction", "thread"):
            if getattr(self, field):
                raise unsupported(field, "what a provider runs or keeps itself is not passed on here.")
        if self.fallbacks:
            raise unsupported("fallbacks", "it is not passed on here; a rule says who answers where a model does not.")
        hints.refuse_other_prices("service_tier", self.service_tier)
        hints.refuse_other_prices("speed", self.speed)
        if self.inference_geo not in (None, "global"):
            raise unsupported("inference_geo", "it is not passed on here; a rule says which models may answer.")

    def prompt(self) -> Prompt:
        made = super().prompt()
        user = self.metadata.user_id if self.metadata else None
        made = replace(made, options={**made.options, **hints.known(user_id=user, tier=self.service_tier)})
        if self.cache_control is None or not made.messages:
            return made
        *before, last = made.messages
        return replace(made, messages=(*before, replace(last, keep=last.keep or self.cache_control.ttl)))


# -- what is said ------------------------------------------------------------------------------------


def _said(number: int, message: MessageIn) -> list[Message]:
    """A message ends where its sender wants the provider to keep what was said so far."""
    if isinstance(message.content, str):
        return [Message(message.role, (TextPart(message.content),))]
    found: list[Message] = []
    parts: list[Part] = []
    if not message.content:
        raise Refused(
            400, f"messages.{number}.content: it says nothing.", "invalid_value", f"messages.{number}.content"
        )
    for place, block in enumerate(message.content):
        if block.type == "thinking" and not block.signature:
            continue  # of another provider, by way of us: Anthropic takes back only what it sealed itself
        field = f"messages.{number}.content.{place}"
        parts += _result(field, block) if block.type == "tool_result" else [_part(field, block)]
        if block.keep:
            found.append(Message(message.role, tuple(parts), block.keep))
            parts = []
    return [*found, Message(message.role, tuple(parts))] if parts else found


def _part(field: str, block: Block) -> Part:
    match block.type:
        case "text":
            return TextPart(block.text)
        case "image" | "document" if block.source:
            return _file(field, block, block.source)
        case "tool_use":
            return ToolUse(block.id, block.name, _json(block.input))
        case "thinking":
            return ThoughtPart(block.thinking, block.signature, KIND)
        case "redacted_thinking":
            return ThoughtPart("", block.data, KIND, is_hidden=True)
    raise unsupported(field, f"blocks of type “{block.type}” cannot be sent through here.")


def _file(field: str, block: Block, source: Source) -> Part:
    if isinstance(block.citations, Citations) and block.citations.enabled:
        raise unsupported(f"{field}.citations", "where words are from is not passed on here.")
    if block.context:
        raise unsupported(f"{field}.context", "say it in a text before the document.")
    if block.transformations and block.transformations.oversized_image not in (None, "downsize"):
        raise unsupported(f"{field}.transformations", "how a picture is made to fit is not passed on here.")
    if source.type == "url":
        return ImagePart(url=source.url) if block.type == "image" else FilePart("application/pdf", url=source.url)
    if source.type == "base64":
        if block.type == "image":
            return ImagePart(source.media_type, source.data)
        return FilePart(source.media_type or "application/pdf", source.data, name=block.title or "")
    if source.type == "text" and block.type == "document":
        return text_file(source.data, block.title or "")
    raise unsupported(f"{field}.source", f"sources of type “{source.type}” are kept at one provider only.")


def _result(field: str, block: Block) -> list[Part]:
    """A tool's result, and what is shown in it."""
    blocks = block.content if isinstance(block.content, list) else []
    for place, inner in enumerate(blocks):
        if inner.type not in ("text", "image", "document"):
            why = f"a tool's result can hold text, pictures and documents here, and no “{inner.type}”."
            raise unsupported(f"{field}.content.{place}", why)
    said = [_part(f"{field}.content.{place}", inner) for place, inner in enumerate(blocks)]
    text, shown = split(said or [TextPart(block.content if isinstance(block.content, str) else "")])
    return [ToolResult(block.tool_use_id, text, is_error=bool(block.is_error), shown=len(shown)), *shown]


def _tool(number: int, tool: ToolIn) -> Tool:
    if tool.type not in (None, "custom"):
        raise unsupported(f"tools.{number}.type", f"“{tool.type}” is a tool that its provider runs itself.")
    for name in ("input_examples", "defer_loading"):
        if getattr(tool, name):
            raise unsupported(f"tools.{number}.{name}", "it is not passed on here; say it in the description.")
    keep = tool.cache_control.ttl if tool.cache_control else ""
    return Tool(tool.name, tool.description or "", tool.input_schema or {}, tool.strict, keep)


def _json(value: Any) -> str:
    return json.dumps(value if value is not None else {}, separators=(",", ":"), ensure_ascii=False)
