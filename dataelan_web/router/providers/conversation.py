"""Conversations for formats that want turns: Anthropic and Gemini know only a user and a model, in turn."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import groupby, islice

from dataelan_web.router.types import Message, Part, TextPart, ToolResult, ToolUse, Unsupported

PLAIN_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""Of a call of a tool, as Anthropic and Bedrock take it. Kimi's `functions.weather:0` is none."""


def fitting(id: str, taken: re.Pattern[str] | None) -> str:
    """An id of a call, for a provider that takes only such. What another made otherwise goes by its hash, which is the
    same in the call and its result, and short enough for all."""
    return id if not (id and taken) or taken.fullmatch(id) else sha256(id.encode()).hexdigest()[:9]


def turns(messages: Iterable[Message]) -> Iterator[tuple[bool, list[Part]]]:
    """`(spoken by the assistant, parts)` for each turn: neighbours of one side are joined, so that the results of
    parallel tool calls come together as both formats demand. System messages and empty texts are left out."""
    for by_assistant, together in groupby(spoken(messages), key=lambda message: message.role == "assistant"):
        parts = [part for message in together for part in message.parts if part != TextPart("")]
        if parts:
            yield by_assistant, parts


def spoken(messages: Iterable[Message]) -> Iterator[Message]:
    """All but the system's, whose words have a place of their own. Raises Unsupported where it shows a picture or a
    file as well, for which there is none."""
    for message in messages:
        if message.role != "system":
            yield message
        elif not all(isinstance(part, TextPart) for part in message.parts):
            raise Unsupported("messages: a system message can hold text in its API, and no picture or file.")


def tool_names(messages: Iterable[Message]) -> dict[str, str]:
    """Tool call id -> tool name, for formats that ask for the name with each result."""
    return {part.id: part.name for message in messages for part in message.parts if isinstance(part, ToolUse)}


def with_shown(parts: Iterable[Part]) -> Iterator[tuple[Part, list[Part]]]:
    """Each part with what is shown in it: the pictures and files of a tool's result, and the words between them."""
    rest = iter(parts)
    for part in rest:
        yield part, [*islice(rest, part.shown)] if isinstance(part, ToolResult) else []


def text_of(result: ToolResult) -> str:
    """For formats whose results are text. Raises Unsupported: shown elsewhere, a picture would answer no call."""
    if result.shown:
        raise Unsupported("messages: a tool’s result can hold text in its API, and no picture or file.")
    return result.text
