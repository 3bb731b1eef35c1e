"""The router's vocabulary: what goes in (a Prompt: prompt.py), what comes out (Events), what can go
wrong (a Failure: failure.py).

Everything here is a value that nobody changes: frozen, or, where a call makes many of them, as values.py has it.
Adapters turn a Prompt into a Call and bytes into Events; the runner owns the wire, the clock and the retries. Nothing
in this file does I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from .failure import ADVICE, JOB_FAILED, OUR_OWN, Advice, Failure, Fate, Kind
from .prompt import (
    FilePart,
    ImagePart,
    Message,
    Part,
    Prompt,
    Task,
    TextPart,
    ThoughtPart,
    Tool,
    ToolResult,
    ToolUse,
    assistant,
    system,
    user,
)
from .usage import USAGE_FIELDS, Usage
from .values import value

__all__ = [
    "ADVICE",
    "JOB_FAILED",
    "OUR_OWN",
    "USAGE_FIELDS",
    "Adapter",
    "Advice",
    "Again",
    "Asset",
    "AssetAt",
    "Call",
    "Counter",
    "Decoder",
    "Done",
    "Embedding",
    "Event",
    "Failure",
    "Fate",
    "FilePart",
    "Finish",
    "ImagePart",
    "Kind",
    "ListedModel",
    "Lister",
    "Message",
    "Part",
    "Progress",
    "Prompt",
    "Ranked",
    "Reasoning",
    "Refusal",
    "Segment",
    "Sound",
    "Task",
    "Text",
    "TextPart",
    "ThoughtPart",
    "Tool",
    "ToolCall",
    "ToolResult",
    "ToolUse",
    "Unsupported",
    "Upload",
    "Usage",
    "Verdict",
    "assistant",
    "system",
    "user",
]

# -- the wire, as data -------------------------------------------------------------------------


@dataclass(frozen=True)
class Upload:
    """One file of a multipart form."""

    name: str
    filename: str
    media_type: str
    content: bytes = field(repr=False)


@value
class Call:
    """One HTTP request: a JSON `body`, or raw `content`, or a multipart `form` with `uploads`.

    `headers` hold the key, so a Call is never logged.
    """

    url: str
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    method: str = "POST"
    content: bytes | None = field(default=None, repr=False)
    form: Mapping[str, str] | None = None
    uploads: tuple[Upload, ...] = ()


# -- what comes out ----------------------------------------------------------------------------


@value
class Text:
    """`logprobs`: of each of its tokens, where that was asked for, as OpenAI tells it: {token, logprob, bytes,
    top_logprobs: [{token, logprob, bytes}]}. There may be some of a text that is empty: half a letter's bytes."""

    delta: str
    logprobs: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    pieces: tuple[str, ...] = field(default=(), repr=False, compare=False)
    """As its provider parted it, where several came at once (run.joined)."""


@value
class Refusal(Text):
    """Text in which the model declines. A person reads it like any answer; a program may want to tell it apart."""


@value
class Reasoning:
    """A piece of what the model thinks. `seal`: the provider's, at the end of one thought, with which it takes that
    back (prompt.ThoughtPart)."""

    delta: str
    seal: str = field(default="", repr=False)
    kind: str = ""
    is_hidden: bool = False


@value
class ToolCall:
    """A piece of a tool call. Pieces with the same `index` belong together: `id` and `name` come with
    the first, `arguments` are fragments of JSON text to be joined."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True)
class Asset:
    """A picture, sound or film the model made. `note`: what the model says of it, such as a prompt it rewrote."""

    media_type: str
    content: bytes = field(repr=False)
    note: str = ""


@dataclass(frozen=True)
class Sound:
    """A piece of a sound while it is made, for who listens meanwhile: pieces that are joined play. The whole comes
    after them as an Asset, whose head may differ, since it knows how long it is."""

    media_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class AssetAt:
    """An asset that the provider keeps at an address. The runner fetches it and hands on an Asset; the key goes
    along only to the provider's own origin."""

    url: str
    media_type: str = ""
    note: str = ""


@dataclass(frozen=True)
class Segment:
    """A stretch of a transcript with its place in the recording, in seconds. Its words come as Text too."""

    text: str
    start: float
    end: float
    speaker: str = ""


@dataclass(frozen=True)
class Embedding:
    index: int
    vector: tuple[float, ...] = field(repr=False)


@dataclass(frozen=True)
class Ranked:
    """One of the texts that were given, by its number there, and how well it answers the query. The best is first."""

    index: int
    score: float


@dataclass(frozen=True)
class Verdict:
    """What a moderation says of one of the things that were given: the categories it falls under, and how likely it
    finds each (0 to 1)."""

    index: int
    is_flagged: bool
    categories: tuple[str, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Progress:
    """How far a long job is: a share between 0 and 1 where the provider says so, and its own word for the state."""

    share: float | None = None
    note: str = ""


class Finish(StrEnum):
    """Why the model stopped, normalised over the providers."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    OTHER = "other"


@value
class Done:
    """The answer is whole. `raw` is the provider's own word for the reason; `model` and `response_id`
    are what the provider said it used, which may be a dated version of what was asked for."""

    finish: Finish
    raw: str = ""
    model: str = ""
    response_id: str = ""
    stopped_by: str = ""
    """The stop sequence that ended it, where the provider says which."""
    model_ends: str = ""
    """When the provider will end the model, in its own words, where it says so beside an answer."""
    is_blocked: bool = False
    """A filter before the model refused the prompt, and `raw` says which."""


@dataclass(frozen=True)
class Again:
    """Not finished: make this further call after `delay` seconds (a polled job).

    A call without headers gets those of the first one, if it stays at the provider's own origin. It is kept with
    the attempt, so that another worker can go on asking. `cancel` ends the job at the provider.
    """

    call: Call
    delay: float = 0.0
    cancel: Call | None = None


Event = (
    Text | Reasoning | ToolCall | Sound | Asset | AssetAt | Segment | Embedding | Ranked | Verdict | Progress | Usage
    | Again | Done
)  # fmt: skip


# -- what can go wrong: a Failure (failure.py) --------------------------------------------------


class Unsupported(ValueError):
    """This wire format cannot carry that; the message says what, in words fit to show."""


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
    replacement: str = ""
    """What the provider says to use instead, where it says so."""
    task: Task | None = None
    refuses: tuple[str, ...] | None = None
    """Parameters that it does not take (parameters.REFUSABLE)."""


class Adapter(Protocol):
    """One task of one wire format, without I/O: values in, values out."""

    options: frozenset[str]
    """Which of Prompt.options it can carry."""

    def __init__(self, base_url: str) -> None: ...

    def wordless(self, model: str) -> frozenset[str]:
        """Of a chat: the parameters (parameters.OF_CHAT) that cannot be said to this model in this format."""
        ...

    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        """Raises Unsupported for a prompt this format cannot carry."""
        ...

    def decoder(self) -> Decoder:
        """`(chunk, is_last) -> events`, for the first answer and, after an Again, for those that follow.

        Same events at any chunk size, streaming or not. Raises Failure for an error inside a 200 answer, for
        garbage, and for a stream that ends before its end."""
        ...

    def told(self, headers: Mapping[str, str]) -> Usage:
        """What an answer's headers say was used, beside its body, which counts for more."""
        ...

    def failure(self, status: int, body: bytes) -> Failure: ...


class Counter(Protocol):
    """How a provider is asked for the size of a prompt as it would count it. Nothing is generated or charged."""

    def __init__(self, base_url: str) -> None: ...

    def count_call(self, prompt: Prompt, model: str, key: str) -> Call:
        """Raises Unsupported for a prompt this format cannot carry."""
        ...

    def counted(self, body: bytes) -> int:
        """The prompt's tokens. Raises Failure."""
        ...

    def failure(self, status: int, body: bytes) -> Failure: ...


class Lister(Protocol):
    """How a provider is asked which models it has."""

    def __init__(self, base_url: str) -> None: ...

    def list_call(self, key: str) -> Call:
        """Raises Unsupported where it is not shown to a key of this kind."""
        ...

    def listed(self, body: bytes) -> list[ListedModel]: ...

    def failure(self, status: int, body: bytes) -> Failure: ...
