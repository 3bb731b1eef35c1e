"""Every way to fail, as rows and small functions: refusals, spoiled answers, spoiled usage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from dataelan_web.local.simulated.answers import Answer
from dataelan_web.local.simulated.script import Script
from dataelan_web.local.simulated.wire import Ending, Frame, Reply, encoded, error, event, json_reply

HUGE = 8 * 1024 * 1024
BYTES_PER_SECOND = 2.0  # slow_loris, unless `rate` says otherwise


@dataclass(frozen=True)
class Refusal:
    status: int
    type: str
    code: str | None
    message: str
    retry_after: float | None = None


REFUSALS = {
    "bad_request": Refusal(400, "invalid_request_error", None, "Simulated: the request is malformed."),
    "context_too_long": Refusal(
        400,
        "invalid_request_error",
        "context_length_exceeded",
        "Simulated: this model's maximum context length is 8192 tokens. Please reduce the length of the messages.",
    ),
    "content_policy": Refusal(
        400, "invalid_request_error", "content_policy_violation", "Simulated: rejected by the safety system."
    ),
    # Only of a request that has one.
    "temperature": Refusal(
        400,
        "invalid_request_error",
        "unsupported_value",
        "Unsupported value: 'temperature' does not support that with this model. Only the default (1) is supported.",
    ),
    "unauthorized": Refusal(
        401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided: sk-wrong********."
    ),
    "billing": Refusal(402, "billing_error", "insufficient_balance", "Simulated: insufficient balance."),
    "forbidden": Refusal(403, "permission_error", "forbidden", "Simulated: no access to this model."),
    "not_found": Refusal(404, "invalid_request_error", "model_not_found", "Simulated: the model does not exist."),
    "rate_limit": Refusal(429, "requests", "rate_limit_exceeded", "Simulated: rate limit reached.", retry_after=1),
    "rate_limit_bare": Refusal(429, "requests", "rate_limit_exceeded", "Simulated: rate limit reached."),
    "quota": Refusal(429, "insufficient_quota", "insufficient_quota", "Simulated: you exceeded your current quota."),
    "server_error": Refusal(500, "server_error", None, "Simulated: the server had an error."),
    "unavailable": Refusal(503, "server_error", None, "Simulated: the service is unavailable."),
    "overloaded": Refusal(529, "overloaded_error", None, "Simulated: overloaded."),
}


def refuse(kind: str, script: Script) -> Reply:
    refusal = REFUSALS[kind]
    after = refusal.retry_after if script.retry_after is None else script.retry_after
    headers = {} if after is None else {"retry-after": f"{after:g}"}
    body = error(refusal.message, type=refusal.type, code=refusal.code)
    return json_reply(body, refusal.status, script.first_token_ms / 1000, headers)


# -- an answer that is not what it should be -----------------------------------------------------


def _empty(answer: Answer, script: Script) -> Answer:
    return Answer([])


def _filtered(answer: Answer, script: Script) -> Answer:
    return replace(answer, content=answer.content[: script.after], finish="content_filter")


ANSWERS: dict[str, Callable[[Answer, Script], Answer]] = {"empty": _empty, "content_filter": _filtered}

USAGES: dict[str, Callable[[dict[str, Any]], dict[str, Any] | None]] = {
    "no_usage": lambda usage: None,
    "negative_usage": lambda usage: usage | {"prompt_tokens": -5, "completion_tokens": -7, "total_tokens": -12},
    "text_usage": lambda usage: usage | {"prompt_tokens": "many", "completion_tokens": "1e999"},
}

# -- a reply that goes wrong on its way ----------------------------------------------------------


def _html(reply: Reply, script: Script) -> Reply:
    page = b"<!doctype html><html><head><title>Sign in</title></head><body><h1>Simulated proxy page</h1></body></html>"
    return Reply([Frame(0, page)], content_type="text/html; charset=utf-8")


def _empty_body(reply: Reply, script: Script) -> Reply:
    return replace(reply, frames=[])


def _garbage(reply: Reply, script: Script) -> Reply:
    return _then(reply, script, b'data: {"choices":[{"delta":{"content":oops\n\n', b'{"id": oops')


def _invalid_utf8(reply: Reply, script: Script) -> Reply:
    broken = b'{"choices":[{"index":0,"delta":{"content":"\xff\xfe\xc3"},"finish_reason":null}]}'
    return _then(reply, script, b"data: " + broken + b"\n\n", broken.replace(b"delta", b"message"))


def _error_in_stream(reply: Reply, script: Script) -> Reply:
    body = error("Simulated: the server had an error while answering.", type="server_error", code="server_error")
    return _then(reply, script, event(body), encoded(body))


def _huge_line(reply: Reply, script: Script) -> Reply:
    data = encoded({"choices": [{"index": 0, "delta": {"content": "x" * HUGE}, "finish_reason": None}]})
    return _then(reply, script, b"data: " + data + b"\n\n", data.replace(b"delta", b"message", 1))


def _then(reply: Reply, script: Script, streamed: bytes, body: bytes) -> Reply:
    """The answer up to the failure and then these bytes, and a proper end; or the body instead of the answer."""
    start = _start(reply, script) if reply.streamed else []
    due = start[-1].due if start else 0
    return replace(reply, frames=[*start, Frame(due, streamed if reply.streamed else body)])


def _cut(reply: Reply, script: Script) -> Reply:
    return replace(reply, frames=_start(reply, script), ending=Ending.CUT)


def _stall(reply: Reply, script: Script) -> Reply:
    return replace(reply, frames=_start(reply, script), ending=Ending.STALL)


def _silent(reply: Reply, script: Script) -> Reply:
    return replace(reply, frames=[], ending=Ending.STALL, silent=True)


def _no_done(reply: Reply, script: Script) -> Reply:
    return replace(reply, frames=reply.frames[:-1]) if reply.streamed else reply


def _slow_loris(reply: Reply, script: Script) -> Reply:
    gap = 1 / (script.rate or BYTES_PER_SECOND)
    data = b"".join(frame.data for frame in reply.frames)
    return replace(reply, frames=[Frame(place * gap, data[place : place + 1]) for place in range(len(data))])


def _start(reply: Reply, script: Script) -> list[Frame]:
    """The opening and `after` tokens of a stream; half of a plain body."""
    if reply.streamed:
        return list(reply.frames[: script.after + 1]) if script.after else []
    return [Frame(frame.due, frame.data[: len(frame.data) // 2]) for frame in reply.frames]


REPLIES: dict[str, Callable[[Reply, Script], Reply]] = {
    "html": _html,
    "empty_body": _empty_body,
    "garbage": _garbage,
    "invalid_utf8": _invalid_utf8,
    "error_in_stream": _error_in_stream,
    "huge_line": _huge_line,
    "cut": _cut,
    "stall": _stall,
    "silent": _silent,
    "no_done": _no_done,
    "slow_loris": _slow_loris,
}

KINDS = (*REFUSALS, *ANSWERS, *USAGES, *REPLIES)
