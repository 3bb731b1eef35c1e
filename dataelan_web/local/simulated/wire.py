"""An answer in the OpenAI wire format, as the moments and bytes of a reply. No I/O, no clock."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from dataelan_web.local.simulated.answers import Answer
from dataelan_web.local.simulated.request import Request
from dataelan_web.local.simulated.script import Script

FINGERPRINT = "simulated"
Usage = Mapping[str, Any]


class Ending(StrEnum):
    """What happens to the connection after the last frame."""

    WHOLE = "whole"
    CUT = "cut"
    STALL = "stall"


@dataclass(frozen=True)
class Frame:
    due: float
    data: bytes


@dataclass(frozen=True)
class Reply:
    """`frames` are in the order of their moments; those due at the same moment may share a write."""

    frames: Sequence[Frame]
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    ending: Ending = Ending.WHOLE
    silent: bool = False

    @property
    def streamed(self) -> bool:
        return self.content_type == "text/event-stream"


def json_reply(data: Any, status: int = 200, due: float = 0, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply([Frame(due, encoded(data))], status, headers=headers or {})


def error(message: str, *, type: str = "invalid_request_error", code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": type, "param": None, "code": code}}


def usage_of(request: Request, answer: Answer, script: Script) -> dict[str, Any]:
    cached = request.cached_tokens if script.cached is None else min(script.cached, request.tokens)
    return {
        "prompt_tokens": request.tokens,
        "completion_tokens": answer.tokens,
        "total_tokens": request.tokens + answer.tokens,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": len(answer.reasoning), "audio_tokens": 0},
    }


def whole(request: Request, answer: Answer, usage: Usage | None, script: Script, id: str, created: int) -> Reply:
    message: dict[str, Any] = {"role": "assistant", "content": "".join(answer.content), "refusal": None}
    if answer.reasoning:
        message["reasoning_content"] = "".join(answer.reasoning)
    if answer.tool:
        message |= {"content": None, "tool_calls": [_tool_call(answer.tool, id, "".join(answer.content))]}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish}
    data = _head(request, id, created, "chat.completion") | {"choices": [choice]}
    return json_reply(data if usage is None else data | {"usage": usage}, due=script.end(answer.tokens))


def stream(request: Request, answer: Answer, usage: Usage | None, script: Script, id: str, created: int) -> Reply:
    """One frame a token; the opening goes with the first, the ending follows the last at once."""
    head = _head(request, id, created, "chat.completion.chunk")
    if request.include_usage:
        head["usage"] = None
    due, end = script.due(answer.tokens), script.end(answer.tokens)
    frames = [Frame(due[0] if due else end, _chunk(head, _opening(answer, id)))]
    frames += map(Frame, due, _tokens(head, answer))
    frames.append(Frame(end, _chunk(head, {}, answer.finish)))
    if request.include_usage and usage is not None:
        frames.append(Frame(end, event(head | {"choices": [], "usage": usage})))
    frames.append(Frame(end, b"data: [DONE]\n\n"))
    return Reply(frames, content_type="text/event-stream")


def event(data: Any) -> bytes:
    return b"data: " + encoded(data) + b"\n\n"


def encoded(data: Any) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def _tokens(head: dict[str, Any], answer: Answer) -> Iterator[bytes]:
    """All chunks of an answer differ in one string only, so the rest is encoded once."""
    for name, tokens in (("reasoning_content", answer.reasoning), ("content", answer.content)):
        delta = {"tool_calls": [{"index": 0, "function": {"arguments": "\0"}}]}
        before, after = _chunk(head, delta if answer.tool and name == "content" else {name: "\0"}).split(rb'"\u0000"')
        for token in tokens:
            yield before + encoded(token) + after


def _opening(answer: Answer, id: str) -> dict[str, Any]:
    if answer.tool:
        call = _tool_call(answer.tool, id, "")
        return {"role": "assistant", "content": None, "tool_calls": [{"index": 0} | call]}
    return {"role": "assistant", "content": ""}


def _tool_call(name: str, id: str, arguments: str) -> dict[str, Any]:
    return {
        "id": id.replace("chatcmpl-", "call_"),
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def _chunk(head: dict[str, Any], delta: dict[str, Any], finish: str | None = None) -> bytes:
    return event(head | {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]})


def _head(request: Request, id: str, created: int, object: str) -> dict[str, Any]:
    return {
        "id": id,
        "object": object,
        "created": created,
        "model": request.model,
        "system_fingerprint": FINGERPRINT,
    }
