"""An answer of Anthropic's Messages, whole or as it comes: its words, thoughts and calls, its end, and what it used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dataelan_web.router.providers.failures import failure_in_answer, is_error
from dataelan_web.router.providers.framing import Frame
from dataelan_web.router.providers.json_values import broken, compact, count, mapping, mappings, string
from dataelan_web.router.types import Done, Event, Failure, Finish, Kind, Reasoning, Text, ToolCall, Usage

KIND = "anthropic"
"""Whose seals those of its thoughts are."""

_FINISHES: Mapping[str, Finish] = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    "tool_use": Finish.TOOL_CALLS,
    "refusal": Finish.CONTENT_FILTER,
}


class MessagesAnswer:
    def __init__(self) -> None:
        self._model = self._id = self._finish = self._stopped_by = ""
        self._whole = self._done = False
        self._usage: dict[str, int] = {}
        self._calls = 0
        self._open: dict[Any, _OpenCall] = {}

    def read(self, frame: Frame) -> Iterator[Event]:
        document = mapping(frame.document)
        if self._done:
            return
        if is_error(document):
            raise failure_in_answer(document)
        if frame.whole:
            yield from self._message(document)
            return
        match document.get("type"):
            case "message_start":
                yield from self._start(mapping(document.get("message")))
            case "content_block_start":
                yield from self._block_start(count(document.get("index")), mapping(document.get("content_block")))
            case "content_block_delta":
                yield from self._block_delta(count(document.get("index")), mapping(document.get("delta")))
            case "content_block_stop":
                yield from self._block_stop(count(document.get("index")))
            case "message_delta":
                self._end(mapping(document.get("delta")))
                yield from self._cost(document)
            case "message_stop":
                yield from self.end()

    def end(self) -> Iterator[Event]:
        """A stop reason is the end; the message_stop after it says nothing more."""
        if self._done:
            return
        if not (self._finish or self._whole):
            raise Failure(Kind.TRANSIENT, "The provider's answer broke off before its end.", code="cut_off")
        self._done = True
        finish = _FINISHES.get(self._finish, Finish.OTHER)
        yield Done(finish, self._finish, self._model, self._id, self._stopped_by)

    def _end(self, said: Mapping[str, Any]) -> None:
        self._finish = string(said.get("stop_reason")) or self._finish
        self._stopped_by = string(said.get("stop_sequence")) or self._stopped_by

    def _message(self, document: Mapping[str, Any]) -> Iterator[Event]:
        if document.get("type") != "message" and not isinstance(document.get("content"), list):
            raise broken("The provider's answer is JSON, but not a message. Check the base URL.")
        self._whole = True
        for index, block in enumerate(mappings(document.get("content"))):
            yield from self._block_start(index, block)
            yield from self._block_stop(index)
        yield from self._start(document)
        self._end(document)

    def _start(self, message: Mapping[str, Any]) -> Iterator[Usage]:
        self._model, self._id = string(message.get("model")), string(message.get("id"))
        yield from self._cost(message)

    def _block_start(self, index: int | None, block: Mapping[str, Any]) -> Iterator[Event]:
        """Blocks of tools that the provider runs itself (server_tool_use and results) are not ours to answer."""
        match block.get("type"):
            case "text" if text := string(block.get("text")):
                yield Text(text)
            case "thinking":
                if thought := string(block.get("thinking")):
                    yield Reasoning(thought)
                if seal := string(block.get("signature")):
                    yield Reasoning("", seal, KIND)
            case "redacted_thinking" if seal := string(block.get("data")):
                yield Reasoning("", seal, KIND, is_hidden=True)
            case "tool_use":
                self._open[index] = _OpenCall(self._calls, block.get("input"))
                yield ToolCall(self._calls, string(block.get("id")), string(block.get("name")))
                self._calls += 1

    def _block_delta(self, index: int | None, delta: Mapping[str, Any]) -> Iterator[Event]:
        match delta.get("type"):
            case "text_delta" if text := string(delta.get("text")):
                yield Text(text)
            case "thinking_delta" if thought := string(delta.get("thinking")):
                yield Reasoning(thought)
            case "signature_delta" if seal := string(delta.get("signature")):
                yield Reasoning("", seal, KIND)
            case "input_json_delta" if (piece := string(delta.get("partial_json"))) and index in self._open:
                self._open[index].written = True
                yield ToolCall(self._open[index].number, arguments=piece)

    def _block_stop(self, index: int | None) -> Iterator[Event]:
        """Arguments come as deltas, or with the start of the block; a call without any has an empty object."""
        call = self._open.pop(index, None)
        if call and not call.written:
            yield ToolCall(call.number, arguments=compact(mapping(call.input)))

    def _cost(self, document: Mapping[str, Any]) -> Iterator[Usage]:
        """Counts are cumulative over the events of a stream, so the larger of two is the later."""
        usage = mapping(document.get("usage"))
        details, written = mapping(usage.get("output_tokens_details")), mapping(usage.get("cache_creation"))
        for name, value in (*usage.items(), *written.items(), ("thinking_tokens", details.get("thinking_tokens"))):
            if (number := count(value)) is not None:
                self._usage[name] = max(number, self._usage.get(name, 0))
        if usage:
            yield _usage(self._usage)


class _OpenCall:
    """A tool call whose arguments are still coming."""

    def __init__(self, number: int, input: Any):
        self.number, self.input, self.written = number, input, False


def _usage(counts: Mapping[str, int]) -> Usage:
    """Input excludes the cache here, output includes thinking."""
    output, thinking = counts.get("output_tokens"), counts.get("thinking_tokens")
    if output is not None and thinking is not None:
        thinking = min(thinking, output)
        output -= thinking
    read, written = counts.get("cache_read_input_tokens"), counts.get("cache_creation_input_tokens")
    hour = counts.get("ephemeral_1h_input_tokens") or None  # 0 is said of every answer
    return Usage(counts.get("input_tokens"), read, written, output, thinking, cache_write_1h=hour)
