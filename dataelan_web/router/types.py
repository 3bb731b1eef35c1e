"""The router's vocabulary: what goes in (Prompt), what comes out (Events), and what can go wrong (Failure).

Everything here is a frozen value. Adapters turn a Prompt into a Call and bytes into Events; the runner
owns the wire, the clock and the retries. Nothing in this file does I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

# -- what goes in ------------------------------------------------------------------------------


@dataclass(frozen=True)
class TextPart:
    text: str


@dataclass(frozen=True)
class ImagePart:
    """An image as input: a `data` base64 string with its media type, or a URL the provider fetches."""

    media_type: str = ""
    data: str = ""
    url: str = ""


@dataclass(frozen=True)
class ToolUse:
    """A tool call the assistant made earlier in the conversation. `arguments` is JSON text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class ToolResult:
    """What the tool answered, quoted back to the model."""

    id: str
    text: str
    name: str = ""


Part = TextPart | ImagePart | ToolUse | ToolResult


@dataclass(frozen=True)
class Message:
    """One turn. `role` is `system`, `user`, `assistant` or `tool`."""

    role: str
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))


@dataclass(frozen=True)
class Tool:
    """A function the model may call. `parameters` is a JSON Schema."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Prompt:
    """A whole request in our own words, before any provider's wire format.

    `tool_choice` is `auto`, `none`, `required` or a tool's name; `schema` asks for an answer that
    satisfies that JSON Schema. None means: not said, so not sent.
    """

    messages: tuple[Message, ...]
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: str | None = None
    schema: Mapping[str, Any] | None = None
    reasoning_effort: str | None = None
    stream: bool = True

    @property
    def system(self) -> str:
        return "\n\n".join(message.text for message in self.messages if message.role == "system")

    @property
    def text_bytes(self) -> int:
        """UTF-8 size of everything a model would read as text; a safe upper bound of its tokens."""
        total = 0
        for message in self.messages:
            for part in message.parts:
                total += len(getattr(part, "text", getattr(part, "arguments", "")).encode())
        return total


def user(text: str) -> Message:
    return Message("user", (TextPart(text),))


def system(text: str) -> Message:
    return Message("system", (TextPart(text),))


def assistant(text: str) -> Message:
    return Message("assistant", (TextPart(text),))


# -- the wire, as data -------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """One HTTP request. `headers` hold the key, so a Call is never logged."""

    url: str
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    method: str = "POST"


# -- what comes out ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Text:
    delta: str


@dataclass(frozen=True)
class Refusal(Text):
    """Text in which the model declines. A person reads it like any answer; a program may want to tell it apart."""


@dataclass(frozen=True)
class Reasoning:
    delta: str


@dataclass(frozen=True)
class ToolCall:
    """A piece of a tool call. Pieces with the same `index` belong together: `id` and `name` come with
    the first, `arguments` are fragments of JSON text to be joined."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True)
class Asset:
    media_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class Usage:
    """Tokens in five disjoint counters; their sum is what the provider counts in all.

    None means not reported, never 0. A later Usage replaces an earlier one counter by counter.
    """

    input: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    output: int | None = None
    reasoning: int | None = None

    def updated(self, later: Usage) -> Usage:
        return Usage(*(new if new is not None else old for new, old in zip(later.counters, self.counters, strict=True)))

    @property
    def counters(self) -> tuple[int | None, ...]:
        return (self.input, self.cache_read, self.cache_write, self.output, self.reasoning)

    @property
    def input_total(self) -> int:
        return (self.input or 0) + (self.cache_read or 0) + (self.cache_write or 0)

    @property
    def output_total(self) -> int:
        return (self.output or 0) + (self.reasoning or 0)

    @property
    def known(self) -> bool:
        return self.input is not None or self.output is not None


class Finish(StrEnum):
    """Why the model stopped, normalised over the providers."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    OTHER = "other"


@dataclass(frozen=True)
class Done:
    """The answer is whole. `raw` is the provider's own word for the reason; `model` and `response_id`
    are what the provider said it used, which may be a dated version of what was asked for."""

    finish: Finish
    raw: str = ""
    model: str = ""
    response_id: str = ""


@dataclass(frozen=True)
class Again:
    """Not finished: make this further call after `delay` seconds (a polled job)."""

    call: Call
    delay: float = 0.0


Event = Text | Reasoning | ToolCall | Asset | Usage | Again | Done


# -- what can go wrong -------------------------------------------------------------------------


class Kind(StrEnum):
    """Classes of failure; each has one policy (see ADVICE)."""

    BAD_REQUEST = "bad_request"
    CREDENTIAL = "credential"
    RATE_LIMIT = "rate_limit"
    BILLING = "billing"
    TRANSIENT = "transient"
    CONTENT_POLICY = "content_policy"
    CONTEXT_TOO_LONG = "context_too_long"
    ABORTED = "aborted"


class Advice(StrEnum):
    RETRY = "retry the same candidate"
    NEXT_KEY = "try another key"
    NEXT_MODEL = "try the next model"
    STOP = "stop"


ADVICE: Mapping[Kind, Advice] = {
    Kind.BAD_REQUEST: Advice.NEXT_MODEL,
    Kind.CREDENTIAL: Advice.NEXT_KEY,
    Kind.RATE_LIMIT: Advice.NEXT_KEY,
    Kind.BILLING: Advice.NEXT_KEY,
    Kind.TRANSIENT: Advice.RETRY,
    Kind.CONTENT_POLICY: Advice.STOP,
    Kind.CONTEXT_TOO_LONG: Advice.NEXT_MODEL,
    Kind.ABORTED: Advice.STOP,
}


class Failure(Exception):
    """Why an attempt failed, in our words.

    `message` is fit to show to a person and never holds a key. `after` is the provider's own wish in
    seconds (Retry-After). `sent` is False only when the request surely never reached the provider.
    """

    def __init__(
        self,
        kind: Kind,
        message: str,
        *,
        status: int | None = None,
        code: str = "",
        after: float | None = None,
        sent: bool = True,
    ):
        super().__init__(message)
        self.kind, self.message, self.status, self.code, self.after, self.sent = (
            kind, message, status, code, after, sent,
        )  # fmt: skip

    @property
    def advice(self) -> Advice:
        return ADVICE[self.kind]


# -- what an adapter is ------------------------------------------------------------------------

Decoder = Callable[[bytes, bool], Iterable[Event]]


@dataclass(frozen=True)
class ListedModel:
    """A model as a provider lists it. None: the provider does not say."""

    name: str
    display_name: str = ""
    context_window: int | None = None
    max_output_tokens: int | None = None
    shutdown_at: str | None = None
    capabilities: tuple[str, ...] | None = None


class Adapter(Protocol):
    """One wire format, without I/O: values in, values out."""

    def __init__(self, base_url: str) -> None: ...

    def call(self, prompt: Prompt, model: str, key: str) -> Call: ...

    def decoder(self) -> Decoder:
        """`(chunk, is_last) -> events`. Same events at any chunk size, streaming or not. Raises Failure
        for an error inside a 200 answer, for garbage, and for a stream that ends before its end."""
        ...

    def failure(self, status: int, body: bytes) -> Failure: ...

    def list_call(self, key: str) -> Call: ...

    def listed(self, body: bytes) -> list[ListedModel]: ...
