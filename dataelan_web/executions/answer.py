"""An answer as it grows."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..router.types import Event, Reasoning, Refusal, Segment, Text, ToolCall
from ..storage import Stored


@dataclass(frozen=True)
class Kept:
    """A file that a model made, in storage."""

    stored: Stored
    media_type: str
    note: str = ""


@dataclass
class Answer:
    """What came back so far."""

    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    tool_calls: dict[int, dict[str, str]] = field(default_factory=dict)
    segments: list[Segment] = field(default_factory=list)
    assets: list[Kept] = field(default_factory=list)
    is_refusal: bool = False

    def add(self, event: Event) -> None:
        if isinstance(event, Text):
            self.text.append(event.delta)
            self.is_refusal = self.is_refusal or isinstance(event, Refusal)
        elif isinstance(event, Reasoning):
            self.reasoning.append(event.delta)
        elif isinstance(event, Segment):
            self.segments.append(event)
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
