"""What every inbound format is: a request read into a Prompt, and a way to answer it from Events.

A format is one function `read(body, …) → Inbound`. Who asks, limits, the record, idempotency, the cache and the headers
are the same for all (answering.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol
from wsgiref.types import StartResponse, WSGIEnvironment

from flask import Response

from ..executions.answer import Answer
from ..models import ModelType
from ..models.base import json_bytes
from ..models.records import RunRecord
from ..router.types import Asset, Done, Event, Failure, Prompt, Reasoning, Text, ToolCall, Usage
from .stored_prompts import Named

WORDS = -1
NOTHING = Usage()
Likely = Sequence[Mapping[str, Any]]
"""How likely each token was, as Text.logprobs tells it."""


@dataclass
class Whole:
    """An answer that came to its end."""

    execution: RunRecord
    answer: Answer = field(default_factory=Answer)
    thoughts: list[Reasoning] = field(default_factory=list)
    """The pieces of what the model thought, with the seals of its provider."""
    assets: list[Asset] = field(default_factory=list)
    sealed: dict[int, Reasoning] = field(default_factory=dict)
    """The seal that came just before a tool's call, by the call's number; by WORDS, before words or at the end."""
    seal: Reasoning | None = None
    """The last one, of what is yet to come."""
    likely: list[Mapping[str, Any]] = field(default_factory=list)
    """How likely each token of its words was, where that was asked for (Text.logprobs)."""
    usage: Usage = NOTHING
    done: Done | None = None
    model: str = ""
    """What answered."""

    @property
    def text(self) -> str:
        return "".join(self.answer.text)

    def add(self, event: Event) -> None:
        self.answer.add(event)
        match event:
            case Text():
                self._is_of(WORDS)
                self.likely += event.logprobs
            case Done():
                self.done = event
                self._is_of(WORDS)
            case Reasoning(seal=seal):
                self.thoughts.append(event)
                self.seal = event if seal else self.seal
            case ToolCall(index) if self.seal:
                self._is_of(index)
            case Asset():
                self.assets.append(event)

    def _is_of(self, place: int) -> None:
        if self.seal:
            self.sealed[place], self.seal = self.seal, None

    def told_thoughts(self, kind: str) -> Iterator[tuple[str, Reasoning | None]]:
        """Each thought, with its seal if that is of this wire format: what another sealed is told without. The last may
        have none."""
        said = ""
        for piece in self.thoughts:
            said += piece.delta
            if piece.seal and piece.kind == kind:
                yield said, piece
                said = ""
        if said:
            yield said, None


class Pieces(Protocol):
    """One answer that is told as it comes: the bytes of each event, complete messages of the format's stream."""

    def of(self, event: Event) -> bytes:
        """Empty when this event makes none."""
        ...

    def words(self, said: str) -> bytes:
        """Of a Text that holds nothing else, as most events do, of which there are thousands."""
        return self.of(Text(said))

    def last(self, done: Done | None, usage: Usage, facts: dict[str, Any]) -> Iterator[bytes]:
        """Why it ended, what was used, and our own facts (account.py) where the format has room for them."""
        ...

    def broken(self, failure: Failure, facts: dict[str, Any]) -> Iterator[bytes]:
        """An error after the stream began."""
        ...


class Inbound(NamedTuple):
    """One request of some API in our own words, and how that API is answered."""

    requested: str
    prompt: Prompt
    whole: Callable[[Whole], Any]
    """The answer at once: a document, or a Response of another type."""
    pieces: Callable[[RunRecord, str], Pieces] | None = None
    """The answer as it comes, of a run by a model; None: it comes whole only."""
    model_type: ModelType = ModelType.TEXT
    stored: Named | None = None
    """The prompt of the project that it names."""
    media_type: str = "text/event-stream"
    is_continued: bool = False
    """Its answer may be named in the next request, as one to go on from."""
    told_bare: Callable[[Sequence[Event]], str] | None = None
    """A stream that is nothing but a file, with no place for our facts: its media type, by what came up to its
    beginning. Raises Failure where all has come and there is no file."""

    @property
    def streams(self) -> bool:
        return self.pieces is not None and self.prompt.stream

    def told_by(self, execution: RunRecord, model: str) -> Pieces:
        if self.pieces is None:
            raise LookupError("this format is answered whole")
        return self.pieces(execution, model)

    def respond(self, whole: Whole) -> Response:
        """Raises Refused for what this format cannot carry, Failure for what it tells as one."""
        made = self.whole(whole)
        return made if isinstance(made, Response) else Direct(json_bytes(made), content_type="application/json")


class Direct(Response):
    """Of bytes, whole with their length or as they come, leading nowhere, and asked for by POST alone: werkzeug would
    look through its headers for what to complete, whether its body is to be left out, and each piece for text."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response(self.status, self.headers.to_wsgi_list())
        return Closing(self)


class Closing:
    """What the web server sends, and closes when it is sent."""

    def __init__(self, answer: Direct):
        self.close = answer.close
        self._pieces: Any = answer.response

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)
