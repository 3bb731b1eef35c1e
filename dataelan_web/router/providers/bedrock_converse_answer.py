"""Reading a Converse answer of Bedrock, whole or streamed. Nova's own format (InvokeModel) is the same, one event a
document: `{"contentBlockDelta": {...}}`.

Source: boto/botocore (0e6e2404), bedrock-runtime 2023-09-30, and recorded traffic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dataelan_web.router.providers.failures import failure_in_answer, is_error
from dataelan_web.router.providers.framing import Frame
from dataelan_web.router.providers.json_values import (
    broken,
    compact,
    count,
    first_count,
    mapping,
    mappings,
    string,
)
from dataelan_web.router.providers.media import decode_base64
from dataelan_web.router.providers.ndjson import cut_off
from dataelan_web.router.types import Asset, Done, Event, Finish, Reasoning, Text, ToolCall, Usage

_FINISHES: Mapping[str, Finish] = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    "tool_use": Finish.TOOL_CALLS,
    "guardrail_intervened": Finish.CONTENT_FILTER,
    "content_filtered": Finish.CONTENT_FILTER,
    "refusal": Finish.CONTENT_FILTER,
}


class ConverseAnswer:
    """The answer never names the model that gave it."""

    def __init__(self) -> None:
        self._finish = ""
        self._whole = self._done = False
        self._calls = 0
        self._open: dict[int | None, _OpenCall] = {}
        self._pictures: dict[int | None, _OpenPicture] = {}

    def read(self, frame: Frame) -> Iterator[Event]:
        if self._done:
            return
        document = mapping(frame.document)
        if frame.whole:
            yield from self._answer(document)
        for name, value in document.items():
            yield from self._event(name, mapping(value))

    def end(self) -> Iterator[Event]:
        """A stop reason is an end; the metadata after it says what the answer cost."""
        if self._done:
            return
        if not (self._finish or self._whole):
            raise cut_off()
        self._done = True
        finish = _FINISHES.get(self._finish, Finish.OTHER)
        yield Done(Finish.TOOL_CALLS if finish is Finish.STOP and self._calls else finish, self._finish)

    def _answer(self, document: Mapping[str, Any]) -> Iterator[Event]:
        if is_error(document) or ("message" in document and "output" not in document):
            raise failure_in_answer(document)
        if not isinstance(document.get("output"), dict):
            raise broken("The provider's answer is JSON, but not Bedrock's. Check the base URL.")
        self._whole = True
        for index, block in enumerate(mappings(mapping(document["output"].get("message")).get("content"))):
            yield from self._block(index, block)
        self._finish = string(document.get("stopReason"))
        yield from _cost(document)

    def _event(self, name: str, value: Mapping[str, Any]) -> Iterator[Event]:
        index = count(value.get("contentBlockIndex"))
        match name:
            case "contentBlockStart":
                yield from self._start(index, mapping(value.get("start")))
            case "contentBlockDelta":
                yield from self._delta(index, mapping(value.get("delta")))
            case "contentBlockStop":
                yield from self._stop(index)
            case "messageStop":
                self._finish = string(value.get("stopReason")) or self._finish
            case "metadata":
                yield from _cost(value)

    def _block(self, index: int, block: Mapping[str, Any]) -> Iterator[Event]:
        thought = mapping(mapping(block.get("reasoningContent")).get("reasoningText"))
        yield from _said(thought.get("text"), Reasoning)
        for cited in mappings(mapping(block.get("citationsContent")).get("content")):
            yield from _said(cited.get("text"), Text)
        yield from self._start(index, block)
        yield from self._delta(index, block)
        yield from self._stop(index)

    def _start(self, index: int | None, start: Mapping[str, Any]) -> Iterator[Event]:
        """Tools that Amazon runs itself, and their results, are not ours to answer."""
        use = mapping(start.get("toolUse"))
        if use and use.get("type") != "server_tool_use":
            self._open[index] = _OpenCall(self._calls, use.get("input"))
            yield ToolCall(self._calls, string(use.get("toolUseId")), string(use.get("name")))
            self._calls += 1
        if image := mapping(start.get("image")):
            self._pictures[index] = _OpenPicture(string(image.get("format")))

    def _delta(self, index: int | None, delta: Mapping[str, Any]) -> Iterator[Event]:
        yield from _said(mapping(delta.get("reasoningContent")).get("text"), Reasoning)
        yield from _said(delta.get("text"), Text)
        piece = string(mapping(delta.get("toolUse")).get("input"))
        if piece and index in self._open:
            self._open[index].is_written = True
            yield ToolCall(self._open[index].number, arguments=piece)
        if index in self._pictures:
            source = mapping(mapping(delta.get("image")).get("source"))
            self._pictures[index].content += decode_base64(string(source.get("bytes")))

    def _stop(self, index: int | None) -> Iterator[Event]:
        """Arguments come as deltas, or with the whole block; a call without any has an empty object."""
        call, picture = self._open.pop(index, None), self._pictures.pop(index, None)
        if call and not call.is_written:
            yield ToolCall(call.number, arguments=compact(mapping(call.input)))
        if picture and picture.content:
            yield Asset(f"image/{picture.format or 'png'}", bytes(picture.content))


class _OpenCall:
    """A tool call whose arguments are still coming."""

    def __init__(self, number: int, input: Any):
        self.number, self.input, self.is_written = number, input, False


class _OpenPicture:
    def __init__(self, format: str):
        self.format, self.content = format, bytearray()


def _said(words: Any, kind: type[Text] | type[Reasoning]) -> Iterator[Event]:
    if text := string(words):
        yield kind(text)


def _cost(document: Mapping[str, Any]) -> Iterator[Usage]:
    """Input excludes the cache here, output includes reasoning, of which there is no count."""
    usage = mapping(document.get("usage"))
    found = Usage(
        input=count(usage.get("inputTokens")),
        cache_read=first_count(usage.get("cacheReadInputTokens"), usage.get("cacheReadInputTokenCount")),
        cache_write=first_count(usage.get("cacheWriteInputTokens"), usage.get("cacheWriteInputTokenCount")),
        cache_write_1h=_for_an_hour(mappings(usage.get("cacheDetails"))),
        output=count(usage.get("outputTokens")),
    )
    if found != Usage():
        yield found


def _for_an_hour(details: list[dict[str, Any]]) -> int | None:
    found = [count(detail.get("inputTokens")) or 0 for detail in details if detail.get("ttl") == "1h"]
    return sum(found) if found else None
