"""What goes into the router: a Prompt, in our own words, before any provider's wire format. Values that nobody
changes (values.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple

from .values import value


@value
class TextPart:
    text: str


@value
class ImagePart:
    """An image as input: a `data` base64 string with its media type, or a URL the provider fetches.

    `asset` names bytes that we keep ourselves; whoever runs the prompt puts them into `data` first.
    """

    media_type: str = ""
    data: str = field(default="", repr=False)
    url: str = ""
    asset: str = ""
    detail: str = ""
    """How closely it is to be looked at, in OpenAI's word; empty: not said. Others have no such wish."""


@value
class FilePart:
    """A document, sound or film as input, told apart by its media type; otherwise as an ImagePart."""

    media_type: str = ""
    data: str = field(default="", repr=False)
    url: str = ""
    name: str = ""
    asset: str = ""

    @property
    def size(self) -> int:
        """In bytes; 0 for one that the provider fetches."""
        return len(self.data) * 3 // 4

    @property
    def is_elsewhere(self) -> bool:
        """The provider fetches it, so nobody here knows what is in it."""
        return bool(self.url and not self.data)


@value
class ToolUse:
    """A tool call the assistant made earlier in the conversation. `arguments` is JSON text."""

    id: str
    name: str
    arguments: str


@value
class ToolResult:
    """What the tool answered, quoted back to the model."""

    id: str
    text: str
    name: str = ""
    is_error: bool = False
    """The tool failed, and says so in its text."""
    shown: int = 0
    """So many of the parts that follow in its message are of it: from the first picture or file on, in its order."""


@value
class ThoughtPart:
    """What a model thought earlier, with the seal by which its provider knows it again. `kind`: whose wire format it
    is of; no other gets it. Gemini seals what comes after the thought: a call, or words."""

    text: str
    seal: str = field(default="", repr=False)
    kind: str = ""
    is_hidden: bool = False
    """The provider sealed the text as well."""


Part = TextPart | ImagePart | FilePart | ToolUse | ToolResult | ThoughtPart


@value
class Message:
    """One turn. `role` is `system`, `user`, `assistant` or `tool`."""

    role: str
    parts: tuple[Part, ...]
    keep: str = ""
    """How long a provider may keep what has been said up to its end, to read it cheaper the next time: `5m`, `1h`;
    empty: not said. Only a few are told; the others do so by themselves or not at all."""

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))


@value
class Tool:
    """A function the model may call. `parameters` is a JSON Schema."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    is_strict: bool | None = None
    """Its arguments have to fit the schema. None: not said."""
    keep: str = ""
    """As of a Message: all tools up to this one."""


class Task(StrEnum):
    """What a model is asked to make. Each wire format has one adapter a task."""

    CHAT = "chat"
    IMAGE = "image"
    SPEECH = "speech"
    TRANSCRIPTION = "transcription"
    VIDEO = "video"
    EMBEDDING = "embedding"
    RERANK = "rerank"
    MODERATION = "moderation"


HINTS = frozenset({"prompt_cache_key", "prompt_cache_retention", "user_id", "service_tier", "unblocked"})
"""Of Prompt.options: who has no word for these answers the same without."""


@value
class Prompt:
    """A whole request in our own words, before any provider's wire format.

    `tool_choice` is `auto`, `none`, `required` or a tool's name; `schema` asks for an answer that
    satisfies that JSON Schema. None means: not said, so not sent.

    The words of any task are the text of `messages`: what to draw, to say aloud or to film; and what to embed, to rank
    or to judge, one message each. Pictures to work from and recordings to transcribe are their parts. `media` holds the
    task's own options:

    | task | options |
    |---|---|
    | image | `count` (int), `size` ("1024x1024"), `aspect_ratio` ("16:9"), `quality`, `background`, `format` |
    | speech | `voice`, `format` ("mp3", "wav" …), `speed` (float), `instructions` |
    | transcription | `language` (ISO 639-1), `timestamps` (bool), `diarize` (bool) |
    | video | `seconds` (int), `aspect_ratio`, `resolution` ("720p"), `negative_prompt` |
    | embedding | `dimensions` (int), `input_type` |
    | rerank | `query` (str), `count` (int): only so many, the best |

    `options` holds what only some formats have. One that has not what is asked for refuses the prompt, or does without
    where that is a hint (HINTS):

    | option | what it is |
    |---|---|
    | `top_k` (int), `frequency_penalty`, `presence_penalty` (float), `verbosity`, `parallel_tool_calls` (bool) | |
    | `logit_bias` ({token's number: −100 to 100}) | the numbers are those of the model that answers |
    | `logprobs` (int) | how likely each token was, and so many others in its place (Text.logprobs) |
    | `safetySettings` ([{category, threshold}]) | Gemini's, of which some block |
    | `moderation`, `output_compression` (0 to 100) | of pictures, in OpenAI's words |
    | hint: `prompt_cache_key`, `prompt_cache_retention` | what OpenAI finds again, and for how long |
    | hint: `user_id` | a person, in the program's own words, for who looks after abuse |
    | hint: `service_tier` | `standard`: at the price of everybody, whatever else was bought |
    | hint: `unblocked` ([{category, threshold}]) | Gemini's settings, of which none blocks |

    `thinking_budget`: how many tokens to think for, where that is counted in tokens; `reasoning_effort` is for others.
    `schema_told`: what OpenAI is told of a schema beside it, as far as it was said: `name`, `description`, `strict`.
    `summary`: what was thought is to be told, in OpenAI's word for how (`auto`), also where no effort was asked for.
    `seals`: thoughts are to come sealed, to be taken back, from those that seal them only when asked to.
    """

    messages: tuple[Message, ...]
    task: Task = Task.CHAT
    media: Mapping[str, Any] = field(default_factory=dict)
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: str | None = None
    schema: Mapping[str, Any] | None = None
    schema_told: Mapping[str, Any] | None = None
    reasoning_effort: str | None = None
    thinking_budget: int | None = None
    summary: str | None = None
    seals: bool | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    stream: bool = True

    def as_heard_by(self, options: frozenset[str]) -> Prompt:
        """Without the hints of which a format that has these options knows nothing."""
        deaf = (self.options.keys() & HINTS) - options
        return replace(self, options={n: v for n, v in self.options.items() if n not in deaf}) if deaf else self

    def as_sent_to(self, kind: str) -> Prompt:
        """Without the thoughts that another wire format sealed."""
        if not any(isinstance(part, ThoughtPart) and part.kind != kind for m in self.messages for part in m.parts):
            return self
        kept = ((message, _without_others(message, kind)) for message in self.messages)
        return replace(self, messages=tuple(mine for message, mine in kept if mine.parts or not message.parts))

    @property
    def system(self) -> str:
        return "\n\n".join(message.text for message in self.messages if message.role == "system")

    @property
    def words(self) -> str:
        """All that is to be drawn, said or filmed: every turn's text but the system's."""
        return "\n\n".join(message.text for message in self.messages if message.role != "system" and message.text)

    @property
    def images(self) -> tuple[ImagePart, ...]:
        return self._contents.images

    @property
    def files(self) -> tuple[FilePart, ...]:
        return self._contents.files

    @property
    def text_bytes(self) -> int:
        """UTF-8 size of everything a model would read as text; a safe upper bound of its tokens."""
        return self._contents.text_bytes

    @cached_property
    def _contents(self) -> _Contents:
        """Looked through once: who chooses, bounds and bills asks, and a conversation may have hundreds of turns."""
        text_bytes, images, files = 0, list[ImagePart](), list[FilePart]()
        for message in self.messages:
            for part in message.parts:
                if isinstance(part, TextPart):
                    text_bytes += len(part.text.encode())
                elif isinstance(part, ImagePart):
                    images.append(part)
                elif isinstance(part, FilePart):
                    files.append(part)
                else:
                    text_bytes += len((part.arguments if isinstance(part, ToolUse) else part.text).encode())
        return _Contents(text_bytes, tuple(images), tuple(files))


class _Contents(NamedTuple):
    """What is in all messages of a prompt."""

    text_bytes: int
    images: tuple[ImagePart, ...]
    files: tuple[FilePart, ...]


def _without_others(message: Message, kind: str) -> Message:
    kept = tuple(part for part in message.parts if not isinstance(part, ThoughtPart) or part.kind == kind)
    return replace(message, parts=kept)


def user(text: str) -> Message:
    return Message("user", (TextPart(text),))


def system(text: str) -> Message:
    return Message("system", (TextPart(text),))


def assistant(text: str) -> Message:
    return Message("assistant", (TextPart(text),))
