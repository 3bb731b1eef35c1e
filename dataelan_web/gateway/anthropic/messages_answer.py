"""Events → Anthropic's Message, whole or as its stream of events.

Source: anthropics/anthropic-sdk-python, types/message and raw_message_stream_event. Our own facts stand in the last
`message_delta` as `dataelan`, since a stream's headers go out before its cost is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...models.records import RunRecord
from ...router.providers.anthropic_messages_answer import KIND
from ...router.providers.json_values import mapping, parse_or_none
from ...router.types import Done, Event, Failure, Finish, Reasoning, Text, ToolCall, Usage
from .. import errors
from ..inbound import Pieces, Whole
from ..sse import event as sse
from ..tool_calls import call_id

OWN = {"end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal", "model_context_window_exceeded"}
REASONS = {
    Finish.LENGTH: "max_tokens",
    Finish.TOOL_CALLS: "tool_use",
    Finish.CONTENT_FILTER: "refusal",
}


def message(whole: Whole) -> dict[str, Any]:
    content: list[dict[str, Any]] = [_thought(said, seal) for said, seal in whole.told_thoughts(KIND)]
    if whole.text:
        content.append({"type": "text", "text": whole.text})
    for index, call in whole.answer.tool_calls.items():
        id = call["id"] or call_id(whole.execution, index, "toolu_")
        input = mapping(parse_or_none(call["arguments"]))
        content.append({"type": "tool_use", "id": id, "name": call["name"], "input": input})
    return _envelope(whole.execution, whole.model) | {
        "content": content,
        **_reason(whole.done),
        "usage": usage_of(whole.usage),
    }


def _thought(said: str, sealed: Reasoning | None) -> dict[str, Any]:
    if sealed and sealed.is_hidden:
        return {"type": "redacted_thinking", "data": sealed.seal}
    return {"type": "thinking", "thinking": said, "signature": sealed.seal if sealed else ""}


class Events(Pieces):
    """One stream's events. What is told of one kind is one block, which ends where another begins."""

    def __init__(self, execution: RunRecord, model: str):
        self._execution, self._model = execution, model
        self._usage = Usage()
        self._begun = False
        self._block = -1
        self._open: object = None
        """What the open block is of: `text`, `thinking`, or a tool call's number."""
        self._arguments: list[str] = []
        """What was said of the last call."""
        self._held: dict[int, list[ToolCall]] = {}
        """What came of others before that was whole: one block is open at a time."""

    def words(self, said: str) -> bytes:
        before = self._begin("text", {"type": "text", "text": ""})
        return before + self._delta({"type": "text_delta", "text": said})

    def of(self, event: Event) -> bytes:
        if isinstance(event, Usage):
            self._usage = self._usage.updated(event)
            return b""
        return b"".join(self._events(event))

    def last(self, done: Done | None, usage: Usage, facts: dict[str, Any]) -> Iterator[bytes]:
        late = [piece for pieces in self._held.values() for event in pieces for piece in self._call(event)]
        yield self._start() + b"".join(late) + self._close()
        yield sse({"type": "message_delta", "delta": _reason(done), "usage": usage_of(usage), "dataelan": facts})
        yield sse({"type": "message_stop"})

    def broken(self, failure: Failure, facts: dict[str, Any]) -> Iterator[bytes]:
        yield sse(errors.told(errors.of(failure)) | {"dataelan": facts})

    def _events(self, event: Event) -> Iterator[bytes]:
        match event:
            case Reasoning("", kind=kind) if kind != KIND:
                pass  # what another provider sealed is of no use to Anthropic's clients
            case Reasoning(seal=seal, is_hidden=True):
                yield self._begin(None, {"type": "redacted_thinking", "data": seal})
            case Reasoning(delta, seal):
                yield self._begin("thinking", {"type": "thinking", "thinking": "", "signature": ""})
                if delta:
                    yield self._delta({"type": "thinking_delta", "thinking": delta})
                if seal:
                    yield self._delta({"type": "signature_delta", "signature": seal}) + self._close()
            case Text(delta):
                yield self.words(delta)
            case ToolCall(index) if index != self._open and (self._held or not self._is_whole()):
                self._held.setdefault(index, []).append(event)
            case ToolCall():
                yield from self._call(event)

    def _is_whole(self) -> bool:
        """May another call begin? Calls may come a piece of one and a piece of another."""
        return not isinstance(self._open, int) or parse_or_none("".join(self._arguments)) is not None

    def _call(self, event: ToolCall) -> Iterator[bytes]:
        if event.index != self._open:
            self._arguments = []
        id = event.id or call_id(self._execution, event.index, "toolu_")
        yield self._begin(event.index, {"type": "tool_use", "id": id, "name": event.name, "input": {}})
        if event.arguments:
            self._arguments.append(event.arguments)
            yield self._delta({"type": "input_json_delta", "partial_json": event.arguments})

    def _start(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        started: dict[str, Any] = {
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_of(self._usage),
        }
        return sse({"type": "message_start", "message": _envelope(self._execution, self._model) | started})

    def _begin(self, kind: object, block: dict[str, Any]) -> bytes:
        if kind is not None and kind == self._open:
            return b""
        ended = self._start() + self._close()
        self._block, self._open = self._block + 1, kind if kind is not None else "whole"
        return ended + sse({"type": "content_block_start", "index": self._block, "content_block": block})

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return sse({"type": "content_block_delta", "index": self._block, "delta": delta})

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        return sse({"type": "content_block_stop", "index": self._block})


def usage_of(usage: Usage) -> dict[str, Any]:
    """Anthropic counts the cache beside the input, and thinking within the output."""
    hour = usage.cache_write_1h or 0
    return {
        "input_tokens": usage.input or 0,
        "cache_creation_input_tokens": usage.cache_write or 0,
        "cache_read_input_tokens": usage.cache_read or 0,
        "cache_creation": {
            "ephemeral_5m_input_tokens": (usage.cache_write or 0) - hour,
            "ephemeral_1h_input_tokens": hour,
        },
        "output_tokens": usage.output_total,
    }


def _envelope(execution: RunRecord, model: str) -> dict[str, Any]:
    return {"id": f"msg_{execution.id.hex}", "type": "message", "role": "assistant", "model": model}


def _reason(done: Done | None) -> dict[str, Any]:
    """In the provider's own word, where that is one of these."""
    finish, raw = (done.finish, done.raw) if done else (Finish.STOP, "")
    reason = raw if raw in OWN else REASONS.get(finish, "end_turn")
    return {"stop_reason": reason, "stop_sequence": (done.stopped_by if done else "") or None}
