"""Reading an answer of Cohere's older /v1/chat and /v1/generate, whole or as newline-delimited JSON; Bedrock's Command
models answer in both forms too.

Source: cohere-ai/cohere-python (bc495da), types/streamed_chat_response.py and generate_streamed_response.py, and
recorded traffic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dataelan_web.router.providers.cohere_answer import cost, finish_of, refuse_failed
from dataelan_web.router.providers.failures import failure_in_answer, is_error
from dataelan_web.router.providers.framing import Frame
from dataelan_web.router.providers.json_values import broken, compact, mapping, mappings, string
from dataelan_web.router.providers.ndjson import cut_off
from dataelan_web.router.types import Done, Event, Text, ToolCall


class CohereV1Answer:
    """The answer never names the model that gave it. Only the first of several generations is read: we never ask for
    more."""

    def __init__(self) -> None:
        self._id = self._finish = ""
        self._has_ended = self._done = False
        self._calls = 0

    def read(self, frame: Frame) -> Iterator[Event]:
        if self._done or frame.done:
            return
        document = mapping(frame.document)
        if is_error(document):
            raise failure_in_answer(document)
        self._id = self._id or string(document.get("generation_id"))
        if "event_type" in document or "is_finished" in document:
            yield from self._event(document)
        else:
            yield from self._answer(document)

    def end(self) -> Iterator[Event]:
        if self._done:
            return
        if not self._has_ended:
            raise cut_off()
        self._done = True
        yield Done(finish_of(self._finish, bool(self._calls)), self._finish, "", self._id)

    def _event(self, event: Mapping[str, Any]) -> Iterator[Event]:
        """Pieces of tool calls are left out: the whole calls follow them."""
        response = mapping(event.get("response"))
        if not event.get("index") and (text := string(event.get("text"))) and not event.get("tool_call_delta"):
            yield Text(text)
        yield from self._tool_calls(event)
        if event.get("is_finished") is True or event.get("event_type") == "stream-end":
            if not self._calls:
                yield from self._tool_calls(response)
            yield from self._end(response, string(event.get("finish_reason")) or _finish(response), event.get("err"))

    def _answer(self, document: Mapping[str, Any]) -> Iterator[Event]:
        generation = next(iter(mappings(document.get("generations"))), document)
        if not isinstance(generation.get("text"), str):
            if "message" in document:
                raise failure_in_answer(document)
            raise broken("The provider's answer is JSON, but not Cohere's. Check the base URL.")
        if text := string(generation.get("text")):
            yield Text(text)
        yield from self._tool_calls(document)
        yield from self._end(document, _finish(document), None)

    def _tool_calls(self, said: Mapping[str, Any]) -> Iterator[ToolCall]:
        """Calls have no ids here."""
        for call in mappings(said.get("tool_calls")):
            yield ToolCall(self._calls, "", string(call.get("name")), compact(mapping(call.get("parameters"))))
            self._calls += 1

    def _end(self, said: Mapping[str, Any], finish: str, error: Any) -> Iterator[Event]:
        self._finish, self._has_ended = finish, True
        yield from cost(mapping(said.get("meta")))
        refuse_failed(finish, error, finish)


def _finish(said: Mapping[str, Any]) -> str:
    generation = next(iter(mappings(said.get("generations"))), said)
    return string(generation.get("finish_reason"))
