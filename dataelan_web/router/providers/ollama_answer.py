"""Reading an answer of Ollama's /api/chat or /api/generate, whole or as newline-delimited JSON: every document has the
same form, and the last says so.

Source: ollama/ollama (fb307609), docs/openapi.yaml and docs/api/errors.mdx, and recorded traffic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dataelan_web.router.providers.failures import failure_in_answer, is_error
from dataelan_web.router.providers.framing import Frame
from dataelan_web.router.providers.json_values import broken, compact, count, mapping, mappings, sequence, string
from dataelan_web.router.providers.media import decode_base64, sniffed
from dataelan_web.router.providers.ndjson import cut_off
from dataelan_web.router.types import Asset, Done, Event, Finish, Reasoning, Text, ToolCall, Usage

_FINISHES: Mapping[str, Finish] = {"stop": Finish.STOP, "length": Finish.LENGTH}
_MARKS = {"message", "response", "done"}


class OllamaAnswer:
    def __init__(self) -> None:
        self._model = self._finish = ""
        self._has_ended = self._done = False
        self._calls = 0

    def read(self, frame: Frame) -> Iterator[Event]:
        """An error in mid-stream is `{"error": "…"}` and the last line."""
        if self._has_ended or frame.done:
            return
        document = mapping(frame.document)
        if is_error(document):
            raise failure_in_answer(document)
        if not document.keys() & _MARKS:
            raise broken("The provider's answer is JSON, but not Ollama's. Check the base URL.")
        self._model = self._model or string(document.get("model"))
        message = mapping(document.get("message")) or {**document, "content": document.get("response")}
        yield from self._said(message)
        if document.get("done") is True:
            self._has_ended = True
            self._finish = string(document.get("done_reason"))
            yield from _cost(document)

    def end(self) -> Iterator[Event]:
        if self._done:
            return
        if not self._has_ended:
            raise cut_off()
        self._done = True
        finish = _FINISHES.get(self._finish, Finish.OTHER)
        # It says "stop" after a tool call too.
        yield Done(Finish.TOOL_CALLS if finish is Finish.STOP and self._calls else finish, self._finish, self._model)

    def _said(self, message: Mapping[str, Any]) -> Iterator[Event]:
        if thought := string(message.get("thinking")):
            yield Reasoning(thought)
        if text := string(message.get("content")):
            yield Text(text)
        for image in filter(None, map(string, sequence(message.get("images")))):
            content = decode_base64(image)
            yield Asset(sniffed(content, otherwise="image/png"), content)
        for call in mappings(message.get("tool_calls")):
            function = mapping(call.get("function"))
            arguments = compact(mapping(function.get("arguments")))
            yield ToolCall(self._calls, string(call.get("id")), string(function.get("name")), arguments)
            self._calls += 1


def _cost(document: Mapping[str, Any]) -> Iterator[Usage]:
    """Output includes thinking, of which there is no count. Older versions leave out the input when the whole prompt
    was in their cache."""
    found = Usage(input=count(document.get("prompt_eval_count")), output=count(document.get("eval_count")))
    if found != Usage():
        yield found
