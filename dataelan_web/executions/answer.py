"""An answer as it grows."""

from __future__ import annotations

from dataclasses import dataclass

from ..router.types import Embedding, Event, Reasoning, Refusal, Segment, Text, ToolCall
from ..storage import Stored


@dataclass(frozen=True)
class Kept:
    """A file that a model made, in storage."""

    stored: Stored
    media_type: str
    note: str = ""


LOOSE = 128


class Words(list[str]):
    """A text as it comes. Its pieces are joined by the hundred: a word as a string of its own takes ten times what it
    says."""

    _loose = 0

    def add(self, piece: str) -> None:
        self.append(piece)
        self._loose += 1
        if self._loose == LOOSE:
            self[-LOOSE:] = ["".join(self[-LOOSE:])]
            self._loose = 0


class Answer:
    """What came back so far."""

    is_refusal = False

    def __init__(self) -> None:
        self.text, self.reasoning = Words(), Words()
        self.tool_calls: dict[int, dict[str, str]] = {}
        self.segments: list[Segment] = []
        self.assets: list[Kept] = []
        self.vectors: list[Embedding] = []

    def add(self, event: Event) -> None:
        if isinstance(event, Text):
            self.text.add(event.delta)
            if isinstance(event, Refusal):
                self.is_refusal = True
        elif isinstance(event, Reasoning):
            self.reasoning.add(event.delta)
        elif isinstance(event, Segment):
            self.segments.append(event)
        elif isinstance(event, Embedding):
            self.vectors.append(event)
        elif isinstance(event, ToolCall):
            call = self.tool_calls.setdefault(event.index, {"id": "", "name": "", "arguments": ""})
            call["id"], call["name"] = call["id"] or event.id, call["name"] or event.name
            call["arguments"] += event.arguments

    @property
    def is_empty(self) -> bool:
        return not (self.assets or self.said)

    @property
    def said(self) -> str:
        """All that a model wrote, for estimating its tokens."""
        calls = (call["arguments"] for call in self.tool_calls.values())
        return "".join((*self.text, *self.reasoning, *calls))
