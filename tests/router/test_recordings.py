"""Real traffic of many providers must be read as what it says, wherever its bytes are cut."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from dataelan_web.router.types import (
    Asset,
    Done,
    Event,
    Failure,
    Finish,
    Kind,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    Usage,
)

from .recordings import ANSWERS, IDS, adapter_for, answer, decoded, decoder_for, expectations, joined, needs_recordings

TOO_LONG = (Kind.CONTEXT_TOO_LONG, "the message says so, and another model may have room; the status is a bare 400")
PARSED = (
    '{"title":"Apples are tasty","author":"Hadley Wickham"}',
    "Cloudflare sends the answer to a schema as an object, which expected.json reads as no text",
)

# Where we mean something else than `expected.json` does, exchange by exchange: id -> field -> (our value, reason).
EXCEPTIONS: dict[str, dict[str, tuple[Any, str]]] = {
    "anthropic.anthropic-messages.error.290c1ad6cc": {"kind": TOO_LONG},
    "openrouter.openai-chat.error.794b3aea61": {"kind": TOO_LONG},
    "perplexity.openai-chat.error.74022e6e07": {"kind": TOO_LONG},
    "cloudflare.openai-chat.structured.919dfc37a2": {"text": PARSED},
    "cloudflare.openai-chat.structured.973887bf25": {"text": PARSED},
    "snowflake.openai-chat.stream.8ec052540e": {
        "reasoning_text": ("15 * 27 = 405", "said in reasoning_details only, which expected.json skips in streams")
    },
    "mistral.openai-chat.tools.b4c2e320eb": {
        "tool_calls": (
            [("call_REDACTED_1", "file_report", "")],
            "the length limit cut the call before its arguments; an empty object would claim that it is whole",
        )
    },
    "openai.openai-chat.error.fceea15bb7": {
        "says": (
            "Incorrect API key provided: [key]. You can find your API key at "
            "https://platform.openai.com/account/api-keys.",
            "a key is never repeated, not even a wrong one",
        )
    },
    "openrouter.openai-chat.error.4e0a6ca6d8": {
        "says": (
            "Provider returned error: google/gemini-2.0-flash-exp:free is temporarily rate-limited upstream. Please "
            "retry shortly, or add your own key to accumulate your rate limits: "
            "https://openrouter.ai/settings/integrations",
            "the reason is in metadata.raw",
        )
    },
}

# A stream without its end is a broken line for us, though expected.json takes its text for whole.
CUT_OFF = {"vertexai.gemini-generate.stream.30368d97b8": "a fixture shortened by hand: no finishReason anywhere"}


# -- what an answer must say -----------------------------------------------------------------------


@needs_recordings
@pytest.mark.parametrize("id", IDS)
def test_an_exchange_is_read_as_what_it_says(id: str) -> None:
    expected, (status, body) = expectations()[id], answer(id)
    if status >= 400:
        said = adapter_for(id).failure(status, body)
        assert observed_failure(said) == wanted(id, expected_failure(expected["error"]))
        return
    events, failure = decoded(decoder_for(id), body, len(body))
    if id in CUT_OFF:
        assert failure is not None
        assert failure.code == "cut_off"
        assert joined(events) == [Text(expected["text"])]
    elif expected["error"]:
        assert failure is not None
        assert observed_failure(failure) == wanted(id, expected_failure(expected["error"]))
    else:
        assert failure is None, failure
        assert observed(events) == wanted(id, expected_answer(expected))


@needs_recordings
@pytest.mark.parametrize("id", ANSWERS)
def test_an_exchange_says_the_same_however_it_is_cut(id: str) -> None:
    _, body = answer(id)
    whole, failure = decoded(decoder_for(id), body, len(body))
    for size in (1, 7):
        pieces, also = decoded(decoder_for(id), body, size)
        assert pieces == whole
        assert str(also) == str(failure)


def wanted(id: str, fields: dict[str, Any]) -> dict[str, Any]:
    return fields | {name: value for name, (value, _) in EXCEPTIONS.get(id, {}).items()}


def observed(events: list[Event]) -> dict[str, Any]:
    usage = Usage()
    for event in events:
        if isinstance(event, Usage):
            usage = usage.updated(event)
    done = events[-1]
    assert isinstance(done, Done), "an answer ends with Done"
    assert sum(isinstance(event, Done) for event in events) == 1
    return {
        "text": "".join(event.delta for event in events if type(event) is Text),
        "refusal": "".join(event.delta for event in events if isinstance(event, Refusal)),
        "reasoning_text": "".join(event.delta for event in events if isinstance(event, Reasoning)),
        "finish": done.finish.value,
        "raw": done.raw,
        "model": done.model,
        "response_id": done.response_id,
        "tool_calls": tool_calls(events),
        "assets": [hashlib.sha256(event.content).hexdigest() for event in events if isinstance(event, Asset)],
        **observed_usage(usage),
    }


def observed_usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_total": usage.input_total if usage.input is not None else None,
        "output_total": usage.output_total if usage.output is not None or usage.reasoning is not None else None,
        "cached": usage.cache_read,
        "reasoning": usage.reasoning,
    }


def tool_calls(events: list[Event]) -> list[tuple[str, str, Any]]:
    calls: dict[int, list[str]] = {}
    for event in events:
        if isinstance(event, ToolCall):
            call = calls.setdefault(event.index, ["", "", ""])
            call[0], call[1], call[2] = call[0] + event.id, call[1] + event.name, call[2] + event.arguments
    assert list(calls) == list(range(len(calls))), "calls are numbered from 0 in the order they begin"
    return [(call_id, name, _json_or_text(arguments)) for call_id, name, arguments in calls.values()]


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


# -- what expected.json says of it --------------------------------------------------------------------


def expected_answer(expected: dict[str, Any]) -> dict[str, Any]:
    calls = expected["tool_calls"] or []
    assets = [*(expected.get("images") or []), *([expected["audio"]] if expected.get("audio") else [])]
    return {
        "refusal": expected.get("refusal") or "",
        "text": expected["text"] or "",
        "reasoning_text": expected.get("reasoning_text") or "",
        "finish": expected.get("finish_norm") or Finish.OTHER.value,
        "raw": expected["finish_reason"] or expected.get("prompt_blocked") or "",
        "model": expected.get("model") or "",
        "response_id": expected.get("response_id") or "",
        "tool_calls": [(call["id"] or "", call["name"], call["arguments"]) for call in calls],
        "assets": [found["sha256"] for found in assets],
        **expected_usage(expected.get("usage") or {}),
    }


def expected_usage(usage: dict[str, Any]) -> dict[str, Any]:
    """A part that is reported larger than its whole is cut to it: counters are disjoint and never negative."""
    total_in, total_out = usage.get("input_total"), usage.get("output_total")
    cached, reasoning = usage.get("cached_tokens"), usage.get("reasoning_tokens")
    return {
        "input_total": total_in,
        "output_total": total_out,
        "cached": cached if cached is None or total_in is None else min(cached, total_in),
        "reasoning": reasoning if reasoning is None or total_out is None else min(reasoning, total_out),
    }


# From the status and type that expected.json gives to our kinds; finer ones are named exchange by exchange.
KINDS_BY_STATUS = {
    200: Kind.BAD_REQUEST,  # Groq's tool_use_failed inside a stream, which says 400 of itself
    400: Kind.BAD_REQUEST,
    401: Kind.CREDENTIAL,
    403: Kind.CREDENTIAL,
    404: Kind.BAD_REQUEST,
    429: Kind.RATE_LIMIT,
    500: Kind.TRANSIENT,
}


def expected_failure(error: dict[str, Any]) -> dict[str, Any]:
    return {"kind": KINDS_BY_STATUS[error["status"]], "says": " ".join(error["message"].split())}


def observed_failure(failure: Failure) -> dict[str, Any]:
    return {"kind": failure.kind, "says": failure.message}
