"""Events → OpenAI's chat completion, whole or in chunks.

Source: openai/openai-openapi, CreateChatCompletionResponse and CreateChatCompletionStreamResponse. The last
chunk before `[DONE]` carries a field of our own, `dataelan`, since a stream's headers go out before its cost is known.
Every chunk has a choice, unless usage was asked for: programs read `choices[0]` without looking.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...models.base import as_json, json_bytes
from ...models.records import RunRecord
from ...router.types import Done, Event, Failure, Finish, Reasoning, Refusal, Text, ToolCall, Usage
from .. import errors
from ..inbound import Pieces, Whole
from ..tool_calls import call_id

FINISH = {Finish.OTHER: "stop"}


def completion(whole: Whole) -> dict[str, Any]:
    execution, answer, text = whole.execution, whole.answer, whole.text
    message: dict[str, Any] = {"role": "assistant", "content": text or ("" if not answer.tool_calls else None)}
    message["refusal"] = None
    if answer.is_refusal:
        message |= {"content": None, "refusal": text}
    if answer.reasoning:
        message["reasoning_content"] = "".join(answer.reasoning)
    if answer.tool_calls:
        message["tool_calls"] = [
            {
                "id": call["id"] or call_id(execution, index),
                "type": "function",
                "function": {"name": call["name"], "arguments": call["arguments"]},
            }
            for index, call in answer.tool_calls.items()
        ]
    likely = {"content": whole.likely, "refusal": None} if whole.likely else None
    choice = {"index": 0, "message": message, "finish_reason": _finish(whole.done), "logprobs": likely}
    made = {"choices": [choice], "usage": usage_of(whole.usage)}
    return _envelope(execution, "chat.completion", whole.model) | made


class Chunks(Pieces):
    """One stream's chunks, each a complete SSE message. What stays the same in all of them is encoded once."""

    def __init__(self, execution: RunRecord, model: str, includes_usage: bool):
        self._head = f"data: {as_json(_envelope(execution, 'chat.completion.chunk', model))[:-1]},".encode()
        self._execution, self._includes_usage = execution, includes_usage
        self._is_first = False
        self._before, self._after = self._delta({"content": ""}).rsplit(b'""', 1)
        """Around the words of most chunks, of which there are thousands."""
        self._is_first = True
        self._calls: set[int] = set()

    def words(self, said: str) -> bytes:
        if self._is_first:
            return self._delta({"content": said})
        return b"%b%b%b" % (self._before, json_bytes(said), self._after)

    def of(self, event: Event) -> bytes:
        if isinstance(event, Refusal):
            return self._delta({"refusal": event.delta})
        if isinstance(event, Text):
            return self._delta({"content": event.delta}, likely=event.logprobs)
        if isinstance(event, Reasoning) and event.delta:
            return self._delta({"reasoning_content": event.delta})
        if isinstance(event, ToolCall):
            return self._delta({"tool_calls": [self._call(event)]})
        return b""

    def last(self, done: Done | None, usage: Usage, facts: dict[str, Any]) -> Iterator[bytes]:
        """Why it ended, usage where it was asked for, our own facts, and the end."""
        ours = f',"dataelan":{as_json(facts)}'
        if self._includes_usage:
            yield self._delta({}, _finish(done))
            yield self._head + f'"choices":[],"usage":{as_json(usage_of(usage))}{ours}}}\n\n'.encode()
        else:
            yield self._delta({}, _finish(done), ours)
        yield b"data: [DONE]\n\n"

    def broken(self, failure: Failure, facts: dict[str, Any]) -> Iterator[bytes]:
        """OpenAI's own form for it."""
        yield f"data: {as_json(errors.told(errors.of(failure)) | {'dataelan': facts})}\n\n".encode()

    def _delta(
        self, delta: dict[str, Any], finish: str | None = None, more: str = "", likely: tuple[Any, ...] = ()
    ) -> bytes:
        if self._is_first:
            delta, self._is_first = {"role": "assistant", **delta}, False
        told = f',"logprobs":{as_json({"content": likely, "refusal": None})}' if likely else ""
        choice = f'{{"index":0,"delta":{as_json(delta)},"finish_reason":{as_json(finish)}{told}}}'
        return self._head + f'"choices":[{choice}]{more}}}\n\n'.encode()

    def _call(self, event: ToolCall) -> dict[str, Any]:
        call: dict[str, Any] = {"index": event.index, "function": {"arguments": event.arguments}}
        if event.index not in self._calls:
            self._calls.add(event.index)
            call |= {"id": event.id or call_id(self._execution, event.index), "type": "function"}
        if event.name:
            call["function"]["name"] = event.name
        return call


def usage_of(usage: Usage) -> dict[str, Any]:
    """OpenAI counts cached tokens within the prompt's and reasoning within the completion's."""
    return {
        "prompt_tokens": usage.input_total,
        "completion_tokens": usage.output_total,
        "total_tokens": usage.input_total + usage.output_total,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read or 0} | written(usage),
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
    }


def written(usage: Usage) -> dict[str, int]:
    """Told by those that charge for it."""
    return {"cache_write_tokens": usage.cache_write} if usage.cache_write else {}


def _envelope(execution: RunRecord, kind: str, model: str) -> dict[str, Any]:
    created = int(execution.created_at.timestamp())
    return {"id": f"chatcmpl-{execution.id.hex}", "object": kind, "created": created, "model": model}


def _finish(done: Done | None) -> str:
    return FINISH.get(done.finish, done.finish.value) if done else "stop"
