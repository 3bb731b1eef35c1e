"""Reading an answer of Cohere's /v2/chat, whole or streamed.

Source: cohere-ai/cohere-python (bc495da), v2/types/v2chat_stream_response.py, and recorded traffic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from dataelan_web.router.providers.failures import failure_in_answer, is_error
from dataelan_web.router.providers.framing import Frame
from dataelan_web.router.providers.json_values import broken, compact, count, mapping, mappings, string
from dataelan_web.router.providers.ndjson import cut_off
from dataelan_web.router.types import Done, Event, Finish, Reasoning, Text, ToolCall, Usage

_FINISHES: Mapping[str, Finish] = {
    "COMPLETE": Finish.STOP,
    "STOP_SEQUENCE": Finish.STOP,
    "MAX_TOKENS": Finish.LENGTH,
    "ERROR_LIMIT": Finish.LENGTH,  # the context window is full
    "TOOL_CALL": Finish.TOOL_CALLS,
    "ERROR_TOXIC": Finish.CONTENT_FILTER,
}
_FAILED_FINISHES = ("ERROR", "TIMEOUT")


class CohereAnswer:
    """The answer never names the model that gave it."""

    def __init__(self) -> None:
        self._id = self._finish = ""
        self._has_ended = self._done = False
        self._calls = 0
        self._open: dict[Any, _OpenCall] = {}

    def read(self, frame: Frame) -> Iterator[Event]:
        if self._done:
            return
        document = mapping(frame.document)
        if is_error(document) or isinstance(document.get("message"), str):
            raise failure_in_answer(document)
        if frame.whole:
            yield from self._answer(document)
        else:
            yield from self._event(document)

    def end(self) -> Iterator[Event]:
        if self._done:
            return
        if not self._has_ended:
            raise cut_off()
        self._done = True
        yield Done(finish_of(self._finish, bool(self._calls)), self._finish, "", self._id)

    def _answer(self, document: Mapping[str, Any]) -> Iterator[Event]:
        if not isinstance(document.get("message"), dict):
            raise broken("The provider's answer is JSON, but not Cohere's. Check the base URL.")
        self._id = string(document.get("id"))
        message = mapping(document["message"])
        for part in mappings(message.get("content")):
            yield from _said(part)
        for call in mappings(message.get("tool_calls")):
            yield from self._start(None, call)
            yield from self._stop(None)
        yield from self._end(document)

    def _event(self, event: Mapping[str, Any]) -> Iterator[Event]:
        """The plan for tools, a sentence on what they are called for, is neither answer nor thought; nor are
        citations, which repeat both."""
        delta, index = mapping(event.get("delta")), count(event.get("index"))
        message = mapping(delta.get("message"))
        match event.get("type"):
            case "message-start":
                self._id = string(event.get("id"))
            case "content-start" | "content-delta":
                yield from _said(mapping(message.get("content")))
            case "tool-call-start":
                yield from self._start(index, mapping(message.get("tool_calls")))
            case "tool-call-delta" if index in self._open:
                yield from self._open[index].more(mapping(message.get("tool_calls")))
            case "tool-call-end":
                yield from self._stop(index)
            case "message-end":
                self._id = self._id or string(event.get("id"))
                yield from self._end(delta)

    def _start(self, index: int | None, call: Mapping[str, Any]) -> Iterator[ToolCall]:
        self._open[index] = _OpenCall(self._calls)
        self._calls += 1
        name = string(mapping(call.get("function")).get("name"))
        yield ToolCall(self._open[index].number, string(call.get("id")), name)
        yield from self._open[index].more(call)

    def _stop(self, index: int | None) -> Iterator[ToolCall]:
        """A call without arguments has an empty object, also where the stream says nothing."""
        call = self._open.pop(index, None)
        if call and not call.is_written:
            yield ToolCall(call.number, arguments="{}")

    def _end(self, said: Mapping[str, Any]) -> Iterator[Event]:
        for index in [*self._open]:
            yield from self._stop(index)
        self._finish = string(said.get("finish_reason"))
        self._has_ended = True
        yield from cost(mapping(said.get("usage")))
        refuse_failed(self._finish, said.get("error"), said.get("error_type"))


class _OpenCall:
    """A tool call whose arguments are still coming."""

    def __init__(self, number: int):
        self.number, self.is_written = number, False

    def more(self, call: Mapping[str, Any]) -> Iterator[ToolCall]:
        arguments = mapping(call.get("function")).get("arguments")
        text = compact(arguments) if isinstance(arguments, dict) else string(arguments)
        if text:
            self.is_written = True
            yield ToolCall(self.number, arguments=text)


def _said(part: Mapping[str, Any]) -> Iterator[Event]:
    if thought := string(part.get("thinking")):
        yield Reasoning(thought)
    if text := string(part.get("text")):
        yield Text(text)


def finish_of(raw: str, has_calls: bool) -> Finish:
    finish = _FINISHES.get(raw, Finish.OTHER)
    return Finish.TOOL_CALLS if finish is Finish.STOP and has_calls else finish


def refuse_failed(finish: str, said: Any, type: Any) -> None:
    """Raise for an answer that ended in an error: a tool call that cannot be read, or a fault of theirs."""
    if not said and finish not in _FAILED_FINISHES:
        return
    name = string(type) or finish
    status = HTTPStatus.UNPROCESSABLE_ENTITY if name.startswith("INVALID") else None
    message = said or "The provider broke off its answer because of an error."
    raise failure_in_answer({"error": {"message": message, "type": name, "status_code": status}})


def cost(reported: Mapping[str, Any]) -> Iterator[Usage]:
    """Tokens as the model read and wrote them: input includes the cache and Cohere's own preamble (some 500 tokens),
    output includes reasoning. Tokens of pictures are counted beside `input_tokens` and are not in it.

    Cohere's prices are for `billed_units`, which leave out the preamble and its marks (a short question has 8 billed
    tokens of 503) and hold the pictures'. They stand in where the tokens are not said (older answers).
    """
    billed = mapping(reported.get("billed_units"))
    tokens = mapping(reported.get("tokens")) or billed
    input, output = count(tokens.get("input_tokens")), count(tokens.get("output_tokens"))
    read, reasoning = count(reported.get("cached_tokens")), count(tokens.get("reasoning_tokens"))
    if input is not None and read is not None:
        read = min(read, input)
        input -= read
    if output is not None and reasoning is not None:
        reasoning = min(reasoning, output)
        output -= reasoning
    found = Usage(
        input=input,
        cache_read=read,
        output=output,
        reasoning=reasoning,
        billed_input=count(billed.get("input_tokens")),
        billed_output=count(billed.get("output_tokens")),
    )
    if found != Usage():
        yield found
