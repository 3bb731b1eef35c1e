"""Events → OpenAI's chat completion, whole or in chunks.

Source: openai/openai-openapi, CreateChatCompletionResponse and CreateChatCompletionStreamResponse. The last
chunk before `[DONE]` carries a field of our own, `dataelan`, since a stream's headers go out before its cost is known.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from ..executions.answer import Answer
from ..models import Execution
from ..router.types import Done, Event, Finish, Reasoning, Text, ToolCall, Usage

FINISH = {Finish.OTHER: "stop"}


def completion(execution: Execution, answer: Answer, usage: Usage, done: Done | None, model: str) -> dict[str, Any]:
    """A whole answer."""
    message: dict[str, Any] = {"role": "assistant", "content": "".join(answer.text) or None, "refusal": None}
    if answer.reasoning:
        message["reasoning_content"] = "".join(answer.reasoning)
    if answer.tool_calls:
        message["tool_calls"] = [
            {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}}
            for call in answer.tool_calls.values()
        ]
    choice = {"index": 0, "message": message, "finish_reason": _finish(done), "logprobs": None}
    return _envelope(execution, "chat.completion", model) | {"choices": [choice], "usage": usage_of(usage)}


class Chunks:
    """One stream's chunks, each a complete SSE message. What stays the same in all of them is encoded once."""

    def __init__(self, execution: Execution, model: str, includes_usage: bool):
        envelope = json.dumps(_envelope(execution, "chat.completion.chunk", model), separators=(",", ":"))
        self._head = f"data: {envelope[:-1]},".encode()
        self._includes_usage = includes_usage
        self._is_first = True

    def of(self, event: Event) -> bytes:
        """The chunk of one event; empty when it makes none."""
        if isinstance(event, Text):
            return self._delta({"content": event.delta})
        if isinstance(event, Reasoning):
            return self._delta({"reasoning_content": event.delta})
        if isinstance(event, ToolCall):
            return self._delta({"tool_calls": [_call(event)]})
        if isinstance(event, Done):
            return self._delta({}, _finish(event))
        return b""

    def last(self, usage: Usage, facts: dict[str, Any]) -> Iterator[bytes]:
        """Usage where it was asked for, our own facts, and the end."""
        counted = f',"usage":{_json(usage_of(usage))}' if self._includes_usage else ""
        yield self._head + f'"choices":[]{counted},"dataelan":{_json(facts)}}}\n\n'.encode()
        yield b"data: [DONE]\n\n"

    def _delta(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        if self._is_first:
            delta, self._is_first = {"role": "assistant", **delta}, False
        choice = f'{{"index":0,"delta":{_json(delta)},"finish_reason":{_json(finish)}}}'
        return self._head + f'"choices":[{choice}]}}\n\n'.encode()


def error_chunk(body: dict[str, Any]) -> bytes:
    """An error after the stream began: OpenAI's own form for it."""
    return f"data: {_json(body)}\n\n".encode()


def usage_of(usage: Usage) -> dict[str, Any]:
    """OpenAI counts cached tokens within the prompt's and reasoning within the completion's."""
    return {
        "prompt_tokens": usage.input_total,
        "completion_tokens": usage.output_total,
        "total_tokens": usage.input_total + usage.output_total,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read or 0},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
    }


def _envelope(execution: Execution, kind: str, model: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{execution.id.hex}", "object": kind, "created": int(time.time()), "model": model}


def _finish(done: Done | None) -> str:
    return FINISH.get(done.finish, done.finish.value) if done else "stop"


def _call(event: ToolCall) -> dict[str, Any]:
    call: dict[str, Any] = {"index": event.index, "function": {"arguments": event.arguments}}
    if event.id:
        call |= {"id": event.id, "type": "function"}
    if event.name:
        call["function"]["name"] = event.name
    return call


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
